"""The seam to the bus: durable topics that hand out messages at least once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from headrace.errors import InputError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    import pyarrow as pa

TOPIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
"""What a topic may be called (fullmatch); never a path."""


PATIENCE_SECS = 30.0
"""How long a publish waits for its turn where nothing else is said."""


def topic_named(name: str) -> str:
    """Return the name of a topic, or raise `InputError` where it is not one."""
    if TOPIC.fullmatch(name):
        return name
    raise InputError(
        f"{name!r} is not the name of a topic", fix="use at most 200 letters, digits, '.', '_' and '-', a letter first"
    )


@dataclass(frozen=True, slots=True)
class Subscription:
    """One consumer of a topic, with a position, a filter and a dead-letter policy of its own.

    `filter` keeps the messages whose attributes have all these values. A message nacked `max_deliveries` times goes to
    `dead_letter_topic` (or stays, where there is none) so that it never blocks the others.
    """

    topic: str
    name: str
    filter: Mapping[str, str] = field(default_factory=dict)
    max_deliveries: int = 5
    dead_letter_topic: str = ""


class Once(NamedTuple):
    """Says that messages are numbered without gaps by a producer, the first of them `first`.

    A producer is one that counts: a file by its digest, a relay by its name. Two that count must not share a name.
    """

    producer: str
    first: int


class Published(NamedTuple):
    """What a publish made durable; with `Once` what was not taken before, and the ids are empty where that is none."""

    messages: int
    first_message_id: str
    last_message_id: str


class Pulled(NamedTuple):
    """Messages in `words.message_schema()`, and the receipt that acks or nacks them as one."""

    batch: pa.RecordBatch
    receipt: object


class Lag(NamedTuple):
    """How far a subscription is behind: messages not yet acked, and when the oldest of them was taken."""

    messages: int
    oldest: dt.datetime | None


class Bus(Protocol):
    """Durable topics. At least once; several processes may publish and pull at the same time.

    A *replayable* bus keeps order within a partition and numbers its messages: `offset` rises by one, without gaps, and
    `seek` goes back (or forth) to any offset it still retains. A bus that is not replayable has null offsets, may hand
    out messages in any order and several times, and tells them apart by `message_id` alone.
    """

    replayable: bool

    def publish(
        self, topic: str, messages: pa.RecordBatch, once: Once | None = None, patience_secs: float = PATIENCE_SECS
    ) -> Published:
        """Take messages, and return once they would survive a crash and a power cut.

        Columns: `payload` (binary) and, optionally, `attributes` (map of string to string). All or none: `SpaceError`
        where the disk is full and `BusError` where the bus cannot be reached mean that nothing was taken.

        With `once`, a message that its producer published before is dropped, by its number alone: the topic remembers,
        as durably as the messages and at the same instant, which number it expects next, for at least a year after it
        last took one. Where it does not know the producer, any number may be the first. `InputError` where numbers
        were left out, and then nothing was taken.

        While others keep the topic from taking anything, it waits for `patience_secs`, and then raises `BusError`.
        """
        ...

    def subscribe(self, subscription: Subscription) -> None:
        """Make a subscription known, from the oldest retained message on; idempotent, and updates filter and policy."""
        ...

    def pull(self, topic: str, name: str, max_rows: int, max_bytes: int) -> Pulled | None:
        """Return messages not yet handed out to this subscription by this object, or None where there are none now.

        Never blocks. At most `max_rows` rows and about `max_bytes` of payload, but always at least one message where
        there is one. Messages of one Pulled may come from several partitions.
        """
        ...

    def ack(self, topic: str, name: str, receipt: object) -> None:
        """Forget these messages for this subscription; a hint to retention, durable soon, never relied on."""
        ...

    def nack(self, topic: str, name: str, receipt: object) -> None:
        """Give these messages back: they are handed out again, or dead-lettered after `max_deliveries`."""
        ...

    def seek(self, topic: str, name: str, positions: Mapping[str, int]) -> None:
        """Hand out next, per partition, the message at this offset; partitions not named start at their oldest.

        Drops what was handed out and not acked. On a bus that is not replayable: everything not acked comes again.
        """
        ...

    def lag(self, topic: str, name: str) -> Lag:
        """Return how far the subscription's acks are behind the end of the topic."""
        ...

    def close(self) -> None:
        """Release files and connections; what was published stays."""
        ...
