"""Subscriptions that nobody reads any more: a topic keeps for them what all others have acked."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from headrace.bus.topic_file import TOPIC
from headrace.sqlite_file import connect, mapped, micros_of, transaction

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Set
    from pathlib import Path


class LeftBehind(NamedTuple):
    """A subscription that holds others' messages back: `messages` are there for it alone, up to offset `acked`."""

    name: str
    epoch: str
    messages: int
    acked: int


def left_behind(path: Path, wanted: Set[str], before: dt.datetime) -> list[LeftBehind]:
    """Return the subscriptions but those `wanted` that keep messages which all of those have acked, some of before.

    It reads a few rows, however large the file is. Raises `BusError`.
    """
    with mapped(path, TOPIC), closing(connect(path, "ro", TOPIC.busy_timeout_secs)) as connection:
        cursors = dict(connection.execute("SELECT name, cursor FROM subscriptions"))
        oldest = connection.execute("SELECT first_offset, ingest_time FROM chunks ORDER BY 1 LIMIT 1").fetchone()
        (epoch,) = connection.execute("SELECT epoch FROM topic").fetchone()
    acked = min((cursor for name, cursor in cursors.items() if name in wanted), default=0)
    if oldest is None or oldest[1] >= micros_of(before):
        return []
    return [
        LeftBehind(name, epoch, acked - since, acked)
        for name, cursor in sorted(cursors.items())
        if name not in wanted and (since := max(cursor, oldest[0])) < acked
    ]


def let_go(path: Path, name: str) -> None:
    """Forget a subscription: what all others have acked is deleted with their next acks. Raises `BusError`."""
    with (
        mapped(path, TOPIC),
        closing(connect(path, "rw", TOPIC.busy_timeout_secs)) as connection,
        transaction(connection),
    ):
        connection.execute("DELETE FROM subscriptions WHERE name = ?", (name,))
        connection.execute("DELETE FROM nacks WHERE subscription = ?", (name,))
