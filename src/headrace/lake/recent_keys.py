"""Rows of silver by the hash of their key that are in no file yet: sorted arrays, and one filter for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headrace.lake.keys import KEYS_A_WORD, Asked, Entries, Run, mark

if TYPE_CHECKING:
    from collections.abc import Callable

_TOGETHER = 16  # arrays of about one size are made one; most look-ups end at the filter, however many there are
_LEAST_WORDS = 1 << 10


class RecentKeys:
    """Rows in memory, as they came and soon found: what goes to a file together.

    Adding n rows one batch after the other costs O(n log n) in all, with few of the rows moved more than once.
    """

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.rows = 0
        self._filter = np.zeros(0, np.uint64)

    def add(self, entries: Entries, reduced: Callable[[Entries], Entries]) -> None:
        """Take more rows in; what is put together meanwhile is `reduced` to what is worth keeping."""
        self._take(Run(entries.in_order()))
        while len(self.runs) >= _TOGETHER and self.runs[-_TOGETHER].rows < _TOGETHER * self.runs[-1].rows:
            few, self.runs = self.runs[-_TOGETHER:], self.runs[:-_TOGETHER]
            together = Run(reduced(Entries.together([run.entries for run in few])).in_order())
            self.runs.append(together)
            self.rows += together.rows - sum(run.rows for run in few)

    def join(self, later: RecentKeys) -> None:
        """Take in what came later elsewhere."""
        for run in later.runs:
            self._take(run)

    def _take(self, run: Run) -> None:
        self.runs.append(run)
        self.rows += run.rows
        fresh = [run]
        if self.rows > KEYS_A_WORD * len(self._filter):
            self._filter = np.zeros(max(2 * len(self._filter), self.rows // KEYS_A_WORD * 2, _LEAST_WORDS), np.uint64)
            fresh = self.runs
        for each in fresh:
            mark(self._filter, each.entries.hashes)

    def find(self, asked: Asked) -> tuple[np.ndarray, Entries]:
        """Return which of these hashes have rows here; and all those rows."""
        found = np.zeros(asked.rows, dtype=bool)
        if not self.runs:
            return found, Entries.together([])
        places = asked.among(self._filter)
        few, parts = asked.take(places), []
        for run in self.runs:
            hit, entries = run.find(few)
            found[places] |= hit
            parts.append(entries)
        return found, Entries.together(parts)
