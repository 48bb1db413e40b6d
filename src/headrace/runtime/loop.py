"""The loop of ticks: the next round is prepared while the last one commits."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from headrace.errors import BusError, ExternalError, LakeError, SpaceError
from headrace.lake.maintenance import TASKS
from headrace.runtime import due
from headrace.runtime.tick import Tick, subscription
from headrace.runtime.upkeep import EVERY_SECS, Upkeep

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Mapping, Set

    from headrace.bus.base import Bus
    from headrace.config.source import Source
    from headrace.lake.ducklake import DuckLake
    from headrace.runtime.batch import Prepared

RETRY_FIRST_SECS, RETRY_LAST_SECS = 0.5, 30.0
SOURCES_PER_COMMIT = 20  # a commit has a cost of its own; more would only wait for each other
FEW = 10  # are enough for a writer that has nothing else to do
SIDE_BY_SIDE = 2  # more would only hold more memory: the writer and the thread of bronze work beside them
SLOW_SECS = 1.5  # a batch that is prepared for longer keeps nobody: others are prepared beside it
MOST_AT_ONCE = 4  # slow ones included: each holds a batch in memory
PAUSE_SECS = 0.05  # where slow ones are all there is to wait for


@dataclass
class Health:
    """How a source is doing: when it was last taken, and since when and why it fails, if it does."""

    taken_at: float = 0.0
    failures: int = 0
    retry_at: float = 0.0
    problem: str = ""
    limit: int = 0  # of the next batch, while the source fails; 0 is its own
    astray: bool = False  # not set back to what is committed yet: nothing may be taken before it is


class Preparing(NamedTuple):
    """A batch that is being prepared, and since when."""

    future: Future[Prepared | None]
    since: float


@dataclass
class Progress:
    """What the loop has done since it started; read by the status line."""

    messages: int = 0
    commits: int = 0
    commit_secs: float = 0.0
    upkeep: str = ""  # why the last slot of maintenance failed, if it did
    failing: dict[str, str] = field(default_factory=dict)


class Loop:
    """Runs ticks over a bus and a lake until told to stop. Opens the lake in, and keeps it to, a thread of its own."""

    def __init__(
        self,
        bus: Bus,
        open_lake: Callable[[], DuckLake],
        sources: Mapping[str, Source],
        start: Callable[[DuckLake, Bus], Tick],
        *,
        keep: Callable[[], Set[int]] = frozenset,
        forget: Callable[[DuckLake], None] | None = None,
        upkeep_every_secs: float | None = EVERY_SECS,
    ) -> None:
        """Open the lake and start the tick. Raises `BusyError` where another process has the lake.

        `forget` lets go of rows that nobody needs any more, in a slot of upkeep. Where `upkeep_every_secs` is None,
        there is upkeep only when somebody asks for it, and then until it is done.
        """
        self.progress = Progress()
        self._bus = bus
        self._sources = sources
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="lake-writer")
        self._preparers = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="prepare")
        opened: list[DuckLake] = []
        try:
            self._lake = self._writer.submit(open_lake).result()
            opened.append(self._lake)
            self._tick = self._writer.submit(start, self._lake, bus).result()
            refused = self._writer.submit(self._tick.start).result()
        except BaseException:
            for lake in opened:
                self._writer.submit(lake.close).result()
            self._writer.shutdown()
            raise
        self._upkeep = Upkeep(self._lake, self._writer, keep, forget, upkeep_every_secs)
        self._health = {name: Health() for name in sources}
        self._committing: Future[dict[str, Exception]] | None = None
        self._in_flight: list[Prepared] = []
        self._ready: list[Prepared] = []
        self._preparing: dict[str, Preparing] = {}
        self._limits: dict[str, int] = {}  # of messages a batch, where more of a source take too long to prepare
        self._foreseen: set[str] = set()
        self._committed: Counter[str] = Counter()
        for name, problem in refused.items():  # a damaged topic is its own source's trouble
            self._health[name] = Health(failures=1, problem=str(problem), astray=True)
            self._rest(self._health[name])
        self._report()

    def close(self) -> None:
        """Wait for the commit under way, and give the lake back; what is prepared beyond it stays on the bus."""
        self._settle()
        for name in list(self._preparing):
            self._void(name)
        self._discard(self._ready)
        self._preparers.shutdown()
        self._writer.submit(self._leave).result()
        self._writer.shutdown()

    def _leave(self) -> None:
        if self.progress.commits:
            with suppress(LakeError, SpaceError):  # the one of before is good for as long as the bus keeps what follows
                self._lake.keep_copy()
        self._lake.close()

    def drain(self, stop: threading.Event | None = None) -> None:
        """Tick until what waits on the bus now is committed (or `stop` is set), due or not; sources that fail are left.

        Ends under any load: what arrives while it runs may be left for later.
        """
        self._settle()
        asked = {name: self._committed[name] + self._lag(name) for name in self._sources}
        idle = 0
        while idle < 2 and not (stop is not None and stop.is_set()):  # the first idle step may only have settled
            behind = {
                name for name, upto in asked.items() if self._committed[name] < upto and not self._health[name].failures
            }
            if not behind:
                break
            idle = 0 if self.step(behind) or self._preparing else idle + 1
        self._settle()

    def _lag(self, name: str) -> int:
        """Return how many messages of a source wait; a bus that does not say fails the source."""
        try:
            return self._bus.lag(self._sources[name].topic, subscription(name)).messages
        except (BusError, SpaceError) as problem:
            self._failed(name, problem)
            return 0

    def step(self, asked: Set[str] = frozenset()) -> bool:
        """Prepare the sources that are due, or only those `asked`, due or not; return whether there were any.

        A few sources are prepared side by side, and handed to the writer as soon as it has nothing else to do. One that
        takes long is left to go on, and joins a later step.
        """
        now = time.monotonic()
        if (self._committing is not None and self._committing.done()) or not self._bus.replayable:
            self._settle()
        names = deque(name for name in due.decide(self._waiting(now, asked)) if self._is_taken_up(name))
        took = False
        while self._start(names) or self._is_done():
            for batch in self._prepared():
                took = True
                self._ready.append(batch)
                full = sum(map(_rows, self._ready)) >= due.ROWS_PER_COMMIT  # more would only wait, in memory
                if full or (len(self._ready) >= FEW and self._writer_is_free()):
                    self._commit()
        # While the writer is busy, more may join; but not for ever, and nothing waits where nothing else is due.
        if self._ready and (not took or self._writer_is_free() or len(self._ready) >= due.SOURCES_PER_TICK):
            took = True
            self._commit()
        elif not took:
            self._settle()
            wait([each.future for each in self._preparing.values()], PAUSE_SECS, FIRST_COMPLETED)
        if tasks := self._upkeep.due(now):
            self.upkeep(tasks)
        return took

    def _is_busy(self) -> bool:
        return bool(self._ready or self._preparing) or not self._writer_is_free()

    def _start(self, names: deque[str]) -> bool:
        """Let the next sources be prepared, a few at a time, and wait for one of them; return whether any is worth it.

        A slow one is not waited for, and takes nobody's place while there are not too many.
        """
        slow = time.monotonic() - SLOW_SECS
        quick = [each for each in self._preparing.values() if each.since > slow]
        while names and len(quick) < SIDE_BY_SIDE and len(self._preparing) < MOST_AT_ONCE:
            name = names.popleft()
            if self._health[name].retry_at > time.monotonic():  # its commit failed since it was found to be due
                continue
            alone = not names and not self._preparing
            quick.append(Preparing(self._submitted(name, alone=alone), time.monotonic()))
            self._preparing[name] = quick[-1]
        if quick:
            patience = min(each.since for each in quick) + SLOW_SECS - time.monotonic()
            wait([each.future for each in self._preparing.values()], max(0.0, patience), FIRST_COMPLETED)
        return bool(quick)

    def _is_done(self) -> bool:
        return any(each.future.done() for each in self._preparing.values())

    def _writer_is_free(self) -> bool:
        return self._committing is None or self._committing.done()

    def _commit(self) -> None:
        """Hand what is ready to the writer, once the commit before is through."""
        self._settle()
        if self._ready:
            count = due.together([_rows(each) for each in self._ready], SOURCES_PER_COMMIT)
            self._in_flight, self._ready = self._ready[:count], self._ready[count:]
            self._committing = self._writer.submit(self._timed_commit, self._in_flight)

    def _waiting(self, now: float, asked: Set[str]) -> list[due.Waiting]:
        taken = {each.source: _rows(each) for each in self._in_flight}
        ready = {each.source for each in self._ready}  # a commit takes one batch of each
        waiting = []
        for name, source in self._sources.items():
            health = self._health[name]
            if health.retry_at > now or name in ready or name in self._preparing or (asked and name not in asked):
                continue
            messages = self._lag(name) - taken.get(name, 0)
            if health.failures and health.retry_at <= now and not messages and name not in taken:
                self._healed(name)  # its last failure left nothing to try again: no commit will come to say so
            budget = 0.0 if asked else source.freshness_secs
            waiting.append(due.Waiting(name, messages, now - health.taken_at, budget, source.batch_rows))
        return waiting

    def _healed(self, name: str) -> None:
        if self._is_taken_up(name):
            self._health[name] = Health(taken_at=self._health[name].taken_at)
            self._report()

    def _is_taken_up(self, name: str) -> bool:
        """Return whether a source stands where it is committed; one that does not is set back first, or rests."""
        health = self._health[name]
        if health.astray and not self._taken_up(name):
            self._rest(health)
            return False
        return True

    def _submitted(self, name: str, *, alone: bool) -> Future[Prepared | None]:
        if name not in self._foreseen:
            self._foreseen.add(name)
            self._writer.submit(self._tick.foresee, name)  # if it fails, so will the merge, which says why
        # Where a bus has no offsets, bronze itself tells what was taken, and only the writer may ask it.
        threads = self._preparers if self._bus.replayable else self._writer
        # Smaller batches cost more in all: a slow source takes them only where they let others go on.
        limits = (self._health[name].limit, 0 if alone else self._limits.get(name, 0))
        return threads.submit(self._timed_prepare, name, min(filter(None, limits), default=0))

    def _timed_prepare(self, name: str, limit: int) -> Prepared | None:
        started = time.monotonic()
        batch = self._tick.prepare(name, limit)
        if batch is not None:  # the first one is slow for all that is compiled for it
            secs, known = time.monotonic() - started, self._limits.get(name)
            most = self._sources[name].batch_rows
            self._limits[name] = 0 if known is None else due.paced(secs, _rows(batch), known, most)
        return batch

    def _prepared(self) -> Iterator[Prepared]:
        """Yield the batches that are prepared now, of those whose commit before that did not fail meanwhile."""
        for name in [name for name, each in self._preparing.items() if each.future.done()]:
            preparing = self._preparing.pop(name, None)
            if preparing is None:  # the commit of one before this one failed it
                continue
            try:
                batch = preparing.future.result()
            except ExternalError as problem:
                self._failed(name, problem)
                continue
            except Exception as problem:  # noqa: BLE001 - a bug met by one source's data must not stop the others
                self._failed(name, problem, self._health[name].limit or self._sources[name].batch_rows)
                continue
            self._health[name].taken_at = preparing.since
            if batch is not None:
                yield batch

    def _void(self, name: str) -> None:
        """Drop what is prepared of a source that is to be taken up again: it would be taken twice, or after a gap."""
        preparing = self._preparing.pop(name, None)
        if preparing is not None:
            wait([preparing.future])
            self._discard([] if preparing.future.exception() else [preparing.future.result()])
        self._discard(each for each in self._ready if each.source == name)
        self._ready = [each for each in self._ready if each.source != name]

    def _discard(self, batches: Iterable[Prepared | None]) -> None:
        self._lake.discard([file for each in batches if each is not None for file in each.files])

    def upkeep(self, tasks: Set[str] = TASKS) -> Future[Mapping[str, int]]:
        """Let the writer do a slot of upkeep when it is free: all of it, or `tasks` of it. Any thread may ask."""
        slot = self._upkeep.slot(tasks, is_busy=self._is_busy())
        slot.add_done_callback(self._note_upkeep)
        return slot

    def _note_upkeep(self, slot: Future[Mapping[str, int]]) -> None:
        self.progress.upkeep = str((None if slot.cancelled() else slot.exception()) or "")

    def _timed_commit(self, prepared: list[Prepared]) -> dict[str, Exception]:
        started = time.monotonic()
        try:
            return self._tick.commit(prepared)
        finally:
            self.progress.commit_secs += time.monotonic() - started

    def _settle(self) -> Set[str]:
        """Wait for the commit under way; return the sources that must be taken up again."""
        if self._committing is None:
            return frozenset()
        committing, self._committing = self._committing, None
        in_flight, self._in_flight = self._in_flight, []
        try:
            failed = committing.result()
        except SpaceError as problem:
            failed = {each.source: problem for each in in_flight}
        for each in in_flight:
            count = _rows(each)
            if each.source in failed:
                self._failed(each.source, failed[each.source], count)
            else:
                if not self._health[each.source].astray:  # what followed this batch failed: it is set back first
                    self._health[each.source] = Health(taken_at=self._health[each.source].taken_at)
                self.progress.messages += count
                self._committed[each.source] += count
        self.progress.commits += bool(len(in_flight) > len(failed))
        self._upkeep.committed()
        self._report()
        return failed.keys()

    def _failed(self, name: str, problem: Exception, count: int = 0) -> None:
        """Note a failure, set the source back to what is committed, and let it rest: longer each time, with jitter."""
        self._void(name)
        health = self._health[name]
        health.failures += 1
        health.problem = str(problem)
        if count:
            health.limit = max(1, count // 2)
        health.astray = True
        self._taken_up(name)
        self._rest(health)
        self._report()

    def _taken_up(self, name: str) -> bool:
        """Set a source back to what is committed; return whether that could be done."""
        health = self._health[name]
        try:
            refused = self._writer.submit(self._tick.start, [name]).result()
        except (LakeError, SpaceError) as problem:
            refused = {name: problem}
        if name in refused:
            health.problem = str(refused[name])
            return False
        health.astray = False
        return True

    @staticmethod
    def _rest(health: Health) -> None:
        pause = min(RETRY_LAST_SECS, RETRY_FIRST_SECS * 2 ** min(health.failures - 1, 10))
        health.retry_at = time.monotonic() + pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret

    def _report(self) -> None:
        self.progress.failing = {name: each.problem for name, each in self._health.items() if each.failures}


def _rows(batch: Prepared) -> int:
    return batch.next_seq - batch.first_seq
