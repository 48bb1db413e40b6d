"""The collector's application (RSGI): from a request to an answer, on one screen in `Collector._events`."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from granian.rsgi import ProtocolClosed, ProtocolError  # type: ignore[attr-defined]

from headrace.collector import body as bodies
from headrace.collector import split as splitting
from headrace.collector import trace
from headrace.collector.cors import METHODS, PREFLIGHT
from headrace.collector.lane import Acknowledged, Parcel
from headrace.collector.look import RECENT_AT_ONCE, Look
from headrace.collector.room import Held, InFlight
from headrace.config.faults import did_you_mean
from headrace.http.answer import Answer
from headrace.http.incoming import Incoming
from headrace.http.problems import Refused, method_not_allowed, retry_after
from headrace.identity.tokens import Role
from headrace.words import DATASET_ATTRIBUTE

if TYPE_CHECKING:
    from headrace.collector.cors import Cors
    from headrace.collector.counts import Counts
    from headrace.collector.lanes import Lanes
    from headrace.config.collector import CollectorSpec
    from headrace.config.project import Project
    from headrace.config.source import Source
    from headrace.http.access import Access

SMALL_BYTES = 64 << 10  # above this, unpacking and splitting get a thread: the loop answers others meanwhile
UNPACKERS = 2  # how many of these threads there are; each may hold many times a body's size
WHOLE_BYTES = 256 << 10  # up to this, a body of known size is read in one step
EVENTS = "/v1/events/"

log = logging.getLogger(__name__)


class Collector:
    """Answers requests until it is drained. Everything here belongs to the event loop."""

    def __init__(
        self, project: Project, limits: CollectorSpec, access: Access, cors: Cors, lanes: Lanes, counts: Counts
    ) -> None:
        self._project = project
        self._sources = project.sources
        self._limits = limits
        self._access = access
        self._cors = cors
        self._lanes = lanes
        self.counts = counts
        self.in_flight = InFlight(limits)
        self.is_draining = False
        self._unpackers = ThreadPoolExecutor(UNPACKERS, thread_name_prefix="unpack")
        self._look = Look(self, project, access, lanes, max(1, RECENT_AT_ONCE // counts.workers))
        self._reading: dict[asyncio.Task[Any], float] = {}

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        """Answer one request."""
        headers = scope.headers
        request = Incoming(headers, proto)
        request_id = trace.request_id(headers.get("x-request-id"))
        source = ""
        try:
            path: str = scope.path
            if path.startswith(EVENTS):
                source = path[len(EVENTS) :]
            if (origin := headers.get("origin")) is not None:
                self._cors.check(origin)
            if source:
                answer = await self._events(scope, request, source, request_id)
            else:
                answer = await self._look(scope, path, request_id)
        except Refused as refused:
            answer = self._refusal(refused, source, request_id)
        except asyncio.CancelledError:
            answer = self._refusal(_too_slow(self._limits), source, request_id)
        except (ProtocolClosed, ProtocolError):  # the client went away; there is nobody to answer
            self.counts.refused(source if source in self._sources else "", 499, "client_gone")
            return
        except Exception:  # the outermost edge of a request
            log.exception("request %s", request_id)
            bug = Refused(500, "internal", "this is a bug of Headrace", fix="report it, with this request's id")
            answer = self._refusal(bug, source, request_id)
        if (origin := headers.get("origin")) is not None:
            answer.headers.extend(self._cors.headers(origin))
        if not request.is_read:
            answer.headers.extend(request.closing())
        proto.response_bytes(answer.status, answer.headers, answer.body)

    async def _events(self, scope: Any, request: Incoming, name: str, request_id: str) -> Answer:
        """Take events in: let in, read, split, make durable, acknowledge."""
        started = time.perf_counter()
        headers = scope.headers
        if scope.method != "POST":
            if scope.method == "OPTIONS":
                return Answer(204, [*PREFLIGHT, ("x-request-id", request_id)], b"")
            raise method_not_allowed(scope.method, METHODS)
        if self.is_draining:
            raise retry_after(503, "draining", "the collector is ending", secs=2)
        source = self._source(name, headers.get("authorization"))
        layout = splitting.layout_of(headers.get("content-type") or "")
        encoding = bodies.encoding_of(headers.get("content-encoding"))
        dataset = self._dataset(source, scope)
        size = bodies.length_of(headers.get("content-length"), self._limits)
        held = self.in_flight.hold(source.id)
        try:
            body = await self._read(request, size, held)
            if len(body) > SMALL_BYTES or encoding:
                unpack = asyncio.get_running_loop().run_in_executor
                messages, plain = await unpack(self._unpackers, self._messages, body, layout, encoding)
            else:
                messages, plain = splitting.split(body, layout, self._limits), len(body)
            held.take(plain - held.bytes)
            parent = trace.traceparent(headers.get("traceparent"))
            attributes = [("traceparent", parent), *dataset]
            acknowledged = Acknowledged(None, None)
            if messages:
                parcel = Parcel(messages, attributes, plain, asyncio.get_running_loop().create_future())
                self._lanes.of(source.topic).send(parcel)
                acknowledged = await parcel.done
        finally:
            held.release()
        self.counts.accepted(source.id, len(messages), plain, time.perf_counter() - started)
        return Answer(
            202,
            [("content-type", "application/json"), ("x-request-id", request_id), ("traceparent", parent)],
            _receipt(len(messages), request_id, acknowledged),
        )

    def _source(self, name: str, authorization: str | None) -> Source:
        """Return the source that a request may send to. Who may not see sources is not told which there are."""
        is_admin = self._access.check(authorization, Role.WRITE, name)
        source = self._sources.get(name)
        if source is None:
            may_see = is_admin or self._access.is_open(Role.ADMIN)
            fix = (did_you_mean(name, self._sources) if may_see else "") or "ask the operator for its name"
            raise Refused(404, "unknown_source", f"no source {name!r}", at="path", fix=fix)
        return source

    @staticmethod
    def _dataset(source: Source, scope: Any) -> list[tuple[str, str]]:
        """Return the attributes that route and decode a message: its table, and that it is JSON where CSV is usual."""
        attributes = [("content-type", "application/json")] if source.message_format == "csv" else []
        tables = source.spec.ingestion.tables
        if not tables:
            return attributes
        name = scope.headers.get("headrace-dataset") or _query(scope.query_string, "dataset")
        known = [table.name for table in tables]
        if name not in known:
            what = f"source {source.id!r} has tables, and none was named" if name is None else f"no table {name!r}"
            raise Refused(
                400,
                "unknown_dataset",
                what,
                at="query dataset, or header Headrace-Dataset",
                fix=did_you_mean(name or "", known) or "name one of the source's tables",
            )
        return [*attributes, (DATASET_ATTRIBUTE, name)]

    async def _read(self, request: Incoming, size: int | None, held: Held) -> bytes:
        """Return the body; `sweep` cancels this where the client is too slow."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a request is always answered in a task
        self._reading[task] = time.monotonic()
        try:
            if size is None or size > WHOLE_BYTES:
                body = await bodies.read_body(request.proto, self._limits, held.take)
            else:
                held.take(size)
                body = await request.proto()
        except ProtocolClosed:
            raise bodies.short_body(f"Content-Length says {size or 0:,} bytes, and fewer came") from None
        finally:
            del self._reading[task]
        if size is not None and len(body) != size:
            raise bodies.short_body(f"Content-Length says {size:,} bytes, and {len(body):,} came")
        request.is_read = True
        return body

    def _messages(self, body: bytes, layout: splitting.Layout, encoding: str) -> tuple[list[bytes], int]:
        plain = bodies.plain(body, encoding, self._limits)
        return splitting.split(plain, layout, self._limits), len(plain)

    def sweep(self) -> None:
        """Give up on clients that take too long to send their bodies, and note how much waits; a few times a second."""
        late = time.monotonic() - self._limits.body_secs
        for task, since in list(self._reading.items()):
            if since < late:
                task.cancel()
        self.note()

    def note(self) -> None:
        """Let all workers see what waits here."""
        gauges, totals = self._lanes.gauges(), self._lanes.totals()
        gauges["waiting_bytes"] = self.in_flight.bytes
        gauges["waiting_requests"] = self.in_flight.requests
        gauges["draining"] = self.is_draining
        gauges["unready"] = bool(self._lanes.problem())
        self.counts.note(gauges, totals)

    def _refusal(self, refused: Refused, source: str, request_id: str) -> Answer:
        # Only names of sources that exist become labels: clients must not make the metrics grow.
        self.counts.refused(source if source in self._sources else "", refused.status, refused.reason)
        if refused.status >= 500:
            log.warning("request %s: %d %s: %s", request_id, refused.status, refused.reason, refused.what)
        headers = [("content-type", "application/problem+json"), ("x-request-id", request_id), *refused.headers]
        return Answer(refused.status, headers, refused.body(request_id))


def _receipt(accepted: int, request_id: str, of: Acknowledged) -> bytes:
    first, last = (f'"{each}"' if each is not None else "null" for each in of)
    return (
        f'{{"accepted":{accepted},"request_id":"{request_id}","first_message_id":{first},"last_message_id":{last}}}'
    ).encode()


def _query(query: str, name: str) -> str | None:
    from urllib.parse import parse_qs

    found = parse_qs(query, keep_blank_values=True).get(name)
    return found[-1] if found else None


def _too_slow(limits: CollectorSpec) -> Refused:
    return Refused(
        408,
        "slow_body",
        f"the body did not come within {limits.body_secs:g} seconds",
        at="body",
        fix="send smaller bodies, or raise `collector: {body_secs: …}` in headrace.yaml",
    )
