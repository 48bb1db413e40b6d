"""A static Iglu repository on another machine: one file a version, asked for by name, bounded in every way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from headrace.connectors.endpoint import Guarded
from headrace.connectors.push import is_loopback, url_fault
from headrace.errors import ExternalError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.contracts.iglu import Family

MAX_BYTES = 1 << 20  # what a file of a project may have
MAX_REQUESTS = 300
TIMEOUT_SECS = 20.0
ANYWHERE = ("0.0.0.0/0", "::/0")


class IgluRepository:
    """One repository.

    Redirects are not followed. Unless `private` is allowed, no address that is not public is connected to, whatever
    name leads to it; the address that was looked at is the one that is asked. Proxies of the environment are not used.
    """

    def __init__(self, url: str, *, private: bool = False) -> None:
        if wrong := url_fault(url):
            raise InputError(
                f"the repository cannot be asked: {wrong}", at=url, fix="write such as https://iglucentral.com"
            )
        host = httpx.URL(url).host
        if is_loopback(host) and not private:
            raise InputError("the repository is this machine", at=url, fix="add --allow-private if it is meant")
        self.url = url.rstrip("/")
        self._private = private
        self._asked = 0

    def versions(self, family: Family) -> Iterator[tuple[str, bytes]]:
        """Yield the versions of a schema with their bytes, as far as they follow each other.

        A static repository has no list: additions are asked for until there is none, then the next revision, then the
        next model. Raises `ExternalError` where it does not answer, `InputError` where it answers too much.
        """
        model = family.model or 1
        while (first := self.version(family, f"{model}-0-0")) is not None:
            yield f"{model}-0-0", first
            revision, addition = 0, 1
            while True:
                version = f"{model}-{revision}-{addition}"
                content = self.version(family, version)
                if content is not None:
                    yield version, content
                    addition += 1
                elif addition:
                    revision, addition = revision + 1, 0
                else:
                    break
            if family.model is not None:
                return
            model += 1

    def version(self, family: Family, version: str) -> bytes | None:
        """Return the bytes of one version, None where the repository has none. Raises as `versions` does."""
        self._asked += 1
        if self._asked > MAX_REQUESTS:
            raise ExternalError(f"it has more than {MAX_REQUESTS} versions", at=self.url, fix="name the version")
        url = f"{self.url}/{family.folder}/{version}"
        try:
            return asyncio.run(self._answer(url))
        except TimeoutError:
            raise ExternalError(f"no answer within {TIMEOUT_SECS:g} s", at=url, fix="try again") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as problem:
            raise ExternalError(
                f"it cannot be fetched: {problem}", at=url, fix="try again, or see the address"
            ) from problem

    async def _answer(self, url: str) -> bytes | None:
        inner = httpx.AsyncHTTPTransport(verify=httpx.create_ssl_context(), trust_env=False)
        why = "its name stands for a private address: add --allow-private if it is meant"
        transport = Guarded(inner, ANYWHERE if self._private else (), why)
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        async with (
            asyncio.timeout(TIMEOUT_SECS),
            httpx.AsyncClient(transport=transport, timeout=TIMEOUT_SECS, headers=headers) as client,
            client.stream("GET", url, follow_redirects=False) as response,
        ):
            if response.status_code == httpx.codes.NOT_FOUND:
                return None
            if response.status_code != httpx.codes.OK:
                said = f"it answered {response.status_code}"
                if response.is_redirect:
                    said += ", and redirects are not followed"
                raise ExternalError(said, at=url, fix="give the address that it leads to, if you trust that")
            parts, size = [], 0
            async for part in response.aiter_raw():
                size += len(part)
                if size > MAX_BYTES:
                    raise InputError(f"it is larger than {MAX_BYTES:,} bytes", at=url, fix="no schema of a project is")
                parts.append(part)
            return b"".join(parts)
