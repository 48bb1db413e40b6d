import os

import pytest

from headrace.errors import BusyError
from headrace.lake.catalog import attach_statement, connect
from headrace.warehouse.branch import GoldFolder, adopt_branch, data_files, make_durable, start_branch, sweep
from sqlite_locks import is_in_use


@pytest.fixture
def gold(tmp_path):
    folder = GoldFolder(tmp_path / "gold")
    folder.create()
    return folder


def run(gold, *statements):
    with connect() as db:
        db.execute(attach_statement("gold", gold.branch, gold.data))
        for statement in statements:
            db.execute(statement)


def built(gold, build, parent, *statements):
    start_branch(gold, parent)
    run(gold, *statements)
    make_durable(gold, parent)
    adopt_branch(gold, build)


def rows(gold, build):
    with connect() as db:
        db.execute(attach_statement("gold", gold.catalog(build), gold.data, read_only=True))
        return sorted(db.execute("SELECT * FROM gold.main.t").fetchall())


def on_disk(gold):
    return {str(path.relative_to(gold.data)) for path in gold.data.rglob("*.parquet")}


def test_a_branch_changes_nothing_of_its_parent(gold):
    built(gold, "b1", None, "CREATE TABLE gold.main.t AS SELECT 1 AS n, date '2024-01-01' AS d")
    built(gold, "b2", "b1", "INSERT INTO gold.main.t VALUES (2, NULL)", "DELETE FROM gold.main.t WHERE n = 1")
    assert [row[0] for row in rows(gold, "b1")] == [1]
    assert [row[0] for row in rows(gold, "b2")] == [2]


def test_a_branch_is_a_consistent_copy_even_of_a_catalog_that_was_not_closed(gold):
    built(gold, "b1", None, "CREATE TABLE gold.main.t AS SELECT 1 AS n")
    with connect() as db:  # holds a log beside the catalog while it is copied
        db.execute(attach_statement("gold", gold.catalog("b1"), gold.data))
        db.execute("INSERT INTO gold.main.t VALUES (2)")
        start_branch(gold, "b1")
    adopt_branch(gold, "b2")
    assert rows(gold, "b2") == [(1,), (2,)]


def test_files_are_named_as_they_lie_on_disk_partitions_and_deletes_included(gold):
    built(
        gold, "b1", None,
        "CREATE SCHEMA gold.marts",
        "CREATE TABLE gold.marts.p (n INT, d DATE)",
        "ALTER TABLE gold.marts.p SET PARTITIONED BY (d)",
        "INSERT INTO gold.marts.p SELECT range, date '2024-01-01' + (range % 2)::INT FROM range(100)",
        "DELETE FROM gold.marts.p WHERE n = 3",
    )  # fmt: skip
    names = data_files(gold.catalog("b1"))
    assert names == on_disk(gold)
    assert any("d=2024-01-02/" in name for name in names)
    assert any("delete" in name for name in names)


def test_sweep_keeps_what_a_kept_catalog_names_and_removes_the_rest(gold):
    built(gold, "b1", None, "CREATE TABLE gold.main.t AS SELECT 1 AS n")
    forget = "CALL ducklake_expire_snapshots('gold', versions => [0, 1])"
    built(gold, "b2", "b1", "CREATE OR REPLACE TABLE gold.main.t AS SELECT 2 AS n", forget)
    start_branch(gold, "b2")
    run(gold, "CREATE TABLE gold.main.failed AS SELECT 3 AS n")
    assert len(on_disk(gold)) == 3

    assert sweep(gold, {"b1": None, "b2": None}) == 1
    assert rows(gold, "b1") == [(1,)]
    assert sweep(gold, {"b2": None}) == 1
    assert on_disk(gold) == data_files(gold.catalog("b2"))
    assert not gold.catalog("b1").exists()


def test_a_build_leaves_readers_of_the_one_before_in_this_process_their_locks(gold):
    built(gold, "b1", None, "CREATE TABLE gold.main.t AS SELECT 1 AS n")
    with connect() as reader:
        reader.execute(attach_statement("gold", gold.catalog("b1"), gold.data, read_only=True))
        reader.execute("BEGIN")
        assert reader.execute("FROM gold.main.t").fetchall() == [(1,)]
        built(gold, "b2", "b1", "INSERT INTO gold.main.t VALUES (2)")
        assert sweep(gold, {"b1": None, "b2": None}) == 0
        assert is_in_use(gold.catalog("b1"))
    assert rows(gold, "b2") == [(1,), (2,)]


def test_sweep_leaves_a_build_that_is_being_read(gold):
    built(gold, "b1", None, "CREATE TABLE gold.main.t AS SELECT 1 AS n")
    with gold.pinned("b1"):
        assert sweep(gold, {}) == 0
        assert rows(gold, "b1") == [(1,)]
    assert sweep(gold, {}) == 1
    assert os.listdir(gold.path / "catalogs") == []  # noqa: PTH208


def test_one_holder_of_the_lock(gold):
    with gold.lock(), pytest.raises(BusyError), gold.lock():
        pass
    with gold.lock():
        pass
