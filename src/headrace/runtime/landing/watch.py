"""Watching the folders of a project's sources: again and again, once, or when a job asks for it.

A source with a `schedule` is looked at when its job asks, through the manifest: there is one way to be scheduled.
Each source has a thread of its own, so that neither a huge file nor a store that does not answer keeps the files of
another waiting; they take turns at the steps of work, a few at a time, and nobody has a turn while a store is asked.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from headrace.bus.sqlite import SqliteBus
from headrace.connectors.batch_file.manifest import Answer, Manifest
from headrace.errors import HeadraceError
from headrace.file_lock import hold_if_free
from headrace.runtime.landing.taking import scan
from headrace.runtime.landing.tally import tally
from headrace.runtime.landing.watched import watched
from headrace.runtime.state import open_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from headrace.config.project import Project
    from headrace.runtime.landing.tally import Tally
    from headrace.runtime.landing.watched import Watched

STEPS_AT_ONCE = 2
SAID_EVERY_SECS = 1.0
END_SECS = 5.0  # how long the end waits for steps under way; `up` waits longer for its children
RETRY_FIRST_SECS, RETRY_LAST_SECS = 1.0, 60.0
ASKED_EVERY_SECS = 0.25  # how often a source with a schedule looks whether it was asked for
ASKED_LOOKS = 10  # at files that are being written, before they are left for the next slot
SILENT_SECS = 10.0  # how long a place may take to answer before that is said
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
        self._asking: dict[str, float] = {}

    def run(self, told: Callable[[], None] = lambda: None) -> bool:
        """Watch until stopped; `told` is called about once a second. Return whether every source came to its end.

        One whose store does not answer is left after END_SECS, as a kill would leave it.
        """
        threads = [
            threading.Thread(
                target=self._watch if source.schedule is None else self._serve,
                args=(source,),
                name=f"land-{source.id}",
                daemon=True,
            )
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

    def troubles(self, now: float) -> dict[str, str]:
        """Return what is wrong, by source: why the last look failed, or that its place is silent.

        `now` is of the clock `time.monotonic`. What is said of a silent one changes every ten seconds, later every
        minute.
        """
        told = dict(self.problems)
        for name, asked in list(self._asking.items()):
            place = self.sources[name].place
            secs = now - max(asked, place.heard)
            if secs >= SILENT_SECS:
                about = f"{secs // 10 * 10:.0f} s" if secs < 120 else f"{secs // 60:.0f} min"
                told[name] = f"{place.name} has not answered for {about}"
        return told

    def scan(self, source: Watched, looks: int = 2) -> Tally:
        """Take every file of a source that is there, also what has yet to lie still for its time; see `taking.scan`.

        Looks so often at most where a file is being written. Waits where another process is taking the files of this
        source. Raises what `taking.scan` raises.
        """
        with self._lock(source, wait=True):
            before = tally(self.manifest, source.id)
            for look in range(looks):
                if look:
                    self._stop.wait(source.settle_secs)
                self._steps(source)
                now = tally(self.manifest, source.id)
                if not now.waiting or self._stop.is_set():
                    break
            return now.since(before)

    def close(self) -> None:
        """Release bus and manifest."""
        self._bus.close()
        self.manifest.close()

    def _watch(self, source: Watched) -> None:
        pause = RETRY_FIRST_SECS
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                with self._lock(source, wait=False) as mine:
                    if mine:
                        self._steps(source)
                self.problems.pop(source.id, None)
                pause = RETRY_FIRST_SECS
                looked = time.monotonic() - started
                self._stop.wait(max(source.every_secs, min(60.0, LISTING_SHARE * looked)))
            except Exception as error:  # noqa: BLE001 - the edge of this thread: it goes on whatever happened
                self.problems[source.id] = _said(error)
                self._stop.wait(pause)
                pause = min(RETRY_LAST_SECS, pause * 2)

    def _serve(self, source: Watched) -> None:
        """Look at a source whenever that is asked; what an earlier process had begun is gone on with at once."""
        begun = True
        while not self._stop.is_set():
            try:
                number = self.manifest.asked(source.id)
                if number is not None:
                    self._answer(source, number)
                elif begun and any(each.state == "reading" for each in self.manifest.current(source.id).values()):
                    self.scan(source, looks=1)
                begun = False
                if number is not None:
                    continue
            except Exception as error:  # noqa: BLE001 - the edge of this thread: it goes on whatever happened
                self.problems[source.id] = _said(error)
            self._stop.wait(ASKED_EVERY_SECS)

    def _answer(self, source: Watched, number: int) -> None:
        try:
            answer = self.scan(source, ASKED_LOOKS).answer()
            self.problems.pop(source.id, None)
        except Exception as error:  # noqa: BLE001 - the edge of this look: whoever asked is told
            self.problems[source.id] = _said(error)
            answer = Answer(ok=False, message=_said(error))
        if not self._stop.is_set():  # else it was cut off: it stays asked
            self.manifest.answer(source.id, number, answer)

    def _steps(self, source: Watched) -> None:
        steps = scan(source, self.manifest, self._bus, aside=lambda: self._aside(source))
        with contextlib.closing(steps):  # type: ignore[type-var]
            while not self._stop.is_set():
                with self._turns:
                    if next(steps, steps) is steps:
                        return

    @contextlib.contextmanager
    def _aside(self, source: Watched) -> Iterator[None]:
        """Give up the turn that this thread has until what it waits for is there."""
        self._asking[source.id] = time.monotonic()
        self._turns.release()
        try:
            yield
        finally:
            self._asking.pop(source.id, None)
            self._turns.acquire()

    def _lock(self, source: Watched, *, wait: bool) -> AbstractContextManager[bool]:
        """Keep two processes from taking the files of one source at once: that would be safe, and twice the work."""
        return hold_if_free(self._locks / f"{source.id}.lock", lambda: wait and not self._stop.wait(0.1))


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, HeadraceError) else repr(error)


def manifest_of(project: Project) -> Manifest:
    """Return the manifest of a project's files, made where there is none."""
    open_state(project.state)
    return Manifest(manifest_path(project))


def manifest_path(project: Project) -> Path:
    """Return where the manifest of a project's files lies, once there is one."""
    return project.state / "landing" / "manifest.db"
