"""`headrace contract list | show | history | deprecate`: the versions of contracts, and how far each is in its life."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project, project_root
from headrace.cli.output import Output

SourceId = Annotated[str, typer.Argument(metavar="SOURCE", help="The source whose contract it is.")]
Table = Annotated[
    str | None, typer.Option("--dataset", metavar="TABLE", help="The table, for a source that has several.")
]


def list_(project: ProjectDir = None, env: EnvName = None, as_json: AsJson = False) -> None:
    """List every version of every contract: its lifecycle, when it was applied, how many events it has.

    With --json: {"versions": [{"source", "dataset", "version", "newest", "lifecycle", "until", "contract_version",
    "digest", "file", "owner", "applied_at", "events", "silver", "quarantined"}]}, the newest of a dataset first.
    """
    from headrace.runtime.views.contracts import listed

    document = listed(open_project(project, env))
    output = Output(as_json)
    output.show(document, lambda: _list(output, document["versions"]))


def show(
    source: SourceId,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="The version, such as v1 (default: the newest).")
    ] = None,
    applied: Annotated[
        bool, typer.Option("--applied", help="Its schema as it was applied, not as its file is.")
    ] = False,
    dataset: Table = None,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Print the schema of a version; with --applied, `> schemas/SOURCE/v1.json` brings back what was applied.

    With --json: the fields of `contract list`, and "document". With --applied: {"source", "dataset", "version",
    "contract_version", "digest", "owner", "lifecycle", "until", "applied_at", "document"}.
    """
    from headrace.runtime.views.contracts import as_applied, shown

    if applied:
        document = as_applied(_state(project, env), source, version, dataset)
    else:
        document = shown(open_project(project, env), source, version, dataset)
    output = Output(as_json)
    output.show(document, lambda: typer.echo(json.dumps(document["document"], indent=2, ensure_ascii=False)))
    if not applied:
        until = f" until {document['until']}" if document["until"] else ""
        output.note(f"{document['version']} of {document['dataset']}: {document['lifecycle']}{until}")


def history(source: SourceId, project: ProjectDir = None, env: EnvName = None, as_json: AsJson = False) -> None:
    """Show which versions of a source's contract were applied, the oldest first.

    With --json: {"source", "applied": [{"dataset", "version", "contract_version", "digest", "owner", "lifecycle",
    "until", "deployment", "applied_at", "events", "silver", "quarantined"}]}.
    """
    from headrace.runtime.views.contracts import history as found

    document = found(open_project(project, env), source)
    output = Output(as_json)
    output.show(document, lambda: _history(output, document["applied"]))


def deprecate(
    source: SourceId,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version, such as v1.")],
    until: Annotated[
        str | None, typer.Option("--until", metavar="DATE", help="Its last day: after it, `check` fails.")
    ] = None,
    dataset: Table = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Say in the source's file that a version is deprecated; comments and order stay. Takes effect with the next `up`.

    With --json: {"source", "dataset", "version", "until", "file", "changed", "diff", "dry_run"}.
    """
    from headrace.config.deprecating import deprecate as deprecated

    day = _date(until)
    found = open_project(project, env).source(source)
    document = deprecated(found, version, day, table=dataset, dry_run=dry_run)
    output = Output(as_json)
    output.show(document, lambda: _deprecated(output, document))


def _state(project: Path | None, env: str | None) -> Path:
    """Return the folder of an environment's state, though the project may not load: the shell has emptied the file."""
    from headrace.config.project import assemble
    from headrace.connectors.batch_file.places import STATE_FOLDER

    root = project_root(project)
    return root / STATE_FOLDER / assemble(root, env, os.environ).environment


def _date(text: str | None) -> dt.date | None:
    from headrace.errors import ConfigError

    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is not a date", at="--until", fix="write such as 2027-03-01") from None


def _list(output: Output, versions: list[dict[str, Any]]) -> None:
    if not versions:
        output.line("no source has a schema")
        return
    output.table(
        ["dataset", "version", "lifecycle", "until", "applied", "events", "owner"],
        [
            [
                each["dataset"],
                each["version"] + (" (newest)" if each["newest"] else ""),
                each["lifecycle"],
                each["until"],
                each["applied_at"] and each["applied_at"][:10],
                f"{each['events']:,}",
                each["owner"],
            ]
            for each in versions
        ],
        right=["events"],
    )


def _history(output: Output, rows: list[dict[str, Any]]) -> None:
    if not rows:
        output.line("nothing was applied yet")
        output.note("headrace up applies the project's files")
        return
    several = len({each["dataset"] for each in rows}) > 1
    output.table(
        ["applied", *(["dataset"] if several else []), "version", "lifecycle", "events", "owner"],
        [
            [
                each["applied_at"][:16].replace("T", " "),
                *([each["dataset"]] if several else []),
                each["contract_version"],
                each["lifecycle"] + (f" until {each['until']}" if each["until"] else ""),
                f"{each['events']:,}",
                each["owner"],
            ]
            for each in rows
        ],
        right=["events"],
    )


def _deprecated(output: Output, document: dict[str, Any]) -> None:
    if not document["changed"]:
        output.line(f"{document['version']} of {document['dataset']} is deprecated already")
        return
    for line in document["diff"].splitlines():
        output.line(line, "green" if line.startswith("+") else "red" if line.startswith("-") else "")
    if document["dry_run"]:
        output.note("nothing was changed")
