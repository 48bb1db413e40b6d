"""`headrace contract fetch`: versions of an Iglu schema, out of a repository on another machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.options import AsJson, ProjectDir, project_root
from headrace.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

SourceId = Annotated[str, typer.Argument(metavar="SOURCE", help="The source whose `schema.iglu` says which schema.")]
Versions = Annotated[
    list[str] | None, typer.Argument(metavar="[VERSION]...", help="Which, such as 1-0-0 (default: all that there are).")
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="URL", help="The repository (default: those that `schema.iglu` names)."),
]
Private = Annotated[
    bool, typer.Option("--allow-private", help="Let the repository be this machine, or one of a private network.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")]

_SAID = {"new": "written", "same": "is there", "differs": "differs from what is there, which stays"}


def run(
    source: SourceId,
    versions: Versions = None,
    url: From = None,
    private: Private = False,
    dry_run: DryRun = False,
    project: ProjectDir = None,
    as_json: AsJson = False,
) -> None:
    """Fetch the versions of a source's Iglu schema into the project; nothing else ever asks another machine for one.

    Exits 1 where a version differs from the file that is there: a version of Iglu never changes. With --json:
    {"source", "schema", "dry_run", "versions": [{"version", "file", "from", "sha256", "state"}]}; `state` is new, same
    or differs.
    """
    from headrace.runtime.adding.iglu_fetch import fetch

    document = fetch(project_root(project), source, versions or (), url=url, private=private, dry_run=dry_run)
    output = Output(as_json)
    output.show(document, lambda: _show(output, document["versions"], dry_run=dry_run))
    if any(each["state"] == "differs" for each in document["versions"]):
        raise typer.Exit(1)


def _show(output: Output, versions: Sequence[dict[str, Any]], *, dry_run: bool) -> None:
    for each in versions:
        said = "would be written" if dry_run and each["state"] == "new" else _SAID[each["state"]]
        output.line(f"{each['file']}: {said}")
    if not dry_run and any(each["state"] == "new" for each in versions):
        output.note("their digests are in fetched.json beside them: look at the files, and commit them")
