"""The copy of the catalog is made beside readers, in this process and in others."""

from __future__ import annotations

import os
import time

import pytest

from headrace.errors import LakeError
from headrace.lake.catalog import CATALOG, DATA, attach_statement, connect
from headrace.lake.copies import COPY, EVERY_SECS, copy_catalog, copy_is_due
from headrace.lake.ducklake import DuckLake
from headrace.lake.soundness import refuse_damaged
from headrace.warehouse.query import latest_snapshot
from one_sqlite import OURS, OpenTwiceError, opened_twice
from sqlite_locks import is_in_use


@pytest.fixture
def folder(tmp_path):
    DuckLake(tmp_path).close()
    return tmp_path


@pytest.mark.parametrize("look", [copy_catalog, lambda folder: latest_snapshot(connect(), folder / CATALOG)])
def test_what_looks_at_the_catalog_leaves_readers_in_this_process_their_locks(look, folder):
    with connect() as reader:
        reader.execute(attach_statement("lake", folder / CATALOG, folder / DATA, read_only=True))
        reader.execute("BEGIN")
        reader.execute("FROM lake.current_snapshot()")
        assert is_in_use(folder / CATALOG)
        look(folder)
        assert is_in_use(folder / CATALOG)


@pytest.mark.skipif(not OURS.is_dir(), reason="only Linux says what this process has open")
def test_what_looks_at_the_catalog_in_this_process_beside_a_reader_fails_its_test(folder):
    with connect() as reader:
        reader.execute(attach_statement("lake", folder / CATALOG, folder / DATA, read_only=True))
        reader.execute("BEGIN")
        reader.execute("FROM lake.current_snapshot()")
        with pytest.raises(OpenTwiceError):
            refuse_damaged(folder, whole=False)
        assert opened_twice == [str(folder / CATALOG)]
        opened_twice.clear()
        reader.execute("COMMIT")
        refuse_damaged(folder, whole=False)  # between its transactions, DuckDB has no file open


def test_a_copy_is_due_once_it_is_old_or_was_made_by_a_clock_that_is_set_back_since(folder):
    copy_catalog(folder)
    now = (folder / CATALOG).stat().st_mtime
    for age, is_due in ((-3_600, True), (-5, False), (EVERY_SECS - 5, False), (EVERY_SECS + 5, True)):
        os.utime(folder / COPY, (time.time() - age,) * 2)
        os.utime(folder / CATALOG, (now, now) if age < EVERY_SECS else None)
        assert copy_is_due(folder) is is_due, age


def test_a_catalog_that_cannot_be_copied_leaves_the_copy_of_before(folder):
    writer = DuckLake(folder)
    writer.keep_copy()
    before = (folder / COPY).read_bytes()
    catalog = (folder / CATALOG).read_bytes()
    (folder / CATALOG).write_bytes(b"no catalog" * 1000)
    with pytest.raises(LakeError, match="not a database"):
        writer.keep_copy()
    assert (folder / COPY).read_bytes() == before
    (folder / CATALOG).write_bytes(catalog)
    writer.close()
