"""Which sources the next tick takes, decided purely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SOURCES_PER_TICK = 20  # a commit costs some milliseconds per table it touches


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a source: messages on the bus, and how long it is since a batch of it was taken."""

    source: str
    messages: int
    since_last_secs: float
    freshness_secs: float
    batch_rows: int
    retry_in_secs: float = 0.0


def decide(waiting: Iterable[Waiting], limit: int = SOURCES_PER_TICK) -> list[str]:
    """Return the sources that are due, most overdue first: those with a full batch, or with their freshness budget up.

    Every source has a turn: who was left out is more overdue next time.
    """
    due = [
        each
        for each in waiting
        if each.messages > 0
        and each.retry_in_secs <= 0
        and (each.messages >= each.batch_rows or each.since_last_secs >= each.freshness_secs)
    ]
    due.sort(key=lambda each: (-each.since_last_secs / max(each.freshness_secs, 0.001), each.source))
    return [each.source for each in due[:limit]]
