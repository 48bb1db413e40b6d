"""One silver table looked at in up to four ways: as kept by ticks, by the catalog, as scanned, as rebuilt."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.lake import digests
from headrace.lake.row_counts import row_counts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.lake.digests import Digest, Kept, Parts
    from headrace.lake.reader import LakeReader
    from headrace.runtime.rebuild.silver import Rebuilt

EVENTS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Difference:
    """A partition of silver that is not the same however it is looked at; null where it was not looked at in that way.

    `kept` is what the ticks kept of it, `counted` how many rows the catalog counts, `digest` what its files hold,
    `rebuilt` what bronze makes of it. Then the first message ids that are on one side only.
    """

    dataset: str
    event_date: dt.date
    kept: str | None
    counted: int
    digest: str | None
    rebuilt: str | None
    only_in_silver: list[str]
    only_in_rebuilt: list[str]


@dataclass(frozen=True, slots=True)
class Compared:
    """A dataset: what it holds by partition, as scanned or, where it was not, as kept; and what is not the same.

    `unknown` are the partitions of which the ticks did not keep all: batches of an earlier version touched them.
    """

    dataset: str
    parts: Parts
    unknown: frozenset[dt.date]
    differences: tuple[Difference, ...]
    as_kept: bool
    as_rebuilt: bool


def compared(
    lake: LakeReader, snapshot: int, dataset: str, kept: Kept, made: Rebuilt | None, *, scan: bool
) -> Compared:
    """Compare every partition of a dataset. `lake` is pinned to `snapshot`."""
    ours = kept.parts.get(dataset, {})
    unknown = frozenset(date for name, date in kept.unknown if name == dataset)
    counts = {dt.date.fromisoformat(day): n for day, n in row_counts(lake, f"silver.{dataset}", snapshot).items()}
    found = digests.scanned(lake, dataset) if scan else {}
    again = made.kept.get(dataset, {}) if made is not None else {}
    differences = []
    as_kept = as_rebuilt = True
    for date in sorted(ours.keys() | counts.keys() | found.keys() | again.keys()):
        mine = None if date in unknown else ours.get(date, digests.NOTHING)
        count = counts.get(date, 0)
        read = found.get(date, digests.NOTHING) if scan else None
        other = again.get(date, digests.NOTHING) if made is not None else None
        rows_are_kept = mine is None or mine.rows == count
        is_kept = rows_are_kept and (read is None or (read.rows == count and mine in (None, read)))
        is_rebuilt = other is None or other == read
        if not (is_kept and is_rebuilt):
            only = ([], []) if made is None or is_rebuilt else _only(lake, made.lake, dataset, date)
            differences.append(Difference(dataset, date, _said(mine), count, _said(read), _said(other), *only))
        as_kept, as_rebuilt = as_kept and is_kept, as_rebuilt and is_rebuilt
    known = found if scan else {date: each for date, each in ours.items() if date not in unknown}
    parts = {date: each for date, each in known.items() if each != digests.NOTHING}
    return Compared(dataset, parts, unknown, tuple(differences), as_kept, as_rebuilt)


def _said(digest: Digest | None) -> str | None:
    return None if digest is None else str(digest)


def _only(lake: LakeReader, made: LakeReader | None, dataset: str, date: dt.date) -> tuple[list[str], list[str]]:
    """Return the first message ids of events that are on one side only: in silver, and in what was rebuilt."""
    sides = (lake, made)
    mine, theirs = (digests.buckets(side, dataset, date) for side in sides)
    other = [at for at, both in enumerate(zip(mine, theirs, strict=True)) if both[0] != both[1]]
    among = set(other[:EVENTS_SHOWN])  # each has an event at least that is on one side only
    left, right = (digests.events(side, dataset, date, among) for side in sides)
    return _but(left, right)[:EVENTS_SHOWN], _but(right, left)[:EVENTS_SHOWN]


def _but(these: Iterable[tuple[Digest, str]], those: Iterable[tuple[Digest, str]]) -> list[str]:
    """Return the ids of the events among these that are not among those, each as often as it is there once more."""
    left = Counter(each for each, _ in those)
    ids = []
    for each, event_id in these:
        if left[each]:
            left[each] -= 1
        else:
            ids.append(event_id)
    return ids
