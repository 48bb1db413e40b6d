"""Which sources the next tick takes, decided purely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SOURCES_PER_TICK = 20  # a commit costs some milliseconds per table it touches
BATCH_SECS = 2.0  # to prepare a batch: what takes longer is taken in smaller ones
LEAST_ROWS = 100  # a batch of fewer is not worth its commit
ROWS_PER_COMMIT = 200_000  # two full batches: the others are in the next commit, which waits for this one


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a source: messages on the bus, and how long it is since a batch of it was taken."""

    source: str
    messages: int
    since_last_secs: float
    freshness_secs: float
    batch_rows: int


def decide(waiting: Iterable[Waiting], limit: int = SOURCES_PER_TICK) -> list[str]:
    """Return the sources that are due, most overdue first: those with a full batch, or with their freshness budget up.

    Every source has a turn: who was left out is more overdue next time.
    """
    due = [
        each
        for each in waiting
        if each.messages > 0 and (each.messages >= each.batch_rows or each.since_last_secs >= each.freshness_secs)
    ]
    due.sort(key=lambda each: (-each.since_last_secs / max(each.freshness_secs, 0.001), each.source))
    return [each.source for each in due[:limit]]


def paced(secs: float, rows: int, limit: int, most: int) -> int:
    """Return how many messages the next batch of a source may have, after one of `rows` took `secs`; 0: as ever.

    `limit` held for that one, and `most` is the source's own. A source that is slow to prepare, whatever the reason, is
    taken in batches of about BATCH_SECS, so that it holds what others wait for no longer; where it is no longer slow,
    they grow again.
    """
    if secs > BATCH_SECS:
        return max(LEAST_ROWS, int(rows * BATCH_SECS / secs))
    if limit and secs < BATCH_SECS / 2:
        return limit * 8 if limit * 8 < most else 0
    return limit


def together(rows: Sequence[int], sources: int, most: int = ROWS_PER_COMMIT) -> int:
    """Return how many batches, of so many rows each and in this order, one commit takes: one at least."""
    total = 0
    for number, each in enumerate(rows[:sources]):
        total += each
        if number and total > most:
            return number
    return min(len(rows), sources)
