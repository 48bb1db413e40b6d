"""The file of a topic: made once, synced before an ack, its errors ours."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from headrace.bus import topic_file
from headrace.bus.topic_file import TopicFile, topic_path
from headrace.errors import BusError, SpaceError


@pytest.fixture
def path(tmp_path):
    return topic_path(tmp_path, "orders")


def test_what_is_acked_is_synced_and_what_is_noted_is_not_waited_for(path):
    TopicFile.make(path, "orders")
    file = TopicFile(path, "orders", 0)
    with file.writing() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with file.noting() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (1,)
    file.close()


def test_makers_at_once_agree_on_one_file(path):
    epochs = []

    def make() -> None:
        TopicFile.make(path, "orders")
        file = TopicFile(path, "orders", 0)
        epochs.append(file.epoch)
        file.close()

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(epochs) == 8
    assert len(set(epochs)) == 1


def test_a_draft_left_by_a_crash_is_no_topic(path):
    path.with_name(".orders.db.draft").write_bytes(b"half")
    TopicFile.make(path, "orders")
    file = TopicFile(path, "orders", 0)
    assert len(file.epoch) == 8
    file.close()
    assert not path.with_name(".orders.db.draft").exists()


def test_a_disk_that_is_full_while_a_topic_is_made_leaves_none(path, monkeypatch):
    # SQLite says nothing of it where it is the close that brings the log into the file: a file without its log is left.
    class Full(sqlite3.Connection):
        def execute(self, statement, *parameters):
            if "checkpoint" in statement:
                self.close()
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            return super().execute(statement, *parameters)

    def connected(path, *_):
        return sqlite3.connect(path, isolation_level=None, factory=Full)

    monkeypatch.setattr(topic_file, "connect", connected)
    with pytest.raises(SpaceError):
        TopicFile.make(path, "orders")
    assert not path.exists()
    monkeypatch.undo()
    TopicFile.make(path, "orders")
    TopicFile(path, "orders", 0).close()


def test_a_transaction_that_fails_leaves_nothing(path):
    TopicFile.make(path, "orders")
    file = TopicFile(path, "orders", 0)

    def fail() -> None:
        with file.writing() as connection:
            connection.execute("UPDATE topic SET next_offset = 9")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with file.reading() as connection:
        assert connection.execute("SELECT next_offset FROM topic").fetchone() == (0,)
    file.close()


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_commit_counts_though_its_file_cannot_be_looked_at_but_not_when_it_is_gone(tmp_path, is_gone):
    folder = tmp_path / "bus"
    path = topic_path(folder, "orders")
    TopicFile.make(path, "orders")
    file = TopicFile(path, "orders", 0)

    def take() -> None:
        with file.writing() as connection:
            connection.execute("UPDATE topic SET next_offset = 9")
            folder.rename(tmp_path / "moved")
            if not is_gone:
                folder.symlink_to(folder)  # a loop: an error to look at

    if is_gone:
        with pytest.raises(BusError, match="removed"):
            take()
    else:
        take()
        assert file.is_current()
        with file.reading() as connection:
            assert connection.execute("SELECT next_offset FROM topic").fetchone() == (9,)
        folder.unlink()
    file.close()


def test_a_writer_waits_for_others_as_long_as_it_was_told_and_then_has_written_nothing(path):
    TopicFile.make(path, "orders")
    file, other = (TopicFile(path, "orders", 0) for _ in range(2))
    for holder in (file, other):  # a thread of this process, and what may be another process
        held, done = threading.Event(), threading.Event()

        def hold(holder=holder, held=held, done=done) -> None:
            with holder.writing():
                held.set()
                done.wait(30)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(30)
        with pytest.raises(BusError, match="busy"), file.writing(0.01):
            raise AssertionError("it is not its turn")
        done.set()
        thread.join()
        with file.writing(0.0) as connection:
            assert connection.in_transaction
    file.close()
    other.close()
