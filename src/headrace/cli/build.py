"""`headrace build`: build and test gold on a branch; publish it if all passed.

With --json: {"build", "ok", "lake_snapshot", "seconds", "published": {"build", …} | null, "models": [{"name", "kind",
"status", "seconds", "rows", "file"}], "tests": [{"name", "status", "failing_rows", "query", "sample", …}], "failures":
[{"kind", "name", "message", "file", "line"}], "warnings"}. Exits 1 where only tests failed, 2 where a model did.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output

if TYPE_CHECKING:
    from headrace.warehouse.base import BuildReport, Failure, TestResult

LONGEST_QUERY = 500


def run(
    select: Annotated[
        list[str] | None, typer.Option("--select", "-s", metavar="MODEL", help="Only these models, in dbt's syntax.")
    ] = None,
    full_refresh: Annotated[bool, typer.Option("--full-refresh", help="Make incremental models from scratch.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Build and test, then throw it away.")] = False,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Build gold with dbt; publish it when its tests pass."""
    from headrace.runtime.building import build

    out = Output(as_json)
    opened = open_project(project, env)
    out.note("building …")
    report = build(opened, select=select or (), full_refresh=full_refresh, publish=not dry_run)
    out.show(asdict(report), lambda: show(out, report, dry_run=dry_run))
    if not report.ok:
        raise typer.Exit(1 if all(failure.kind == "test" for failure in report.failures) else 2)


def show(out: Output, report: BuildReport, *, dry_run: bool = False) -> None:
    """Print a report: the tables, what failed and where, and what readers see now."""
    if report.models:
        rows = [(m.name, m.kind, m.status, m.rows, f"{m.seconds:.1f}") for m in report.models]
        out.table(["model", "kind", "", "rows", "secs"], rows, right=["rows", "secs"])
        out.line()
    for warning in report.warnings:
        out.line(f"warning: {warning}")
    tests = {test.name: test for test in report.tests}
    for failure in report.failures:
        _show_failure(out, failure, tests.get(failure.name))
    for test in report.tests:
        if test.status == "warned":
            out.line(f"warning: test {test.name} finds {test.failing_rows:,} row{'s' * (test.failing_rows != 1)}")
    passed = sum(test.status == "passed" for test in report.tests)
    tested = f"{passed} of {len(report.tests)} tests passed" if report.tests else "no tests"
    done = f"{tested}, {report.seconds:.1f} s"
    if not report.ok:
        out.line(f"not published ({done}): readers see what they saw before")
    elif report.published:
        tables = len(report.published.tables)
        out.line(f"published {report.published.build}: {tables} table{'s' * (tables != 1)}; {done}")
    elif dry_run:
        out.line(f"would publish {report.build}: {done}")
    else:
        out.line("nothing to build: no model, no source with silver_to_gold")


def _show_failure(out: Output, failure: Failure, test: TestResult | None) -> None:
    out.line(f"failed: {failure.kind} {failure.name}".rstrip())
    if failure.at:
        out.line(f"  at:  {failure.at}")
    out.line(f"  why: {failure.message}")
    for row in test.sample[:3] if test else ():
        out.line("  row: " + ", ".join(f"{name}={value}" for name, value in row.items()))
    if test and test.failing_rows and test.query:
        query = " ".join(test.query.split())
        out.line(f"  sql: {query if len(query) <= LONGEST_QUERY else '(long; --json shows it)'}")
