"""Watching the folders of a project's sources, again and again or once.

Each source has a thread of its own, so that neither a huge file nor a store that does not answer keeps the files of
another waiting; they take turns at the steps of work, a few at a time, and nobody has a turn while a store is asked.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
from typing import TYPE_CHECKING

from headrace.bus.sqlite import SqliteBus
from headrace.connectors.batch_file.manifest import Manifest
from headrace.errors import HeadraceError
from headrace.file_lock import hold_if_free
from headrace.runtime.landing.taking import scan
from headrace.runtime.landing.watched import watched
from headrace.runtime.state import open_state
from headrace.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from headrace.config.project import Project
    from headrace.runtime.landing.watched import Watched

STEPS_AT_ONCE = 2
SAID_EVERY_SECS = 1.0
END_SECS = 5.0  # how long the end waits for steps under way; `up` waits longer for its children
RETRY_FIRST_SECS, RETRY_LAST_SECS = 1.0, 60.0
LISTING_SHARE = 10  # a look that takes long is followed by a pause of so many times its length


class Landing:
    """The watched sources of a project: looked at again and again, or once."""

    def __init__(self, project: Project, stop: threading.Event | None = None) -> None:
        self.sources, self.faults = watched(project)
        self.problems: dict[str, str] = {source: str(fault) for source, fault in self.faults.items()}
        state = open_state(project.state) / "landing"
        self.manifest = manifest_of(project)
        self._locks = state
        self._bus = SqliteBus(project.state / "bus")
        self._stop = stop or threading.Event()
        self._turns = threading.Semaphore(STEPS_AT_ONCE)

    def run(self, told: Callable[[], None] = lambda: None) -> bool:
        """Watch until stopped; `told` is called about once a second. Return whether every source came to its end.

        One whose store does not answer is left after END_SECS, as a kill would leave it.
        """
        threads = [
            threading.Thread(target=self._watch, args=(source,), name=f"land-{source.id}", daemon=True)
            for source in self.sources.values()
        ]
        for thread in threads:
            thread.start()
        while not self._stop.is_set():
            told()
            self._stop.wait(SAID_EVERY_SECS)
        deadline = time.monotonic() + END_SECS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        told()
        return not any(thread.is_alive() for thread in threads)

    def scan(self, source: Watched) -> None:
        """Take every file of a source that is there, also what has yet to lie still for its time; see `taking.scan`.

        Waits where another process is taking the files of this source. Raises what `taking.scan` raises.
        """
        with self._lock(source, wait=True):
            self._steps(source)
            if any(entry.state == "waiting" for entry in self.manifest.current(source.id).values()):
                self._stop.wait(source.settle_secs)
                self._steps(source)

    def close(self) -> None:
        """Release bus and manifest."""
        self._bus.close()
        self.manifest.close()

    def _watch(self, source: Watched) -> None:
        pause = RETRY_FIRST_SECS
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                if self._is_due(source):
                    with self._lock(source, wait=False) as mine:
                        if mine:
                            self._steps(source)
                self.problems.pop(source.id, None)
                pause = RETRY_FIRST_SECS
                looked = time.monotonic() - started
                self._stop.wait(max(source.every_secs, min(60.0, LISTING_SHARE * looked)))
            except Exception as error:  # noqa: BLE001 - the edge of this thread: it goes on whatever happened
                self.problems[source.id] = str(error) if isinstance(error, HeadraceError) else repr(error)
                self._stop.wait(pause)
                pause = min(RETRY_LAST_SECS, pause * 2)

    def _steps(self, source: Watched) -> None:
        steps = scan(source, self.manifest, self._bus, aside=self._aside)
        with contextlib.closing(steps):  # type: ignore[type-var]
            while not self._stop.is_set():
                with self._turns:
                    if next(steps, steps) is steps:
                        return

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        """Give up the turn that this thread has until what it waits for is there."""
        self._turns.release()
        try:
            yield
        finally:
            self._turns.acquire()

    def _is_due(self, source: Watched) -> bool:
        if source.schedule is None:
            return True
        last = self.manifest.last_scan(source.id)
        begun = {entry.state for entry in self.manifest.current(source.id).values()} & {"reading", "waiting"}
        return last is None or bool(begun) or is_due(Schedule(source.schedule, source.timezone), last, time.time())

    def _lock(self, source: Watched, *, wait: bool) -> AbstractContextManager[bool]:
        """Keep two processes from taking the files of one source at once: that would be safe, and twice the work."""
        return hold_if_free(self._locks / f"{source.id}.lock", lambda: wait and not self._stop.wait(0.1))


def is_due(schedule: Schedule, last: float, now: float) -> bool:
    """Say whether a slot of a schedule has come since the last look; missed ones are made up for by one look."""
    then, by_now = (dt.datetime.fromtimestamp(at, dt.UTC) for at in (last, now))
    return schedule.latest(by_now, after=then) is not None


def manifest_of(project: Project) -> Manifest:
    """Return the manifest of a project's files, made where there is none."""
    return Manifest(open_state(project.state) / "landing" / "manifest.db")
