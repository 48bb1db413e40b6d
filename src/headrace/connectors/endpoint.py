"""An HTTP endpoint that events are sent to: reached only where that is allowed, and never waited for too long."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import socket
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

import httpx

from headrace.connectors.push import is_loopback, refused_address, url_fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from headrace.connectors.push import PushesSpec

REFUSED = frozenset({400, 413, 415, 422})
"""What an endpoint answers that will never take this request; all else may heal."""

LONGEST_RETRY_AFTER_SECS = 3600.0
_PROBLEM_CHARACTERS = 200
_WORD = 3  # what is longer may be a secret
_UNLISTED = "its name stands for a private address, and headrace.yaml does not list that under push.networks"
_READ_BYTES = 1 << 16  # of an answer, so that the connection can be used again; nothing of it is kept


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt. `failed`: worth another one, not before `retry_after_secs`; `refused`: it is not."""

    verdict: Literal["delivered", "refused", "failed"]
    problem: str = ""
    retry_after_secs: float = 0.0


class Endpoint:
    """One endpoint, with connections of its own. Belongs to one event loop.

    Redirects are not followed. A name is looked up for each request, and every address that it stands for must be
    public, or in a network that the project lists: the address that was looked at is the one that is connected to.
    Proxies of the environment are not used, since they would look names up themselves. Certificates are held against
    the name; `SSL_CERT_FILE` may name the authorities to trust.
    """

    def __init__(self, rules: PushesSpec, timeout_secs: float, connections: int) -> None:
        self._rules = rules
        self._timeout_secs = timeout_secs
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        inner = httpx.AsyncHTTPTransport(verify=httpx.create_ssl_context(), limits=limits, trust_env=False)
        transport = Guarded(inner, rules.networks, _UNLISTED)
        self._client = httpx.AsyncClient(transport=transport, timeout=timeout_secs, follow_redirects=False)

    async def send(
        self, url: str, body: bytes, headers: Mapping[str, str], hide: Sequence[str] = (), *, secret_url: bool = False
    ) -> Answer:
        """POST a body once. Never raises for what the endpoint does.

        No problem shows the URL, what is in `hide`, or, of a URL that is a secret, its host or any other part of it.
        """
        if wrong := self._not_allowed(url):
            return Answer("failed", wrong)
        try:
            async with asyncio.timeout(self._timeout_secs):
                async with self._client.stream("POST", url, content=body, headers=dict(headers)) as response:
                    await _skim(response)
        except TimeoutError:
            return Answer("failed", f"no answer within {self._timeout_secs:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as problem:
            secrets = (url, *hide, *(_parts(url) if secret_url else ()))
            return Answer("failed", _hidden(_said(problem), secrets)[:_PROBLEM_CHARACTERS])
        return answer_of(response.status_code, response.headers.get("retry-after", ""), dt.datetime.now(dt.UTC))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _not_allowed(self, url: str) -> str:
        """Return why a URL may not be sent to; a file was checked when it loaded, a secret is only known now."""
        if wrong := url_fault(url):
            return f"the endpoint's URL cannot be used: {wrong}"
        try:
            parts = httpx.URL(url)
        except httpx.InvalidURL:  # it says which host, and that may be the secret
            return "the endpoint's URL cannot be used: it is not a URL: write such as https://example.org/hook"
        if parts.scheme == "http" and not is_loopback(parts.host) and parts.host not in self._rules.plain_http:
            return "the endpoint would be sent to without TLS, and headrace.yaml does not list it under push.plain_http"
        return ""


def answer_of(status: int, retry_after: str, now: dt.datetime) -> Answer:
    """Return what an endpoint's status and its Retry-After mean."""
    if 200 <= status < 300:
        return Answer("delivered")
    said = f"the endpoint answered {status}"
    if 300 <= status < 400:
        said += ", and redirects are not followed"
    if status in REFUSED:
        return Answer("refused", said)
    return Answer("failed", said, _seconds(retry_after, now))


def _seconds(retry_after: str, now: dt.datetime) -> float:
    text = retry_after.strip()
    if text.isdecimal() and len(text) < 10:
        seconds = float(text)
    else:
        try:
            at = parsedate_to_datetime(text)
        except (ValueError, TypeError):
            return 0.0
        seconds = ((at if at.tzinfo else at.replace(tzinfo=dt.UTC)) - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECS)


async def _skim(response: httpx.Response) -> None:
    read = 0
    async for chunk in response.aiter_raw():
        read += len(chunk)
        if read > _READ_BYTES:
            return


def _said(problem: BaseException) -> str:
    match problem:
        case httpx.TimeoutException():
            return "no answer in time"
        case _Refused():
            return str(problem)
        case httpx.ConnectError():
            return f"no connection: {problem}"
        case httpx.RemoteProtocolError() | httpx.ReadError() | httpx.WriteError():
            return "the endpoint closed the connection amid the request"
        case _:
            return f"the request failed: {type(problem).__name__}"


def _hidden(text: str, secrets: Iterable[str]) -> str:
    """Return a text without secrets, in whatever case it has them; the longest go first, which may hold others."""
    found = sorted({each for each in secrets if each}, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, found)), "***", text, flags=re.IGNORECASE) if found else text


def _parts(url: str) -> list[str]:
    """Return what a library may name of a URL that it cannot reach: host, path and query, and each part of these.

    Parts of three characters and less are not among them: they would hide words of any sentence, and are no secret.
    """
    parts, seen = urlsplit(url), httpx.URL(url)
    hosts = [parts.netloc, parts.hostname or "", seen.host, seen.raw_host.decode("ascii")]
    whole = [parts.path, seen.path, parts.query, f"{parts.path}?{parts.query}"]
    words = [word for text in whole for word in re.split(r"[/&=?]", text)]
    return [*hosts, *(each for text in (*whole, *words) for each in (text, unquote(text)) if len(each) > _WORD)]


class _Refused(httpx.ConnectError):
    """An address that may not be connected to."""


class Guarded(httpx.AsyncBaseTransport):
    """Looks a name up, refuses what it may not stand for, and connects to the very address that it looked at."""

    def __init__(self, inner: httpx.AsyncHTTPTransport, networks: tuple[str, ...], why: str) -> None:
        """Let connections to public addresses, to `networks` and to loopback pass; `why` tells of another."""
        self._inner = inner
        self._networks = networks
        self._why = why

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the address that its host stands for."""
        host = request.url.host
        if not is_loopback(host):
            address = await self._address(host, request)
            request.extensions = {**request.extensions, "sni_hostname": host}
            request.url = request.url.copy_with(host=address)  # the Host header keeps the name
        return await self._inner.handle_async_request(request)

    async def _address(self, host: str, request: httpx.Request) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as problem:
            raise httpx.ConnectError(f"the name is not known ({problem.strerror})", request=request) from problem
        addresses = [str(each[4][0]) for each in found]
        for each in addresses:
            if refused_address(each, self._networks):
                raise _Refused(self._why, request=request)
        return addresses[0]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()
