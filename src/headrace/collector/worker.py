"""A worker: takes events in on a socket that it was given. Where there is one only, it is the collector's process.

Where there are several, each is a process of its own, `python -m headrace.collector.worker`, a child of the collector's
(see `workers`), with a socket of its own on their port.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import socket
import sys
from typing import TYPE_CHECKING

from headrace.bus.sqlite import SqliteBus
from headrace.collector import board
from headrace.collector.app import Collector
from headrace.collector.cors import Cors
from headrace.collector.counts import Counts
from headrace.collector.lanes import Lanes, spool_folder
from headrace.collector.share import SERVER, Share
from headrace.errors import ConfigError
from headrace.http.access import Access
from headrace.http.serve import Serving, listen
from headrace.identity.tokens import TokenFile
from headrace.runtime.child import say
from headrace.runtime.child_life import run_child

if TYPE_CHECKING:
    from headrace.config.project import Project
    from headrace.runtime.child_life import Ending

LOOK_SECS = 0.25  # how often tokens are looked at, and slow clients
DRAIN_SECS = 8.0  # `up` waits ten before it kills
SWITCH_SECS = 0.0005  # how long the event loop may keep a lane waiting that has something to answer

log = logging.getLogger("headrace.collector")


def take_in(project: Project, listener: socket.socket, ending: Ending, counts: Counts, share: Share) -> None:
    """Take events in until asked to end, then finish what has begun; the listener is closed at the end."""
    sys.setswitchinterval(SWITCH_SECS)
    allow_connections()
    access = Access(TokenFile(project.state), is_loopback=project.collector.is_loopback)
    with contextlib.closing(listener), contextlib.closing(SqliteBus(project.state / "bus")) as bus:
        asyncio.run(_serve(project, access, listener, bus, ending, counts, share))


def allow_connections() -> None:
    """Let this process have as many connections as the system allows: often a thousand, where more are asked for."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(
    project: Project,
    access: Access,
    listener: socket.socket,
    bus: SqliteBus,
    ending: Ending,
    counts: Counts,
    share: Share,
) -> None:
    limits = share.limits(project.collector)
    spools = spool_folder(project.collector, project.state)
    lanes = Lanes(bus, limits, share.spool(spools), asyncio.get_running_loop(), share.orphans(spools))
    collector = Collector(project, limits, access, Cors(limits.allowed_origins), lanes, counts)
    serving = Serving(collector, listener, max_connections=limits.max_connections, header_secs=limits.header_secs)
    listen(listener, SERVER)
    serving.start()
    # What is there now stays: the collector of garbage, which stops all threads, need not look through it ever again.
    gc.collect()
    gc.freeze()
    address = listener.getsockname()
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    say(listening=f"http://{host}:{address[1]}", pid=os.getpid(), problem="")
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
    _, folder, name, *numbers = sys.argv
    which, of, listening, shared = map(int, numbers)
    logging.basicConfig(format=f"%(asctime)s %(levelname)s %(name)s: worker {which}: %(message)s", level=logging.INFO)

    def work(project: Project, ending: Ending) -> None:
        """Serve as one worker of several."""
        counts = Counts(board.opened(shared, which, of))
        take_in(project, socket.socket(fileno=listening), ending, counts, Share(which, of))

    sys.exit(run_child(work, folder, name))
