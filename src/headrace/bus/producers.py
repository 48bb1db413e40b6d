"""What a topic remembers of numbered producers, so that a message that is published again is taken once."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from headrace.errors import InputError

if TYPE_CHECKING:
    import sqlite3

    from headrace.bus.base import Once

REMEMBERED = dt.timedelta(days=365)
FORGOTTEN_AT_ONCE = 100

# Files of before this table have none until a numbered message comes; whoever does not know it is not harmed by it.
_TABLES = (
    "CREATE TABLE IF NOT EXISTS producers(name TEXT PRIMARY KEY, next INTEGER NOT NULL, taken INTEGER NOT NULL) "
    "WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS producers_taken ON producers(taken)",
)


def repeated(once: Once, expected: int | None, rows: int, topic: str) -> int:
    """Return how many of the first messages were taken before, with `expected` as the next number (None: unknown).

    Raises `InputError` where messages are missing before the first.
    """
    if expected is None:
        return 0
    if once.first > expected:
        raise InputError(
            f"the topic {topic!r} expects message {expected} of producer {once.producer!r} next, and was given "
            f"{once.first}: the messages before it never came",
            fix=f"publish from {expected} on, or give the producer another name where those are gone for good",
        )
    return min(expected - once.first, rows)


def expected(connection: sqlite3.Connection, producer: str) -> int | None:
    """Return the number of the message that is expected next, None where the producer is not known."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'producers'").fetchone():
        return None
    row = connection.execute("SELECT next FROM producers WHERE name = ?", (producer,)).fetchone()
    return None if row is None else int(row[0])


def expect(connection: sqlite3.Connection, producer: str, number: int, taken: int) -> None:
    """Note the number expected next, in the transaction that takes those before it; `taken` is its microsecond.

    A new producer makes room: the ones that were silent for REMEMBERED are forgotten, a bounded number at a time.
    """
    known = expected(connection, producer) is not None
    if not known:
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute(
            "DELETE FROM producers WHERE name IN (SELECT name FROM producers WHERE taken < ? ORDER BY taken LIMIT ?)",
            (taken - REMEMBERED // dt.timedelta(microseconds=1), FORGOTTEN_AT_ONCE),
        )
    connection.execute(
        "INSERT INTO producers VALUES (?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET next = excluded.next, taken = excluded.taken",
        (producer, number, taken),
    )
