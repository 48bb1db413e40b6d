"""The HTTP server around the application: granian, on a socket that is ours."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.embed import Server

from headrace.errors import ConfigError

if TYPE_CHECKING:
    from headrace.config.collector import CollectorSpec

BACKLOG = 2048
HEAD_BYTES = 64 << 10


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises `ConfigError` where the port is taken.

    Made here, and not by granian: that one shares its port with whoever else would, and two projects of one user would
    take each other's events.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as problem:
        listener.close()
        raise ConfigError(
            f"the collector cannot listen on {host} port {port}: {problem.strerror}",
            at="headrace.yaml: collector.port",
            fix="take another port: HEADRACE_COLLECTOR_PORT=8081 headrace up, or `collector: {port: 8081}`; "
            "0 takes a free one",
        ) from problem
    listener.setblocking(False)
    return listener


class _Granian(Server):
    """granian's embedded server, on a socket that is listening already."""

    def __init__(self, listener: socket.socket, **options: Any) -> None:
        super().__init__(**options)
        self._listener = listener

    def _init_shared_socket(self) -> None:
        # It closes the descriptor that it is given.
        holder: Any = SocketHolder
        self._shd: Any = holder(os.dup(self._listener.fileno()), False, BACKLOG)
        self._sfd: Any = self._shd.get_fd()
        self._ssp = None


class Serving:
    """A server that runs in this event loop from `start` to `drain`."""

    def __init__(self, application: Any, listener: socket.socket, settings: CollectorSpec) -> None:
        self._server = _Granian(
            listener,
            target=application,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=settings.max_connections,
            http1_settings=HTTP1Settings(
                header_read_timeout=int(settings.header_secs * 1000), max_buffer_size=HEAD_BYTES
            ),
            log_enabled=False,
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take connections from now on."""
        self._task = asyncio.get_running_loop().create_task(self._server.serve())

    @property
    def ended(self) -> bool:
        """Whether it ended by itself, which it should not."""
        return self._task is not None and self._task.done()

    async def drain(self, patience_secs: float) -> None:
        """Take no more connections, and let requests that have begun come to their end, for so long at most."""
        self._server.stop()  # type: ignore[no-untyped-call]
        assert self._task is not None  # noqa: S101 - started before
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._task, patience_secs)
