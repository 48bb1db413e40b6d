"""The child process that runs dbt, and its two ends: dbt keeps global state and takes seconds to import.

A parent sends a job (one JSON line on stdin) and gets a result (one JSON line on what was stdout); the child stays for
the next job and ends when its stdin does, so it never outlives a parent that was killed.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from headrace.errors import BuildError, BusyError
from headrace.file_lock import hold_if_free

LOCK_WAIT_SECS = 10.0


class Worker:
    """The parent's end. Starts the child when it is first needed, and again if it died."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """Run one job; BuildError where the child dies over it, BusyError where another one still lives."""
        process = self._alive()
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BaseException:
            self.close(kill=True)
            raise
        if not line:
            code = process.wait()
            self.close()
            raise BuildError(
                f"the process that runs dbt ended with code {code}; nothing was published",
                at=str(self._log),
                fix="look at the end of that file; code -9 means that it was killed, perhaps for want of memory",
            )
        result: dict[str, Any] = json.loads(line)
        if result.get("busy"):
            raise BusyError("a build whose parent died is still ending", fix="type this again in a moment")
        return result

    def warm(self) -> None:
        """Start the child now; it imports dbt while the caller does something else."""
        self._alive()

    @property
    def pid(self) -> int | None:
        """The child's process id while there is one."""
        return self._process.pid if self._process else None

    def close(self, *, kill: bool = False) -> None:
        """End the child."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if kill:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()

    def _alive(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                # -P: the working directory is the user's, and its modules must not stand in for ours.
                [sys.executable, "-P", "-m", "headrace.warehouse.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # Ctrl-C is for the parent, which then ends this child.
                start_new_session=True,
            )
        return self._process


def serve() -> None:
    """Run jobs until stdin ends. The child's end."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints to stdout, prints to the log
    jobs: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read_jobs, args=(jobs,), daemon=True).start()
    from headrace.warehouse.dbt_run import load_dbt

    load_dbt()  # before the first job: a parent that warms up does not wait for it
    while True:
        job = json.loads(jobs.get())
        answers.write(json.dumps(_locked(job), default=str) + "\n")
        answers.flush()


def _read_jobs(jobs: queue.Queue[str]) -> None:
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)  # the parent is gone: whatever runs would write to a branch that nobody publishes


def _locked(job: dict[str, Any]) -> dict[str, Any]:
    """Run a job while holding the worker's own lock, which outlives a killed parent for as long as this child does."""
    deadline = time.monotonic() + LOCK_WAIT_SECS

    def again() -> bool:
        time.sleep(0.05)
        return time.monotonic() < deadline

    with hold_if_free(Path(job["lock"]), again) as mine:
        if not mine:
            return {"busy": True}
        from headrace.warehouse.dbt_run import run_dbt

        return run_dbt(job)


if __name__ == "__main__":
    serve()
