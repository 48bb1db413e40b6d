"""The bodies of requests and messages: an event, a CloudEvent, or the data alone; one, or several in an array."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.runtime.relay.rounds import Row

Payload = Literal["event", "cloudevent", "data"]


def event_type(source: str, row: Row) -> str:
    """Return what a row tells of: `orders.silver`, `orders.quarantined`, `orders.batch`, `gold.published`."""
    return f"{row.dataset or source or 'gold'}.{row.kind}"


def message_id(source: str, push: str, rows: Sequence[Row]) -> str:
    """Return what makes a request itself: the same whenever it is repeated; without dots, as receivers expect."""
    if len(rows) == 1:
        text = f"{source or 'gold'}-{push}-{rows[0].id}"
    else:
        digest = hashlib.sha256("\n".join(row.id for row in rows).encode()).hexdigest()[:16]
        text = f"{source}-{push}-{rows[0].id}-{len(rows)}-{digest}"
    return text.replace(".", "_")


def body(payload: Payload, project: str, source: str, rows: Sequence[Row], *, several: bool) -> tuple[bytes, str]:
    """Return the body of a request and its content type; with `several` an array, of one event too."""
    texts = [document(payload, project, source, row) for row in rows]
    text = f"[{','.join(texts)}]" if several else texts[0]
    kind = "application/json"
    if payload == "cloudevent":
        kind = "application/cloudevents-batch+json" if several else "application/cloudevents+json"
    return text.encode(), kind


def document(payload: Payload, project: str, source: str, row: Row) -> str:
    """Return one row as JSON text; its data stands in it as it is, not a digit changed."""
    if payload == "data":
        return row.data
    at = row.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if payload == "event":
        named = {"id": row.id, "type": event_type(source, row), "timestamp": at}
    else:
        named = {
            "specversion": "1.0",
            "id": row.id,
            "source": f"/headrace/{project}/{source or 'gold'}",
            "type": event_type(source, row),
            "time": at,
            "datacontenttype": "application/json",
        }
        if row.trace_id:
            named["traceparent"] = traceparent(row)
    return f'{json.dumps(named, ensure_ascii=False)[:-1]}, "data": {row.data}}}'


def traceparent(row: Row) -> str:
    """Return the W3C trace context of what is sent: the event's trace, and a span that is the row's own."""
    span = hashlib.sha256(row.id.encode()).hexdigest()[:16]
    return f"00-{row.trace_id}-{span}-01"
