"""How much may be on its way at once, so that neither many clients nor one greedy source fill the memory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from headrace.http.problems import retry_after

if TYPE_CHECKING:
    from headrace.config.collector import CollectorSpec


class InFlight:
    """The bytes of bodies that are being read or wait for their acknowledgement, by source. Of the event loop only.

    However small the limits are: one request of a source passes that of its source, and one that is alone both.
    """

    def __init__(self, limits: CollectorSpec) -> None:
        self._limits = limits
        self.bytes = 0
        self.requests = 0
        self._by_source: Counter[str] = Counter()

    def hold(self, source: str) -> Held:
        """Return what a request of this source holds: nothing yet."""
        self.requests += 1
        return Held(self, source)

    def take(self, source: str, count: int, mine: int) -> None:
        """Take room for so many more bytes, for a request that holds `mine`. Raises `Refused` (429) where is none."""
        others = self._by_source[source] - mine
        if others and others + mine + count > self._limits.max_waiting_bytes_per_source:
            raise retry_after(
                429, "source_busy", f"{others:,} bytes of source {source!r} wait for their acknowledgement"
            )
        if self.bytes > mine and self.bytes + count > self._limits.max_waiting_bytes:
            raise retry_after(429, "busy", f"{self.bytes:,} bytes wait for their acknowledgement")
        self._by_source[source] += count
        self.bytes += count

    def give(self, source: str, count: int) -> None:
        """Give it back, all that a request held."""
        self._by_source[source] -= count
        self.bytes -= count
        self.requests -= 1


class Held:
    """What one request holds of the room."""

    __slots__ = ("_room", "_source", "bytes")

    def __init__(self, room: InFlight, source: str) -> None:
        self._room = room
        self._source = source
        self.bytes = 0

    def take(self, count: int) -> None:
        """Take more of it. Raises `Refused` (429)."""
        self._room.take(self._source, count, self.bytes)
        self.bytes += count

    def release(self) -> None:
        """Give all of it back."""
        self._room.give(self._source, self.bytes)
        self.bytes = 0
