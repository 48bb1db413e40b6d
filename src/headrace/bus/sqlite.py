"""The embedded bus: durable, replayable topics, one SQLite file each."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from headrace.bus import chunks, producers
from headrace.bus.base import PATIENCE_SECS, Lag, Published, Pulled, Subscription
from headrace.bus.deliveries import Deliveries, Nacks, Span, counted
from headrace.bus.topic_file import TopicFile, topic_path
from headrace.errors import BusError, InternalError, SpaceError
from headrace.fault_points import reach
from headrace.sqlite_file import instant_of, micros_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sized
    from pathlib import Path

    from headrace.bus.base import Once

RETENTION_STEP_BYTES = 256 << 20  # what one ack deletes at most, so that it stays short
RETENTION_STEP_CHUNKS = 50_000
SHRINK_ABOVE_BYTES = 256 << 20  # free space inside of a topic file is kept for reuse up to here
SHRINK_STEP_PAGES = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Receipt:
    """What a pull of this bus handed out."""

    deliveries: Deliveries
    span: Span


def now() -> dt.datetime:
    """Return the time of the machine."""
    return dt.datetime.now(dt.UTC)


class SqliteBus:
    """A folder of topics; any number of threads and processes may publish and pull at the same time.

    A topic has one partition, named by the epoch of its file (eight hex digits, random): a topic that was deleted and
    made again never reuses a position. A publish is one fsynced transaction. What all subscriptions have acked is
    deleted after `retention_secs`, a bounded step with each ack; a topic without subscriptions keeps everything.
    Times of ingestion rise, though the clock is set back, but by more than an hour: then it was wrong before.
    A numbered producer is forgotten a year after the topic last took a message of it.
    `max_topic_bytes` bounds a topic's file (0: the disk does); a topic at its limit raises `SpaceError`.
    """

    replayable = True

    def __init__(
        self,
        folder: Path,
        *,
        retention_secs: float = 3600,
        max_topic_bytes: int = 0,
        clock: Callable[[], dt.datetime] = now,
    ) -> None:
        self._folder = folder
        self._retention = dt.timedelta(seconds=retention_secs)
        self._max_topic_bytes = max_topic_bytes
        self._clock = clock
        self._files: dict[str, TopicFile] = {}
        self._subscriptions: dict[tuple[str, str], Subscription] = {}
        self._lock = threading.RLock()

    def publish(
        self, topic: str, messages: pa.RecordBatch, once: Once | None = None, patience_secs: float = PATIENCE_SECS
    ) -> Published:
        """Take messages in one transaction; see `Bus.publish`."""
        batch = chunks.messages_of(messages)
        if not batch.num_rows:
            return Published(0, "", "")
        file = self._file(topic)
        known = 0
        if once is not None:
            with file.reading() as connection:
                known = _repeated(connection, once, batch.num_rows, topic)
            if known == batch.num_rows:
                return Published(0, "", "")
        encoded = list(chunks.encode(batch.slice(known)))  # before the lock is taken: processes compress side by side
        with file.writing(patience_secs) as connection:
            first, last_taken = connection.execute("SELECT next_offset, last_ingest_time FROM topic").fetchone()
            taken = _taken(micros_of(self._clock()), last_taken)
            if once is not None:
                if (now_known := _repeated(connection, once, batch.num_rows, topic)) != known:
                    encoded = list(chunks.encode(batch.slice(now_known)))  # somebody else published them meanwhile
                if not encoded:
                    return Published(0, "", "")
                producers.expect(connection, once.producer, once.first + batch.num_rows, taken)
            at = first
            for chunk in encoded:
                connection.execute(
                    "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)",
                    (at, chunk.rows, chunk.bytes, taken, chunk.checksum, chunk.data),
                )
                at += chunk.rows
            connection.execute("UPDATE topic SET next_offset = ?, last_ingest_time = ?", (at, taken))
            reach("bus.publish.before")
        reach("bus.publish.after")
        return Published(at - first, f"{topic}-{file.epoch}-{first}", f"{topic}-{file.epoch}-{at - 1}")

    def subscribe(self, subscription: Subscription) -> None:
        """Make a subscription known, and its topic where there is none; see `Bus.subscribe`."""
        with self._lock:
            self._subscriptions[subscription.topic, subscription.name] = subscription
            self._enrol(self._file(subscription.topic), subscription)

    def pull(self, topic: str, name: str, max_rows: int, max_bytes: int) -> Pulled | None:
        """Hand out messages that lie in a row, in order; see `Bus.pull`."""
        file = self._file(topic)
        with file.reading() as connection:
            deliveries, subscription = self._deliveries(file, connection, name)
            while span := deliveries.choose(_end(connection)):
                try:
                    batch = _read(file, connection, span, max_rows, max_bytes)
                except BusError:
                    deliveries.unread(span)
                    raise
                upto = batch.column("offset")[-1].as_py() + 1
                wanted = chunks.matching(batch, subscription.filter)
                read = deliveries.passed(span, upto, handed_out=wanted.num_rows > 0)
                if wanted.num_rows:
                    return Pulled(wanted, Receipt(deliveries, read))
                self._note(file, name, deliveries)  # all filtered out: nobody will ack them
        return None

    def ack(self, topic: str, name: str, receipt: object) -> None:
        """Move the durable cursor past all that is acked in a row, and let retention take a step; see `Bus.ack`.

        On a full disk the cursor stays where it was until the next ack: an ack only ever repeats messages.
        """
        file, deliveries, span = self._of(topic, name, receipt)
        with file.reading():
            if span not in deliveries.out:
                return
            deliveries.out.discard(span)
            self._note(file, name, deliveries)
        self._retain(file)

    def nack(self, topic: str, name: str, receipt: object) -> None:
        """Count the delivery, and hand these messages out again or dead-letter them; see `Bus.nack`.

        The count is per message and durable. Messages that came back take turns with new ones, so neither waits for
        the other. A crash between a dead letter and its note repeats the dead letter.
        """
        file, deliveries, span = self._of(topic, name, receipt)
        with file.noting() as connection:
            if span not in deliveries.out:
                return
            _, subscription = self._deliveries(file, connection, name)
            near = "subscription = ? AND end_offset > ? AND first_offset < ?"
            rows = connection.execute(
                f"SELECT first_offset, end_offset, times FROM nacks WHERE {near}", (name, *span)
            ).fetchall()
            counts = counted([Nacks(Span(first, end), times) for first, end, times in rows], span)
            connection.execute(f"DELETE FROM nacks WHERE {near}", (name, *span))
            connection.executemany(
                "INSERT INTO nacks VALUES (?, ?, ?, ?)", [(name, *part, times) for part, times in counts]
            )
        inside = [Nacks(Span(max(first, span.first), min(end, span.end)), times) for (first, end), times in counts]
        again = [nacked for nacked in inside if nacked.span.first < nacked.span.end]
        most = subscription.max_deliveries if subscription.dead_letter_topic else math.inf
        dead = [nacked.span for nacked in again if nacked.times >= most]
        with file.reading():
            deliveries.out.discard(span)
            deliveries.out.update(dead)  # until the dead letters are durable: the cursor may not pass them before
            deliveries.returned.extend(nacked.span for nacked in again if nacked.times < most)
        try:
            while dead:
                self._bury(file, subscription, dead[-1])
                with file.reading():
                    deliveries.out.discard(dead.pop())
        finally:
            with file.reading():
                deliveries.out.difference_update(dead)
                deliveries.returned.extend(dead)
        self._note(file, name, deliveries)

    def seek(self, topic: str, name: str, positions: Mapping[str, int]) -> None:
        """Start again at the offset named for this topic's epoch; see `Bus.seek`.

        An offset that is no longer retained starts at the oldest that is. One past the end means that the topic file
        is older than the position (a restored copy): `BusError`, since going on would skip messages silently.
        """
        file = self._file(topic)
        with file.noting() as connection:
            self._deliveries(file, connection, name)
            end = _end(connection)
            asked = positions.get(file.epoch, 0)
            if asked > end:
                raise BusError(
                    f"the position is {asked}, and the topic ends at {end}: its file is an older copy",
                    at=str(file.path),
                    fix=chunks.SALVAGE,
                )
            start = max(asked, _oldest(connection))
            connection.execute("UPDATE subscriptions SET cursor = ? WHERE name = ?", (start, name))
            connection.execute("DELETE FROM nacks WHERE subscription = ?", (name,))
            file.deliveries[name] = Deliveries(start)

    def lag(self, topic: str, name: str) -> Lag:
        """Return the lag of the durable cursor; see `Bus.lag`.

        A topic or subscription that does not exist yet is not made: all that is retained lags. A filter is not applied
        to what has not been read.
        """
        if not topic_path(self._folder, topic).exists():
            return Lag(0, None)
        file = self._file(topic)
        with file.reading() as connection:
            row = connection.execute("SELECT cursor FROM subscriptions WHERE name = ?", (name,)).fetchone()
            cursor = max(row[0] if row else 0, _oldest(connection))
            messages = _end(connection) - cursor
            taken = connection.execute(
                "SELECT ingest_time FROM chunks WHERE first_offset <= ? ORDER BY first_offset DESC LIMIT 1", (cursor,)
            ).fetchone()
        return Lag(messages, instant_of(taken[0]) if messages and taken else None)

    def close(self) -> None:
        """Close the files of all topics; the bus may still be used and opens them again."""
        with self._lock:
            while self._files:
                self._files.popitem()[1].close()

    def _file(self, topic: str) -> TopicFile:
        """Return the topic's file as it is now, made where there is none, with our subscriptions enrolled."""
        with self._lock:
            file = self._files.get(topic)
            if file and file.is_current():
                return file
            path = topic_path(self._folder, topic)
            TopicFile.make(path, topic)
            if file:
                file.close()
            file = self._files[topic] = TopicFile(path, topic, self._max_topic_bytes)
            for subscription in self._subscriptions.values():
                if subscription.topic == topic:
                    self._enrol(file, subscription)
            return file

    def _enrol(self, file: TopicFile, subscription: Subscription) -> None:
        policy = (
            json.dumps(dict(subscription.filter), sort_keys=True),
            subscription.max_deliveries,
            subscription.dead_letter_topic,
        )
        with file.noting() as connection:
            connection.execute(
                "INSERT INTO subscriptions VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
                "filter = excluded.filter, max_deliveries = excluded.max_deliveries, "
                "dead_letter_topic = excluded.dead_letter_topic",
                (subscription.name, *policy, _oldest(connection)),
            )

    def _deliveries(
        self, file: TopicFile, connection: sqlite3.Connection, name: str
    ) -> tuple[Deliveries, Subscription]:
        row = connection.execute(
            "SELECT filter, max_deliveries, dead_letter_topic, cursor FROM subscriptions WHERE name = ?", (name,)
        ).fetchone()
        if not row:
            raise InternalError(f"no subscription {name!r} on topic {file.topic!r}", fix="subscribe before you pull")
        if name not in file.deliveries:
            file.deliveries[name] = Deliveries(max(row[3], _oldest(connection)))
        return file.deliveries[name], Subscription(file.topic, name, json.loads(row[0]), row[1], row[2])

    def _of(self, topic: str, name: str, receipt: object) -> tuple[TopicFile, Deliveries, Span]:
        if not isinstance(receipt, Receipt):
            raise InternalError(f"{receipt!r} is not a receipt of this bus")
        file = self._file(topic)
        if file.deliveries.get(name) is receipt.deliveries:
            return file, receipt.deliveries, receipt.span
        return file, Deliveries(0), receipt.span  # from before a seek, or of a topic made anew: means nothing now

    def _note(self, file: TopicFile, name: str, deliveries: Deliveries) -> None:
        upto = deliveries.acked_upto()
        with contextlib.suppress(SpaceError), file.noting() as connection:
            connection.execute("UPDATE subscriptions SET cursor = ? WHERE name = ? AND cursor < ?", (upto, name, upto))
            connection.execute("DELETE FROM nacks WHERE subscription = ? AND end_offset <= ?", (name, upto))
            reach("bus.ack.before")
        reach("bus.ack.after")

    def _bury(self, file: TopicFile, subscription: Subscription, span: Span) -> None:
        """Publish a span's messages as dead letters, with no lock held: who subscribes takes the bus's, then ours."""
        at = span.first
        while at < span.end:
            with file.reading() as connection:
                batch = _read(file, connection, Span(at, span.end), chunks.CHUNK_ROWS, chunks.CHUNK_BYTES)
            at = batch.column("offset")[-1].as_py() + 1
            dead = chunks.matching(batch, subscription.filter)
            self.publish(subscription.dead_letter_topic, chunks.dead_letters(dead))

    def _retain(self, file: TopicFile) -> None:
        before = micros_of(self._clock() - self._retention)
        with contextlib.suppress(SpaceError), file.noting() as connection:
            acked = connection.execute("SELECT min(cursor) FROM subscriptions").fetchone()[0]
            upto = size = 0
            for first, rows, size_of, taken in connection.execute(
                "SELECT first_offset, rows, bytes, ingest_time FROM chunks ORDER BY first_offset LIMIT ?",
                (RETENTION_STEP_CHUNKS,),
            ):
                size += size_of
                if first + rows > acked or taken > before or (upto and size > RETENTION_STEP_BYTES):
                    break
                upto = first + rows
            connection.execute("DELETE FROM chunks WHERE first_offset < ?", (upto,))
            reach("bus.retain.before")
        reach("bus.retain.after")
        if upto:
            with contextlib.suppress(SpaceError), file.reading() as connection:
                pages, free, size = (
                    connection.execute(f"PRAGMA {name}").fetchone()[0]
                    for name in ("page_count", "freelist_count", "page_size")
                )
                if free * size > SHRINK_ABOVE_BYTES and free > pages // 2:
                    connection.execute(f"PRAGMA incremental_vacuum({SHRINK_STEP_PAGES})").fetchall()


def _read(file: TopicFile, connection: sqlite3.Connection, span: Span, max_rows: int, max_bytes: int) -> pa.RecordBatch:
    """Return the first messages of a span within the limits, at least one."""
    parts: list[pa.RecordBatch] = []
    times: list[int] = []
    at, rows, size = span.first, 0, 0
    found = connection.execute(
        "SELECT first_offset, rows, ingest_time, checksum, data FROM chunks WHERE first_offset >= "
        "(SELECT max(first_offset) FROM chunks WHERE first_offset <= ?) AND first_offset < ? ORDER BY first_offset",
        span,
    )
    with contextlib.closing(found):
        for first, count, taken, whole in _decoded(file, found, parts):
            if not first <= at < first + count:
                break
            part = whole.slice(at - first, min(span.end - at, max_rows - rows))
            fit = chunks.fitting(part.column("payload"), max_rows - rows, max_bytes - size)
            taking = part.slice(0, fit)
            size_of = int(chunks.ends(taking.column("payload"))[-1])
            if parts and size + size_of > max_bytes:
                break
            parts.append(taking)
            times.append(taken)
            at, rows, size = at + fit, rows + fit, size + size_of
            if rows >= max_rows or size >= max_bytes or fit < part.num_rows or at >= span.end:
                break
    if not parts:
        raise BusError(
            f"messages from offset {span.first} on are missing from the topic file",
            at=str(file.path),
            fix=chunks.SALVAGE,
        )
    lengths = [part.num_rows for part in parts]
    batch = parts[0] if len(parts) == 1 else pa.concat_batches(parts)
    return chunks.place(batch, file.topic, file.epoch, span.first, np.repeat(np.array(times, np.int64), lengths))


def _decoded(file: TopicFile, found: sqlite3.Cursor, before: Sized) -> Iterator[tuple[int, int, int, pa.RecordBatch]]:
    """Yield chunks as first offset, rows, time and messages, up to what is damaged.

    It raises only where nothing was read before: what can be read is handed out first.
    """
    try:
        for first, count, taken, checksum, data in found:
            yield first, count, taken, chunks.decode(data, count, checksum, f"{file.path}: offset {first:,}")
    except (sqlite3.DatabaseError, BusError):
        if not before:
            raise


def _repeated(connection: sqlite3.Connection, once: Once, rows: int, topic: str) -> int:
    return producers.repeated(once, producers.expected(connection, once.producer), rows, topic)


def _end(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT next_offset FROM topic").fetchone()[0])


def _oldest(connection: sqlite3.Connection) -> int:
    """Return the oldest offset that is retained, or the next one where none is."""
    row = connection.execute("SELECT coalesce((SELECT min(first_offset) FROM chunks), (SELECT next_offset FROM topic))")
    return int(row.fetchone()[0])


def _taken(clock: int, last: int) -> int:
    """Return the time of ingestion: it never goes back, but where the last one was of a clock that was far ahead."""
    return clock if last - clock > _AHEAD else max(clock, last)


_AHEAD = 3_600_000_000  # microseconds
