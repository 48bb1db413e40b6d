"""Children: what is imported is there at once, and everything else, files, threads, connections, is their own."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

End = Literal["ended", "killed", "failed", "stuck"]
LOOK_SECS = 0.004


class Ended(NamedTuple):
    """How a child ended, and all that it said before. Of one that failed, `why` is the traceback."""

    end: End
    said: list[dict[str, Any]]
    why: str = ""


class Child:
    """A forked process that leads a group of its own. It says JSON documents, which reach us though it is killed then.

    The parent has no threads and holds no lock when it forks.
    """

    def __init__(self, act: Callable[[Callable[..., None]], None]) -> None:
        """Let a child do `act(say)`, and end."""
        self._read, write = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._read)
            _live(act, write)
        os.close(write)
        self._text = b""
        self._status: int | None = None

    def wait(self, patience_secs: float, kill_after_secs: float | None = None) -> Ended:
        """Return how it ended. It is killed when it is meant to be, and when patience is at its end."""
        try:
            return self._waited(patience_secs, kill_after_secs)
        except BaseException:  # we are to end, and it must not outlive us
            self.kill()
            raise

    def _waited(self, patience_secs: float, kill_after_secs: float | None) -> Ended:
        began = time.monotonic()
        was_stuck = False
        while not self._gone():
            passed = time.monotonic() - began
            if kill_after_secs is not None and passed >= kill_after_secs:
                self.kill()
                kill_after_secs = None
            if passed >= patience_secs:
                was_stuck = True
                self.kill()
            self._hear(LOOK_SECS)
        while self._hear(0):
            pass
        os.close(self._read)
        said = [json.loads(line) for line in self._text.splitlines() if line.endswith(b"}")]
        why = next((each["why"] for each in said if "why" in each), "")
        assert self._status is not None  # noqa: S101 - it is gone
        if was_stuck:
            return Ended("stuck", said, why)
        if os.WIFSIGNALED(self._status):
            return Ended("killed", said, why)
        return Ended("failed" if os.WEXITSTATUS(self._status) else "ended", said, why)

    def kill(self) -> None:
        """End it and its children at once, as `kill -9` does."""
        for kill in (os.killpg, os.kill):
            try:
                kill(self.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue

    def kill_group(self) -> None:
        """End whatever children it has left behind."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return

    def _gone(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
        return self._status is not None

    def _hear(self, secs: float) -> bool:
        ready, _, _ = select.select([self._read], [], [], secs)
        if not ready:
            return False
        part = os.read(self._read, 1 << 16)
        self._text += part
        if not part:
            time.sleep(LOOK_SECS if secs else 0)
        return bool(part)


def _live(act: Callable[[Callable[..., None]], None], write: int) -> None:
    """Be the child."""
    code = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

        def say(**document: Any) -> None:
            os.write(write, json.dumps(document).encode() + b"\n")

        try:
            act(say)
            code = 0
        except BaseException:  # noqa: BLE001 - the edge of the process
            say(why=traceback.format_exc()[-3000:])
    finally:
        os._exit(code)
