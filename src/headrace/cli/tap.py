"""`headrace tap`: see the events of a source pass, good and bad, each with its fate.

It reads what is committed, as `good --follow` does, and so never slows the writer. With --json: a line of JSON each, as
`good` and `bad` show it; `key` has the values of the key by field. What the contract tags as personal is masked. Ctrl-C
ends it with exit 0.
"""

from __future__ import annotations

import json
import shutil
from typing import Annotated, Any

import typer

from headrace.cli import bad, good, recent
from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import is_interrupt, visible

FIELDS = (*good.FIELDS, *bad.FIELDS)
COLOURS = {**good.COLOURS, "quarantined": "red"}
_FATE_WIDTH = len("quarantined")

Most = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="End after this many.")]
Quarantined = Annotated[bool, typer.Option("--quarantined", help="Only those that are rejected.")]
From = Annotated[
    int | None,
    typer.Option(
        "--after", metavar="SEQ", min=-1, help="Begin after this one, -1 with the first (default: with what comes now)."
    ),
]


def run(
    source: recent.SourceId,
    quarantined: Quarantined = False,
    limit: Most = None,
    after: From = None,
    where: recent.Where = None,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Show the events of a source as they pass, a line each: time, fate, key, and the event or why it was rejected."""
    try:
        kind = "bad" if quarantined else "all"
        messages = recent.Messages(open_project(project, env), source, kind, (*recent.MESSAGE, *FIELDS), where)
        if not recent.is_up(messages.project):
            typer.echo("no `headrace up` runs here: what the next one commits is shown then", err=True)
        cursor = messages.read(0)["cursor"] if after is None else after
        recent.Told(_show, as_json).all(messages.follow(cursor), limit)
    except BaseException as problem:
        if not is_interrupt(problem):
            raise


def line(event: dict[str, Any], width: int) -> str:
    """Return a message as one line of at most so many characters."""
    told = [recent.clock(event["ingest_time"]), event["fate"].ljust(_FATE_WIDTH)]
    if event["key"]:
        told.append(" ".join(f"{name}={_brief(value)}" for name, value in event["key"].items()))
    if event["stage"]:
        told.append(f"{event['stage']}/{event['code']} at {event['path'] or 'the message'}: {event['reason']}")
    else:
        told.append(event["payload"] if event["event"] is None else _brief(event["event"]))
    text = visible(" ".join(" ".join(told).split("\n")))
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _brief(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _show(event: dict[str, Any]) -> None:
    text = line(event, shutil.get_terminal_size().columns)
    fate = event["fate"]
    typer.echo(text.replace(fate, typer.style(fate, fg=COLOURS.get(fate)), 1))
