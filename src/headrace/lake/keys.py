"""What the writer remembers of the keys in silver, so that a merge reads no more of it than it must."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_BLOCK_BITS = np.uint64(22)
_BLOCK = np.uint64((1 << 22) - 1)  # the last block has no end: it begins at sequence number 2.7·10¹¹
_SEQ_BITS = np.uint64(16)  # of a sequence number within its block
_SPANS = 4
MAX_SEQ = 2**63 - 1
FAR = 1 << 20  # rows between two spans: fewer are read sooner than asked for apart


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
    """Where in a silver table a key may be: 42 bits of its hash and a block of sequence numbers, eight bytes a row.

    Never says "new" of a key that is there. Says "maybe" of one that is not once in about 4·10¹² / rows look-ups, and
    of one that moved or was removed since: it forgets nothing. Built from a scan on first use, then kept up to date
    by the commits of the process that owns the lake.
    """

    def __init__(self, scan: Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]) -> None:
        self._runs = Runs()
        for seqs, hashes in scan():
            self.add(seqs, hashes)

    def add(self, seqs: np.ndarray, hashes: np.ndarray) -> None:
        """Remember that these keys now have rows of these sequence numbers."""
        self._runs.add(_prefix(hashes) | np.minimum(seqs.astype(np.uint64) >> _SEQ_BITS, _BLOCK))

    def probe(self, hashes: np.ndarray) -> tuple[np.ndarray, list[Span]]:
        """Return which keys may exist, and the spans of sequence numbers that hold any of them: a few, or none."""
        low = _prefix(hashes)
        maybe, found = self._runs.between(low, low | _BLOCK)
        blocks = np.unique(found & _BLOCK)
        return maybe, [
            Span(first << int(_SEQ_BITS), MAX_SEQ if last == _BLOCK else ((last + 1) << int(_SEQ_BITS)) - 1)
            for first, last in spans(blocks, FAR >> int(_SEQ_BITS))
        ]


class Span(NamedTuple):
    """Sequence numbers from the first to the last, both included."""

    first: int
    last: int


def spans(numbers: np.ndarray, far: int) -> list[Span]:
    """Return a few spans that hold all of these numbers, which are in order, parted where gaps are widest, and wide."""
    if not len(numbers):
        return []
    gaps = np.diff(numbers)
    widest = np.sort(np.argsort(gaps, kind="stable")[len(gaps) - min(len(gaps), _SPANS - 1) :])
    parting = widest[gaps[widest] >= far]
    firsts, lasts = np.concatenate(([0], parting + 1)), np.concatenate((parting, [len(numbers) - 1]))
    return [Span(int(first), int(last)) for first, last in zip(numbers[firsts], numbers[lasts], strict=True)]


def _prefix(hashes: np.ndarray) -> np.ndarray:
    """Return hashes with room for a block in their low bits."""
    prefix: np.ndarray = hashes.astype(np.uint64, copy=False) >> _BLOCK_BITS << _BLOCK_BITS
    return prefix
