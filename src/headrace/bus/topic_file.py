"""The file of one topic: made whole or not at all, opened for many processes."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.bus.base import PATIENCE_SECS, topic_named
from headrace.disk import make_folder, sync
from headrace.errors import BusError, SpaceError
from headrace.fault_points import reach
from headrace.file_lock import hold
from headrace.sqlite_file import (
    NEARLY_FULL_BYTES,
    Kind,
    connect,
    fold,
    free_bytes,
    mapped,
    refuse_newer,
    synchronise,
    transaction,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Literal

    from headrace.bus.deliveries import Deliveries

PAGE_BYTES = 8192
WAL_BYTES = 64 << 20  # write-ahead log between checkpoints; a checkpoint is one more fsync and one more write

TOPIC = Kind(
    what="the topic file",
    error=BusError,
    lost="what can be read of it is kept, what was committed is safe in bronze, and what is lost is named",
    busy_timeout_secs=PATIENCE_SECS,
)
# `data` comes last, so that reading the other columns of a chunk never follows its overflow pages.
_TABLES = """
CREATE TABLE topic(
    only INTEGER PRIMARY KEY CHECK (only = 1), format INTEGER NOT NULL, name TEXT NOT NULL, epoch TEXT NOT NULL,
    next_offset INTEGER NOT NULL, last_ingest_time INTEGER NOT NULL
);
CREATE TABLE chunks(
    first_offset INTEGER PRIMARY KEY, rows INTEGER NOT NULL, bytes INTEGER NOT NULL, ingest_time INTEGER NOT NULL,
    checksum INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE TABLE subscriptions(
    name TEXT PRIMARY KEY, filter TEXT NOT NULL, max_deliveries INTEGER NOT NULL, dead_letter_topic TEXT NOT NULL,
    cursor INTEGER NOT NULL
);
CREATE TABLE nacks(
    subscription TEXT NOT NULL, first_offset INTEGER NOT NULL, end_offset INTEGER NOT NULL, times INTEGER NOT NULL,
    PRIMARY KEY (subscription, first_offset)
) WITHOUT ROWID;
"""


def topic_path(folder: Path, topic: str) -> Path:
    """Return the file of a topic; raises `InputError` for a name that is not one, such as a path."""
    return folder / f"{topic_named(topic)}.db"


def salvaged_path(path: Path) -> Path:
    """Return where what was salvaged of a topic's file lies, whole, until it takes the place of the file."""
    return path.with_name(f".{path.name}.salvaged")


def making(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Be the one who makes files of topics in a folder."""
    return hold(folder / ".create.lock")


def clear(path: Path) -> None:
    """Remove a file that is nobody's, and logs of one that is gone: SQLite would replay them into the next."""
    for each in (path, *logs(path)):
        each.unlink(missing_ok=True)


def logs(path: Path) -> tuple[Path, ...]:
    """Return the files that SQLite keeps beside one."""
    return tuple(path.with_name(path.name + end) for end in ("-wal", "-shm"))


def write_new(path: Path, topic: str) -> str:
    """Write the file of a topic without messages, durably; return its epoch."""
    epoch = secrets.token_hex(4)
    with contextlib.closing(connect(path, "rwc", TOPIC.busy_timeout_secs)) as connection:
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript("BEGIN;" + _TABLES)
        connection.execute("INSERT INTO topic VALUES (1, ?, ?, ?, 0, 0)", (TOPIC.version, topic, epoch))
        connection.execute("COMMIT")
        fold(connection)
    sync(path)
    return epoch


class TopicFile:
    """Two connections to a topic's file: `writing` fsyncs each commit, `noting` leaves that to the next one that does.

    Any thread may use either; each is one at a time. `deliveries` belong to the readers of this file as it was opened:
    a file that was deleted and made again is another TopicFile, with another epoch.
    """

    def __init__(self, path: Path, topic: str, max_bytes: int) -> None:
        self.path = path
        self.topic = topic
        self.deliveries: dict[str, Deliveries] = {}
        self._locks = (threading.RLock(), threading.RLock())
        self._max_bytes = max_bytes
        with self._mapped():
            self._inode = path.stat().st_ino
            self._writer, self._reader = self._connect("FULL"), self._connect("NORMAL")
            self._writer.execute("PRAGMA busy_timeout=0")  # `writing` does the waiting
            try:
                self.epoch = self._epoch()
            except BaseException:
                self.close()
                raise

    @classmethod
    def make(cls, path: Path, topic: str) -> None:
        """Make the file of a topic, durably, unless it is there; processes that do so at once agree on one.

        The file appears whole, under a lock: a crash leaves none, and a stale write-ahead log of a deleted file, which
        SQLite would replay into the new one, goes first.
        """
        with _mapped(path, 0):
            make_folder(path.parent)
            with making(path.parent):
                if path.exists():
                    return
                clear(path)
                made = salvaged_path(path)  # of a file that was moved aside: it takes its place
                if not made.exists():
                    made = path.with_name(f".{path.name}.draft")
                    clear(made)
                    write_new(made, topic)
                reach("bus.create.before")
                made.rename(path)
                sync(path.parent)
                reach("bus.create.after")

    def is_current(self) -> bool:
        """Say whether the file at the path is still the one that was opened, as far as can be seen."""
        try:
            return self.path.stat().st_ino == self._inode
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:  # it cannot be looked at now: no sign that it is gone, nor what was committed to it
            return True

    @contextlib.contextmanager
    def writing(self, patience_secs: float = TOPIC.busy_timeout_secs) -> Iterator[sqlite3.Connection]:
        """Run one transaction that is durable once this returns, or had no effect at all.

        Where others write for longer than `patience_secs`, it raises `BusError`.
        """
        deadline = time.monotonic() + patience_secs
        with self._mapped(patience_secs), self._turn(deadline) as left, transaction(self._writer, left):
            yield self._writer
        if not self.is_current():
            raise BusError("the topic file was removed during a publish, and the messages with it", at=str(self.path))

    @contextlib.contextmanager
    def noting(self) -> Iterator[sqlite3.Connection]:
        """Run one transaction that survives a crash of the process, and is durable with the next one that is."""
        with self._locks[1], self._mapped(), transaction(self._reader):
            yield self._reader

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read, each statement what was last committed."""
        with self._locks[1], self._mapped():
            yield self._reader

    @contextlib.contextmanager
    def _turn(self, deadline: float) -> Iterator[float]:
        """Be the one thread that writes; tell how many seconds are left to wait for other processes."""
        if not self._locks[0].acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise BusError("other threads keep the topic file busy", at=str(self.path), fix="send less at once")
        try:
            yield max(0.0, deadline - time.monotonic())
        finally:
            self._locks[0].release()

    def close(self) -> None:
        """Close both connections."""
        with self._locks[0], self._locks[1]:
            self._writer.close()
            self._reader.close()

    def _connect(self, synchronous: Literal["FULL", "NORMAL"]) -> sqlite3.Connection:
        connection = connect(self.path, "rw", TOPIC.busy_timeout_secs)  # one that was removed must not come back empty
        synchronise(connection, synchronous)
        connection.execute(f"PRAGMA wal_autocheckpoint={WAL_BYTES // PAGE_BYTES}")
        connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
        if self._max_bytes:
            connection.execute(f"PRAGMA max_page_count={max(1, self._max_bytes // PAGE_BYTES)}")
        return connection

    def _epoch(self) -> str:
        known, name, epoch = self._reader.execute("SELECT format, name, epoch FROM topic").fetchone()
        refuse_newer(self.path, TOPIC, known)
        if name != self.topic:
            raise BusError(
                f"the file holds the topic {name!r}, not {self.topic!r}",
                at=str(self.path),
                fix="file systems such as that of macOS tell no upper from lower case: rename one of the topics",
            )
        return str(epoch)

    def _mapped(self, patience_secs: float = TOPIC.busy_timeout_secs) -> contextlib.AbstractContextManager[None]:
        return _mapped(self.path, self._max_bytes, patience_secs)


@contextlib.contextmanager
def _mapped(path: Path, max_bytes: int, patience_secs: float = TOPIC.busy_timeout_secs) -> Iterator[None]:
    """Map errors, and tell a full disk from a topic that is at its limit."""
    kind = TOPIC if patience_secs == TOPIC.busy_timeout_secs else replace(TOPIC, busy_timeout_secs=patience_secs)
    try:
        with mapped(path, kind):
            yield
    except SpaceError as error:
        if max_bytes and free_bytes(path) >= NEARLY_FULL_BYTES:
            message = f"the topic has reached its limit of {max_bytes:,} bytes; nothing was taken"
            fix = "let its subscribers catch up (headrace up), or raise the limit"
            raise SpaceError(message, at=error.at, fix=fix) from error
        raise SpaceError("the disk is full; nothing was taken", at=error.at, fix=error.fix) from error
