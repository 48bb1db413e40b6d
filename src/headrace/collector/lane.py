"""A lane to one topic: many requests, one commit. What waits together becomes durable together."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from headrace.bus.base import PATIENCE_SECS, Once
from headrace.errors import HeadraceError, InputError
from headrace.http.problems import Refused, retry_after

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from headrace.bus.base import Bus, Published
    from headrace.collector.spool import Segment, Spool

GROUP_BYTES = 8 << 20
GROUP_MESSAGES = 50_000
RETRY_FIRST_SECS, RETRY_LAST_SECS = 0.2, 5.0
RETRY_PATIENCE_SECS = 0.1  # how long a bus that others held is waited for once more, by those who come meanwhile
REPLAY_SECS = 0.1  # how long the spool is published before those who came meanwhile are answered

log = logging.getLogger(__name__)

_ATTRIBUTES = pa.map_(pa.string(), pa.string())


class Acknowledged(NamedTuple):
    """What became durable of one request; the ids are None where it lies in the spool, which gives none."""

    first_message_id: str | None
    last_message_id: str | None


@dataclass(slots=True, eq=False)
class Parcel:
    """The messages of one request, all with the same attributes, and who waits for them."""

    messages: list[bytes]
    attributes: list[tuple[str, str]]
    size: int
    done: asyncio.Future[Acknowledged]


@dataclass(slots=True)
class Tally:
    """What a lane has done; its thread writes, any may read."""

    commits: int = 0
    commit_secs: float = 0.0
    spooled_messages: int = 0
    replayed_messages: int = 0
    problem: str = ""


class Lane:
    """Takes parcels for a topic and answers each once it is durable. `send` and `close` belong to the event loop.

    One thread takes all that waits, publishes it in one transaction, and answers. Where the bus fails, it goes to the
    spool instead, and so does all that follows until the spool has been published, oldest first.

    A bus may fail after it took the messages, and its answer got lost. So the lane numbers what it publishes: from the
    spool it goes out under the same numbers, and is dropped where it was taken. After a failure nobody knows which
    number is expected next, so the lane goes on as another producer: nothing else ever comes under numbers once tried.
    """

    def __init__(
        self,
        bus: Bus,
        topic: str,
        spool: Spool | None,
        loop: asyncio.AbstractEventLoop,
        patience_secs: float = PATIENCE_SECS,
    ) -> None:
        """Take a bus that others may keep busy for `patience_secs` before the spool takes over from it."""
        self.topic = topic
        self._patience_secs = patience_secs
        self.tally = Tally()
        self._bus = bus
        self._spool = spool
        self._loop = loop
        self._queue: queue.SimpleQueue[Parcel | None] = queue.SimpleQueue()
        self._next: Once | None = None  # as whom the next publish goes out; None: as a new producer
        self._failures = 0
        self._retry_at = 0.0
        self._thread = threading.Thread(target=self._run, name=f"lane-{topic}", daemon=True)
        self._thread.start()

    def send(self, parcel: Parcel) -> None:
        """Hand over a parcel; its `done` gets an `Acknowledged`, or raises `Refused`."""
        self._queue.put(parcel)

    def close(self) -> None:
        """Ask the thread to end once all that was sent is answered; `join` waits for that."""
        self._queue.put(None)

    def join(self) -> None:
        """Wait until it has."""
        self._thread.join()

    @property
    def spooled_segments(self) -> int:
        """How many segments wait in the spool."""
        return len(self._spool) if self._spool is not None else 0

    def _run(self) -> None:
        closing = False
        while not closing:
            try:
                parcels, closing = self._waiting()
                if parcels:
                    self._settle(parcels)
                elif self.spooled_segments:
                    self._replay()
            except Exception as problem:  # the edge of this thread: without it, nobody would ever be answered again
                log.exception("lane %s", self.topic)
                self._failed(problem)
        if self._spool is not None:
            self._spool.tidy()

    def _waiting(self) -> tuple[list[Parcel], bool]:
        """Return all that waits, up to a limit, and whether that is the last; wait for the first."""
        pause = max(0.01, self._retry_at - time.monotonic()) if self.spooled_segments else None
        try:
            first = self._queue.get(timeout=pause)
        except queue.Empty:
            return [], False
        if first is None:
            return [], True
        parcels = [first]
        size, messages = first.size, len(first.messages)
        while size < GROUP_BYTES and messages < GROUP_MESSAGES:
            try:
                more = self._queue.get_nowait()
            except queue.Empty:
                break
            if more is None:
                return parcels, True
            parcels.append(more)
            size += more.size
            messages += len(more.messages)
        return parcels, False

    def _settle(self, parcels: list[Parcel]) -> None:
        """Make parcels durable, and answer them in one call of the event loop."""
        try:
            answers: Sequence[Acknowledged] | Refused = self._made_durable(parcels)
        except Refused as refused:
            answers = refused
        except Exception:  # whatever happened, nobody waits for ever
            log.exception("lane %s", self.topic)
            answers = Refused(500, "internal", "the events could not be taken, by a bug of Headrace", fix="report it")
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody is left to answer
            self._loop.call_soon_threadsafe(_answer, parcels, answers)

    def _made_durable(self, parcels: list[Parcel]) -> Sequence[Acknowledged]:
        started = time.perf_counter()
        batch = batch_of(parcels)
        tried = None
        if not self.spooled_segments or self._replay():
            once, self._next = self._next or Once(f"lane-{uuid.uuid4().hex}", 0), None
            try:
                published = self._bus.publish(self.topic, batch, once, self._patience())
            except HeadraceError as problem:
                self._failed(problem)
                tried = once
            else:
                self._next = once._replace(first=once.first + batch.num_rows)
                self._failures = 0
                self.tally.problem = ""
                self.tally.commits += 1
                self.tally.commit_secs += time.perf_counter() - started
                return acknowledged(parcels, published)
        self._keep(batch, tried)
        return [Acknowledged(None, None)] * len(parcels)

    def _keep(self, batch: pa.RecordBatch, tried: Once | None) -> None:
        """Put messages into the spool. Raises `Refused` (503) where that fails too."""
        if self._spool is None:
            raise _unavailable(f"the bus cannot take events: {self.tally.problem}")
        try:
            self._spool.put(batch, tried)
        except HeadraceError as problem:
            raise _unavailable(f"neither the bus nor the spool can take events: {problem.message}") from problem
        self.tally.spooled_messages += batch.num_rows

    def _replay(self) -> bool:
        """Publish what the spool holds, oldest first, for a while; return whether nothing is left of it."""
        assert self._spool is not None  # noqa: S101 - only asked where segments wait
        began = time.monotonic()
        if began < self._retry_at:
            return False
        while time.monotonic() < began + REPLAY_SECS:
            try:
                waiting = self._spool.oldest()
                if waiting is None:
                    self._failures = 0
                    self.tally.problem = ""
                    return True
                segment, batch = waiting
                published = self._publish_again(segment, batch)
                self._spool.drop(segment)
            except Exception as problem:  # whatever it is: what comes in meanwhile can go to the spool
                if not isinstance(problem, (HeadraceError, OSError)):
                    log.exception("lane %s: the spool", self.topic)
                self._failed(problem)
                return False
            self._failures = 0
            self.tally.replayed_messages += published.messages
        return False

    def _publish_again(self, segment: Segment, batch: pa.RecordBatch) -> Published:
        try:
            return self._bus.publish(self.topic, batch, segment.once, self._patience())
        except InputError:
            if not segment.once.first:
                raise
            # The topic is an older copy: it lacks what was numbered before these messages, and these too.
            once = Once(f"{segment.once.producer}-{segment.once.first}", 0)
            return self._bus.publish(self.topic, batch, once, self._patience())

    def _patience(self) -> float:
        return min(RETRY_PATIENCE_SECS, self._patience_secs) if self._failures else self._patience_secs

    def _failed(self, problem: Exception) -> None:
        self._failures += 1
        self._retry_at = time.monotonic() + min(RETRY_LAST_SECS, RETRY_FIRST_SECS * 2 ** min(self._failures - 1, 10))
        what = str(problem) or type(problem).__name__
        if what != self.tally.problem:
            log.warning("lane %s: %s", self.topic, what)
        self.tally.problem = what


def batch_of(parcels: Sequence[Parcel]) -> pa.RecordBatch:
    """Return the messages of parcels, in their order, as a bus takes them."""
    payload = pa.array([message for parcel in parcels for message in parcel.messages], pa.binary())
    each = pa.array([parcel.attributes for parcel in parcels], _ATTRIBUTES)
    counts = [len(parcel.messages) for parcel in parcels]
    attributes = (
        each if len(payload) == len(parcels) else each.take(pa.array(np.repeat(np.arange(len(counts)), counts)))
    )
    return pa.record_batch([payload, attributes], names=["payload", "attributes"])


def acknowledged(parcels: Sequence[Parcel], published: Published) -> list[Acknowledged]:
    """Return each parcel's share of what was published: its first and last message id, where ids are numbered."""
    prefix, _, number = published.first_message_id.rpartition("-")
    if not number.isdecimal() or published.last_message_id != f"{prefix}-{int(number) + published.messages - 1}":
        return [Acknowledged(None, None)] * len(parcels)
    at = int(number)
    shares = []
    for parcel in parcels:
        upto = at + len(parcel.messages)
        shares.append(Acknowledged(f"{prefix}-{at}", f"{prefix}-{upto - 1}"))
        at = upto
    return shares


def _answer(parcels: Sequence[Parcel], answers: Sequence[Acknowledged] | Refused) -> None:
    for at, parcel in enumerate(parcels):
        if parcel.done.done():  # its client went away
            continue
        if isinstance(answers, Refused):
            parcel.done.set_exception(answers)
        else:
            parcel.done.set_result(answers[at])


def _unavailable(what: str) -> Refused:
    return retry_after(503, "unavailable", f"{what}; this request is not acknowledged", secs=2)
