"""What each job does, with `up` running and without; and what `headrace jobs` asks of either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.lake.ducklake import DuckLake
from headrace.runtime import building, control
from headrace.runtime.deployment import now
from headrace.runtime.jobs import freshness
from headrace.runtime.jobs.history import JobHistory
from headrace.runtime.jobs.scans import scans
from headrace.runtime.jobs.scheduler import Jobs, Outcome, found, listed
from headrace.runtime.outbox import Forgetting
from headrace.runtime.relay.store import done_upto
from headrace.runtime.state import open_state
from headrace.warehouse.embedded import DbtWarehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.config.project import Project
    from headrace.warehouse.base import BuildReport

ALONE_SECS = 300.0  # how long upkeep may take where no tick waits for it


def listing(project: Project) -> dict[str, Any]:
    """Return {"running", "jobs"}: from the running `up` where there is one, which may have been told otherwise."""
    answer = control.ask(project.state, {"verb": "jobs"})
    if answer is not None:
        return {"running": True, "jobs": answer}
    history = JobHistory(open_state(project.state))
    return {"running": False, "jobs": listed(project.jobs, history, now(), ticking=False)}


def run_now(project: Project, name: str) -> dict[str, Any]:
    """Run a job, in the running `up` where there is one, and return its row of the history."""
    found(project.jobs, name)
    answer = control.ask(project.state, {"verb": "run", "job": name})
    if answer is not None:
        return dict(answer)
    history = JobHistory(open_state(project.state))
    return Jobs(project.jobs, alone(project), history, now).run(name)


def past_runs(project: Project, name: str | None, limit: int) -> list[dict[str, Any]]:
    """Return the last runs, newest first."""
    if name is not None:
        found(project.jobs, name)
    return JobHistory(open_state(project.state)).runs(name, limit)


def alone(project: Project) -> dict[str, Callable[[], Outcome]]:
    """Return what each job does where no `up` runs."""

    def upkeep(task: str) -> Outcome:
        lake = DuckLake(project.state / "lake")
        try:
            if task == "expiry":
                Forgetting(lambda: done_upto(project), project.push.retention)(lake)
            with DbtWarehouse(project.state) as warehouse:
                return counted(lake.maintain(warehouse.lake_snapshots, ALONE_SECS, {task}))
        finally:
            lake.close()

    return {
        "build": lambda: built(building.build(project)),
        "compaction": lambda: upkeep("compaction"),
        "expiry": lambda: upkeep("expiry"),
        "freshness": lambda: checked(project),
        **scans(project),
    }


def built(report: BuildReport) -> Outcome:
    """Return how a build went."""
    if not report.ok:
        return Outcome("failed", "; ".join(f"{each.name}: {each.message}".lstrip(": ") for each in report.failures))
    if report.published is None:
        return Outcome("nothing", "no model to build")
    return Outcome("ok", f"published {report.published.build}")


def counted(done: Mapping[str, int]) -> Outcome:
    """Return what a slot of upkeep did."""
    told = ", ".join(
        f"{count:,} {what.replace('_', ' ')}" for what, count in done.items() if count and what != "unfinished"
    )
    return Outcome("ok", told) if told else Outcome("nothing", "nothing to do")


def checked(project: Project) -> Outcome:
    """Return whether every source is as fresh as it promises."""
    ages = freshness.ages(project)
    late = freshness.stale(now(), ages)
    if late:
        return Outcome("failed", "; ".join(late))
    if not ages:
        return Outcome("nothing", "no source has sla_minutes")
    return Outcome("ok", f"{len(ages)} source{'s' * (len(ages) != 1)} within sla_minutes")
