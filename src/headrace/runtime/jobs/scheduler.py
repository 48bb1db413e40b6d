"""Jobs: one run of one of them, and the scheduler that starts what is due inside `up`."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.config.faults import did_you_mean
from headrace.durations import format_duration
from headrace.errors import BusyError, ConfigError, HeadraceError
from headrace.runtime.jobs.slots import due, next_run

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from headrace.config.jobs import Job
    from headrace.file_lock import FileLock
    from headrace.runtime.jobs.history import JobHistory
    from headrace.runtime.jobs.slots import Run

LOOK_SECS = 0.5
END_SECS = 10.0  # how long runs under way are waited for when `up` ends
BUSY_TRIES = 20  # whoever looks at the history holds a job's lock for a moment


class Outcome(NamedTuple):
    """How a run ended: `ok`, `failed`, or `nothing` where there was nothing to do; and a sentence."""

    status: str
    message: str = ""


class Jobs:
    """The jobs of an environment, each with what it does here. A job never runs twice at once, in whatever process."""

    def __init__(
        self,
        jobs: Mapping[str, Job],
        actions: Mapping[str, Callable[[], Outcome]],
        history: JobHistory,
        clock: Callable[[], dt.datetime],
    ) -> None:
        self.jobs = jobs
        self.history = history
        self.problem = ""
        """Why no run starts, if none does: a full disk, say."""
        self._actions = actions
        self._clock = clock
        self._stop = threading.Event()
        self._running: list[threading.Thread] = []
        self._running_lock = threading.Lock()

    def schedule(self) -> None:
        """Start what is due, until `close`; runs in a thread of the caller's."""
        known: dt.datetime | None = None
        while not self._stop.is_set():
            try:
                now = self._clock()
                if known is None or now < known:  # or the clock was set back, and the past lies in the future
                    self.history.know(self.jobs, now)
                known = now
                self.start_due()
                self.problem = ""
            except Exception as problem:  # noqa: BLE001 - the edge of this thread: nothing was claimed, none is missed
                self.problem = str(problem)
            self._stop.wait(LOOK_SECS)

    def start_due(self) -> None:
        """Start each run that is due in a thread of its own; none once it was closed."""
        for run in due(self._clock(), self.jobs, self.history.past()):
            thread = threading.Thread(target=self._scheduled, args=(run,), name=f"job-{run.job}", daemon=True)
            with self._running_lock:  # who closes meanwhile waits for each that has begun, and meets none that has not
                if self._stop.is_set():
                    return
                thread.start()
                self._running = [each for each in self._running if each.is_alive()] + [thread]

    def run(self, name: str) -> dict[str, Any]:
        """Run a job now, whatever its schedule says, and return its row of the history when it is over.

        Raises `BusyError` where it is running, `ConfigError` where there is no such job.
        """
        job = found(self.jobs, name)
        lock = self._taken(job.name)
        try:
            number = self.history.begin(job.name, None, self._clock())
        except BaseException:  # a full disk, say: the job must be free for its next run
            lock.release()
            raise
        assert number is not None  # noqa: S101 - only a slot can be taken
        started = self._clock()
        outcome = self._done(job, number, lock)
        row = next((each for each in self.history.runs(job.name) if each["run"] == number), None)
        if row is not None:
            return row
        seconds = round((self._clock() - started).total_seconds(), 3)
        return {
            "run": number, "job": job.name, "slot": None, "attempt": 1, "missed": 0,
            "started_at": started.isoformat(), "ended_at": self._clock().isoformat(), "seconds": seconds,
            "status": outcome.status, "message": outcome.message,
        }  # fmt: skip

    def close(self) -> None:
        """Start nothing more, and wait a while for what runs; what takes longer is interrupted by the process's end."""
        with self._running_lock:
            self._stop.set()
            running = self._running
        deadline = time.monotonic() + END_SECS
        for each in running:
            each.join(max(0.0, deadline - time.monotonic()))

    def _scheduled(self, run: Run) -> None:
        job = self.jobs[run.job]
        try:
            lock = self.history.lock(job.name)
        except BusyError:
            return  # it runs elsewhere, or goes on after its time was up: the slot waits
        except HeadraceError as problem:
            self.problem = str(problem)
            return
        number = None
        try:
            number = self.history.begin(job.name, run, self._clock())
        except HeadraceError as problem:  # a full disk, say: the slot waits
            self.problem = str(problem)
        finally:
            if number is None:
                lock.release()
        if number is not None:
            self._done(job, number, lock)

    def _done(self, job: Job, number: int, lock: FileLock) -> Outcome:
        """Do what a job does, for as long as its timeout says; the lock goes when it is really over."""
        outcomes: list[Outcome] = []

        def act() -> None:
            try:
                outcomes.append(self._outcome(job.name))
                self._write_down(number, outcomes[0])
            finally:
                lock.release()

        thread = threading.Thread(target=act, name=f"run-{job.name}", daemon=True)
        thread.start()
        thread.join(job.timeout.total_seconds() or None)
        if not outcomes:
            late = Outcome("timed out", f"not done after {format_duration(job.timeout)}; none starts before it is")
            self._write_down(number, late)
            return late
        thread.join()
        return outcomes[0]

    def _outcome(self, name: str) -> Outcome:
        try:
            return self._actions[name]()
        except Exception as problem:  # noqa: BLE001 - the edge of this run: the next one has its turn
            text = str(problem) if isinstance(problem, HeadraceError) else f"{type(problem).__name__}: {problem}"
            return Outcome("interrupted" if self._stop.is_set() else "failed", text)

    def _write_down(self, number: int, outcome: Outcome) -> None:
        # Where that cannot be written, the run counts as interrupted once its lock is gone: it is tried again.
        with contextlib.suppress(HeadraceError):
            self.history.end(number, outcome.status, outcome.message, self._clock())

    def _taken(self, name: str) -> FileLock:
        for _ in range(BUSY_TRIES):
            try:
                return self.history.lock(name)
            except BusyError:
                time.sleep(0.01)
        return self.history.lock(name)


def found(jobs: Mapping[str, Job], name: str) -> Job:
    """Return a job by its name, or raise `ConfigError` with the nearest."""
    if name not in jobs:
        raise ConfigError(f"no job '{name}'", at="headrace.yaml", fix=did_you_mean(name, jobs) or "headrace jobs list")
    return jobs[name]


def listed(jobs: Mapping[str, Job], history: JobHistory, now: dt.datetime, *, ticking: bool) -> list[dict[str, Any]]:
    """Return the jobs as plain values: schedule, next run (null where none comes, or nothing runs here), last run."""
    past = history.past()
    rows = []
    for name, job in jobs.items():
        last = history.runs(name, 1)
        following = next_run(now, job, past.get(name)) if ticking else None
        rows.append(
            {
                "name": name,
                "schedule": None if job.schedule is None else job.schedule.text,
                "timezone": None if job.schedule is None else job.schedule.zone,
                "next": None if following is None else following.isoformat(),
                "last": last[0] if last else None,
            }
        )
    return rows
