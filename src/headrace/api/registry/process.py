"""The registry's server: from a project to a socket that answers, until it is asked to end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import signal
from typing import TYPE_CHECKING

from headrace.api.registry.app import Application
from headrace.api.registry.contracts import Contracts
from headrace.api.registry.store import Store
from headrace.api.registry.subjects import Registry
from headrace.errors import ConfigError, InternalError, UserError
from headrace.http.access import Access
from headrace.http.serve import Server, Serving, listeners
from headrace.identity.tokens import TokenFile
from headrace.runtime.state import open_state

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from headrace.config.project import Project
    from headrace.contracts.compatibility import ContentModel

LOOK_SECS = 1.0  # how often files and tokens are looked at again
DRAIN_SECS = 8.0
HEADER_SECS = 10.0
MAX_CONNECTIONS = 1000
SERVER = Server("the registry", "--port", "take another port: --port 8082; 0 takes a free one")

log = logging.getLogger("headrace.registry")


def serve(
    project: Project, host: str, port: int, model: ContentModel, listening: Callable[[str, Contracts], None]
) -> None:
    """Answer requests until SIGINT or SIGTERM; `listening` is told the address once it does, and the subjects.

    Raises `ConfigError` where other machines could come in and nobody holds a token, or the port is taken.
    """
    is_loopback = _is_loopback(host)
    open_state(project.state)
    access = Access(TokenFile(project.state), is_loopback=is_loopback)
    if not is_loopback and not access.has_live_tokens():
        raise ConfigError(
            access.problem or f"the registry would listen on {host}, which other machines reach, without tokens",
            at="--host",
            fix="make a token: headrace token create --all-sources; or listen on 127.0.0.1",
        )
    with contextlib.closing(Store(project.state)) as store:
        contracts = Contracts(project, store)
        application = Application(Registry(store, contracts, model), contracts, access)
        (listener,) = listeners(host, port, SERVER)
        with contextlib.closing(listener):
            asyncio.run(_serve(application, listener, contracts, access, listening))


async def _serve(
    application: Application,
    listener: socket.socket,
    contracts: Contracts,
    access: Access,
    listening: Callable[[str, Contracts], None],
) -> None:
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    serving = Serving(application, listener, max_connections=MAX_CONNECTIONS, header_secs=HEADER_SECS)
    serving.start()
    address = listener.getsockname()
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    listening(f"http://{shown}:{address[1]}", contracts)
    _tell_unlisted(contracts)
    while not asked.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asked.wait(), LOOK_SECS)
        access.refresh()
        if await asyncio.to_thread(contracts.refresh):
            log.warning("%s", contracts.problem or "the project's files changed, and are served as they are now")
            _tell_unlisted(contracts)
        if serving.ended:
            raise InternalError("the HTTP server ended by itself")
    await serving.drain(DRAIN_SECS)


def _tell_unlisted(contracts: Contracts) -> None:
    for subject in contracts.subjects.values():
        if subject.unlisted:
            log.warning(
                "messages of %s framed under %s would be quarantined: connectors/%s.yaml does not list their ids; "
                "headrace registry ids %s",
                subject.dataset,
                ", ".join(subject.unlisted),
                subject.source,
                subject.source,
            )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise UserError(
            f"{host!r} is no address to listen on", at="--host", fix="write 127.0.0.1, 0.0.0.0, ::1 or another of ours"
        ) from None
