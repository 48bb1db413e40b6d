"""What `headrace demo` says of a shop that has opened, and what to try with it."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.cli.output import Output
    from headrace.config.project import Project
    from headrace.demo.opening import Opened

SHOWN = ("accepted", "silver", "superseded", "duplicate", "quarantined")


def report(output: Output, project: Project, opened: Opened) -> None:
    """Say what became of the history, and what to try next."""
    output.line()
    rows = [[name, *(each.ledger[fate] for fate in SHOWN)] for name, each in opened.sources.items()]
    rows.append(["together", *(opened.ledger[fate] for fate in SHOWN)])
    output.table(["source", *SHOWN], rows, right=SHOWN)
    for fault in opened.faults:
        output.line(fault, "red")
    if opened.faults:
        return
    output.line("Every message has one fate, and each fate is what the shop knows that it sent.", "green")
    output.line()
    output.table(*_days(project))
    output.line()
    _things_to_try(output, project)


def _days(project: Project) -> tuple[list[str], list[list[object]], list[str]]:
    """Return the last days of the shop's summary, as a table."""
    from headrace.warehouse.embedded import DbtWarehouse

    columns = ["date_day", "sessions", "add_to_carts", "transactions", "revenue", "tickets_opened"]
    sql = f"select {', '.join(columns)} from fct_daily_summary order by date_day desc limit 5"
    with DbtWarehouse(project.state) as warehouse:
        rows = warehouse.query(sql).rows.to_pylist()
    return columns, [list(row.values()) for row in reversed(rows)], columns[1:]


def _things_to_try(output: Output, project: Project) -> None:
    """Print three things to try, as commands that work where they are copied to."""
    from headrace.runtime.views.quarantine import listed

    output.line("Three things to try:")
    output.line()
    output.line(f"  cd {shlex.quote(str(project.root))}")
    if path := missing_from_path():
        output.line(f"  export PATH={shlex.quote(path)}:$PATH")
    example = listed(project, code="not_null", limit=1)["messages"][0]["id"]
    things = {
        "Break a contract, and see the event wait in quarantine:": [
            """echo '{"event_id": "evt_1"}' | headrace publish clickstream""",
            "headrace build && headrace bad clickstream --limit 1",
        ],
        "Let events stream in, pull the plug, start again: it adds up.": [
            "headrace demo --dir . >demo.log & sleep 15; kill -9 $!",
            "headrace build && headrace status",
        ],
        "Ask why an event was rejected:": [f"headrace quarantine show {example}"],
    }
    for what, commands in things.items():
        output.line()
        output.line(f"  {what}", "bold")
        for command in commands:
            output.line(f"  {command}")
    output.line()
    output.line("  headrace query --tables    lists what there is to query; README.md says more.")


def missing_from_path() -> str:
    """Return the folder of our own `headrace`, where a shell would not find it."""
    ours = Path(sys.executable).parent / "headrace"
    found = shutil.which("headrace")
    return "" if not ours.exists() or (found and Path(found).samefile(ours)) else str(ours.parent)
