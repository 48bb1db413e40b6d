"""A reader beside the writer: it meets the catalog's locks, and does not give up at the first."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import duckdb
import pytest

from headrace import fault_points
from headrace.errors import LakeError
from headrace.lake import reader
from headrace.lake.catalog import CATALOG, DATA
from headrace.lake.ducklake import DuckLake
from headrace.lake.reader import LakeReader, open_reader


class Locked:
    """A connection whose first statements meet a lock."""

    def __init__(self, times, says="Failed to prepare query: locking protocol"):
        self.left, self.says = times, says
        self.real = duckdb.connect()

    def execute(self, *arguments):
        if self.left:
            self.left -= 1
            raise duckdb.Error(self.says)
        return self.real.execute(*arguments)


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(reader, "PAUSES_SECS", (0, 0))


def test_a_lock_is_waited_for(tmp_path):
    lake = LakeReader(Locked(2), tmp_path, None)
    assert lake.rows("SELECT 1 AS one") == [{"one": 1}]
    lake = LakeReader(Locked(2, "database is locked"), tmp_path, None)
    assert lake.arrow("SELECT 1 AS one", 100).to_pylist() == [{"one": 1}]


def test_one_that_stays_and_any_other_fault_are_told(tmp_path):
    with pytest.raises(LakeError, match="locking protocol"):
        LakeReader(Locked(3), tmp_path, None).rows("SELECT 1")
    other = Locked(1, "no such table")
    with pytest.raises(LakeError, match="no such table"):
        LakeReader(other, tmp_path, None).rows("SELECT 1")
    assert other.left == 0


def test_a_data_file_that_is_gone_amid_a_read_is_damage_and_no_bug(tmp_path):
    """Arrow tells a file that does not open as an OSError, which is none of its own exceptions."""
    connection = duckdb.connect()
    for number in (1, 2):
        connection.execute(f"COPY (SELECT range AS n FROM range(300000)) TO '{tmp_path}/{number}.parquet'")
    gone = tmp_path / "2.parquet"
    lake = LakeReader(connection, tmp_path, None)
    sql = f"SELECT n FROM read_parquet('{tmp_path}/*.parquet')"
    read = lake.tables_of(sql)
    next(read)
    gone.unlink()
    gone.mkdir()
    with pytest.raises(LakeError, match="cannot be read") as found:
        list(read)
    assert "headrace doctor" in found.value.fix


def test_a_question_of_the_writer_that_fails_leaves_the_next_its_answer(tmp_path):
    lake = DuckLake(tmp_path)
    try:
        with lake.reading():
            with pytest.raises(duckdb.Error):
                lake._query("SELECT nonsense")
            assert lake.deployed() is None
        assert lake.positions() == []
        before = lake.snapshot()
        lake.commit([])
        assert lake.snapshot() >= before
    finally:
        lake.close()


def test_a_catalog_has_all_its_tables_or_no_name_yet(tmp_path):
    """Whoever looks while the writer makes it finds nothing, and then everything."""
    seen = []

    def look(point):
        with open_reader(tmp_path) as lake:
            seen.append((point, lake and "ops.batches" in lake.tables()))

    fault_points.watch(look)
    try:
        DuckLake(tmp_path).close()
    finally:
        fault_points.watch(None)
    assert dict(seen)["lake.create.before"] is None
    assert dict(seen)["lake.create.after"]
    assert {found for point, found in seen if point.startswith("lake.commit")} == {None}


def test_a_catalog_that_was_cut_off_while_it_was_made_is_made_anew(tmp_path):
    def cut(point):
        if point == cut.at:
            raise RuntimeError("cut")

    for cut.at in ("lake.commit.before", "lake.create.before", "lake.create.after"):
        fault_points.watch(cut)
        try:
            with pytest.raises(RuntimeError, match="cut"):
                DuckLake(tmp_path)
        finally:
            fault_points.watch(None)
    with open_reader(tmp_path) as lake:
        assert "ops.batches" in lake.tables()
    with closing(DuckLake(tmp_path)) as lake:
        assert lake.positions() == []
    assert not list(tmp_path.glob(f"{CATALOG}.new*"))


def test_a_catalog_whose_log_is_still_beside_it_gets_no_name(tmp_path):
    """As where a disk is full at the last moment: the name would move without what is in the log."""
    read = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN'); " + (
        "c.execute('SELECT * FROM sqlite_master').fetchall(); print(1, flush=True); sys.stdin.read()"
    )
    readers = []

    def hold(point):
        if point == "lake.commit.after":
            command = [sys.executable, "-c", read, str(tmp_path / f"{CATALOG}.new")]
            readers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            readers[0].stdout.readline()

    fault_points.watch(hold)
    try:
        with pytest.raises(LakeError, match="log of the new catalog"):
            DuckLake(tmp_path)
    finally:
        fault_points.watch(None)
        readers[0].communicate()
    with open_reader(tmp_path) as lake:
        assert lake is None
    DuckLake(tmp_path).close()
    with open_reader(tmp_path) as lake:
        assert "ops.batches" in lake.tables()


def test_the_log_that_a_lost_catalog_left_is_not_replayed_into_the_next(tmp_path):
    catalog, log = (tmp_path / f"{CATALOG}{end}" for end in ("", "-wal"))
    with closing(sqlite3.connect(catalog)) as lost:
        lost.execute("PRAGMA journal_mode = WAL")
        lost.execute("CREATE TABLE other (x)")
        left = log.read_bytes()
    catalog.unlink()
    log.write_bytes(left)  # as a kill leaves it
    DuckLake(tmp_path).close()
    with open_reader(tmp_path) as lake:
        assert "ops.batches" in lake.tables()


def test_an_empty_catalog_is_no_lake_yet_and_beside_data_it_is_damage(tmp_path):
    (tmp_path / DATA).mkdir()
    (tmp_path / CATALOG).touch()
    with open_reader(tmp_path) as lake:
        assert lake is None
    (tmp_path / DATA / "left.parquet").touch()
    with pytest.raises(LakeError), open_reader(tmp_path):
        pass
    (tmp_path / DATA / "left.parquet").unlink()
    DuckLake(tmp_path).close()
    with open_reader(tmp_path) as lake:
        assert "ops.batches" in lake.tables()
