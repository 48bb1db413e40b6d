"""Small SQLite files: one way to open them, and one word for each trouble."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from headrace.errors import InputError, InternalError, LakeError, SpaceError
from headrace.sqlite_file import Kind, SqliteFile, connect, fold, mapped, once_open, trouble

NOTES = Kind(
    what="the file of notes",
    error=LakeError,
    lost="a new one is made, and the notes are lost",
    tables="CREATE TABLE IF NOT EXISTS notes(text TEXT UNIQUE)",
    busy_timeout_secs=0.1,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state #1?%41" / "notes.db"


def note(path, text="x", kind=NOTES):
    with once_open(path, kind) as connection:
        connection.execute("INSERT INTO notes VALUES (?)", (text,))


def notes(path):
    with closing(SqliteFile(path, NOTES)) as file, file.reading() as connection:
        return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY 1")]


def pragma(connection, name):
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.mark.parametrize(("synchronous", "level"), [("FULL", 2), ("NORMAL", 1)])
def test_a_file_is_made_as_its_kind_says(path, synchronous, level):
    kind = Kind("the file of notes", LakeError, "", NOTES.tables, 3, synchronous, 0.25)
    with closing(SqliteFile(path, kind)) as file, file.writing() as connection:
        told = [pragma(connection, name) for name in ("journal_mode", "synchronous", "fullfsync", "busy_timeout")]
        assert told == ["wal", level, 1, 250]
        assert pragma(connection, "user_version") == 3
    assert sorted(each.name for each in path.parent.iterdir()) == ["notes.db"]


def test_a_transaction_is_kept_whole_or_not_at_all(path):
    with closing(SqliteFile(path, NOTES)) as file:

        def write(text: str, fault: BaseException | None = None) -> None:
            with file.writing() as connection:
                connection.execute("INSERT INTO notes VALUES (?)", (text,))
                if fault:
                    raise fault

        write("a")
        with pytest.raises(KeyboardInterrupt):
            write("b", KeyboardInterrupt())
        write("c")
        assert notes(path) == ["a", "c"]


def test_a_file_of_before_versions_and_one_of_an_older_kind_are_taken_over(path):
    path.parent.mkdir()
    for version in (0, 1):
        with closing(sqlite3.connect(path)) as old:
            old.execute(f"PRAGMA user_version={version}")
            old.execute(NOTES.tables)
        note(path, str(version), Kind("notes", LakeError, "", NOTES.tables, version=2))
        with closing(sqlite3.connect(path)) as now:
            assert (pragma(now, "user_version"), pragma(now, "journal_mode")) == (2, "wal")
            now.execute("PRAGMA user_version=1")
    assert notes(path) == ["0", "1"]


def test_a_table_that_is_new_to_a_kind_is_added_to_its_files_and_done_no_more(path):
    note(path)
    kind = Kind("notes", LakeError, "", NOTES.tables + "; CREATE TABLE IF NOT EXISTS more(x)")
    with once_open(path, kind) as connection:
        connection.execute("INSERT INTO more VALUES (1)")
        before = pragma(connection, "schema_version")
    with once_open(path, kind) as connection:
        assert pragma(connection, "schema_version") == before
    note(path, "y")
    assert notes(path) == ["x", "y"], "and who does not know it is not harmed"


def test_a_file_of_a_newer_headrace_is_refused_and_left_alone(path):
    note(path, kind=Kind("notes", LakeError, "", NOTES.tables, version=2))
    before = path.read_bytes()
    with pytest.raises(LakeError, match="the file of notes has format 2, and this version of Headrace reads 1") as told:
        note(path)
    assert (told.value.at, "upgrade" in told.value.fix) == (str(path), True)
    assert path.read_bytes() == before


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def forget(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE notes")


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(b"no database" * 1000), truncate, forget])
def test_a_damaged_file_says_what_is_lost_and_what_to_type(path, harm):
    note(path)
    harm(path)
    with pytest.raises(LakeError, match="the file of notes is damaged") as told:
        note(path)
    assert (
        told.value.fix == "let it be moved aside: headrace doctor --repair; a new one is made, and the notes are lost"
    )
    path.rename(f"{path}.damaged")
    note(path, "again")
    assert notes(path) == ["again"]


def test_a_file_that_another_keeps_busy_is_the_worlds_trouble(path):
    note(path)
    with closing(connect(path, "rw", 0)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LakeError, match="other processes kept the file of notes busy") as told:
            note(path, "y")
    assert "fuser" in told.value.fix


def test_our_own_bugs_are_named_so_and_a_value_is_its_givers(path):
    note(path)
    with pytest.raises(InternalError, match="the file of notes failed in an unforeseen way"):
        note(path)  # twice the same
    file = SqliteFile(path, NOTES)
    file.close()
    with pytest.raises(InternalError, match="unforeseen"), file.reading() as connection:
        connection.execute("SELECT 1")
    with closing(SqliteFile(path, NOTES)) as file:
        with file.reading() as connection:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100)
        with pytest.raises(InputError, match="too large"), file.writing() as connection:
            connection.execute("INSERT INTO notes VALUES (?)", ("y" * 200,))


def test_a_place_that_takes_no_file_is_told(path):
    path.parent.write_text("")
    with pytest.raises(LakeError, match="cannot be") as told:
        note(path)
    assert f"ls -ld {path.parent}" in told.value.fix


def test_a_file_that_may_only_be_read_is_told(path):
    note(path)
    cannot = pytest.raises(LakeError, match="the file of notes cannot be used")
    with closing(connect(path, "ro", 0)) as connection, cannot, mapped(path, NOTES):
        connection.execute("DELETE FROM notes")
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        connect(path.with_name("other.db"), "rw", 0)


def test_a_full_disk_is_a_space_error_and_nothing_was_written(path):
    note(path)
    with closing(SqliteFile(path, NOTES)) as file:
        with file.reading() as connection:
            connection.execute(f"PRAGMA max_page_count={pragma(connection, 'page_count')}")
        large = [(f"{each}" * 500,) for each in range(100)]
        with pytest.raises(SpaceError, match="nothing was written to the file of notes"), file.writing() as connection:
            connection.executemany("INSERT INTO notes VALUES (?)", large)
    assert notes(path) == ["x"]


def test_threads_share_one_file(path):
    with closing(SqliteFile(path, NOTES)) as file:

        def write(who: int) -> None:
            for each in range(20):
                with file.writing() as connection:
                    connection.execute("INSERT INTO notes VALUES (?)", (f"{who}-{each}",))

        threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(notes(path)) == 80


def test_one_that_is_locked_while_its_log_is_turned_on_waits(path):
    """SQLite refuses that at once, whatever the timeout."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE another(x)")
        other.execute("BEGIN IMMEDIATE")
        kind = Kind("the file of notes", LakeError, "", NOTES.tables, busy_timeout_secs=20)
        opened = threading.Thread(target=note, args=(path, "x", kind))
        opened.start()
        opened.join(0.1)
        other.execute("COMMIT")
        opened.join()
    assert notes(path) == ["x"]


def test_processes_that_make_a_file_at_once_agree(path):
    code = (
        "import sys; from pathlib import Path; from headrace.errors import LakeError\n"
        "from headrace.sqlite_file import Kind, once_open\n"
        "kind = Kind('notes', LakeError, '', 'CREATE TABLE IF NOT EXISTS notes(text TEXT UNIQUE)')\n"
        "sys.stdin.read()\n"
        "with once_open(Path(sys.argv[1]), kind) as connection:\n"
        "    connection.execute('INSERT INTO notes VALUES (?)', (sys.argv[2],))\n"
    )
    makers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(who)], stdin=subprocess.PIPE) for who in range(4)
    ]
    for each in makers:
        each.stdin.close()
    assert [each.wait() for each in makers] == [0, 0, 0, 0]
    assert notes(path) == list("0123")


def test_a_transaction_that_a_crash_cut_off_is_no_damage(path, tmp_path):
    """Its journal lies beside the file, and whoever may write rolls it back; a look that may not is told so."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS x, zeroblob(100000) AS y")
        connection.execute("PRAGMA cache_size=1")
        connection.execute("BEGIN")
        connection.execute("UPDATE t SET x = 2, y = randomblob(100000)")
        crashed = tmp_path / "crashed.db"
        shutil.copy(path, crashed)
        shutil.copy(path.with_name(path.name + "-journal"), tmp_path / "crashed.db-journal")
    assert trouble(crashed) == ""
    with closing(sqlite3.connect(crashed)) as connection:
        assert connection.execute("SELECT x FROM t").fetchone() == (1,)


def test_a_log_that_cannot_be_brought_into_its_file_is_told_of(path):
    with closing(SqliteFile(path, NOTES)):
        pass
    note(path)
    with closing(connect(path, "rw", 0.1)) as other, closing(connect(path, "rw", 0.1)) as connection:
        other.execute("BEGIN")
        other.execute("SELECT * FROM notes").fetchall()
        connection.execute("INSERT INTO notes VALUES ('y')")
        with pytest.raises(sqlite3.OperationalError):
            fold(connection)
        other.execute("COMMIT")
        fold(connection)
        assert not path.with_name(path.name + "-wal").stat().st_size
