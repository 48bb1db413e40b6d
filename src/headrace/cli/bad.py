"""`headrace bad`: the last rejected messages of a source, each with its reason and its own bytes.

With --json: a line of JSON each: {"source", "seq", "message_id", "partition", "offset", "ingest_time", "attributes",
"payload", "payload_base64", "dataset", "contract_version", "fate", "key", "event_id", "event_time", "trace_id",
"event", "extra", "stage", "code", "reason", "path", "value"}; those from `event_id` to `extra` are null. What the
contract tags as personal is masked. Exits 1 where --wait was not met in time.
"""

from __future__ import annotations

from typing import Any

import typer

from headrace.cli import recent
from headrace.cli.output import visible

FIELDS = ("stage", "code", "reason", "path", "value")


def _show(event: dict[str, Any]) -> None:
    lead = typer.style(f"{event['stage']}/{event['code']}", fg="red")
    typer.echo(f"{event['seq']}  {recent.clock(event['ingest_time'])}  {lead}: {visible(event['reason'])}")
    if event["path"] is not None:
        recent.below(f"{event['path']} = {event['value']}" if event["value"] else event["path"])
    recent.below(event["payload"])


run = recent.verb(
    "bad",
    _show,
    "Show the last rejected messages of a source, newest last: why, where in the message, and its bytes.",
    FIELDS,
)
