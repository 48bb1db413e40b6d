"""A bus in memory without offsets: at least once at its worst, for tests and for what needs no durability."""

from __future__ import annotations

import datetime as dt
import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.bus import chunks, producers
from headrace.bus.base import PATIENCE_SECS, Lag, Published, Pulled, Subscription, topic_named
from headrace.errors import InternalError
from headrace.words import message_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.bus.base import Once

REPEAT_SHARE = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Receipt:
    """The messages that a pull of this bus handed out."""

    numbers: tuple[int, ...]


@dataclass(slots=True)
class _Reader:
    """One subscription's view of a topic: which messages wait, are out, were acked, and came back how often."""

    subscription: Subscription
    waiting: list[int]
    repeatable: list[int] = field(default_factory=list)
    unacked: set[int] = field(default_factory=set)
    nacks: dict[int, int] = field(default_factory=dict)


class MemoryBus:
    """Topics that live as long as this object, and promise as little as a bus may.

    Messages come in any order, and about a fifth of them once more, acked or not, even in one pull; `message_id` alone
    tells them apart. The same seed and calls give the same messages. Nothing is durable and nothing is retained away.
    """

    replayable = False

    def __init__(self, seed: int, *, clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:
        self._random = random.Random(seed)  # noqa: S311 (a schedule to test with, no secret)
        self._clock = clock
        self._topics: dict[str, pa.RecordBatch] = {}
        self._readers: dict[tuple[str, str], _Reader] = {}
        self._expected: dict[tuple[str, str], int] = {}
        self._lock = threading.RLock()

    def publish(
        self,
        topic: str,
        messages: pa.RecordBatch,
        once: Once | None = None,
        patience_secs: float = PATIENCE_SECS,  # noqa: ARG002
    ) -> Published:
        """Take messages; see `Bus.publish`."""
        batch = chunks.messages_of(messages)
        with self._lock:
            known = self._topic(topic_named(topic))
            if once is not None:
                expected = self._expected.get((topic, once.producer))
                end = once.first + batch.num_rows
                batch = batch.slice(producers.repeated(once, expected, batch.num_rows, topic))
                if batch.num_rows:
                    self._expected[topic, once.producer] = end
            rows = batch.num_rows
            if not rows:
                return Published(0, "", "")
            first = known.num_rows
            numbers = pa.array(np.arange(first, first + rows)).cast(pa.string())
            columns = [
                pa.repeat("0", rows),
                pa.nulls(rows, pa.int64()),
                pc.binary_join_element_wise(topic, numbers, "-"),
                pa.repeat(pa.scalar(self._clock(), pa.timestamp("us", "UTC")), rows),
                batch.column("attributes") if batch.num_columns > 1 else pa.nulls(rows, chunks.ATTRIBUTES.type),
                batch.column("payload"),
            ]
            new = pa.record_batch(columns, schema=message_schema())
            self._topics[topic] = pa.concat_batches([known, new])
            for (of, _), reader in self._readers.items():
                if of == topic:
                    self._offer(reader, first)
        return Published(rows, f"{topic}-{first}", f"{topic}-{first + rows - 1}")

    def subscribe(self, subscription: Subscription) -> None:
        """Make a subscription known; see `Bus.subscribe`."""
        with self._lock:
            reader = self._readers.get((subscription.topic, subscription.name))
            if reader:
                reader.subscription = subscription
                return
            reader = self._readers[subscription.topic, subscription.name] = _Reader(subscription, [])
            self._offer(reader, 0)

    def pull(self, topic: str, name: str, max_rows: int, max_bytes: int) -> Pulled | None:
        """Hand out messages in any order, some of them again; see `Bus.pull`."""
        with self._lock:
            reader = self._reader(topic, name)
            self._random.shuffle(reader.waiting)
            numbers, reader.waiting = reader.waiting[:max_rows], reader.waiting[max_rows:]
            again = [number for number in reader.repeatable if self._random.random() < REPEAT_SHARE]
            reader.repeatable = []  # once more at most, so that a reader that pulls until None comes to an end
            spare = max_rows - len(numbers)
            again = again[:spare]
            if not numbers and not again:
                return None
            batch = self._topic(topic).take(pa.array([*numbers, *again], pa.int64()))
            fit = chunks.fitting(batch.column("payload"), max_rows, max_bytes)
            reader.waiting += numbers[fit:]
            taken = (numbers + again)[:fit]
            reader.repeatable += numbers[:fit]
            return Pulled(batch.slice(0, fit), Receipt(tuple(taken)))

    def ack(self, topic: str, name: str, receipt: object) -> None:
        """Forget these messages for this subscription, wherever else they are out; see `Bus.ack`."""
        with self._lock:
            self._reader(topic, name).unacked.difference_update(_numbers(receipt))

    def nack(self, topic: str, name: str, receipt: object) -> None:
        """Hand these messages out again, or dead-letter them; see `Bus.nack`."""
        with self._lock:
            reader = self._reader(topic, name)
            subscription = reader.subscription
            waiting = set(reader.waiting)
            dead = []
            for number in sorted(set(_numbers(receipt)) & reader.unacked):
                reader.nacks[number] = reader.nacks.get(number, 0) + 1
                if subscription.dead_letter_topic and reader.nacks[number] >= subscription.max_deliveries:
                    dead.append(number)
                elif number not in waiting:
                    reader.waiting.append(number)
            if dead:
                messages = self._topic(topic).take(pa.array(dead, pa.int64()))
                self.publish(subscription.dead_letter_topic, chunks.dead_letters(messages))
                reader.unacked.difference_update(dead)

    def seek(self, topic: str, name: str, positions: Mapping[str, int]) -> None:  # noqa: ARG002 (there are no offsets)
        """Hand out everything not acked again; see `Bus.seek`."""
        with self._lock:
            reader = self._reader(topic, name)
            reader.waiting, reader.repeatable, reader.nacks = sorted(reader.unacked), [], {}

    def lag(self, topic: str, name: str) -> Lag:
        """Count what is not acked; see `Bus.lag`."""
        with self._lock:
            reader = self._readers.get((topic, name))
            unacked = sorted(reader.unacked) if reader else range(self._topic(topic).num_rows)
            if not unacked:
                return Lag(0, None)
            return Lag(len(unacked), self._topic(topic).column("ingest_time")[unacked[0]].as_py())

    def close(self) -> None:
        """Keep everything: there are no files to release."""

    def _topic(self, topic: str) -> pa.RecordBatch:
        return self._topics.get(topic, pa.RecordBatch.from_pylist([], message_schema()))

    def _reader(self, topic: str, name: str) -> _Reader:
        try:
            return self._readers[topic, name]
        except KeyError:
            raise InternalError(
                f"no subscription {name!r} on topic {topic!r}", fix="subscribe before you pull"
            ) from None

    def _offer(self, reader: _Reader, first: int) -> None:
        """Let a reader have the messages from number `first` on that its filter keeps."""
        new = self._topic(reader.subscription.topic).slice(first)
        numbered = new.append_column("number", pa.array(np.arange(first, first + new.num_rows)))
        numbers = chunks.matching(numbered, reader.subscription.filter).column("number").to_pylist()
        reader.waiting += numbers
        reader.unacked.update(numbers)


def _numbers(receipt: object) -> tuple[int, ...]:
    if not isinstance(receipt, Receipt):
        raise InternalError(f"{receipt!r} is not a receipt of this bus")
    return receipt.numbers
