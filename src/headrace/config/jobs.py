"""The jobs of a project: what `up` does again and again beside the ticks, and when."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from headrace.config.settings import TimeZone
from headrace.durations import Duration, format_duration
from headrace.schedule import Schedule, ScheduleText
from headrace.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.config.source import Source

Retries = Annotated[int, Field(ge=0, le=10)]


class JobSpec(Spec):
    """When one job runs. What is not said is the job's own."""

    schedule: ScheduleText | None = Field(
        default=None, description="Cron with five fields, or how often.", examples=["*/5 * * * *", "30s"]
    )
    timezone: TimeZone | None = Field(default=None, description="The IANA zone of cron (default: the project's).")
    enabled: bool = Field(default=True, description="Whether `up` runs it; `headrace jobs run` always can.")
    timeout: Duration | None = Field(default=None, description="After how long a run counts as failed.")
    retries: Retries | None = Field(default=None, description="How often a run that failed is tried again.")
    jitter: Duration | None = Field(
        default=None, description="Each job starts up to this much after its slot, always the same."
    )


class JobsSpec(Spec):
    """What runs beside the ticks, job by job."""

    build: JobSpec = Field(default=JobSpec(), description="Build gold where silver changed (default: every 10s).")
    compaction: JobSpec = Field(default=JobSpec(), description="Merge the lake's small files (default: every 30s).")
    expiry: JobSpec = Field(
        default=JobSpec(), description="Let go of snapshots, files and rows that nobody needs (default: every 60s)."
    )
    freshness: JobSpec = Field(
        default=JobSpec(), description="Fail where a source is older than its sla_minutes (default: every minute)."
    )


@dataclass(frozen=True, slots=True)
class Job:
    """One job, with everything decided. `schedule` is None where it only runs when asked to."""

    name: str
    schedule: Schedule | None
    timeout: dt.timedelta
    retries: int
    jitter: dt.timedelta


def _built_in(name: str, schedule: str, timeout_minutes: int, retries: int, jitter_secs: int) -> Job:
    minutes, seconds = dt.timedelta(minutes=timeout_minutes), dt.timedelta(seconds=jitter_secs)
    return Job(name, Schedule(schedule), minutes, retries, seconds)


BUILT_IN: Mapping[str, Job] = {
    job.name: job
    for job in (
        _built_in("build", "10s", 60, 0, 0),
        _built_in("compaction", "30s", 10, 0, 10),
        _built_in("expiry", "60s", 10, 0, 20),
        _built_in("freshness", "* * * * *", 1, 0, 0),
    )
}
"""Each job as it is where headrace.yaml does not say otherwise."""

SCAN = "scan:"


def jobs_of(spec: JobsSpec, timezone: str) -> dict[str, Job]:
    """Return the jobs of a project whose zone is `timezone`."""
    return {name: _job(job, getattr(spec, name), timezone) for name, job in BUILT_IN.items()}


def scans_of(sources: Mapping[str, Source]) -> dict[str, Job]:
    """Return a job for each source whose files are looked at on a schedule: `scan:` and its id."""
    return {
        job.name: job
        for source in sources.values()
        if source.pattern == "batch_file" and source.spec.ingestion.location and source.spec.ingestion.schedule
        for job in [
            Job(
                SCAN + source.id,
                Schedule(source.spec.ingestion.schedule, source.settings.timezone),
                timeout=dt.timedelta(hours=6),  # it ends nothing: a huge file is taken however long that takes
                retries=3,
                jitter=dt.timedelta(0),
            )
        ]
    }


def building_every(jobs: Mapping[str, Job], secs: float | None) -> dict[str, Job]:
    """Return the jobs with `build` at this interval; None leaves gold alone."""
    every = None if secs is None else Schedule(format_duration(dt.timedelta(seconds=max(secs, 0.001))))
    return {**jobs, "build": replace(jobs["build"], schedule=every)}


def _job(own: Job, said: JobSpec, timezone: str) -> Job:
    assert own.schedule is not None  # noqa: S101 - every built-in has one
    schedule = Schedule(said.schedule or own.schedule.text, said.timezone or timezone)
    return Job(
        own.name,
        schedule if said.enabled else None,
        own.timeout if said.timeout is None else said.timeout,
        own.retries if said.retries is None else said.retries,
        own.jitter if said.jitter is None else said.jitter,
    )
