"""The collector's process, a child of `up`: `python -m headrace.collector.process PROJECT ENVIRONMENT`.

It says `listening` once it takes events, or `problem`, and ends on SIGTERM or with its parent: what it has begun to
take in is acknowledged first.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.bus.sqlite import SqliteBus
from headrace.collector.access import Access
from headrace.collector.app import Collector
from headrace.collector.cors import Cors
from headrace.collector.lanes import Lanes
from headrace.collector.serve import Serving, listen
from headrace.config.project import load_project
from headrace.errors import BusyError, ConfigError, HeadraceError
from headrace.identity.tokens import TokenFile
from headrace.runtime.child import say, when_parent_ends
from headrace.runtime.state import open_state

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from headrace.config.project import Project

LOOK_SECS = 0.25  # how often tokens are looked at, and slow clients
DRAIN_SECS = 8.0  # `up` waits ten before it kills
SWITCH_SECS = 0.0005  # how long the event loop may keep a lane waiting that has something to answer

log = logging.getLogger("headrace.collector")


class Ending:
    """Whether this process was asked to end; may be asked before there is an event loop, and from any thread."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heard = asyncio.Event()

    def ask(self) -> None:
        """Ask it to end."""
        self._asked.set()
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile
                self._loop.call_soon_threadsafe(self._heard.set)

    async def asked_within(self, secs: float) -> bool:
        """Wait for so long at most; return whether it was asked."""
        self._loop = asyncio.get_running_loop()
        if not self._asked.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), secs)
        return self._asked.is_set()


def main(root: Path, environment: str) -> int:
    """Serve until asked to end; return the exit code."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    sys.setswitchinterval(SWITCH_SECS)
    allow_connections()
    ending = Ending()
    when_parent_ends(ending.ask)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.ask())
    try:
        project = load_project(root, environment)
        open_state(project.state)
        access = let_in(project)
        with (
            contextlib.closing(listen(project.collector.host, project.collector.port)) as listener,
            alone(project.state),
            contextlib.closing(SqliteBus(project.state / "bus")) as bus,
        ):
            asyncio.run(serve(project, access, listener, bus, ending))
    except HeadraceError as problem:
        say(problem=str(problem))
        log.error("%s", problem)
        return 2
    return 0


def allow_connections() -> None:
    """Let this process have as many connections as the system allows: often a thousand, where more are asked for."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def let_in(project: Project) -> Access:
    """Return who is let in. Raises `ConfigError` where other machines could come in and nobody holds a token."""
    settings = project.collector
    access = Access(TokenFile(project.state), is_loopback=settings.is_loopback)
    if not settings.is_loopback and not access.has_live_tokens():
        raise ConfigError(
            access.problem
            or f"the collector would listen on {settings.host}, which other machines reach, without tokens",
            at="headrace.yaml: collector.host",
            fix="make a token: headrace token create --source SOURCE; or listen on 127.0.0.1",
        )
    return access


@contextlib.contextmanager
def alone(state: Path) -> Iterator[None]:
    """Hold the environment's collector: one that still ends must not publish the spool that the next one reads."""
    with (state / "collector.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            raise BusyError(
                "another collector of this environment is still there",
                at=str(state / "collector.lock"),
                fix=f"it ends within seconds; else see who it is: fuser {state / 'collector.lock'}",
            ) from problem
        yield


async def serve(project: Project, access: Access, listener: socket.socket, bus: SqliteBus, ending: Ending) -> None:
    """Take events in until asked to end; then finish what has begun."""
    settings = project.collector
    lanes = Lanes(bus, settings, project.state, asyncio.get_running_loop())
    collector = Collector(project, access, Cors(settings.allowed_origins), lanes)
    serving = Serving(collector, listener, settings)
    serving.start()
    address = listener.getsockname()
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    say(listening=f"http://{host}:{address[1]}", problem="")
    log.info("listening on http://%s:%d", host, address[1])
    while not await ending.asked_within(LOOK_SECS):
        access.refresh()
        collector.sweep()
        if serving.ended:
            raise ConfigError("the HTTP server ended by itself", fix="see its log")
    collector.is_draining = True
    await serving.drain(DRAIN_SECS)
    await asyncio.to_thread(lanes.close)
    log.info("ended")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
