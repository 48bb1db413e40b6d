"""The HTTP server around the application: granian, on a socket that is ours."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.embed import Server as Embedded

from headrace.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

BACKLOG = 2048
EACH_ITS_OWN = sys.platform == "linux"  # others give all connections to one of the sockets of a port
HEAD_BYTES = 64 << 10


class Server(NamedTuple):
    """What a server is called, where its port is set, and what to type where that is taken."""

    what: str
    at: str
    fix: str


def listeners(host: str, port: int, server: Server, count: int = 1) -> list[socket.socket]:
    """Return a socket on a port for each worker; only the first one listens. Raises `ConfigError` where it is taken.

    Made here, and not by granian: that one shares its port with whoever else would, and two projects of one user would
    take each other's events. On Linux they are several, and the kernel deals connections out among those that listen;
    elsewhere they are one and the same.
    """
    first = _bound(host, port, server)
    if count > 1 and EACH_ITS_OWN:
        # Only now, when the port was found to be free of others: those who say it at once may share one.
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    with _mapped(host, port, server):
        first.listen(BACKLOG)
    if count == 1 or not EACH_ITS_OWN:
        return [first] * count
    return [first, *(_bound(host, first.getsockname()[1], server, is_shared=True) for _ in range(count - 1))]


def listen(listener: socket.socket, server: Server) -> None:
    """Let a socket take connections, if it does not yet. Raises `ConfigError` where others have the port by now."""
    host, port = listener.getsockname()[:2]
    with _mapped(host, port, server):
        listener.listen(BACKLOG)


def refuse(listener: socket.socket) -> None:
    """Let a socket take none, until `listen`: those that come go to others on the port. Who waits there is cut off."""
    with contextlib.suppress(OSError):  # it listens no more
        listener.shutdown(socket.SHUT_RD)


def _bound(host: str, port: int, server: Server, *, is_shared: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        with _mapped(host, port, server):
            listener.bind((host, port))
    except ConfigError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


@contextlib.contextmanager
def _mapped(host: str, port: int, server: Server) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise ConfigError(
            f"{server.what} cannot listen on {host} port {port}: {problem.strerror}", at=server.at, fix=server.fix
        ) from problem


class _Granian(Embedded):
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

    def __init__(self, application: Any, listener: socket.socket, *, max_connections: int, header_secs: float) -> None:
        self._server = _Granian(
            listener,
            target=application,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=max_connections,
            http1_settings=HTTP1Settings(header_read_timeout=int(header_secs * 1000), max_buffer_size=HEAD_BYTES),
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
