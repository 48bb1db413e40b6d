"""Filters that say "definitely new" of a key, so that a merge reads no more of silver than it must."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable

BITS_PER_KEY = 20  # at the least; sizes are powers of two
SMALLEST = 1 << 16  # keys that the filter over all partitions has room for at first
GROWTH = 4  # how much larger the next layer is
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Filter:
    """A register-blocked Bloom filter over 64-bit hashes: no false "new", a false "maybe" in some hundred.

    Each key sets four bits of one 64-bit word (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom
    Filters, 2007), so that a probe costs one memory access. Grows by adding layers, each four times as large.
    """

    def __init__(self, expected: int = 0) -> None:
        self._layers: list[np.ndarray] = []
        self._room = 0
        self._grow(max(expected, 1024))

    def add(self, hashes: np.ndarray) -> None:
        """Remember these hashes."""
        start = 0
        while start < len(hashes):
            if self._room <= 0:
                self._grow(len(self._layers[-1]) * 64 // BITS_PER_KEY * GROWTH)
            part = hashes[start : start + self._room]
            words = self._layers[-1]
            index, mask = _spread(part, len(words))
            np.bitwise_or.at(words, index, mask)
            self._room -= len(part)
            start += len(part)

    def probe(self, hashes: np.ndarray) -> np.ndarray:
        """Return a boolean per hash: False is certain, True is a maybe."""
        found = np.zeros(len(hashes), dtype=bool)
        for words in self._layers:
            index, mask = _spread(hashes, len(words))
            found |= (words[index] & mask) == mask
        return found

    def _grow(self, keys: int) -> None:
        size = 1 << (keys * BITS_PER_KEY // 64).bit_length()
        self._layers.append(np.zeros(size, dtype=np.uint64))
        self._room = size * 64 // BITS_PER_KEY


class KeyIndex:
    """Which partitions of a silver table may hold a key: one filter over all, then one per event date.

    The first filter answers for almost every new key; only its maybes are asked of the dates. Built from a scan on
    first use, then kept up to date by the commits of the process that owns the lake; it forgets nothing, so a key that
    moved or was removed is a maybe that the table denies.
    """

    def __init__(self, scan: Callable[[], Iterable[tuple[dt.date, np.ndarray]]], expected: int) -> None:
        self._all = Filter(max(expected, SMALLEST))
        self._dates: dict[dt.date, Filter] = {}
        for date, hashes in scan():
            self.add(date, hashes)

    def add(self, date: dt.date, hashes: np.ndarray) -> None:
        """Remember that these keys now have a row in this partition."""
        self._all.add(hashes)
        if date not in self._dates:
            self._dates[date] = Filter(len(hashes))
        self._dates[date].add(hashes)

    def probe(self, hashes: np.ndarray) -> tuple[np.ndarray, list[dt.date]]:
        """Return which keys may exist, and the partitions that may hold any of them."""
        maybe = self._all.probe(hashes)
        where = np.flatnonzero(maybe)
        confirmed = np.zeros(len(hashes), dtype=bool)
        dates = []
        suspects = hashes[where]
        for date, each in self._dates.items():
            hit = each.probe(suspects)
            if hit.any():
                dates.append(date)
                confirmed[where[hit]] = True
        return confirmed, dates


def _spread(hashes: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, per hash, the word it belongs to and the four bits it sets there."""
    mixed = hashes.astype(np.uint64, copy=False) * _MIX
    index = (mixed >> np.uint64(32)) & np.uint64(size - 1)
    one, low = np.uint64(1), np.uint64(63)
    mask = one << (mixed & low)
    for shift in (6, 12, 18):
        mask |= one << ((mixed >> np.uint64(shift)) & low)
    return index.astype(np.int64), mask
