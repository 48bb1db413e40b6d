"""`headrace verify`: is every message accounted for, and is silver what bronze makes of it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.runtime.verify import Verdict


def run(
    source: Annotated[str | None, typer.Option("--source", metavar="SOURCE", help="Only this source.")] = None,
    scan: Annotated[bool, typer.Option("--scan", help="Read all of silver, and hold it against what is kept.")] = False,
    from_bronze: Annotated[
        bool, typer.Option("--from-bronze", help="Make silver anew from the raw messages, and compare.")
    ] = False,
    gold: Annotated[
        bool, typer.Option("--gold", help="Make every published table anew from its silver, and compare.")
    ] = False,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Prove that no message is lost or doubled, and that silver is what it should be. Exits 1 where it is not.

    With --json: {"snapshot", "balanced", "unbalanced": {source: [sentence]}, "partitions", "silver": {dataset: digest},
    "kept", "unknown", "scanned", "equal" (null without --from-bronze), "differences": [{"dataset", "event_date",
    "kept", "counted", "digest", "rebuilt", "only_in_silver", "only_in_rebuilt"}], "ledgers": {source: [sentence]},
    "messages", "gold": {table: is it the same} (null without --gold), "seconds"}.
    """
    from headrace.runtime.verify import verify

    output = Output(as_json)
    verdict = verify(open_project(project, env), source, scan=scan, from_bronze=from_bronze, gold=gold)
    output.show(verdict.document(), lambda: _text(output, verdict))
    if not verdict.holds:
        raise typer.Exit(1)


def _text(output: Output, verdict: Verdict) -> None:
    if verdict.snapshot is None:
        output.line("nothing was ever committed here: there is nothing to verify")
        return
    for name, faults in verdict.unbalanced.items():
        output.line(f"{name} does not balance:", "bold red")
        for fault in faults:
            output.line(f"  {fault}", "red")
    if verdict.balanced:
        output.line("balanced: every accepted message has one fate, and the tables hold it", "green")
    for name, digest in verdict.silver.items():
        output.line(f"  {name}  {digest}")
    if verdict.kept:
        how = "every digest" if verdict.scanned else "every partition's rows"
        output.line(f"kept: {verdict.partitions:,} partitions hold what their batches put there, by {how}", "green")
    if verdict.unknown:
        output.line(f"{verdict.unknown:,} partitions: batches of an earlier version kept no digest of them")
    for each in verdict.differences:
        output.line(f"{each.dataset} of {each.event_date} is not what it should be:", "bold red")
        rows = f"{each.counted:,} rows"
        ways = {"kept by batches": each.kept, "in the catalog": rows, "in silver": each.digest, "rebuilt": each.rebuilt}
        for way, found in ways.items():
            if found is not None:
                output.line(f"  {way:<15}  {found}", "red")
        for what, ids in (("silver", each.only_in_silver), ("the rebuild", each.only_in_rebuilt)):
            if ids:
                output.line(f"  only in {what}: {', '.join(ids)}", "red")
    for name, faults in verdict.ledgers.items():
        output.line(f"the ledger of {name} is not what bronze makes of it:", "bold red")
        for fault in faults:
            output.line(f"  {fault}", "red")
    if verdict.gold is not None:
        _gold(output, verdict.gold)
    if verdict.equal:
        output.line(
            f"equal: {verdict.messages:,} messages of bronze, taken anew, make the same silver: "
            f"{verdict.partitions:,} partitions",
            "green",
        )
    elif verdict.equal is None:
        if not verdict.scanned:
            output.note("read all of silver too: headrace verify --scan")
        output.note("make silver anew from the raw messages, and compare: headrace verify --from-bronze")


def _gold(output: Output, tables: Mapping[str, bool]) -> None:
    others = [name for name, same in tables.items() if not same]
    for name in others:
        output.line(f"{name} is not what a build from nothing makes of its silver", "bold red")
    if others:
        output.note("make them anew: headrace build --full-refresh")
    else:
        output.line(f"gold: {len(tables):,} tables, built from nothing, are the same", "green")
