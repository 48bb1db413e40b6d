"""The stream of a shop that is open: its messages, each sent when its time has come."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from itertools import groupby
from typing import TYPE_CHECKING

from headrace.errors import BusError, SpaceError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from headrace.demo.doors import Door
    from headrace.demo.shop import Message, Shop

EVERY_SECS = 0.1
HELD_SECS = 5.0
RATE_OVER_SECS = 5.0
SENT_TOGETHER = 1_000  # what is refused is sent again, and counted when it is taken: neither waits for all that is due


class Feed:
    """Sends what a shop has to say, at a rate, from a thread of its own, until `stop`.

    What a door refuses is sent again until it is taken: a message is sent at least once.
    """

    def __init__(
        self,
        shop: Shop,
        rate: float,
        doors: Callable[[str], Door],
        clock: Callable[[], float] = time.time,
        retry_secs: float = 1.0,
        held: Container[str] = (),
    ) -> None:
        """`doors` says, for a source, which way its messages go; it is asked each time.

        Messages of the sources in `held` are kept for a few seconds and sent together.
        """
        self.sent = Counter[str]()
        self.problem = ""
        self._messages = shop.live(int(clock() * 1000), rate)
        self._doors, self._clock, self._retry_secs = doors, clock, retry_secs
        self._held = held
        self._recent: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

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
        kept: list[Message] = []
        kept_since = time.monotonic()
        while not self._stop.wait(EVERY_SECS):
            batch = next(due)
            self._send_all(each for each in batch if each.source not in self._held)
            kept += (each for each in batch if each.source in self._held)
            now = time.monotonic()
            if now - kept_since > HELD_SECS:
                self._send_all(kept)
                kept, kept_since = [], now
            self._recent.append((now, self.sent.total()))
            while now - self._recent[0][0] > RATE_OVER_SECS:
                self._recent.popleft()
        self._send_all(kept)

    def _send_all(self, messages: Iterable[Message]) -> None:
        batch = sorted(messages, key=lambda each: each.source)  # stable: a source's own order is kept
        for source, those in groupby(batch, key=lambda each: each.source):
            payloads = [each.payload for each in those]
            for first in range(0, len(payloads), SENT_TOGETHER):
                if not self._send(source, payloads[first : first + SENT_TOGETHER]):
                    break  # it stops: what follows is not sent before what was refused
                self._recent.append((time.monotonic(), self.sent.total()))

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

    def _send(self, source: str, payloads: list[bytes]) -> bool:
        """Return whether they were taken, sooner or later."""
        while True:
            try:
                self._doors(source).send(source, payloads)
            except (BusError, SpaceError) as problem:
                self.problem = problem.message
                if self._stop.wait(self._retry_secs):
                    return False
            else:
                self.problem = ""
                self.sent[source] += len(payloads)
                return True
