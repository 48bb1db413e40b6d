"""The stream of a shop that is open: its messages, each sent when its time has come."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from headrace.errors import BusError, SpaceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from headrace.bus.base import Bus
    from headrace.demo.shop import Message, Shop

EVERY_SECS = 0.1
RETRY_SECS = 1.0
RATE_OVER_SECS = 5.0


class Door(Protocol):
    """A way into the platform."""

    name: str

    def send(self, source: str, payloads: list[bytes]) -> None:
        """Return once these messages are durable. Raises `BusError` or `SpaceError` where they are not, yet."""
        ...


class BusDoor:
    """Straight onto the topic of each source."""

    name = "the bus"

    def __init__(self, bus: Bus, topics: Mapping[str, str]) -> None:
        self._bus, self._topics = bus, topics

    def send(self, source: str, payloads: list[bytes]) -> None:
        """See `Door.send`."""
        from headrace.demo.opening import batch_of

        self._bus.publish(self._topics[source], batch_of(payloads))


class Feed:
    """Sends what a shop has to say, at a rate, from a thread of its own, until `stop`.

    What a door refuses is sent again until it is taken: a message is sent at least once.
    """

    def __init__(
        self, shop: Shop, rate: float, doors: Callable[[str], Door], clock: Callable[[], float] = time.time
    ) -> None:
        """`doors` says, for a source, which way its messages go; it is asked each time."""
        self.sent = Counter[str]()
        self.problem = ""
        self._messages = shop.live(int(clock() * 1000), rate)
        self._doors, self._clock = doors, clock
        self._recent: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Send no more; returns at once."""
        self._stop.set()

    def stop(self) -> None:
        """Send no more; what is being sent is sent when this returns."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def rate(self) -> float:
        """Messages a second, over the last few seconds."""
        (first, before), (last, now) = self._recent[0], self._recent[-1]
        return (now - before) / (last - first) if last > first else 0.0

    def _run(self) -> None:
        due = self._due()
        while not self._stop.wait(EVERY_SECS):
            batch = sorted(next(due), key=lambda each: each.source)  # stable: a source's own order is kept
            for source, messages in groupby(batch, key=lambda each: each.source):
                self._send(source, [each.payload for each in messages])
            now = time.monotonic()
            self._recent.append((now, self.sent.total()))
            while now - self._recent[0][0] > RATE_OVER_SECS:
                self._recent.popleft()

    def _due(self) -> Iterator[list[Message]]:
        """Yield, each time, the messages whose time has come since."""
        ahead = next(self._messages)
        while True:
            now = int(self._clock() * 1000)
            batch = []
            while ahead.at <= now:
                batch.append(ahead)
                ahead = next(self._messages)
            yield batch

    def _send(self, source: str, payloads: list[bytes]) -> None:
        while True:
            try:
                self._doors(source).send(source, payloads)
            except (BusError, SpaceError) as problem:
                self.problem = problem.message
                if self._stop.wait(RETRY_SECS):
                    return
            else:
                self.problem = ""
                self.sent[source] += len(payloads)
                return
