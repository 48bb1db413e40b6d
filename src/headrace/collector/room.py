"""How much may be on its way at once, so that neither many clients nor one greedy source fill the memory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from headrace.collector.problems import Refused, retry_after

if TYPE_CHECKING:
    from headrace.config.collector import CollectorSpec


class InFlight:
    """The bytes of bodies that are being read or wait for their acknowledgement, by source. Of the event loop only.

    A source that has nothing on its way may always send one request, however small the limits are.
    """

    def __init__(self, limits: CollectorSpec) -> None:
        self._limits = limits
        self.bytes = 0
        self.requests = 0
        self._by_source: Counter[str] = Counter()

    def take(self, source: str, count: int) -> None:
        """Take room for so many more bytes. Raises `Refused` (429) where there is none."""
        mine = self._by_source[source]
        if mine and mine + count > self._limits.max_waiting_bytes_per_source:
            raise self._busy("source_busy", f"{mine:,} bytes of source {source!r} wait for their acknowledgement")
        if mine and self.bytes + count > self._limits.max_waiting_bytes:
            raise self._busy("busy", f"{self.bytes:,} bytes wait for their acknowledgement")
        self._by_source[source] = mine + count
        self.bytes += count

    def give(self, source: str, count: int) -> None:
        """Give it back."""
        self._by_source[source] -= count
        self.bytes -= count

    @staticmethod
    def _busy(reason: str, what: str) -> Refused:
        return retry_after(429, reason, what)
