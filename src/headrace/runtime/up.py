"""`up`: one environment running, with its ticks, its builds and its control socket."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from headrace.bus.sqlite import SqliteBus
from headrace.config.jobs import building_every
from headrace.errors import BusyError, InternalError
from headrace.lake.ducklake import DuckLake
from headrace.runtime import building
from headrace.runtime.control import ControlServer
from headrace.runtime.deployment import deploy, now
from headrace.runtime.doctor.examine import at_start
from headrace.runtime.jobs.actions import built, checked, counted
from headrace.runtime.jobs.history import JobHistory
from headrace.runtime.jobs.scans import scans
from headrace.runtime.jobs.scheduler import Jobs, Outcome, listed
from headrace.runtime.loop import Loop
from headrace.runtime.outbox import Forgetting
from headrace.runtime.relay.store import done_upto
from headrace.runtime.state import open_state
from headrace.warehouse.embedded import DbtWarehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.config.project import Project
    from headrace.runtime.child import Child
    from headrace.warehouse.base import BuildReport


IDLE_SECS = 0.05  # how long a loop without work waits before it looks again


@dataclass
class Gold:
    """How the builds of a running `up` are doing."""

    builds: int = 0
    problem: str = ""
    running: bool = False


class Up:
    """One environment, running until `stop`. A second one on the same environment is refused with `BusyError`.

    The loop runs in the thread that calls `run`; builds run beside it, each in a process of dbt's own.
    """

    def __init__(
        self,
        project: Project,
        *,
        build_every_secs: float | Literal["scheduled"] | None = "scheduled",
        intake: Sequence[Child] = (),
        outlets: Sequence[Child] = (),
    ) -> None:
        """Take the environment, deploy the project and listen.

        Jobs run as the project schedules them; `build_every_secs` overrides that for builds, and None builds nothing.

        `intake` are the children that take events in: they end before the bus is drained. `outlets` push out what was
        committed: they end after.
        """
        self._project = project
        self._intake, self._outlets = intake, outlets
        self._stop = threading.Event()
        self._abandon = threading.Event()
        self._flushes: list[threading.Event] = []
        self._flush_lock = threading.Lock()
        self.gold = Gold()
        open_state(project.state)
        self._warehouse = DbtWarehouse(project.state)
        self._bus = SqliteBus(project.state / "bus")
        self._loop = Loop(
            self._bus,
            lambda: DuckLake(project.state / "lake"),
            project.sources,
            lambda lake, bus: deploy(project, lake, bus),
            keep=self._warehouse.lake_snapshots,
            upkeep_every_secs=None,
            forget=Forgetting(lambda: done_upto(project), project.push.retention),
        )
        self.progress = self._loop.progress
        self.damage = at_start(project)  # by Python's SQLite: nothing goes through DuckDB's until the loop steps
        self._built_at = -1
        jobs = project.jobs if build_every_secs == "scheduled" else building_every(project.jobs, build_every_secs)
        self._jobs = Jobs(jobs, self._actions(), JobHistory(project.state), now)
        self._control = ControlServer(project.state, self._answer)

    def run(self) -> None:
        """Tick until `stop`; then drain what the bus has, unless stopped again."""
        scheduler = threading.Thread(target=self._jobs.schedule, name="jobs", daemon=True)
        scheduler.start()
        for child in self.children:
            child.start()
        try:
            while not self._stop.is_set():
                self._flush_if_asked()
                if not self._loop.step():
                    self._stop.wait(IDLE_SECS)
            _end(self._intake)
            self._loop.drain(self._abandon)
        finally:
            self._control.close()
            self._jobs.close()
            scheduler.join()
            _end([*self._intake, *self._outlets])
            self._loop.close()
            self._bus.close()
            self._warehouse.close()

    @property
    def children(self) -> Sequence[Child]:
        """The child processes, those that take events in first."""
        return (*self._intake, *self._outlets)

    def told(self) -> dict[str, Any]:
        """Return how the ticks, the builds and the children are doing, as plain values."""
        progress, gold = self.progress, self.gold
        return {
            "messages": progress.messages,
            "commits": progress.commits,
            "commit_secs": round(progress.commit_secs, 3),
            "gold": self.published or None,
            "building": gold.running,
            "gold_problem": gold.problem or None,
            "failing": dict(progress.failing),
            "damage": self.damage,
            "children": {each.name: {**each.said, "pid": each.pid, "problem": each.problem} for each in self.children},
        }

    @property
    def published(self) -> str:
        """What readers of gold see: a build of this `up`, of `headrace build`, or what `undo` went back to."""
        entry = self._warehouse.published()
        return entry.build if entry else ""

    @property
    def jobs_problem(self) -> str:
        """Why no job starts, if none does."""
        return self._jobs.problem

    def stop(self) -> None:
        """Drain and end; a second call ends at once: what is not committed yet stays on the bus."""
        if self._stop.is_set():
            self._abandon.set()
        self._stop.set()

    def _flush_if_asked(self) -> None:
        with self._flush_lock:
            asked, self._flushes = self._flushes, []
        if asked:
            self._loop.drain(self._stop)
            for each in asked:
                each.set()

    def _answer(self, request: dict[str, Any]) -> Any:
        match request["verb"]:
            case "ping":
                return {"project": self._project.name, "deployment": self._project.digest}
            case "flush":
                done = threading.Event()
                with self._flush_lock:
                    self._flushes.append(done)
                while not done.wait(0.1):
                    if self._stop.is_set():
                        raise BusyError("the running headrace is stopping", at="control.sock", fix="type this again")
                return {"failing": dict(self.progress.failing)}
            case "progress":
                return {**self.told(), "upkeep": self.progress.upkeep}
            case "jobs":
                return listed(self._jobs.jobs, self._jobs.history, now(), ticking=True)
            case "run":
                return self._jobs.run(request["job"])
            case "stop":
                self.stop()
                return {}
            case other:
                raise InternalError(f"no verb {other!r} on the control socket")

    def _actions(self) -> dict[str, Callable[[], Outcome]]:
        """Return what each job does while `up` runs: upkeep is the writer's, builds are of a process of dbt's own."""
        return {
            "build": self._build_if_changed,
            "compaction": lambda: counted(self._loop.upkeep({"compaction"}).result()),
            "expiry": lambda: counted(self._loop.upkeep({"expiry"}).result()),
            "freshness": lambda: checked(self._project),
            **scans(self._project, self._stop, self.children),
        }

    def _build_if_changed(self) -> Outcome:
        """Build if silver changed since the newest build."""
        messages = self.progress.messages
        if messages == self._built_at:
            return Outcome("nothing", "silver has not changed")
        try:
            self.gold.running = True
            if not building.silver_changed(self._project, self._warehouse):
                outcome = Outcome("nothing", "silver has not changed")
            else:
                report = building.build_once(self._project, self._warehouse)
                self._note(report)
                outcome = built(report)
        except BusyError as problem:  # `headrace build` is at it: the next slot looks again
            self.gold.problem = str(problem)
            return Outcome("nothing", str(problem))
        except Exception as problem:
            self.gold.problem = str(problem)
            raise
        finally:
            self.gold.running = False
        self._built_at = messages
        return outcome

    def _note(self, report: BuildReport) -> None:
        self.gold.problem = "; ".join(each.message for each in report.failures)[:500]
        self.gold.builds += 1


def _end(children: Sequence[Child]) -> None:
    """End children side by side."""
    ending = [threading.Thread(target=child.stop) for child in children]
    for each in ending:
        each.start()
    for each in ending:
        each.join()


def problems(up: Up) -> dict[str, str]:
    """Return what does not work right now, and why, in full: children, builds, upkeep, jobs, sources, damaged files."""
    progress = up.progress
    told = {child.name: child.problem for child in up.children}
    told |= {"gold": up.gold.problem, "upkeep": progress.upkeep, "jobs": up.jobs_problem}
    told |= up.damage
    told |= {f"source {source}": problem for source, problem in progress.failing.items()}
    return {name: problem for name, problem in told.items() if problem}


def line(up: Up, started: float) -> str:
    """Return the one line that says how `up` is doing; of `problems` it has the names."""
    progress, gold = up.progress, up.gold
    parts = [f"{progress.messages:,} messages", f"{progress.commits:,} commit{'' if progress.commits == 1 else 's'}"]
    if progress.commits:
        parts.append(f"{progress.commit_secs / progress.commits * 1000:.0f} ms a commit")
    if up.published:
        parts.append(f"gold {up.published}")
    if gold.running:
        parts.append("building")
    if failing := problems(up):
        parts.append(f"failing: {', '.join(failing)}")
    parts += [str(child.said["listening"]) for child in up.children if not child.problem and "listening" in child.said]
    return f"up {time.monotonic() - started:,.0f} s · " + " · ".join(parts)
