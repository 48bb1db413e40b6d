"""What can still be read of a damaged topic file, and a new file made of it.

A chunk is read alone, by its offset, and has a checksum of its own: a page that is gone takes with it the chunks that
lie on it, and not those after it.
"""

from __future__ import annotations

import heapq
import itertools
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.bus import chunks
from headrace.bus.deliveries import Span
from headrace.bus.topic_file import TOPIC, TopicFile, clear, logs, making, salvaged_path, write_new
from headrace.disk import sync
from headrace.errors import BusError
from headrace.fault_points import reach
from headrace.sqlite_file import aside_of, connect, fold, mapped, transaction, trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CHECKED_BYTES = 16 << 20  # a file of this size is looked through at every start: it takes some hundredths of a second
MOST_FAILURES = 2_000  # looks into what cannot be read; each halves the largest part of it
COPIED_BYTES = 64 << 20  # a transaction


class Remains(NamedTuple):
    """What a look at a topic's file found.

    `problem` is empty where nothing is wrong. Where a file does not tell its `epoch` and `end` (the next offset), they
    are what its acks and its messages say; None where these say nothing.
    `readable` are messages that can be read, and `lost` those that cannot, in order: of those from `since` on.
    """

    problem: str
    epoch: str | None
    since: int
    end: int | None
    readable: tuple[Span, ...]
    lost: tuple[Span, ...]

    @property
    def kept(self) -> int:
        """How many of the messages that somebody still needs can be read."""
        return sum(end - max(first, self.since) for first, end in self.readable)

    @property
    def gone(self) -> int:
        """How many of the messages that somebody still needs cannot be read, as far as that is known."""
        return sum(end - first for first, end in self.lost)

    @property
    def oldest(self) -> int | None:
        """The first message that is needed and there; None where none is."""
        return max(self.readable[0].first, self.since) if self.readable else None


class Salvaged(NamedTuple):
    """A file made of what could be read: its epoch, and which of the old messages it has, in its order."""

    epoch: str
    parts: tuple[Span, ...]
    end: int

    def moved(self, offset: int) -> int:
        """Return the offset, in the new file, of the first message that was at `offset` or after it in the old."""
        return sum(max(0, min(end, offset) - first) for first, end in self.parts)


def look(path: Path, topic: str, needed: Mapping[str, int], *, deep: bool) -> Remains:
    """Look at a topic's file, beside whoever uses it.

    `needed` has the offset, by epoch, from which on messages are still needed: all of an epoch that is not in it.
    `deep` reads every one of those; else their index is read, and all of a file that is small. Raises `BusError` where
    the file is of a newer Headrace, or cannot be looked at.
    """
    if (problem := trouble(path, whole=deep or _is_small(path))) and not _opens(path):
        return Remains(problem, None, 0, None, (), ())
    with mapped(path, TOPIC), closing(_connected(path)) as connection:
        epoch, end, acked = None, None, 0
        try:
            known, name, epoch, end = connection.execute(
                "SELECT format, name, epoch, next_offset FROM topic"
            ).fetchone()
        except (sqlite3.DatabaseError, TypeError) as error:
            problem = problem or f"it does not tell what it holds: {error}"
        else:
            if name != topic or known > TOPIC.version:
                return Remains(f"it is the file of the topic {name!r}, format {known}", None, 0, None, (), ())
        with suppress(sqlite3.DatabaseError):
            (acked,) = connection.execute("SELECT coalesce(min(cursor), 0) FROM subscriptions").fetchone()
        epoch = epoch or _likely(needed, acked)
        since = needed.get(epoch or "", 0)
        found = _distinct(_readable(connection, since, deep=deep))
    if end is None and found:
        end = found[-1].end
    readable = tuple(each for each in found if each.end > since)
    # What all have acked may be gone: it was retained for its time, and then deleted.
    lost = tuple(_gaps(readable, max(since, acked), end or 0))
    if end is not None and since > end:
        problem = problem or f"it is older than the lake: it ends at offset {end:,}, and {since:,} are committed"
    if lost:
        problem = problem or f"it lacks messages, or their checksums are wrong, from offset {lost[0].first:,} on"
    return Remains(problem, epoch, since, end, readable, lost)


def salvage(path: Path, topic: str, remains: Remains) -> Salvaged:
    """Write what can be read into a new file, durably, with a new epoch; it waits beside the old one for `replace`."""
    waiting = salvaged_path(path)
    draft = waiting.with_suffix(".draft")
    clear(waiting)
    clear(draft)
    with mapped(path, TOPIC):
        epoch = write_new(draft, topic)
        if _opens(path):
            with closing(_into(draft)) as into, closing(_connected(path)) as damaged:
                _copy(damaged, into, remains.readable)
                _copy_memory(damaged, into)
                fold(into)
        sync(draft)
        draft.rename(waiting)
        sync(path.parent)
    return Salvaged(epoch, remains.readable, remains.since if remains.end is None else remains.end)


def replace(path: Path, topic: str, salvaged: Salvaged) -> Path:
    """Move a topic's file aside, and let what was salvaged take its place; return where the old one is now.

    What was published since is taken along; who publishes from here on is not acknowledged, or meets the new file. A
    crash in between leaves that to the next who opens the topic.
    """
    aside = aside_of(path)
    with mapped(path, TOPIC):
        with making(path.parent):
            reach("bus.salvage.before")
            if path.exists():
                path.rename(aside)
            for log, moved in zip(logs(path), logs(aside), strict=True):
                with suppress(FileNotFoundError):
                    log.rename(moved)
            sync(path.parent)
            if _opens(aside):
                with closing(_connected(aside)) as old, closing(_into(salvaged_path(path))) as into:
                    later = _distinct(_readable(old, salvaged.end, deep=True))
                    _copy(old, into, tuple(each for each in later if each.first >= salvaged.end))
                    fold(into)
                sync(salvaged_path(path))
        TopicFile.make(path, topic)
        reach("bus.salvage.after")
    return aside


def _likely(needed: Mapping[str, int], acked: int) -> str | None:
    """Return the epoch that a file must have which does not tell it; None where nothing of it was committed.

    What is acked is committed, so its epoch is among those that are committed as far. Of these the one that is
    committed least: nothing that is still needed is left out, whichever it is.
    """
    return min((each for each in needed if needed[each] >= acked), key=needed.__getitem__, default=None)


def _is_small(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= CHECKED_BYTES


def _opens(path: Path) -> bool:
    """Say whether SQLite reads anything of a file at all."""
    try:
        with closing(_connected(path)) as connection:
            return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'chunks'").fetchone() is not None
    except sqlite3.Error:
        return False


def _connected(path: Path) -> sqlite3.Connection:
    connection = connect(path, "ro", TOPIC.busy_timeout_secs)
    connection.execute("PRAGMA writable_schema=ON")  # or SQLite would read nothing of a file that was cut short
    return connection


def _into(path: Path) -> sqlite3.Connection:
    return connect(path, "rw", TOPIC.busy_timeout_secs)


def _readable(connection: sqlite3.Connection, since: int, *, deep: bool) -> Iterator[Span]:
    """Yield the chunks that can be read from an offset on, in whatever order; `deep` reads their messages too."""
    more = ", bytes, ingest_time, checksum, data" if deep else ""
    failures = 0
    first = 0
    with suppress(sqlite3.DatabaseError):
        found = "SELECT coalesce(max(first_offset), 0) FROM chunks WHERE first_offset <= ?"
        first = connection.execute(found, (since,)).fetchone()[0]
    heap = [(0, first, (1 << 62) - 1)]
    while heap and failures < MOST_FAILURES:
        _, low, high = heapq.heappop(heap)
        at = low
        try:
            for row in connection.execute(
                f"SELECT first_offset, rows{more} FROM chunks WHERE first_offset BETWEEN ? AND ? ORDER BY first_offset",
                (low, high),
            ):
                at = row[0] + 1
                if isinstance(row[1], int) and row[1] > 0 and (not deep or _is_whole(row)):
                    yield Span(row[0], row[0] + row[1])
        except sqlite3.DatabaseError:
            failures += 1
            middle = (at + high) // 2
            for part in ((at, middle), (middle + 1, high)):
                if part != (low, high) and part[0] <= part[1]:
                    heapq.heappush(heap, (part[0] - part[1], *part))


def _is_whole(row: tuple[Any, ...]) -> bool:
    """Say whether a chunk is what was written: a damaged page may hold anything, of any type."""
    first, rows, size, taken, checksum, data = row
    if not (all(isinstance(each, int) for each in (size, taken, checksum)) and isinstance(data, bytes)):
        return False
    try:
        chunks.decode(data, rows, checksum, str(first))
    except BusError:
        return False
    return True


def _distinct(spans: Iterator[Span]) -> tuple[Span, ...]:
    """Return spans in order, without those that say again what another has: a damaged page may say anything."""
    kept: list[Span] = []
    for span in sorted(spans):
        if not kept or span.first >= kept[-1].end:
            kept.append(span)
    return tuple(kept)


def _gaps(spans: tuple[Span, ...], since: int, end: int) -> Iterator[Span]:
    """Yield what lies between spans, from an offset up to another."""
    borders = (Span(since, since), *(each for each in spans if each.end > since), Span(end, end))
    for before, after in itertools.pairwise(borders):
        first, upto = max(before.end, since), min(after.first, end)
        if first < upto:
            yield Span(first, upto)


def _copy(damaged: sqlite3.Connection, into: sqlite3.Connection, spans: tuple[Span, ...]) -> None:
    """Copy chunks as they lie there, with the times at which they were taken, and number them anew."""
    at, last = into.execute("SELECT next_offset, last_ingest_time FROM topic").fetchone()
    left = iter(spans)
    size = COPIED_BYTES
    while size >= COPIED_BYTES:
        size = 0
        with transaction(into):
            for span in left:
                rows, *rest, data = damaged.execute(
                    "SELECT rows, bytes, ingest_time, checksum, data FROM chunks WHERE first_offset = ?", (span.first,)
                ).fetchone()
                into.execute("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)", (at, rows, *rest, data))
                at, last, size = at + rows, max(last, rest[1]), size + len(data)
                if size >= COPIED_BYTES:
                    break
            into.execute("UPDATE topic SET next_offset = ?, last_ingest_time = ?", (at, last))


def _copy_memory(damaged: sqlite3.Connection, into: sqlite3.Connection) -> None:
    """Copy what the topic knows of producers that number their messages, as far as that can be read."""
    with suppress(sqlite3.DatabaseError):
        found = damaged.execute("SELECT sql FROM sqlite_master WHERE name LIKE 'producers%' AND sql IS NOT NULL")
        statements = [row[0] for row in found]
        rows = damaged.execute("SELECT name, next, taken FROM producers").fetchall()
        with transaction(into):
            for statement in sorted(statements, reverse=True):  # the table before its index
                into.execute(statement)
            into.executemany("INSERT INTO producers VALUES (?, ?, ?)", rows)
