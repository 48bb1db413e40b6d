"""`headrace quarantine`: the messages that failed, each with its reason."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output

run = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
PAYLOAD_SHOWN = 2_000

SourceName = Annotated[str | None, typer.Option("--source", metavar="SOURCE", help="Only this source's.")]
Code = Annotated[str | None, typer.Option("--code", metavar="CODE", help="Only failures with this code.")]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="List at most this many messages.")]


@run.command("list")
def list_(
    source: SourceName = None,
    code: Code = None,
    limit: Limit = 20,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """List the messages that failed: equal failures first as clusters, then the latest messages.

    With --json: {"total", "clusters": [{"fingerprint", "source", "stage", "code", "path", "reason", "messages",
    "example"}], "messages": [{"id", "source", "dataset", "seq", "ingest_time", "stage", "code", "reason", "path",
    "value", "contract_version", "fingerprint", "status"}]}.
    """
    from headrace.runtime.views.quarantine import listed

    shop = open_project(project, env)
    if source is not None:
        shop.source(source)
    document = listed(shop, source=source, code=code, limit=limit)
    output = Output(as_json)
    output.show(document, lambda: _list(output, document))


@run.command("show")
def show(
    message_id: Annotated[str, typer.Argument(metavar="ID", help="The id that `quarantine list` shows.")],
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Show one failed message: why it failed, where, and its bytes.

    With --json: the fields of `quarantine list`, and "partition", "offset", "attributes", "bytes", "payload".
    """
    from headrace.runtime.views.quarantine import shown

    document = shown(open_project(project, env), message_id)
    output = Output(as_json)
    output.show(document, lambda: _show(output, document))


def _list(output: Output, document: dict[str, Any]) -> None:
    if not document["total"]:
        output.line("nothing is quarantined")
        return
    output.line(f"{document['total']:,} quarantined, by failure:")
    output.table(
        ["messages", "source", "stage", "code", "path"],
        [[each[name] for name in ("messages", "source", "stage", "code", "path")] for each in document["clusters"]],
        right=["messages"],
    )
    output.line()
    output.line("the latest:")
    for each in document["messages"]:
        output.line(each["id"], "bold")
        output.line(f"  {each['stage']}/{each['code']}: {each['reason']}")
    output.note("one of them whole: headrace quarantine show ID")


def _show(output: Output, document: dict[str, Any]) -> None:
    output.line(document["id"], "bold")
    for name in ("source", "dataset", "contract_version", "ingest_time", "stage", "code", "reason", "path", "value"):
        if document[name] is not None:
            output.line(f"  {name:17} {document[name]}")
    if document["attributes"]:
        output.line(f"  {'attributes':17} {document['attributes']}")
    output.line(f"  {'bytes':17} {document['bytes']:,}")
    text = document["payload"]
    output.line()
    output.line(text[:PAYLOAD_SHOWN] + (" … (cut; --json has all of it)" if len(text) > PAYLOAD_SHOWN else ""))
