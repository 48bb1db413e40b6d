"""`headrace undo`: publish an earlier version of gold again.

With --json: {"published": {"build", "published_at", "lake_snapshot", …}, "was": "b3", "dry_run": false}.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output


def run(
    to: Annotated[str | None, typer.Option("--to", metavar="BUILD", help="This build, not the one before.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be published; change nothing.")] = False,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Publish the previous version of gold again: data, schema and incremental state."""
    from headrace.warehouse.embedded import DbtWarehouse

    out = Output(as_json)
    with DbtWarehouse(open_project(project, env).state) as warehouse:
        before, builds = warehouse.published(), warehouse.history()
        entry = warehouse.undo(to, dry_run=dry_run)

    def text() -> None:
        rows = []
        for build in reversed(builds):
            state = ("would be published" if dry_run else "published") if build.build == entry.build else ""
            state = "published now" if dry_run and before and build.build == before.build else state
            rows.append((build.build, build.published_at[:19], len(build.tables), build.lake_snapshot, state))
        out.table(["build", "built at (UTC)", "tables", "lake snapshot", ""], rows, right=["tables", "lake snapshot"])
        out.line()
        was = f", was {before.build}" if before else ""
        out.line(f"{'would publish' if dry_run else 'published'} {entry.build}{was}")

    out.show({"published": asdict(entry), "was": before.build if before else None, "dry_run": dry_run}, text)
