"""What there is to see of a collector: whether it lives and is ready, what it counts, what came in last."""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from headrace.collector import openapi
from headrace.collector.counts import text_of
from headrace.errors import ConfigError, ExternalError
from headrace.http.answer import Answer
from headrace.http.hosts import is_local
from headrace.http.problems import Refused, method_not_allowed, retry_after
from headrace.identity.tokens import Role

if TYPE_CHECKING:
    from headrace.collector.app import Collector
    from headrace.collector.lanes import Lanes
    from headrace.config.project import Project
    from headrace.http.access import Access

PAGES = frozenset({"/health", "/ready", "/metrics", "/openapi.json"})
METHODS = "GET, HEAD"
RECENT_AT_ONCE = 2  # for all workers, one each at least; each reads the lake, beside the ticks
MOST_RECENT = 1000

_RECENT = re.compile(r"/v1/(good|bad)/([^/]+)")


class Look:
    """Answers requests that send no events. Belongs to the event loop."""

    def __init__(
        self, collector: Collector, project: Project, access: Access, lanes: Lanes, at_once: int = RECENT_AT_ONCE
    ) -> None:
        self._collector = collector
        self._project = project
        self._access = access
        self._lanes = lanes
        self._reading = 0
        self._at_once = at_once
        self._readers = ThreadPoolExecutor(at_once, thread_name_prefix="recent")

    async def __call__(self, scope: Any, path: str, request_id: str) -> Answer:
        """Answer one of them. Raises `Refused`."""
        recent = _RECENT.fullmatch(path)
        if path not in PAGES and not recent:
            raise Refused(
                404, "unknown_path", f"there is nothing at {path[:200]!r}", at="path", fix="see GET /openapi.json"
            )
        if scope.method not in {"GET", "HEAD"}:
            raise method_not_allowed(scope.method, METHODS)
        headers = [("content-type", "application/json"), ("x-request-id", request_id)]
        if path == "/health":
            return Answer(200, headers, self._status("alive"))
        if path == "/openapi.json":
            return Answer(200, headers, openapi.document())
        if path == "/ready":
            if why := self._why_not_ready():
                raise retry_after(503, "not_ready", why, secs=2)
            return Answer(200, headers, self._status("ready"))
        self._check(scope.headers)
        if recent:
            return Answer(200, headers, await self._recent(recent[1], recent[2], scope.query_string))
        headers[0] = ("content-type", "text/plain; version=1.0.0; charset=utf-8")
        return Answer(200, headers, self._metrics())

    def _check(self, headers: Any) -> None:
        """Let admins through, and on this machine everybody, until there is a token for it."""
        is_admin = self._access.check(headers.get("authorization"), Role.ADMIN)
        host = headers.get("host")
        if not is_admin and host is not None and not is_local(host):
            # A web page whose name was made to point here reads the answer as its own: it would see the events.
            raise Refused(
                403,
                "host",
                f"this is not shown as {host[:200]!r}",
                at="header Host",
                fix="ask localhost, or use a token",
            )

    def _status(self, word: str) -> bytes:
        counts = self._collector.counts
        return json.dumps({"status": word, "workers": counts.workers, "living": len(counts.living())}).encode()

    def _why_not_ready(self) -> str:
        """Return why events do not go to the bus, here or in another worker, if they do not."""
        if self._collector.is_draining:
            return "the collector is ending"
        if here := self._lanes.problem():
            return here
        elsewhere = self._collector.counts.unready()
        return f"the events of {elsewhere} of the workers do not go to the bus; see their logs" if elsewhere else ""

    def _metrics(self) -> bytes:
        self._collector.note()
        return text_of(self._collector.counts)

    async def _recent(self, kind: str, source: str, query: str) -> bytes:
        if self._reading >= self._at_once:
            raise retry_after(429, "busy", f"{self._reading} others look at what came in last")
        self._reading += 1
        try:
            of = (self._project, kind, source, query)
            return await asyncio.get_running_loop().run_in_executor(self._readers, recent, *of)
        except ConfigError as problem:
            raise Refused(404, "unknown_source", problem.message, at="path", fix=problem.fix) from problem
        except ExternalError as problem:
            raise retry_after(503, "lake", problem.message) from problem
        finally:
            self._reading -= 1


def recent(project: Project, kind: str, source: str, query: str) -> bytes:
    """Return the last accepted (`good`) or rejected (`bad`) messages as JSON; see `runtime.views.recent`.

    `limit` and `after` are what they are there; any other name is the path of a field, its value what that must be.
    """
    from headrace.runtime.views import recent as view

    asked = dict(parse_qsl(query, keep_blank_values=True))
    limit = _number(asked, "limit", 1, MOST_RECENT)
    after = _number(asked, "after", -1, 2**53)
    found = view.recent(project, source, view.Kind(kind), 20 if limit is None else limit, after, asked)
    return json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")


def _number(asked: dict[str, str], name: str, low: int, high: int) -> int | None:
    text = asked.pop(name, None)
    if text is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,19}", text) or not low <= int(text) <= high:
        raise Refused(
            400, "query", f"{name} is {text[:40]!r}", at=f"query {name}", fix=f"a whole number from {low} to {high}"
        )
    return int(text)
