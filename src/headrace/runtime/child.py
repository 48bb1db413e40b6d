"""The child processes of `up`: started, watched, started again when they die, and never outliving their parent.

A child is a module of ours (`python -m …`) that does one thing beside the ticks: take events in, or push them out. It
talks back in lines of JSON on its stdout; the newest value of each key is what it `said`. Its stdin stays open for as
long as the parent lives: a child ends when that does, so `kill -9` of the parent ends it too. SIGTERM asks it to finish
what it has and end.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

RETRY_FIRST_SECS, RETRY_LAST_SECS = 0.5, 30.0
SETTLED_SECS = 60.0  # a child that lived this long starts anew at once, as if it had never failed
LOG_BYTES = 10 << 20


class Child:
    """One child process. `start` and `stop` belong to one thread; `problem` and `said` may be read by any."""

    def __init__(
        self, name: str, module: str, arguments: Sequence[str], log: Path, *, inherits: Sequence[int] = ()
    ) -> None:
        """Take what to run; it gets the file descriptors that it `inherits`, under the same numbers."""
        self.name = name
        self.problem = ""
        """Why it is not running, if it is not; empty while it is."""
        self.said: Mapping[str, Any] = {}
        # -P: the working directory is the user's, and its modules must not stand in for ours.
        self._command = [sys.executable, "-P", "-m", module, *arguments]
        self._log = log
        self._inherits = tuple(inherits)
        self._process: subprocess.Popen[str] | None = None
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name=f"watch-{name}", daemon=True)

    @property
    def pid(self) -> int | None:
        """The process id while there is one."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start it, and watch over it until `stop`."""
        self._watcher.start()

    def stop(self, patience_secs: float = 10.0) -> None:
        """Ask it to end; end it when its time is up. Nothing runs when this returns."""
        self._stopping.set()
        if not self._watcher.is_alive():
            return
        deadline = time.monotonic() + patience_secs
        while self._watcher.is_alive():
            process = self._process
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill() if time.monotonic() > deadline else process.terminate()
            self._watcher.join(0.2)

    def _watch(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                code = self._live()
                reason = self.said.get("problem") or f"it ended with code {code}; see {self._log}"
            except Exception as problem:  # noqa: BLE001 - the edge of this thread: no disk, no memory, no process
                reason = f"it could not be started: {problem}"
            if self._stopping.is_set():
                return
            failures = 1 if time.monotonic() - started > SETTLED_SECS else failures + 1
            self.problem = str(reason)
            pause = min(RETRY_LAST_SECS, RETRY_FIRST_SECS * 2 ** min(failures - 1, 10))
            self._stopping.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret

    def _live(self) -> int:
        """Run the process once, taking in what it says; return its exit code."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        if self._log.exists() and self._log.stat().st_size > LOG_BYTES:
            self._log.replace(self._log.with_suffix(".old"))
        with self._log.open("a") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
                errors="replace",
                pass_fds=self._inherits,
                # Ctrl-C is for the parent, which then ends this child.
                start_new_session=True,
            )
        process = self._process
        if self._stopping.is_set():
            process.terminate()
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        self.said = {}
        with process.stdin, process.stdout:
            for line in process.stdout:
                with contextlib.suppress(ValueError, TypeError):
                    self.said = {**self.said, **json.loads(line)}
                    self.problem = str(self.said.get("problem") or "")
            return process.wait()


def say(**what: Any) -> None:
    """Tell the parent something, from within a child: a line of JSON. `problem=""` says that one is over."""
    sys.stdout.write(json.dumps(what, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def when_parent_ends(end: Callable[[], None]) -> None:
    """Call `end`, in a thread, once the parent is gone: what a child arranges first of all."""

    def wait() -> None:
        # Not through sys.stdin: its lock would be held when the interpreter ends, and that aborts the process.
        while os.read(0, 4096):
            pass
        end()

    threading.Thread(target=wait, name="parent", daemon=True).start()
