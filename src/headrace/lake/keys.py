"""What the writer remembers of the keys in silver, so that a merge reads no more of it than it must."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_DATE_BITS = np.uint64(22)  # a date as its proleptic ordinal: years 1 to 9999 need 22 bits
_DATE = np.uint64((1 << 22) - 1)


class Runs:
    """A multiset of 64-bit numbers as sorted arrays, merged so that there are few: eight bytes a number.

    Adding n numbers one batch after the other costs O(n log n) in all; a look-up is a binary search a run.
    """

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []

    def add(self, numbers: np.ndarray) -> None:
        """Remember these numbers."""
        if not len(numbers):
            return
        self._runs.append(np.sort(numbers.astype(np.uint64, copy=False)))
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            merged = np.concatenate((self._runs.pop(), self._runs.pop()))
            merged.sort()
            self._runs.append(merged)

    def between(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return, per range (both ends included), whether any number lies in it; and all the numbers found."""
        order = np.argsort(low)  # sorted needles walk a run in order, which the cache rewards
        low, high = low[order], high[order]
        hit = np.zeros(len(low), dtype=bool)
        found: list[np.ndarray] = [np.zeros(0, np.uint64)]
        for run in self._runs:
            first = np.searchsorted(run, low, side="left")
            here = np.flatnonzero(first < len(run))
            here = here[run[first[here]] <= high[here]]  # the first that is not below a range is in it, or nothing is
            last = np.searchsorted(run, high[here], side="right")
            hit[here] = True
            found += [run[start:end] for start, end in zip(first[here], last, strict=True)]
        inside = np.zeros(len(low), dtype=bool)
        inside[order] = hit
        return inside, np.concatenate(found)


class KeyIndex:
    """In which partitions of a silver table a key may be: 42 bits of its hash and the event date, eight bytes a row.

    Never says "new" of a key that is there. Says "maybe" of one that is not once in about 4·10¹² / rows look-ups, and
    of one that moved or was removed since: it forgets nothing. Built from a scan on first use, then kept up to date
    by the commits of the process that owns the lake.
    """

    def __init__(self, scan: Callable[[], Iterable[tuple[dt.date, np.ndarray]]]) -> None:
        self._runs = Runs()
        for date, hashes in scan():
            self.add(date, hashes)

    def add(self, date: dt.date, hashes: np.ndarray) -> None:
        """Remember that these keys now have a row in this partition."""
        self._runs.add(_prefix(hashes) | np.uint64(date.toordinal()))

    def probe(self, hashes: np.ndarray) -> tuple[np.ndarray, list[dt.date]]:
        """Return which keys may exist, and the partitions that may hold any of them."""
        low = _prefix(hashes)
        maybe, found = self._runs.between(low, low | _DATE)
        return maybe, [dt.date.fromordinal(int(each)) for each in np.unique(found & _DATE)]


def _prefix(hashes: np.ndarray) -> np.ndarray:
    """Return hashes with room for a date in their low bits."""
    prefix: np.ndarray = hashes.astype(np.uint64, copy=False) >> _DATE_BITS << _DATE_BITS
    return prefix
