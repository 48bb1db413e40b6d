"""`headrace test`: the cases of a source, run through its stages."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.runtime.contract_cases import Result


def run(
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="[SOURCE]...", help="The sources; none: all that have cases.")
    ] = None,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Run the cases of sources, tests/contracts/<source>.json: a message, and what has to become of it.

    Nothing is published: each message goes through the ordinary stages alone. Exits 1 where a case differs. With
    --json: {"passed", "failed", "sources": {source: [{"name", "at", "passed", "wrong": [text], "became": {"fate",
    "dataset", "values", "stage", "code", "path", "reason"}}]}}.
    """
    from headrace.runtime.contract_cases import cases_file, read_cases, run_cases

    shop = open_project(project, env)
    names = sources or [name for name in shop.sources if (shop.root / cases_file(name)).is_file()]
    now = dt.datetime.now(dt.UTC)
    results = {}
    for name in names:
        source = shop.source(name)
        results[name] = run_cases(source, read_cases(shop.root, name), now)
    failed = sum(bool(each.wrong) for found in results.values() for each in found)
    passed = sum(len(found) for found in results.values()) - failed
    document = {
        "passed": passed,
        "failed": failed,
        "sources": {
            name: [{**asdict(each), "passed": not each.wrong, "wrong": list(each.wrong)} for each in found]
            for name, found in results.items()
        },
    }
    output = Output(as_json)
    output.show(document, lambda: _text(output, results, passed, failed))
    if failed:
        raise typer.Exit(1)


def _text(output: Output, results: Mapping[str, Sequence[Result]], passed: int, failed: int) -> None:
    for name, found in results.items():
        for each in found:
            output.line(f"{name}: {'FAILED' if each.wrong else 'ok'}  {each.name}", "bold red" if each.wrong else "")
            for wrong in each.wrong:
                output.line(f"  {each.at}: {wrong}")
    if not results:
        output.line("no source has cases: write tests/contracts/<source>.json")
    output.line(f"{passed} passed, {failed} failed")
