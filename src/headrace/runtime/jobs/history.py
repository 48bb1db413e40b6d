"""The history of jobs: a small SQLite file in the environment's state, durable, and bounded by itself.

A run is claimed by writing it down: of two processes that find the same slot due, one gets it. What ran under a process
that is gone is found by the lock that went with it, and is said to be interrupted.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING, Any

from headrace.errors import BusyError, LakeError
from headrace.file_lock import FileLock
from headrace.runtime.jobs.slots import Past
from headrace.sqlite_file import Kind, instant_of, micros_of, once_open

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from headrace.runtime.jobs.slots import Run

RUNS_KEPT = 200  # of each job
MESSAGE_LENGTH = 2_000
CORRECTED = dt.timedelta(minutes=1)  # by so much, a clock is set back every now and then
_TABLES = """
CREATE TABLE IF NOT EXISTS jobs (name TEXT PRIMARY KEY, since INTEGER NOT NULL, slot INTEGER);
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, slot INTEGER, attempt INTEGER NOT NULL,
    missed INTEGER NOT NULL, process INTEGER NOT NULL, started_at INTEGER NOT NULL, ended_at INTEGER,
    status TEXT NOT NULL, message TEXT NOT NULL DEFAULT '', UNIQUE (job, slot, attempt)
);
"""
HISTORY = Kind(
    what="the history of jobs",
    error=LakeError,
    lost="the past is then not known, and each job is due when its next slot comes",
    tables=_TABLES,
)


class JobHistory:
    """What ran, when, and how it ended. Any thread of any process may use one at any time."""

    def __init__(self, state: Path) -> None:
        self._path = state / "jobs.db"
        self._locks = state / "jobs"

    def lock(self, job: str) -> FileLock:
        """Return the lock that whoever runs a job holds. Raises `BusyError` while another run of it goes on."""
        return FileLock(
            self._locks / f"{job}.lock",
            what=f"the job {job} is running (process {{process}})",
            fix="headrace jobs list shows when it is done",
        )

    def know(self, names: Iterable[str], now: dt.datetime) -> None:
        """Make jobs known, from now on where they are new. A past that lies in the future had another clock.

        But one that lies a moment ahead had this one, corrected since: its slots had their run.
        """
        with self._open() as history:
            for name in names:
                history.execute("INSERT INTO jobs VALUES (?, ?, NULL) ON CONFLICT DO NOTHING", (name, micros_of(now)))
                set_back = history.execute(
                    "UPDATE jobs SET since = ?, slot = NULL WHERE name = ? AND max(since, coalesce(slot, 0)) > ?",
                    (micros_of(now), name, micros_of(now + CORRECTED)),
                ).rowcount
                if set_back:
                    history.execute("DELETE FROM runs WHERE job = ? AND slot > ?", (name, micros_of(now)))

    def past(self) -> dict[str, Past]:
        """Return what `due` needs to know of each job."""
        with self._open() as history:
            self._end_what_died(history)
            rows = history.execute(
                "SELECT j.name, j.since, j.slot, r.attempt, r.status, r.ended_at FROM jobs j LEFT JOIN runs r "
                "ON r.id = (SELECT max(id) FROM runs WHERE job = j.name AND (slot = j.slot OR status = 'running'))"
            ).fetchall()
        return {
            name: Past(instant_of(since), _instant(slot), attempt or 0, status or "", _instant(ended_at))
            for name, since, slot, attempt, status, ended_at in rows
        }

    def begin(self, job: str, run: Run | None, now: dt.datetime) -> int | None:
        """Write down that a run starts, and return its number; None where its slot was taken by another. Durable.

        A run without a slot was asked for by somebody.
        """
        slot = None if run is None else micros_of(run.slot)
        attempt, missed = (1, 0) if run is None else (run.attempt, run.missed)
        with self._open() as history:
            if slot is not None:
                taken = history.execute("SELECT slot FROM jobs WHERE name = ?", (job,)).fetchone()
                if taken is not None and taken[0] is not None and (taken[0], 2) > (slot, attempt):
                    return None
                history.execute("UPDATE jobs SET slot = ? WHERE name = ?", (slot, job))
            begun = history.execute(
                "INSERT INTO runs (job, slot, attempt, missed, process, started_at, status) "
                "VALUES (?, ?, ?, ?, ?, ?, 'running') ON CONFLICT DO NOTHING RETURNING id",
                (job, slot, attempt, missed, os.getpid(), micros_of(now)),
            ).fetchall()
        return int(begun[0][0]) if begun else None

    def end(self, number: int, status: str, message: str, now: dt.datetime) -> None:
        """Write down how a run ended, unless that was said already.

        One with nothing to do is not kept; but where it was another try of a run that failed, it is the last one.
        """
        with self._open() as history:
            if status == "nothing":
                alone = "DELETE FROM runs WHERE id = ? AND ended_at IS NULL AND attempt = 1"
                if history.execute(alone, (number,)).rowcount:
                    return
            history.execute(
                "UPDATE runs SET status = ?, message = ?, ended_at = ? WHERE id = ? AND ended_at IS NULL",
                (status, message[:MESSAGE_LENGTH], micros_of(now), number),
            )
            history.execute(
                "DELETE FROM runs WHERE job = (SELECT job FROM runs WHERE id = ?1) AND id NOT IN (SELECT id FROM runs "
                "WHERE job = (SELECT job FROM runs WHERE id = ?1) ORDER BY id DESC LIMIT ?2)",
                (number, RUNS_KEPT),
            )

    def runs(self, job: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
        """Return the last runs, newest first, as plain values."""
        with self._open() as history:
            self._end_what_died(history)
            rows = history.execute(
                "SELECT id, job, slot, attempt, missed, started_at, ended_at, status, message FROM runs "
                "WHERE ?1 IS NULL OR job = ?1 ORDER BY id DESC LIMIT ?2",
                (job, limit),
            ).fetchall()
        return [
            {
                "run": number,
                "job": name,
                "slot": _text(slot),
                "attempt": attempt,
                "missed": missed,
                "started_at": _text(started),
                "ended_at": _text(ended),
                "seconds": None if ended is None else round((ended - started) / 1e6, 3),
                "status": status,
                "message": message,
            }
            for number, name, slot, attempt, missed, started, ended, status, message in rows
        ]

    def _end_what_died(self, history: sqlite3.Connection) -> None:
        """Say of a run whose lock nobody holds that it was interrupted: the process that ran it is gone."""
        running = history.execute("SELECT id, job, started_at FROM runs WHERE status = 'running'").fetchall()
        for number, job, started_at in running:
            try:
                self.lock(job).release()
            except BusyError:
                continue
            history.execute(
                "UPDATE runs SET status = 'interrupted', message = 'the process that ran it ended', ended_at = ? "
                "WHERE id = ? AND ended_at IS NULL",
                (started_at, number),
            )

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return once_open(self._path, HISTORY)


def _instant(number: int | None) -> dt.datetime | None:
    return None if number is None else instant_of(number)


def _text(number: int | None) -> str | None:
    return None if number is None else instant_of(number).isoformat()
