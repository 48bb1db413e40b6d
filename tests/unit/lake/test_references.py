"""Versions of reference data: named by what they hold, whole or not there, kept as long as a batch names them."""

from __future__ import annotations

import hashlib
import os

import pyarrow as pa
import pytest

from headrace.errors import LakeError
from headrace.lake.references import UNNAMED_SECS, References

TABLE = pa.table(
    {
        "code": ["NL", None, "DE"],
        "at": pa.array([1, 2, None], pa.timestamp("us", "UTC")),
        "more": pa.array([{"a": [1]}, None, {"a": None}], pa.struct([("a", pa.list_(pa.int64()))])),
    }
)


def files(folder):
    return sorted(path.name for path in (folder / "references").iterdir())


def age(folder, secs=UNNAMED_SECS + 60):
    for path in (folder / "references").iterdir():
        past = path.stat().st_mtime - secs
        os.utime(path, (past, past))


def test_a_version_is_named_by_what_it_holds_however_it_is_chunked(tmp_path):
    store = References(tmp_path)
    version = store.keep(TABLE)
    chunked = pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1)])
    assert store.keep(chunked) == version == References(tmp_path).keep(TABLE)
    assert store.keep(TABLE.slice(1)) != version
    assert store.keep(TABLE.rename_columns(["kode", "at", "more"])) != version
    assert len(files(tmp_path)) == 3
    content = (tmp_path / "references" / f"{version}.parquet").read_bytes()
    assert hashlib.sha256(content).hexdigest() == version
    assert store.load(version).equals(TABLE)


def test_a_version_that_is_gone_or_was_changed_is_no_version(tmp_path):
    store = References(tmp_path)
    version = store.keep(TABLE)
    path = tmp_path / "references" / f"{version}.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(LakeError, match="was changed"):
        store.load(version)
    path.unlink()
    assert not store.hold(version)
    with pytest.raises(LakeError, match="is not there"):
        store.load(version)


def test_what_a_batch_names_stays_and_what_none_can_name_any_more_goes(tmp_path):
    store = References(tmp_path)
    named, unnamed, held = (store.keep(TABLE.slice(start)) for start in range(3))
    (tmp_path / "references" / "0123.7-8.part").write_bytes(b"left by a crash")
    asked = []

    def names():
        asked.append(1)
        return {named}

    assert store.clean(names) == 0, "all of it is young"
    age(tmp_path)
    assert store.hold(held)
    assert store.clean(names) == 2
    assert files(tmp_path) == sorted(f"{each}.parquet" for each in (named, held))
    assert store.load(named).equals(TABLE)
    assert len(asked) == 1
    assert store.clean(names) == 0
    assert len(asked) == 1, "the lake is asked only about versions that were not named before"
    assert References(tmp_path / "none").clean(names) == 0
    assert unnamed not in {named, held}


def test_a_file_that_goes_while_the_folder_is_looked_at_is_no_failure_of_upkeep(tmp_path):
    # A version gets its name while upkeep looks: it was listed as a part, and is no longer there under that name.
    store = References(tmp_path)
    version = store.keep(TABLE)
    (tmp_path / "references" / "0123.7-8.part").symlink_to("renamed")
    assert store.clean(frozenset) == 0
    assert store.hold(version)
