"""`headrace explain`: the one fate of a message, and why."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output

PAYLOAD_SHOWN = 400
COLOURS = {"passed": "green", "warned": "yellow", "refused": "red", "not reached": "bright_black"}


def run(
    event_id: Annotated[
        str,
        typer.Argument(
            metavar="EVENT_ID",
            help="The id of a message: the message_id of `good` or `bad` with `--json`, the id in `quarantine list`.",
        ),
    ],
    source: Annotated[str | None, typer.Option("--source", metavar="SOURCE", help="Look in this source only.")] = None,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Explain what became of one message, and why: every stage's verdict, the winner of its key, where it lies.

    With --json: {"id", "source", "dataset", "fate", "why", "message": {"seq", "partition", "offset", "ingest_time",
    "attributes", "payload", "payload_base64"}, "batch": {"batch_id", "committed_at", "deployment", "code_version",
    "first_seq", "next_seq", "contracts", "lookups"}, "stages": [{"stage", "verdict", "findings": [{"code", "reason",
    "path", "value"}]}], "winner": {"id", "seq", "ingest_time", "version", "key", "version_by"} or null, "row" or null,
    "files": {"bronze", "silver"}, "gold": [model]}.
    """
    from headrace.runtime.views.explain import explain

    output = Output(as_json)
    document = explain(open_project(project, env), event_id, source)
    output.show(document, lambda: _text(output, document))


def _text(output: Output, told: dict[str, Any]) -> None:
    output.line(f"{told['id']}: {told['fate']}", "bold")
    output.line(f"  {told['why']}")
    output.line()
    message, batch = told["message"], told["batch"]
    where = f"number {message['seq']:,} of {told['source']}"
    if message["offset"] is not None:
        where += f", offset {message['offset']:,} of {message['partition']}"
    output.line(f"message   {where}")
    output.line(f"taken     {message['ingest_time']}")
    output.line(f"committed {batch['committed_at']} in {batch['batch_id']}")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(batch["contracts"].items()))
    output.line(f"under     {versions or 'no contract'}; deployment {batch['deployment'][:12]}")
    text = message["payload"]
    output.line(f"payload   {text[:PAYLOAD_SHOWN]}{' …' if len(text) > PAYLOAD_SHOWN else ''}")
    output.line()
    for each in told["stages"]:
        output.line(f"  {each['stage']:<10} {each['verdict']}", COLOURS[each["verdict"]])
        for finding in each.get("findings", ()):
            at = f" at {finding['path']}" if finding["path"] else ""
            output.line(f"             {finding['code']}: {finding['reason']}{at}")
    if told["winner"]:
        key = ", ".join(f"{name} = {value}" for name, value in told["winner"]["key"].items())
        output.line(f"  silver has {told['winner']['id']} for {key}")
    output.line()
    for layer, file in told["files"].items():
        if file:
            output.line(f"{layer:<9} {file}")
    if told["gold"]:
        output.line(f"gold      {', '.join(told['gold'])}")
