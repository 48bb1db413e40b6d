"""Extensions come from their packages alone, and what has no signature stays out afterwards."""

import duckdb
import pytest

from headrace.errors import ExternalError
from headrace.lake.catalog import connect


def test_nothing_without_a_signature_is_loaded_later(tmp_path):
    stranger = tmp_path / "stranger.duckdb_extension"
    stranger.write_bytes(b"\0" * 4096)
    with connect() as connection:
        with pytest.raises(duckdb.Error):
            connection.execute("SET allow_unsigned_extensions = true")
        with pytest.raises(duckdb.Error):
            connection.execute(f"LOAD '{stranger}'")
        loaded = connection.execute("SELECT extension_name FROM duckdb_extensions() WHERE loaded").fetchall()
    assert {("ducklake",), ("sqlite_scanner",)} <= set(loaded)


def test_no_home_is_needed_and_none_is_written_to(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    connect().close()
    assert not list(tmp_path.iterdir())


def test_packages_of_another_version_are_told_of(monkeypatch):
    monkeypatch.setattr(duckdb, "__version__", "0.0.1")
    with pytest.raises(ExternalError, match=r"duckdb-extension-sqlite-scanner does not fit duckdb 0\.0\.1"):
        connect()
