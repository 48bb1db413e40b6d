"""`headrace good`: the last accepted events of a source, and what each became.

With --json: a line of JSON each: {"source", "seq", "message_id", "partition", "offset", "ingest_time", "attributes",
"payload", "payload_base64", "dataset", "contract_version", "fate", "key", "event_id", "event_time", "trace_id",
"event", "extra", "stage", "code", "reason", "path", "value"}; those from `stage` on are null. What the contract
tags as personal is masked. Exits 1 where --wait was not met in time.
"""

from __future__ import annotations

import json
from typing import Any

import typer

from headrace.cli import recent

FIELDS = ("event_id", "event_time", "trace_id", "event", "extra")
COLOURS = {"silver": "green", "superseded": "yellow", "duplicate": "yellow"}


def _show(event: dict[str, Any]) -> None:
    lead = typer.style(event["fate"], fg=COLOURS.get(event["fate"]))
    body = event["payload"] if event["event"] is None else json.dumps(event["event"], ensure_ascii=False)
    table = event["dataset"] or "bronze"
    typer.echo(f"{event['seq']}  {recent.clock(event['ingest_time'])}  {lead}  {table}")
    recent.below(body)


run = recent.verb(
    "good", _show, "Show the last accepted events of a source, newest last, and what each became.", FIELDS
)
