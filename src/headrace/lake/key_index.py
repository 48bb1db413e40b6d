"""The index of one silver table's keys: new rows in memory, all others in files that are mapped, few and sorted.

The files are derived: what they say is in silver, and whoever doubts them removes them. They stand in `keys/<table>/`
of the lake's folder with `state.json`, which names them and says up to which message of the source they hold all rows.
A crash loses what was in memory; it is read from silver again (`lake/knowledge.py`).
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from headrace.disk import make_folder, sync
from headrace.fault_points import reach
from headrace.lake.keys import Asked, Entries, Run, RunFile, Runs, merged, write_run
from headrace.lake.recent_keys import RecentKeys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Executor, Future
    from pathlib import Path

FOLDER = "keys"  # within a lake's folder
RECENT_ROWS = 1 << 20
"""Rows in memory, of all tables, from which on they go to a file; a sixteenth is worth one when the lake is closed."""

FORMAT = 2
STATE = "state.json"
_RUNS_TO_MERGE = 8


log = logging.getLogger("headrace.lake")


@dataclass(frozen=True, slots=True)
class Coverage:
    """What an index knows: all rows of silver before the message `next_seq`, which the batch `batch_id` ended at.

    `rows` were in silver then; `ledger` is what its fates `silver` and `erased` came to. Together they tell whether
    rows were taken out meanwhile by somebody who did not tell the index.
    """

    batch_id: str
    next_seq: int
    rows: int
    ledger: int


class Jobs(NamedTuple):
    """The threads that write files: new ones, and large ones made of them, which takes longer and may wait."""

    spill: Executor
    merge: Executor


class KeyIndex:
    """Where a key may be, and which payloads are there. Belongs to one thread; files are written in others.

    Never misses a row that it was told of. May tell of rows that are in silver no more: of events that lost to others
    (whose redelivery is a duplicate all the same), never of those that were taken out otherwise and forgotten.
    """

    def __init__(self, folder: Path, made_by: str, jobs: Jobs, *, recent_rows: int = RECENT_ROWS) -> None:
        """Open what there is in the folder; nothing where it was made by other means than `made_by`, or is damaged."""
        self.coverage: Coverage | None = None
        self._folder = folder
        self.made_by = made_by
        self._jobs = jobs
        self._recent_rows = self._spill_at = recent_rows
        self._memory = RecentKeys()
        self._files: list[RunFile] = []
        self._gone = np.zeros(0, np.uint64)
        self._lost = Runs()
        self._dropped: list[np.ndarray] = []  # of the lost ones: they are here no more
        self._spilling: _Spill | None = None
        self._merging: _Merge | None = None
        self._merge_refused = False
        self._refusal = ""
        self._closing = False
        self._open()
        self._filed: Coverage | None = self.coverage  # what the files hold together
        self._gone_filed = len(self._gone)
        self._number = 1 + max((int(run.path.stem) for run in self._files), default=0)

    @property
    def rows(self) -> int:
        """How many rows it was told of."""
        return sum(each.rows for each in self._all())

    @property
    def in_memory(self) -> int:
        """How many rows are in no file, and in none that is being written."""
        return self._memory.rows

    def find(self, hashes: np.ndarray) -> tuple[np.ndarray, Entries]:
        """Return, per hash of a key, whether it may be stored; and all rows that have any of these hashes."""
        order = np.argsort(hashes)
        in_order = hashes[order].astype(np.uint64, copy=False)
        first = np.append([True], in_order[1:] != in_order[:-1])[: len(order)]
        asked = Asked.of(in_order[first])
        hit = np.zeros(asked.rows, dtype=bool)
        parts = []
        for each in self._all():
            found, entries = each.find(asked)
            hit |= found
            parts.append(entries)
        entries = Entries.together(parts)
        if len(self._gone):
            # What lost to a row that is gone is a new event, if it comes again.
            entries = entries.take(~(np.isin(entries.seqs, self._gone) | self._lost.holds(entries.seqs)))
            hit = np.isin(asked.hashes, entries.hashes)
        stored = np.zeros(len(order), dtype=bool)
        stored[order] = hit[np.cumsum(first) - 1]
        return stored, entries

    def add(self, entries: Entries) -> None:
        """Remember that silver has these rows."""
        self._settle()
        if entries.rows:
            self._memory.add(entries, self._without_lost)
        if self.in_memory >= self._spill_at:
            if self._spilling is not None and self.in_memory >= 4 * self._spill_at:
                self._settle(wait=True)  # a scan is faster than the disk: memory is what is bounded
            if self._spilling is None:
                self._spill()

    def forget(self, seqs: Iterable[int]) -> None:
        """Forget rows that were taken out of silver, and whose events may come again as new ones."""
        self._gone = np.union1d(self._gone, np.array(list(seqs), np.uint64))

    def lose(self, seqs: Iterable[int]) -> None:
        """Drop rows that lost to others, when they are next put together with others: they are found until then."""
        self._lost.add(np.array(list(seqs), np.uint64))
        if self._lost.count > 2 * RECENT_ROWS:  # most of them are in large files, and stay there
            self._trim_lost()
            if self._lost.count > RECENT_ROWS:
                self._lost = Runs()

    def spill(self) -> None:
        """Have what is in memory brought to a file now, where the disk did not just refuse one."""
        self._settle()
        if self._spilling is None and self._spill_at == self._recent_rows and self.in_memory:
            self._spill()

    def save(self) -> None:
        """Bring all that it knows to files, and wait for that; nothing where it is so little that it is soon read."""
        self._settle(wait=True)
        unsaid = bool(self._files) and self._filed is None
        if self.in_memory >= self._recent_rows // 16 or self._gone_filed != len(self._gone) or unsaid:
            self._spill()
            self._settle(wait=True)

    def settle(self) -> None:
        """Wait for the files that are being written, and for those that they lead to."""
        self._settle(wait=True)
        while self._merging is not None:
            self._merging.future.exception()
            self._settle(wait=True)

    def close(self, *, keep: bool = True) -> None:
        """Save, unless it is not to be kept, and end what is under way."""
        if keep and self.coverage is not None:
            self.save()
        self._end()

    def clear(self) -> None:
        """Forget everything, files too."""
        self._end()  # else a file of before would be written into the folder of an index that is begun anew
        self._lost, self._dropped = Runs(), []
        self._memory, self._files = RecentKeys(), []
        self.coverage = self._filed = None
        self._gone, self._gone_filed = np.zeros(0, np.uint64), 0
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self) -> None:
        """End what is under way."""
        self._closing = True  # a merge ends at once: its file is not named anywhere
        for each in (self._spilling, self._merging):
            if each is not None and not each.future.cancel():
                each.future.exception()
        self._spilling = self._merging = None
        self._closing = False

    def _without_lost(self, entries: Entries) -> Entries:
        if not self._lost.count:
            return entries
        lost = self._lost.holds(entries.seqs)
        if lost.any():
            self._drop([entries.seqs[lost]])
            entries = entries.take(~lost)
        return entries

    def _drop(self, dropped: Sequence[np.ndarray]) -> None:
        """Note rows that lost and are here no more; once they are many, they need not be looked for any more."""
        self._dropped += dropped
        if 2 * sum(map(len, self._dropped)) > self._lost.count:
            self._trim_lost()

    def _trim_lost(self) -> None:
        """Forget of the rows that lost those that are here no more."""
        left = np.setdiff1d(self._lost.numbers(), np.concatenate([np.zeros(0, np.uint64), *self._dropped]))
        self._lost, self._dropped = Runs(), []
        self._lost.add(left)

    def _all(self) -> list[RunFile | RecentKeys]:
        return [*self._files, *([self._spilling.recent] if self._spilling is not None else ()), self._memory]

    # ---- files -----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if not self._folder.exists():
            return
        try:
            state = json.loads((self._folder / STATE).read_text())
            if (state["format"], state["made_by"]) != (FORMAT, self.made_by):
                raise ValueError("it was made by other means")
            self._files = [RunFile(self._folder / name) for name in state["files"]]
            self._gone = np.array(state["gone"], np.uint64)
            self.coverage = Coverage(**state["coverage"])
        except (OSError, ValueError, KeyError, TypeError):
            self.clear()
            return
        named = {run.path.name for run in self._files} | {STATE}
        for each in self._folder.iterdir():
            if each.name not in named:
                each.unlink(missing_ok=True)

    def _write_state(self) -> None:
        """Say, in one step, which files there are, once it is known what they hold. Raises `OSError`."""
        if self._filed is None:
            return
        state = {
            "format": FORMAT,
            "made_by": self.made_by,
            "files": [run.path.name for run in self._files],
            "gone": self._gone.tolist(),
            "coverage": asdict(self._filed),
        }
        make_folder(self._folder)
        reach("lake.keys_state.before")
        new = self._folder / f"{STATE}.new"
        new.write_text(json.dumps(state))
        sync(new)
        new.replace(self._folder / STATE)
        sync(self._folder)
        reach("lake.keys_state.after")
        self._gone_filed = len(self._gone)

    def _spill(self) -> None:
        """Have what is in memory written to a file; until that is done, it is looked for where it is."""
        recent, self._memory = self._memory, RecentKeys()
        self._spilling = _Spill(self._written(self._jobs.spill, recent.runs), recent, self.coverage)

    def _written(self, thread: Executor, runs: Sequence[Run]) -> Future[_Written]:
        path = self._folder / f"{self._number:08d}.keys"
        self._number += 1
        return thread.submit(self._write, path, runs, [self._gone, self._lost.numbers()])

    def _write(self, path: Path, runs: Sequence[Run], gone: Sequence[np.ndarray]) -> _Written:
        """Write a file of what these have, and say which of the lost rows are in it no more."""
        room = sum(run.rows for run in runs)
        if not room:
            return _Written(None, [])
        dropped: list[np.ndarray] = []
        make_folder(self._folder)
        reach("lake.keys.before")
        write_run(path, self._until_closed(merged(runs, np.unique(np.concatenate(gone)), dropped), runs), room)
        sync(self._folder)
        reach("lake.keys.after")
        return _Written(RunFile(path, check=False), dropped)

    def _until_closed(self, parts: Iterable[Entries], runs: Sequence[Run]) -> Iterator[Entries]:
        for part in parts:
            if self._closing and any(isinstance(run, RunFile) for run in runs):
                raise InterruptedError
            yield part

    def _settle(self, *, wait: bool = False) -> None:
        """Take over the files that are written. What a disk refuses stays in memory, or in the files of before."""
        try:
            spilling = self._spilling
            if spilling is not None and (wait or spilling.future.done()):
                self._spilling = None
                try:
                    written, dropped = spilling.future.result()
                except BaseException:  # what a file should have held is nowhere else
                    spilling.recent.join(self._memory)
                    self._memory = spilling.recent
                    self._spill_at *= 2
                    raise
                self._drop(dropped)
                self._spill_at = self._recent_rows
                self._merge_refused, self._refusal = False, ""  # there is room again, or still
                self._files += [written] if written is not None else []
                self._filed = spilling.coverage
                self._write_state()
            merging = self._merging
            if merging is not None and merging.future.done():
                self._merging, self._merge_refused = None, True  # unless it is there now: it is not tried at every add
                written, dropped = merging.future.result()
                self._merge_refused = False
                self._drop(dropped)
                self._files = [
                    *([written] if written else []),
                    *(run for run in self._files if run not in merging.runs),
                ]
                self._write_state()
                for run in merging.runs:
                    run.path.unlink(missing_ok=True)
            if self._merging is None and not self._merge_refused and (few := self._worth_merging()):
                self._merging = _Merge(self._written(self._jobs.merge, few), few)
        except OSError as problem:
            if self._refusal != (said := f"{type(problem).__name__} {problem.errno}"):
                self._refusal = said  # once, and not at every commit
                log.warning(
                    "the index of keys in %s cannot be written, what it lacks stays in memory: %s",
                    self._folder,
                    problem,
                )

    def _worth_merging(self) -> list[RunFile]:
        """Return files of about one size, once there are many: rows are written again as they grow eightfold."""
        sizes: dict[int, list[RunFile]] = {}
        for run in self._files:
            size, most = 0, self._recent_rows * _RUNS_TO_MERGE
            while run.rows >= most:
                size, most = size + 1, most * _RUNS_TO_MERGE
            sizes.setdefault(size, []).append(run)
        return next((sizes[size] for size in sorted(sizes) if len(sizes[size]) >= _RUNS_TO_MERGE), [])


class _Written(NamedTuple):
    file: RunFile | None
    dropped: list[np.ndarray]


class _Spill(NamedTuple):
    future: Future[_Written]
    recent: RecentKeys
    coverage: Coverage | None


class _Merge(NamedTuple):
    future: Future[_Written]
    runs: list[RunFile]
