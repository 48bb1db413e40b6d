"""Which jobs run now, decided purely from the time, the schedules and what ran before."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.config.jobs import Job

RETRY_FIRST, RETRY_LAST = dt.timedelta(seconds=10), dt.timedelta(minutes=10)
RETRIED = frozenset({"failed", "timed out", "interrupted"})


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a job: since when, the last slot that a run took, and how that run's last attempt went.

    `status` is empty where nothing ran; `ended_at` is null while an attempt runs.
    """

    since: dt.datetime
    slot: dt.datetime | None = None
    attempt: int = 0
    status: str = ""
    ended_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is due: the slot that it takes, which attempt it is, and how many slots before it had no run."""

    job: str
    slot: dt.datetime
    attempt: int = 1
    missed: int = 0


def due(now: dt.datetime, jobs: Mapping[str, Job], history: Mapping[str, Past]) -> list[Run]:
    """Return the runs to start now.

    A slot has one run, ever. Slots that went by while nothing ran (or while a run took its time) become one run, of the
    latest of them, which says how many it stands for. A job that the history does not know has no past to make up for:
    its first slot is the first after it became known. A run that failed is tried again, later each time, until its
    retries are used up or the next slot has come.
    """
    runs = []
    for name, job in jobs.items():
        past = history.get(name)
        if job.schedule is None or past is None or past.status == "running":
            continue
        taken = past.since if past.slot is None else max(past.since, past.slot)
        slot = job.schedule.latest(now - jitter(job), after=taken)
        if slot is not None:
            runs.append(Run(name, slot, missed=job.schedule.count(slot, after=taken) - 1))
        elif past.slot is not None and _is_retried(now, job, past):
            runs.append(Run(name, past.slot, attempt=past.attempt + 1))
    return runs


def next_run(now: dt.datetime, job: Job, past: Past | None) -> dt.datetime | None:
    """Return when a job starts next: now, where a slot went by without a run; None where it has no schedule."""
    if job.schedule is None:
        return None
    taken = now if past is None else past.since if past.slot is None else max(past.since, past.slot)
    slot = job.schedule.following(taken)
    return None if slot is None else max(now, slot + jitter(job))


def jitter(job: Job) -> dt.timedelta:
    """Return how long after its slot a job starts: by its name, so that jobs of one schedule do not start as one."""
    share = int.from_bytes(hashlib.sha256(job.name.encode()).digest()[:4], "big") / 2**32
    return job.jitter * share


def pause(job: Job, attempt: int) -> dt.timedelta:
    """Return how long to wait after an attempt that failed."""
    longest: dt.timedelta = min(RETRY_LAST, RETRY_FIRST * 2 ** min(attempt - 1, 10))
    share = hashlib.sha256(f"{job.name} {attempt}".encode()).digest()[0] / 255
    return longest * (0.5 + share / 2)


def _is_retried(now: dt.datetime, job: Job, past: Past) -> bool:
    if past.status not in RETRIED or past.attempt > job.retries or past.ended_at is None:
        return False
    return now >= past.ended_at + pause(job, past.attempt)
