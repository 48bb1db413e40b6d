"""`headrace bad`: the last rejected messages of a source, each with its reason and its own bytes.

With --json: a line of JSON each: {"source", "seq", "message_id", "partition", "offset", "ingest_time", "attributes",
"payload", "payload_base64", "dataset", "contract_version", "stage", "code", "reason", "path", "value"}. Exits 1 where
--wait was not met in time.
"""

from __future__ import annotations

from typing import Any

import typer

from headrace.cli import recent
from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project


def run(
    source: recent.SourceId,
    limit: recent.Limit = 20,
    follow: recent.Follow = False,
    after: recent.After = None,
    where: recent.Where = None,
    wait: recent.Wait = None,
    timeout: recent.Timeout = 30.0,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Show the last rejected messages of a source, newest last: why, where in the message, and its bytes."""
    from headrace.runtime.views.recent import bad

    recent.tell(
        open_project(project, env), source, bad, _show,
        limit=limit, follow=follow, after=after, where=where, wait=wait, timeout=timeout, as_json=as_json,
    )  # fmt: skip


def _show(event: dict[str, Any]) -> None:
    lead = typer.style(f"{event['stage']}/{event['code']}", fg="red")
    typer.echo(f"{event['seq']}  {recent.clock(event['ingest_time'])}  {lead}: {event['reason']}")
    if event["path"] is not None:
        recent.below(f"{event['path']} = {event['value']}" if event["value"] else event["path"])
    recent.below(event["payload"])
