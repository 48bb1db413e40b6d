"""What a command costs, with all that it starts: time, processor time and memory.

On Linux, what outlives the command (a JVM that its parent does not wait for) becomes a child of the bench, is waited
for and counted too, unless it has left both its parents and their session. Memory is the sum of the resident sizes of
all processes at a time, looked at 20 times a second: what two of them share counts twice. Elsewhere it is that of the
largest process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

EVERY_SECS = 0.05
GRACE_SECS = 10
PROC = Path("/proc")
PAGE = os.sysconf("SC_PAGE_SIZE")
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER


@dataclass(frozen=True)
class Cost:
    """Of one command, or of several in a row."""

    seconds: float
    cpu_seconds: float
    peak_memory_mib: float

    def then(self, other: Cost) -> Cost:
        """Return the cost of both, one after the other."""
        return Cost(
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            max(self.peak_memory_mib, other.peak_memory_mib),
        )


class FailedError(Exception):
    """The command did not end well, or not in time."""


def run(command: Sequence[str], log: Path, environment: Mapping[str, str], timeout_secs: float, cwd: Path) -> Cost:
    """Run a command to its end, its output into `log`. Raises `FailedError`, with the end of the log."""
    os.sync()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    with log.open("wb") as out, _orphans_are_ours():
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=cwd,
            start_new_session=True,
        )
        with _watched(process.pid) as watched:
            try:
                code = process.wait(timeout_secs)
                seconds = time.perf_counter() - started
            except subprocess.TimeoutExpired:
                code = None
            finally:
                _end(process)
    if code is None:
        raise FailedError(f"not done after {timeout_secs:.0f} s")
    if code:
        said = log.read_text(errors="replace").strip().splitlines()[-12:]
        raise FailedError(f"ended with {code}: " + "\n".join(said))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if not watched.peak:
        watched.peak = after.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Cost(seconds, cpu, watched.peak / 2**20)


def members(root: int) -> set[int]:
    """Return the ids of a command's processes: those of its session, and all below it."""
    children: dict[int, list[int]] = {}
    found = {root}
    for stat in PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            _, parent, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            process = int(stat.parent.name)
            children.setdefault(int(parent), []).append(process)
            if int(session) == root:
                found.add(process)
    todo = list(found)
    while todo:
        below = children.get(todo.pop(), [])
        todo += set(below) - found
        found.update(below)
    return {each for each in found if (PROC / str(each)).exists()}


def _resident_bytes(process: int) -> int:
    try:
        return int((PROC / str(process) / "statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


class _Watch(threading.Thread):
    """Looks at the memory of a command."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.done = threading.Event()
        self._root = root

    def run(self) -> None:
        looks = 0
        known: set[int] = set()
        while PROC.is_dir() and not self.done.wait(EVERY_SECS):
            if looks % 5 == 0:
                known = members(self._root)
            looks += 1
            self.peak = max(self.peak, sum(_resident_bytes(each) for each in known))


@contextlib.contextmanager
def _watched(root: int) -> Iterator[_Watch]:
    watch = _Watch(root)
    watch.start()
    try:
        yield watch
    finally:
        watch.done.set()
        watch.join()


@contextlib.contextmanager
def _orphans_are_ours() -> Iterator[None]:
    """Let what loses its parent become a child of this process, on Linux: then it can be waited for."""
    system = ctypes.CDLL(None) if sys.platform == "linux" else None
    if system is not None:
        system.prctl(_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        if system is not None:
            system.prctl(_SUBREAPER, 0, 0, 0, 0)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait a moment for what the command left running, then end it; all of it is waited for, so that it is counted."""
    deadline = time.monotonic() + (0 if process.poll() is None else GRACE_SECS)
    while PROC.is_dir() and (left := members(process.pid)):
        late = time.monotonic() >= deadline
        for each in left:
            with contextlib.suppress(ProcessLookupError):
                if late:
                    os.kill(each, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(each, os.WNOHANG)
        time.sleep(EVERY_SECS)
    process.kill()
    process.wait()
