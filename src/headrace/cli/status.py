"""`headrace status`: each source: its ledger, whether it balances, lag and freshness, its files and pushes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output

if TYPE_CHECKING:
    from headrace.runtime.views.status import SourceStatus

SHOWN = ("accepted", "silver", "superseded", "duplicate", "quarantined")
"""The part of the ledger that every source shows; the fates that are rare have lines of their own."""


def run(project: ProjectDir = None, env: EnvName = None, as_json: AsJson = False) -> None:
    """Show each source: ledger, balance, lag, files and pushes. Exits 1 where one does not balance.

    With --json: {"sources": {id: {"ledger": {"accepted", "silver", "superseded", "duplicate", "quarantined",
    "filtered", "erased"}, "balanced", "unbalanced", "lag", "freshness_secs", "last_commit", "batches", "contracts",
    "warned", "files": {"taken", "waiting", "failed"} | null, "pushes": {"sent", "waiting", "dead"} | null}}}.
    """
    from headrace.runtime.views.status import as_json as document
    from headrace.runtime.views.status import status

    statuses = status(open_project(project, env))
    output = Output(as_json)
    output.show(document(statuses), lambda: _text(output, statuses))
    if not all(each.balanced for each in statuses.values()):
        raise typer.Exit(1)


def _text(output: Output, statuses: dict[str, SourceStatus]) -> None:
    columns = ["source", *SHOWN, "lag"]
    rows: list[list[object]] = [
        [name, *(each.ledger[fate] for fate in SHOWN), each.lag] for name, each in statuses.items()
    ]
    _table(output, columns, rows)
    for name, each in statuses.items():
        for warning, count in each.warned.items():
            output.line(f"{name}: {count:,} × {warning}", "yellow")
        for fate in ("filtered", "erased"):
            if each.ledger[fate]:
                output.line(f"{name}: {each.ledger[fate]:,} {fate}")
        if each.lag:
            output.line(f"{name}: the oldest message that waits is {each.freshness_secs:,.1f} s old")
        if each.files:
            taken, waiting, failed = each.files
            text = f"{name}: files: {taken:,} taken, {waiting:,} waiting, {failed:,} failed"
            output.line(text, "yellow" if failed else "")
        if each.pushes:
            sent, waiting, dead = each.pushes
            text = f"{name}: pushes: {sent:,} sent, {waiting:,} waiting, {dead:,} dead letter{'' if dead == 1 else 's'}"
            output.line(text, "yellow" if dead else "")
    unbalanced = {name: each.unbalanced for name, each in statuses.items() if not each.balanced}
    for name, faults in unbalanced.items():
        output.line(f"{name} does not balance:", "bold red")
        for fault in faults:
            output.line(f"  {fault}", "red")
    if statuses and not unbalanced:
        output.line("balanced: every accepted message has one fate, and the tables hold it", "green")
    if any(each.ledger["quarantined"] for each in statuses.values()):
        output.note("see what was quarantined, and why: headrace quarantine list")
    if any(each.files and each.files.failed for each in statuses.values()):
        output.note("see why files failed: headrace files list --state failed")
    if any(each.pushes and each.pushes.dead for each in statuses.values()):
        output.note("see what could not be pushed, and why: headrace push dead")


def _table(output: Output, columns: list[str], rows: list[list[object]]) -> None:
    """Print a line a source where that fits the terminal, else a block a source."""
    cells = [columns, *([f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows)]
    if sum(max(map(len, column)) + 2 for column in zip(*cells, strict=True)) - 2 <= output.console.width:
        output.table(columns, rows, right=columns[1:])
        return
    width = max(len(cell) for row in cells[1:] for cell in row[1:])
    for name, *numbers in cells[1:]:
        output.line(name, "bold")
        for column, number in zip(columns[1:], numbers, strict=True):
            output.line(f"  {column:<11}  {number:>{width}}")
