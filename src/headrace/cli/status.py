"""`headrace status`: each source: its ledger, whether it balances, lag and freshness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output

if TYPE_CHECKING:
    from headrace.runtime.status import SourceStatus


def run(project: ProjectDir = None, env: EnvName = None, as_json: AsJson = False) -> None:
    """Show each source: its ledger, whether it balances, lag and freshness. Exits 1 where one does not balance.

    With --json: {"sources": {id: {"ledger": {"accepted", "silver", "superseded", "duplicate", "quarantined",
    "filtered", "erased"}, "balanced", "unbalanced", "lag", "freshness_secs", "last_commit", "batches", "contracts",
    "warned"}}}.
    """
    from headrace.runtime.status import as_json as document
    from headrace.runtime.status import status

    statuses = status(open_project(project, env))
    output = Output(as_json)
    output.show(document(statuses), lambda: _text(output, statuses))
    if not all(each.balanced for each in statuses.values()):
        raise typer.Exit(1)


def _text(output: Output, statuses: dict[str, SourceStatus]) -> None:
    fates = ("accepted", "silver", "superseded", "duplicate", "quarantined")
    names = ("accepted", "silver", "supers.", "dupl.", "quarant.")
    rows = [
        [name, *(each.ledger[fate] for fate in fates), "yes" if each.balanced else "NO", each.lag, _age(each)]
        for name, each in statuses.items()
    ]
    output.table(["source", *names, "balanced", "lag", "behind"], rows, right=[*names, "lag", "behind"])
    for name, each in statuses.items():
        for fault in each.unbalanced:
            output.line(f"{name}: {fault}", "bold red")
        for warning, count in each.warned.items():
            output.line(f"{name}: {count:,} × {warning}", "yellow")
        for fate in ("filtered", "erased"):
            if each.ledger[fate]:
                output.line(f"{name}: {each.ledger[fate]:,} {fate}")
    if any(each.ledger["quarantined"] for each in statuses.values()):
        output.note("see what was quarantined, and why: headrace quarantine list")


def _age(each: SourceStatus) -> str:
    return f"{each.freshness_secs:.1f} s" if each.lag else "-"
