"""Where one push sends its rows: an endpoint, or a topic."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pyarrow as pa

import headrace
from headrace.connectors.endpoint import Answer, Endpoint
from headrace.connectors.signing import signed, signing_key
from headrace.errors import ConfigError
from headrace.runtime.relay import bodies
from headrace.secrets.reference import SecretReference, is_reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.bus.base import Bus, Once
    from headrace.config.project import Project
    from headrace.connectors.push import PushSpec, TargetSpec
    from headrace.runtime.relay.rounds import Row

TOPIC_ROWS = 5_000


class Webhook:
    """Sends requests to an endpoint, signed. Secrets are looked up for each request: a new value needs no restart."""

    def __init__(self, project: Project, source: str, push: TargetSpec, max_events: int, concurrency: int) -> None:
        self._project = project
        self._source = source
        self._push = push
        self._several = max_events > 1
        self._endpoint = Endpoint(project.push, push.retry.timeout.total_seconds(), concurrency)

    async def send(self, rows: Sequence[Row]) -> Answer:
        """Send rows in one request; what is wrong with a secret is a failure like any other, that may heal."""
        push = self._push
        try:
            keys = [signing_key(SecretReference.parse(each).resolve(self._project.root), each) for each in push.secret]
            url, *values = [self._revealed(each) for each in (push.to or "", *push.headers.values())]
        except ConfigError as problem:
            return Answer("failed", problem.message)
        payload = push.payload or "event"
        body, kind = bodies.body(payload, self._project.name, self._source, rows, several=self._several)
        ours = signed(bodies.message_id(self._source, push.name, rows), int(time.time()), body, keys)
        headers = {
            **dict(zip(push.headers, values, strict=True)),
            **ours,
            "content-type": kind,
            "user-agent": f"headrace/{headrace.__version__}",
        }
        if len(rows) == 1 and rows[0].trace_id:
            headers["traceparent"] = bodies.traceparent(rows[0])
        return await self._endpoint.send(url, body, headers, hide=values, secret_url=is_reference(push.to or ""))

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoint.close()

    def _revealed(self, text: str) -> str:
        if not is_reference(text):
            return text
        return SecretReference.parse(text).resolve(self._project.root).reveal()


def publish(bus: Bus, project: str, source: str, push: PushSpec, rows: Sequence[Row], once: Once) -> None:
    """Publish rows to the topic of a push, each once however often this runs. Raises `BusError`, `SpaceError`."""
    payloads = [bodies.document(push.body, project, source, row).encode() for row in rows]
    attributes = []
    for row in rows:
        said = {"source": source, "push": push.name, "event_id": row.id, "type": bodies.event_type(source, row)}
        if row.dataset:
            said["from_dataset"] = row.dataset
        if row.trace_id:
            said["traceparent"] = bodies.traceparent(row)
        attributes.append(list(said.items()))
    batch = pa.record_batch(
        {
            "payload": pa.array(payloads, pa.binary()),
            "attributes": pa.array(attributes, pa.map_(pa.string(), pa.string())),
        }
    )
    assert push.topic is not None  # noqa: S101 - a push without an endpoint has a topic
    bus.publish(push.topic, batch, once=once)


async def sent(webhook: Webhook, requests: Sequence[Sequence[Row]]) -> list[Answer]:
    """Send requests side by side, and return their answers in the same order."""
    return list(await asyncio.gather(*(webhook.send(rows) for rows in requests)))
