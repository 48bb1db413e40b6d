"""Rows of silver by the hash of their key: sorted arrays in memory or in a mapped file, and what finds them there."""

from __future__ import annotations

import mmap
import zlib
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from headrace.disk import sync

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_U64 = np.dtype("<u8")
_MAGIC = 0x3230_5345_5945_4B48  # "HKEYES02"
_HEADER = 5  # words of eight bytes: magic, rows, room for rows, words of the filter, checksum
_COLUMNS = 4
KEYS_A_WORD = 4  # of a filter: 16 bits a key, of which four are set; it says "maybe" once in 200 times in vain
_FENCED_ROWS = 512  # a page of hashes
_CHUNK_ROWS = 1 << 18


class Entries(NamedTuple):
    """Rows of silver: each one's hash of its key, its sequence number, and the digest of its payload.

    Two zeros are a digest that is not known.
    """

    hashes: np.ndarray
    seqs: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, hashes: np.ndarray, seqs: np.ndarray, digests: tuple[np.ndarray, np.ndarray] | None = None) -> Entries:
        """Return these rows; without digests, they are not known."""
        low, high = digests or (np.zeros(len(hashes), _U64),) * 2
        return cls(*(np.asarray(each).astype(_U64, copy=False) for each in (hashes, seqs, low, high)))

    @classmethod
    def together(cls, parts: Sequence[Entries]) -> Entries:
        """Return the rows of all parts, one part after the other."""
        none = np.zeros(0, _U64)
        return cls(*(np.concatenate((none, *(part[at] for part in parts))) for at in range(_COLUMNS)))

    @property
    def rows(self) -> int:
        """How many there are: the length of a tuple is that of its fields."""
        return len(self.hashes)

    def take(self, places: np.ndarray | slice) -> Entries:
        """Return the rows at these places."""
        return Entries(*(column[places] for column in self))

    def in_order(self) -> Entries:
        """Return the rows by their hashes."""
        return self.take(np.argsort(self.hashes))

    def digests(self) -> pa.Array:
        """Return the digests of the payloads, sixteen bytes each."""
        return digests_of(self.low, self.high)


def digests_of(low: np.ndarray, high: np.ndarray) -> pa.Array:
    """Return digests of two numbers each as sixteen bytes each, which can be looked for."""
    both = np.empty((len(low), 2), _U64)
    both[:, 0], both[:, 1] = low, high
    return pa.Array.from_buffers(pa.binary(16), len(low), [None, pa.py_buffer(both)])


class Asked(NamedTuple):
    """What is looked for: hashes in order, none twice, and the bits that each has in any filter."""

    hashes: np.ndarray
    bits: np.ndarray

    @classmethod
    def of(cls, hashes: np.ndarray) -> Asked:
        """Look for these, which are in order."""
        return cls(hashes, _bits(hashes))

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.hashes)

    def take(self, places: np.ndarray) -> Asked:
        """Return those at these places."""
        return Asked(self.hashes[places], self.bits[places])

    def among(self, words: np.ndarray) -> np.ndarray:
        """Return the places of those that a filter may know: each that it was made of, and few others."""
        return np.flatnonzero(words[_at(self.hashes, len(words))] & self.bits == self.bits)


def mark(words: np.ndarray, hashes: np.ndarray) -> None:
    """Add hashes to the words of a filter."""
    np.bitwise_or.at(words, _at(hashes, len(words)), _bits(hashes))


class Run:
    """Rows by their hashes, in memory: what a look-up finds by a binary search."""

    def __init__(self, entries: Entries) -> None:
        """Keep rows that are in the order of their hashes."""
        self.entries = entries

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.entries.rows

    def find(self, asked: Asked) -> tuple[np.ndarray, Entries]:
        """Return which of these hashes have rows here; and all those rows."""
        found = np.zeros(asked.rows, dtype=bool)
        among = self._worth_asking(asked)
        hashes, stored = asked.hashes[among], self.entries.hashes
        first = self._places(hashes, "left")
        here = np.flatnonzero(first < len(stored))
        here = here[stored[first[here]] == hashes[here]]
        found[among[here]] = True
        first = first[here]
        counts = self._places(hashes[here], "right") - first
        before = np.cumsum(counts) - counts
        places = np.repeat(first - before, counts) + np.arange(int(counts.sum()))
        return found, self.entries.take(places)

    def _worth_asking(self, asked: Asked) -> np.ndarray:
        """Return the places of the hashes that may be here."""
        return np.arange(asked.rows)

    def _places(self, hashes: np.ndarray, side: Literal["left", "right"]) -> np.ndarray:
        """Return, per hash, where in the order it would be put: before or after those that are equal."""
        return np.searchsorted(self.entries.hashes, hashes, side)

    def let_go(self) -> None:
        """Give back what reading the rows made resident."""


class RunFile(Run):
    """Rows by their hashes in a file, mapped: what was looked at may leave memory at any time, but for a filter."""

    def __init__(self, path: Path, *, check: bool = True) -> None:
        """Map a file of `write_run`; unless it was written just now, read all by which rows are found.

        Raises `ValueError` where it is none or damaged, `OSError` where it cannot be read.
        """
        self.path = path
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        words = np.frombuffer(self._map, _U64)
        if len(words) < _HEADER or int(words[0]) != _MAGIC:
            raise ValueError(f"{path} is no file of keys")
        rows, room, filter_words, checksum = (int(each) for each in words[1:_HEADER])
        end = _HEADER + _COLUMNS * room
        fences = end + filter_words
        if rows > room or len(words) != fences + -(-rows // _FENCED_ROWS):
            raise ValueError(f"{path} is cut off")
        starts = range(_HEADER, end, room) if room else (_HEADER,) * _COLUMNS
        super().__init__(Entries(*(words[start : start + rows] for start in starts)))
        self._filter, self._fences = words[end:fences], words[fences:]
        self._entries_bytes = end * _U64.itemsize // mmap.PAGESIZE * mmap.PAGESIZE
        if check and checksum != self._checksum(room):
            raise ValueError(f"{path} is damaged")

    def _checksum(self, room: int) -> int:
        """Return the checksum of what is there, at no time with more than a part of it resident."""
        sums = [0, 0]
        for start in range(0, self.rows, _CHUNK_ROWS):
            sums = _summed(sums, self.entries.take(slice(start, start + _CHUNK_ROWS)))
            self.let_go()
        return _checksum(self.rows, room, sums, self._filter, self._fences)

    def find(self, asked: Asked) -> tuple[np.ndarray, Entries]:
        """Return what any run does; rows that were read for it do not stay resident."""
        found = super().find(asked)
        self.let_go()
        return found

    def _worth_asking(self, asked: Asked) -> np.ndarray:
        return asked.among(self._filter)

    def _places(self, hashes: np.ndarray, side: Literal["left", "right"]) -> np.ndarray:
        """Look at one page of the file a hash, or two: the fences, which are resident, say at which."""
        fence = np.searchsorted(self._fences, hashes, side)
        low, high = np.maximum(fence - 1, 0) * _FENCED_ROWS, np.minimum(fence * _FENCED_ROWS, self.rows)
        while len(going := np.flatnonzero(low < high)):
            middle = (low[going] + high[going]) // 2
            found = self.entries.hashes[middle]
            after = found < hashes[going] if side == "left" else found <= hashes[going]
            low[going[after]] = middle[after] + 1
            high[going[~after]] = middle[~after]
        return low

    def let_go(self) -> None:
        """Give back what was read: it is on the disk, and in the page cache while there is room."""
        if hasattr(mmap, "MADV_DONTNEED") and self._entries_bytes:
            self._map.madvise(mmap.MADV_DONTNEED, 0, self._entries_bytes)


def write_run(path: Path, parts: Iterable[Entries], room: int) -> None:
    """Write a file of rows, durably; each part begins where the one before it ended, in the order of hashes.

    There are not more than `room`. Raises `OSError`; then it has written none: a file that was there stays as it is.
    """
    rows, sums = 0, [0, 0]
    fences = [np.zeros(0, _U64)]
    words = np.zeros(room // KEYS_A_WORD + 1, _U64)
    new = path.open("xb")
    try:
        with new as file:
            for part in parts:
                sums = _summed(sums, part)
                for at, column in enumerate(part):
                    file.seek((_HEADER + at * room + rows) * _U64.itemsize)
                    file.write(np.ascontiguousarray(column, _U64).data)
                mark(words, part.hashes)
                fences.append(part.hashes[-rows % _FENCED_ROWS :: _FENCED_ROWS])
                rows += part.rows
            file.seek((_HEADER + _COLUMNS * room) * _U64.itemsize)
            file.write(words.data)
            together = np.concatenate(fences)
            file.write(together.data)
            file.seek(0)
            checksum = _checksum(rows, room, sums, words, together)
            file.write(np.array([_MAGIC, rows, room, len(words), checksum], _U64).data)
        sync(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _summed(sums: Sequence[int], part: Entries) -> list[int]:
    """Return the checksums of the columns by which rows are found, after one more part.

    A digest that is damaged is another's with 2^-128, and otherwise one that is not known.
    """
    columns = (np.ascontiguousarray(column, _U64) for column in (part.hashes, part.seqs))
    return [zlib.crc32(column.data, before) for column, before in zip(columns, sums, strict=True)]


def _checksum(rows: int, room: int, sums: Sequence[int], filter_words: np.ndarray, fences: np.ndarray) -> int:
    found = zlib.crc32(np.array([rows, room, *sums], _U64).data)
    for each in (filter_words, fences):
        found = zlib.crc32(np.ascontiguousarray(each, _U64).data, found)
    return found


def merged(runs: Sequence[Run], gone: np.ndarray, dropped: list[np.ndarray] | None = None) -> Iterator[Entries]:
    """Yield the rows of all runs in the order of their hashes, in parts, but for the sequence numbers `gone`.

    These are in order; `dropped` is told which there were. A row without a digest is left out where it is there with
    one, too.
    """
    parts = max(1, sum(run.rows for run in runs) // _CHUNK_ROWS)
    edges = (np.arange(1, parts, dtype=np.float64) * (2.0**64 / parts)).astype(_U64)  # hashes are spread evenly
    cuts = [np.searchsorted(run.entries.hashes, edges) for run in runs]
    for part in range(parts):
        slices = []
        for run, cut in zip(runs, cuts, strict=True):
            start, end = int(cut[part - 1]) if part else 0, int(cut[part]) if part < parts - 1 else run.rows
            slices.append(run.entries.take(slice(start, end)))
        entries = Entries.together(slices).in_order()
        if len(gone):
            without = gone[np.minimum(np.searchsorted(gone, entries.seqs), len(gone) - 1)] == entries.seqs
            if dropped is not None:
                dropped.append(entries.seqs[without])
            entries = entries.take(~without)
        yield _learned(entries)
        for run in runs:
            run.let_go()


def _learned(entries: Entries) -> Entries:
    """Return the rows without those whose digest is not known, where the very row is there with its digest."""
    blank = (entries.low | entries.high) == 0
    if not blank.any() or blank.all():
        return entries
    blank &= np.isin(entries.seqs, entries.seqs[~blank])
    if not blank.any():
        return entries
    known = entries.take(~blank)
    pairs = set(zip(known.hashes.tolist(), known.seqs.tolist(), strict=True))
    twice = [at for at in np.flatnonzero(blank).tolist() if (int(entries.hashes[at]), int(entries.seqs[at])) in pairs]
    return entries.take(np.delete(np.arange(entries.rows), twice))


def _at(hashes: np.ndarray, words: int) -> np.ndarray:
    """Return in which of so many words of a filter each hash has its bits: in the order of hashes."""
    return (((hashes >> np.uint64(32)) * np.uint64(words)) >> np.uint64(32)).astype(np.int64)


def _bits(hashes: np.ndarray) -> np.ndarray:
    """Return the bits of each hash."""
    bits = np.zeros(len(hashes), _U64)
    for turn in range(4):
        bits |= np.uint64(1) << ((hashes >> np.uint64(6 * turn)) & np.uint64(63))
    return bits


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

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(map(len, self._runs))

    def numbers(self) -> np.ndarray:
        """Return all of them, in order."""
        return np.sort(np.concatenate([np.zeros(0, np.uint64), *self._runs]))

    def holds(self, numbers: np.ndarray) -> np.ndarray:
        """Return, per number, whether it is here."""
        order = np.argsort(numbers)  # sorted needles walk a run in order, which the cache rewards
        asked = numbers[order]
        hit = np.zeros(len(asked), dtype=bool)
        for run in self._runs:
            first = np.searchsorted(run, asked)
            here = np.flatnonzero(first < len(run))
            hit[here] |= run[first[here]] == asked[here]
        inside = np.zeros(len(asked), dtype=bool)
        inside[order] = hit
        return inside
