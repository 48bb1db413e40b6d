"""The registry's application (RSGI): from a request to an answer. Whatever goes wrong, a client gets its JSON."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from granian.rsgi import ProtocolClosed, ProtocolError  # type: ignore[attr-defined]

from headrace.api.registry import routes
from headrace.api.registry.asked import Asked, query_of
from headrace.api.registry.refusal import Refusal, plain
from headrace.errors import HeadraceError
from headrace.http.hosts import is_local
from headrace.http.incoming import Incoming
from headrace.http.problems import Refused
from headrace.identity.tokens import Role

if TYPE_CHECKING:
    from headrace.api.registry.contracts import Contracts
    from headrace.api.registry.subjects import Registry
    from headrace.http.access import Access

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
MAX_BODY_BYTES = 10 << 20
MAX_PATH = 4096
BODY_SECS = 30.0
THREADS = 4
_TAKEN = re.compile(r"application/(vnd\.schemaregistry(\.v1)?\+json|json|octet-stream)\s*(;.*)?", re.IGNORECASE)

log = logging.getLogger("headrace.registry")


class Application:
    """Answers requests; each runs in a thread, since it waits for the disk, or compares schemas."""

    def __init__(self, registry: Registry, contracts: Contracts, access: Access) -> None:
        self._registry = registry
        self._contracts = contracts
        self._access = access
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="registry")

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        """Answer one request."""
        headers = [("content-type", CONTENT_TYPE)]
        request = Incoming(scope.headers, proto)
        try:
            found = await self._answer(scope, request)
            text = found.text if isinstance(found, routes.Unescaped) else json.dumps(found, ensure_ascii=False)
            status, body = 200, text.encode("utf-8", "replace")
        except Refusal as refusal:
            status, body = refusal.status, refusal.body()
            headers += refusal.headers
        except Refused as refused:
            fix = f"; {refused.fix}" if refused.fix else ""
            status, body = refused.status, plain(refused.status, f"{refused.what}{fix}").body()
            headers += refused.headers
        except HeadraceError as error:
            log.warning("%s %s: %s", scope.method, scope.path[:200], error)
            status, body = 500, Refusal(50001, f"Error in the backend data store: {error.message}").body()
        except (ProtocolClosed, ProtocolError):
            return  # the client went away; there is nobody to answer
        except Exception:  # the outermost edge of a request
            log.exception("%s %s", scope.method, scope.path[:200])
            status, body = 500, Refusal(50001, "this is a bug of Headrace: report it, with the server's log").body()
        headers += request.closing()
        proto.response_bytes(status, headers, b"" if scope.method == "HEAD" else body)

    async def _answer(self, scope: Any, request: Incoming) -> Any:
        if len(scope.path) > MAX_PATH:
            raise plain(414)
        route, names = routes.found(scope.method, scope.path)
        self._let_in(scope.headers, route, names)
        body = await self._body(scope, request) if route.method in {"POST", "PUT"} else None
        takes_more = scope.headers.get("confluent-accept-unknown-properties", "").lower() == "true"
        asked = Asked(self._registry, names, query_of(scope.query_string), body, takes_more)
        return await asyncio.get_running_loop().run_in_executor(self._threads, route.run, asked)

    def _let_in(self, headers: Any, route: routes.Route, names: tuple[str, ...]) -> None:
        """Let a request through, or raise; a producer's token registers in the subject of its own source."""
        shown = _as_bearer(headers.get("authorization"))
        if route.role is None:
            self._access.check_any(shown)
        elif route.role is Role.WRITE and names[0] in self._contracts.subjects:
            self._access.check(shown, Role.WRITE, self._contracts.subjects[names[0]].source)
        else:
            self._access.check(shown, route.role)
        host = headers.get("host")
        if shown is None and host is not None and not is_local(host):
            # A web page whose name was made to point here would read, and write, as if it were local.
            raise plain(403, f"this is not shown as {host[:200]!r}: ask localhost, or use a token")

    async def _body(self, scope: Any, request: Incoming) -> Any:
        kind = scope.headers.get("content-type") or ""
        if not _TAKEN.fullmatch(kind):
            # What a web page may send without asking first is among those that are not taken.
            raise plain(415, f"a body of type {kind[:80]!r} is not taken: send {CONTENT_TYPE}")
        if scope.headers.get("content-encoding", "identity").lower() != "identity":
            raise plain(415, "a compressed body is not taken")
        try:
            text = await asyncio.wait_for(_read(request.proto, scope.headers.get("content-length")), BODY_SECS)
        except TimeoutError:
            raise plain(408) from None
        request.is_read = True
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as problem:
            why = "it nests too deep" if isinstance(problem, RecursionError) else str(problem)
            raise plain(400, f"the body is not JSON: {why}") from None


async def _read(proto: Any, length: str | None) -> bytes:
    if length is not None and length.isascii() and length.isdigit() and int(length) > MAX_BODY_BYTES:
        raise _too_large()
    parts: list[bytes] = []
    size = 0
    async for part in proto:
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        parts.append(part)
    return b"".join(parts)


def _too_large() -> Refusal:
    return plain(413, f"the body is too large: {MAX_BODY_BYTES:,} bytes are taken")


def _as_bearer(authorization: str | None) -> str | None:
    """Return what a request shows; Kafka's clients can send a user and a password: the password is the token."""
    scheme, _, text = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return authorization or None
    try:
        _, _, token = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "Bearer ?"
    return f"Bearer {token}"
