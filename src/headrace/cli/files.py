"""`headrace files`: the files that landed in watched folders, and what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output
from headrace.errors import ConfigError, HeadraceError, InputError

if TYPE_CHECKING:
    from headrace.config.project import Project
    from headrace.connectors.batch_file.manifest import Entry

run = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

STATES = ("waiting", "reading", "done", "failed", "superseded")

SourceName = Annotated[str | None, typer.Argument(metavar="[SOURCE]", help="Only this source's files.")]


@run.command("list")
def list_(
    source: SourceName = None,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="STATE", help="Only files that are waiting, reading, done, failed …"),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="List at most this many files.")] = 50,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """List the files of watched folders, the latest first: size, rows, state, and why one failed.

    With --json: {"counts": {source: {state: n}}, "files": [{"source", "path", "size", "state", "digest", "rows",
    "taken", "message", "fix", "seen", "started", "ended"}]}.
    """
    from headrace.connectors.batch_file.manifest import as_json as document_of
    from headrace.runtime.landing.watch import manifest_of

    shop = open_project(project, env)
    _known(shop, source)
    if state is not None and state not in STATES:
        raise InputError(f"there is no state {state!r}", at="--state", fix=f"use one of {', '.join(STATES)}")
    manifest = manifest_of(shop)
    entries = [each for each in reversed(manifest.entries(source)) if state is None or each.state == state][:limit]
    counts = {name: each for name, each in manifest.counts().items() if source is None or name == source}
    manifest.close()
    output = Output(as_json)
    output.show({"counts": counts, "files": [*map(document_of, entries)]}, lambda: _list(output, entries))


@run.command("scan")
def scan(
    source: SourceName = None,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Take the files that lie in watched folders now, with `up` running or without. Exits 1 where a file failed.

    With --json: {"sources": {source: {state: n}}, "rows", "failed": [a file as `files list` shows it], "problems":
    {source: why its place could not be looked at}}.
    """
    from headrace.connectors.batch_file.manifest import as_json as document_of
    from headrace.runtime.landing.tally import is_copy
    from headrace.runtime.landing.watch import Landing

    shop = open_project(project, env)
    _known(shop, source)
    landing = Landing(shop)
    before = {entry.id for entry in landing.manifest.entries() if entry.state == "failed"}
    taken = sum(entry.taken for entry in landing.manifest.entries() if not is_copy(entry))
    names = [source] if source is not None else sorted({*landing.sources, *landing.faults})
    problems: dict[str, str] = {}
    for name in names:
        try:
            if name in landing.faults:
                raise landing.faults[name]
            landing.scan(landing.sources[name])
        except HeadraceError as error:
            problems[name] = str(error)
    entries = [entry for entry in landing.manifest.entries() if entry.source in names]
    failed = [entry for entry in entries if entry.state == "failed" and entry.id not in before]
    document = {
        "sources": {name: counts for name, counts in landing.manifest.counts().items() if name in names},
        "rows": sum(entry.taken for entry in landing.manifest.entries() if not is_copy(entry)) - taken,
        "failed": [*map(document_of, failed)],
        "problems": problems,
    }
    landing.close()
    output = Output(as_json)
    output.show(document, lambda: _scanned(output, document, failed))
    if failed or problems:
        raise typer.Exit(1)


@run.command("retry")
def retry(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The source, by its id.")],
    path: Annotated[
        str | None, typer.Argument(metavar="[PATH]", help="One file, failed or not (default: all that failed).")
    ] = None,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Let files be taken again: all that failed, or the one named. Rows that the topic has are not taken twice.

    A file that was read in a wrong way is taken anew, once `format`, `compression` or `csv` of its source say another.
    With --json: {"source", "files": n}.
    """
    import time

    from headrace.runtime.landing.watch import manifest_of

    shop = open_project(project, env)
    _known(shop, source)
    manifest = manifest_of(shop)
    count = manifest.retry(source, path, time.time())
    manifest.close()
    if path is not None and not count:
        raise InputError("no such file is known", at=path, fix=f"see its files: headrace files list {source}")
    output = Output(as_json)
    when = "headrace up, or files scan" if shop.source(source).spec.ingestion.schedule is None else "at its next scan"
    text = f"{count:,} file{'' if count == 1 else 's'} of {source} will be taken again: {when}"
    output.show({"source": source, "files": count}, lambda: output.line(text))


def _known(shop: Project, source: str | None) -> None:
    """Raise ConfigError where the source is none, or has no files."""
    from headrace.runtime.landing.watched import is_watched

    if source is not None and not is_watched(shop.source(source)):
        raise ConfigError(
            f"source '{source}' watches no files",
            at=f"connectors/{shop.source(source).file.name}",
            fix="write `pattern: batch_file` and `location:` there",
        )


def _list(output: Output, entries: list[Entry]) -> None:
    if not entries:
        output.line("no file has been seen")
        return
    output.table(
        ["source", "path", "bytes", "rows", "state"],
        [[each.source, each.path, each.size, each.rows, each.state] for each in entries],
        right=["bytes", "rows"],
    )
    _reasons(output, [each for each in entries if each.message])


def _scanned(output: Output, document: dict[str, Any], failed: list[Entry]) -> None:
    for name, counts in document["sources"].items():
        said = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)
        output.line(f"{name}: {said or 'no files'}")
    output.line(f"{document['rows']:,} rows taken, durable")
    for name, problem in document["problems"].items():
        output.line(f"{name}: {problem}", "red")
    _reasons(output, failed)


def _reasons(output: Output, entries: list[Entry]) -> None:
    for each in entries:
        output.line(f"{each.source}/{each.path}: {each.message}", "red" if each.state == "failed" else "dim")
        if each.fix:
            output.line(f"  fix: {each.fix}")
