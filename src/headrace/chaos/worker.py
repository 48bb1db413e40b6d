"""The dbt process of a life: forked, where `up` starts a new Python, since dbt takes seconds to import."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any

from headrace import fault_points
from headrace.warehouse.worker import Worker, serve

if TYPE_CHECKING:
    from pathlib import Path


class _Forked:
    """What `Worker` needs of a process."""

    def __init__(self, log: Path) -> None:
        jobs, send = os.pipe()
        hear, answers = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(send)
            os.close(hear)
            _serve(jobs, answers, log)
        os.close(jobs)
        os.close(answers)
        self.stdin = os.fdopen(send, "w")
        self.stdout = os.fdopen(hear, "r")
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def wait(self) -> int:
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, 9)


class ForkedWorker(Worker):
    """A worker for one life; made before it has any thread. It ends when its parent does, however that is."""

    def __init__(self, log: Path) -> None:
        super().__init__(log)
        log.parent.mkdir(parents=True, exist_ok=True)
        self._process: Any = _Forked(log)

    def _alive(self) -> Any:
        return self._process


def _serve(jobs: int, answers: int, log: Path) -> None:
    """Be the worker: its end of the pipes stands where a started one has stdin and stdout."""
    code = 1
    try:
        fault_points.watch(None)
        os.dup2(jobs, 0)
        os.dup2(answers, 1)
        errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(errors, 2)
        for handle in (jobs, answers, errors):
            os.close(handle)
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), write_through=True)
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), write_through=True)
        serve()
        code = 0
    finally:
        os._exit(code)
