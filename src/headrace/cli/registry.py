"""`headrace registry`: the contracts of the project as a schema registry that Kafka's clients know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output
from headrace.contracts.compatibility.change import OPEN, ContentModel

if TYPE_CHECKING:
    from headrace.api.registry.contracts import Contracts

run = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@run.callback()
def _verbs() -> None:
    """Serve the contracts of the project over the REST API of Confluent's Schema Registry."""


@run.command("serve")
def serve(
    host: Annotated[
        str,
        typer.Option("--host", metavar="ADDRESS", help="The address to listen on; any but 127.0.0.1 needs tokens."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="The port; 0 takes a free one.")
    ] = 8081,
    model: Annotated[
        ContentModel,
        typer.Option("--model", metavar="MODEL", help="How JSON Schemas are compared: open, strict or lenient."),
    ] = OPEN,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Serve until Ctrl-C. Each contract is a subject DATASET-value; what clients register beside them is kept.

    With --json, one line once it listens: {"event": "listening", "url", "subjects": [name]}.
    """
    from headrace.api.registry.process import serve as serve_project

    shop = open_project(project, env)

    def listening(url: str, contracts: Contracts) -> None:
        subjects = sorted(contracts.subjects)
        if as_json:
            typer.echo(json.dumps({"event": "listening", "url": url, "subjects": subjects}))
            return
        count = len(subjects)
        typer.echo(f"headrace registry: {url}, {count} subject{'' if count == 1 else 's'} of {shop.name}; Ctrl-C ends")

    serve_project(shop, host, port, model, listening)


@run.command("ids")
def ids(
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="The source whose contract it is (default: all).")
    ] = None,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Show the schema ids of contracts' versions, which serializers frame messages with, and the line that lists them.

    With --json: {"subjects": [{"source", "dataset", "subject", "versions": [{"version", "number", "id", "listed",
    "ids"}], "yaml", "at"}]}; `listed` is what the source's file has, `ids` what it should have, `yaml` the line for
    it (null for events in Iglu's envelopes), and `at` where that stands: `schema`, or such as `ingestion.tables.0`.
    """
    from headrace.api.registry.ids import given

    document = given(open_project(project, env), source)
    output = Output(as_json)
    output.show(document, lambda: _ids(output, document["subjects"]))


def _ids(output: Output, subjects: list[dict[str, Any]]) -> None:
    output.table(
        ["subject", "version", "id", "in the file"],
        [
            [subject["subject"], each["version"], each["id"], "yes" if each["id"] in each["listed"] else "no"]
            for subject in subjects
            for each in subject["versions"]
        ],
    )
    for subject in subjects:
        if subject["yaml"] and any(each["id"] not in each["listed"] for each in subject["versions"]):
            place = "`schema:`" if subject["at"] == "schema" else "entry in `tables:`"
            output.line(f"where {subject['dataset']} has framed messages, its {place} says")
            output.line(f"  {subject['yaml']}")
