"""`headrace lineage`: where a column comes from, and what it goes into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(
    column: Annotated[
        str,
        typer.Argument(
            metavar="COLUMN", help="gold.MODEL.COLUMN, silver.DATASET.COLUMN, or DATASET.FIELD of its events."
        ),
    ],
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Show which columns a column comes from, up to fields of events, and which it goes into, each with its file.

    Read from the files as they are: nothing need be running, built or deployed. With --json: {"column", "kind", "at",
    "problem", "up": [step], "down": [step]}; a step is {"column", "kind", "how": "value" or "rows", "at", "problem",
    "next": [step]}. `rows`: it decides which rows there are; then `column` ends in `.*`.
    """
    from headrace.runtime.views.lineage import told

    output = Output(as_json)
    document = told(open_project(project, env), column)
    output.show(document, lambda: _text(output, document))


def _text(output: Output, document: dict[str, Any]) -> None:
    output.line(f"{document['column']}  {document['at']}", "bold")
    if document["problem"]:
        output.line(f"  {document['problem']}: it is taken to come from every column of what it reads", "yellow")
    for title, steps in (("comes from", document["up"]), ("goes into", document["down"])):
        output.line()
        output.line(title if steps else f"{title} nothing else")
        _tree(output, steps, "  ")


def _tree(output: Output, steps: Sequence[dict[str, Any]], indent: str) -> None:
    for step in steps:
        name = step["column"].removesuffix(".*") + " (its rows)" if step["how"] == "rows" else step["column"]
        problem = f"  ({step['problem']})" if step["problem"] else ""
        output.line(f"{indent}{name}  {step['at']}{problem}".rstrip())
        _tree(output, step["next"], indent + "  ")
