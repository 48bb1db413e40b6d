"""Several workers on one port, watched over by the collector's process, which serves nothing itself."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from headrace.collector import board
from headrace.collector.counts import Counts
from headrace.errors import ExternalError
from headrace.http.serve import EACH_ITS_OWN, refuse
from headrace.runtime.child import Child, say

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from headrace.config.project import Project
    from headrace.runtime.child_life import Ending

LOOK_SECS = 0.1
PATIENCE_SECS = 9.0  # a worker takes eight to end, and `up` waits ten
GIVE_UP_SECS = 30.0  # without any worker for so long, nobody should wait in line at the socket

log = logging.getLogger("headrace.collector")


class Workers:
    """Starts workers, starts those anew that die, and ends with the last of them.

    They share what they inherit: the lock, so that no other collector starts while one of them lives; the board, so
    that each can tell of all. A socket is one worker's, and listens while that lives.
    """

    def __init__(self, project: Project, sockets: Sequence[socket.socket], lock: int, rows: int) -> None:
        count = len(sockets)
        self._sockets = dict(enumerate(sockets, 1))
        self._board = board.shared(count, rows)
        self._counts = Counts(board.opened(self._board, board.SUPERVISOR, count))
        self._workers = {
            number: Child(
                f"worker {number}",
                "headrace.collector.worker",
                (str(project.root), project.environment, *map(str, (number, count, own.fileno(), self._board))),
                project.state / "logs" / f"collector-{number}.log",
                inherits=(own.fileno(), lock, self._board),
            )
            for number, own in self._sockets.items()
        }

    def run(self, ending: Ending) -> None:
        """Keep them running until asked to end. Raises `ExternalError` where none of them comes back."""
        for worker in self._workers.values():
            worker.start()
        told: dict[str, object] = {"problem": ""}
        problems: dict[int, str] = {}
        lived: dict[int, int] = {}
        since = time.monotonic()
        try:
            while not ending.asked.wait(LOOK_SECS):
                living = self._living()
                for number, worker in self._workers.items():
                    if number in lived and worker.pid is None and EACH_ITS_OWN:
                        refuse(self._sockets[number])  # it listens again with the next one
                    self._counts.lives(number, lives=number in living)
                    if worker.problem != problems.get(number, ""):
                        problems[number] = worker.problem
                        log.log(*_news(number, worker.problem))
                lived = living
                now = self._told(living)
                if now != told:
                    told = now
                    say(**told)
                since = time.monotonic() if living else since
                if time.monotonic() - since > GIVE_UP_SECS:
                    raise ExternalError(self._problem() or "no worker of the collector comes to listen")
        finally:
            self._end()
        log.info("ended")

    def _living(self) -> dict[int, int]:
        """Return the workers that take events, and their process ids."""
        return {
            number: pid
            for number, worker in self._workers.items()
            if (pid := worker.pid) is not None and worker.said.get("pid") == pid  # what it said, not the one before it
        }

    def _told(self, living: dict[int, int]) -> dict[str, object]:
        told: dict[str, object] = {"problem": "" if living else self._problem()}
        if living:
            told["listening"] = next(self._workers[number].said["listening"] for number in living)
            told["workers"] = {str(number): living.get(number) for number in self._workers}
        return told

    def _problem(self) -> str:
        return next((worker.problem for worker in self._workers.values() if worker.problem), "")

    def _end(self) -> None:
        for own in self._sockets.values():
            own.close()  # workers close theirs as they end: from then on nobody can connect
        stopping = [threading.Thread(target=each.stop, args=(PATIENCE_SECS,)) for each in self._workers.values()]
        for each in stopping:
            each.start()
        for each in stopping:
            each.join()
        os.close(self._board)


def _news(number: int, problem: str) -> tuple[int, str]:
    if problem:
        return logging.WARNING, f"worker {number}: {problem}"
    return logging.INFO, f"worker {number} is back"
