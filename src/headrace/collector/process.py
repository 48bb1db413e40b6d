"""The collector's process, a child of `up`: `python -m headrace.collector.process PROJECT ENVIRONMENT`.

It says `listening` once it takes events, or `problem`, and ends on SIGTERM or with its parent: what it has begun to
take in is acknowledged first. Where there is one worker, it is that; where there are several, it watches over them.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING

from headrace.collector import board
from headrace.collector.counts import Counts
from headrace.collector.share import SERVER, Share, cores, workers_of
from headrace.errors import ConfigError
from headrace.file_lock import FileLock
from headrace.http.access import Access
from headrace.http.serve import listeners
from headrace.identity.tokens import TokenFile
from headrace.runtime.child_life import run_child
from headrace.runtime.state import open_state

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.config.project import Project
    from headrace.runtime.child_life import Ending


def collect(project: Project, ending: Ending) -> None:
    """Take events in until asked to end."""
    open_state(project.state)
    check_doors(project)
    count = workers_of(project.collector, cores())
    rows = board.rows_for(len(project.sources))
    with contextlib.ExitStack() as held:
        sockets = listeners(project.collector.host, project.collector.port, SERVER, count)
        for each in sockets:
            held.enter_context(contextlib.closing(each))
        lock = held.enter_context(alone(project.state))
        if count == 1:
            from headrace.collector.worker import take_in

            take_in(project, sockets[0], ending, Counts(board.alone(rows)), Share())
        else:
            from headrace.collector.workers import Workers

            Workers(project, sockets, lock.fileno(), rows).run(ending)


def check_doors(project: Project) -> None:
    """Raise `ConfigError` where other machines could come in and nobody holds a token."""
    settings = project.collector
    access = Access(TokenFile(project.state), is_loopback=settings.is_loopback)
    if not settings.is_loopback and not access.has_live_tokens():
        raise ConfigError(
            access.problem
            or f"the collector would listen on {settings.host}, which other machines reach, without tokens",
            at="headrace.yaml: collector.host",
            fix="make a token: headrace token create --source SOURCE; or listen on 127.0.0.1",
        )


def alone(state: Path) -> FileLock:
    """Hold the environment's collector: one that still ends must not publish the spool that the next one reads.

    Held until the last process ends that has the file: workers inherit it, and so outlive nobody who could follow them.
    """
    path = state / "collector.lock"
    return FileLock(
        path,
        what="another collector of this environment is still there",
        fix=f"it ends within seconds; else see who it is: fuser {path}",
    )


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    sys.exit(run_child(collect, *sys.argv[1:]))
