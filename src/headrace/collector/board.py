"""The board: numbers of all workers of a collector. Each writes its own part, and any of them reads all of it.

It is memory that the processes share, so what a killed worker has counted stays, and the one that follows it goes on
from there. A number is eight aligned bytes, written in one step: nobody ever reads half of one.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROW_BYTES = 128
NAME_BYTES = ROW_BYTES - 8
NUMBERS = ROW_BYTES // 8
SUPERVISOR = 0
"""The part of whoever starts the workers; theirs are counted from one."""

Key = tuple[str, ...]


class Board:
    """Rows of a name and a number, in a part for each writer. A part has one writer, which is one thread.

    `add` and `put` make the row where there is none. Where a part is full, what has no row yet is not counted.
    """

    def __init__(self, memory: mmap.mmap, mine: int, workers: int) -> None:
        self.workers = workers
        self._bytes = memoryview(memory)
        self._numbers = self._bytes.cast("d")
        self._part_rows = len(memory) // ROW_BYTES // (workers + 1)
        self.mine = mine
        self._rows = dict(self._part(mine))
        self._next = mine * self._part_rows + len(self._rows)

    def add(self, key: Key, count: float = 1) -> None:
        """Add to a number of mine."""
        at = self._rows.get(key)
        if at is None:
            at = self._made(key)
        self._numbers[at * NUMBERS] += count

    def put(self, key: Key, value: float) -> None:
        """Set a number of mine."""
        at = self._rows.get(key)
        if at is None:
            at = self._made(key)
        self._numbers[at * NUMBERS] = value

    def of(self, part: int) -> dict[Key, float]:
        """Return all numbers of one part."""
        return {key: self._numbers[at * NUMBERS] for key, at in self._part(part)}

    def all(self) -> dict[int, dict[Key, float]]:
        """Return all numbers of each worker."""
        return {number: self.of(number) for number in range(1, self.workers + 1)}

    def _made(self, key: Key) -> int:
        at = self._next
        name = "\x1f".join(key).encode()[:NAME_BYTES]
        if at == (self.mine + 1) * self._part_rows - 1:  # the last row of a part has no name: nobody reads it
            return at
        start = at * ROW_BYTES + 8
        self._numbers[at * NUMBERS] = 0.0
        # The first byte comes last: a row whose name begins with nothing is not read.
        self._bytes[start + 1 : start + len(name)] = name[1:]
        self._bytes[start : start + 1] = name[:1]
        self._rows[key] = at
        self._next += 1
        return at

    def _part(self, part: int) -> Iterator[tuple[Key, int]]:
        for at in range(part * self._part_rows, (part + 1) * self._part_rows):
            name = bytes(self._bytes[at * ROW_BYTES + 8 : (at + 1) * ROW_BYTES]).rstrip(b"\0")
            if not name:
                return
            yield tuple(name.decode().split("\x1f")), at


def rows_for(sources: int) -> int:
    """Return how many rows a part needs: more than there are reasons to refuse a request, for each source."""
    return 1024 + 64 * sources


def alone(rows: int) -> Board:
    """Return the board of a worker that has no others beside it."""
    return Board(mmap.mmap(-1, 2 * rows * ROW_BYTES), 1, 1)


def shared(workers: int, rows: int) -> int:
    """Return a file descriptor of memory for so many workers, empty. It goes when the last who has it ends."""
    size = (workers + 1) * rows * ROW_BYTES
    if sys.platform == "linux":
        handle = os.memfd_create("headrace-collector")
        os.ftruncate(handle, size)
        return handle
    with tempfile.TemporaryFile() as file:
        file.write(bytes(size))  # every byte is there: a disk that fills up later must not take it away
        file.flush()
        return os.dup(file.fileno())


def opened(handle: int, mine: int, workers: int) -> Board:
    """Return the board on shared memory, for one who writes the part `mine`."""
    return Board(mmap.mmap(handle, os.fstat(handle).st_size), mine, workers)
