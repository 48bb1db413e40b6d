"""`headrace demo`: a shop, from nothing to published gold in a minute.

With --once --json: {"accepted", "silver", "superseded", "duplicate", "quarantined", "filtered", "erased", "balanced",
"gold_tables": {name: rows}, "seconds"}; the numbers are the same for the same --seed and --events. Exits 1 where the
ledger does not balance, is not what the shop knows that it sent, or gold was not published.
"""

from __future__ import annotations

import datetime as dt
import shlex
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.options import AsJson
from headrace.cli.output import Output
from headrace.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headrace.config.project import Project
    from headrace.demo.opening import Opened, Plan

SEED = 7
EVENTS = 20_000
SHOWN = ("accepted", "silver", "superseded", "duplicate", "quarantined")


def run(
    once: Annotated[bool, typer.Option("--once", help="End after the first published gold.")] = False,
    folder: Annotated[
        Path | None,
        typer.Option("--dir", metavar="DIR", help="Where the project goes, or goes on (default: a temporary folder)."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another seed is another shop.")] = SEED,
    events: Annotated[
        int, typer.Option("--events", metavar="N", min=200, max=2_000_000, help="The messages of its first two weeks.")
    ] = EVENTS,
    until: Annotated[
        dt.datetime | None,
        typer.Option(
            "--until", metavar="DATE", formats=["%Y-%m-%d"], help="The day after those weeks (default: today)."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Open a shop in a folder of its own: two weeks of events, some of them broken, go through to published gold."""
    from headrace.demo.opening import Plan, open_shop

    if not once:
        raise UserError("this demo ends after its first gold for now", at="demo", fix="headrace demo --once")
    output = Output(as_json)
    day = until.date() if until else dt.datetime.now(dt.UTC).date()
    place = (folder or Path(tempfile.mkdtemp(prefix="headrace-demo-")) / "shop").absolute()
    project, plan = settled(place, Plan(seed, day, events))
    if not as_json:
        output.line(f"A shop opens in {project.root}", "bold")
    with _steps(output) as told:
        opened = open_shop(project, plan, told)
    output.show(_document(opened), lambda: _show(output, project, opened))
    if as_json and folder is None:
        shutil.rmtree(place.parent)  # nobody was told where it is
    if opened.faults:
        raise typer.Exit(1)


def settled(place: Path, plan: Plan) -> tuple[Project, Plan]:
    """Return the shop that a folder holds, with its own plan; a new one where the folder is empty or not there.

    Raises `UserError` where the folder holds anything else.
    """
    from headrace.cli.init import scaffold
    from headrace.config.project import load_project
    from headrace.demo.opening import remember, remembered

    if (place / "headrace.yaml").is_file():
        project = load_project(place)
        known = remembered(project.state)
        if known is not None:
            return project, known
    scaffold(place, files("headrace.demo") / "project")
    project = load_project(place)
    remember(project.state, plan)
    return project, plan


@contextmanager
def _steps(output: Output) -> Iterator[Callable[[str], None]]:
    """Show what is done, with the seconds that it took; on a terminal, that something is going on."""
    if output.as_json:
        yield lambda _: None
        return
    since = [time.monotonic()]

    def told(sentence: str) -> None:
        took = time.monotonic() - since[0]
        since[0] += took
        output.line(f"{took:5.1f} s  {sentence}")

    with output.console.status("working …") if sys.stdout.isatty() else nullcontext():
        yield told


def _document(opened: Opened) -> dict[str, Any]:
    return {
        **opened.ledger,
        "balanced": all(each.balanced for each in opened.sources.values()),
        "gold_tables": opened.gold_tables,
        "seconds": opened.seconds,
    }


def _show(output: Output, project: Project, opened: Opened) -> None:
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
    from headrace.runtime.quarantine import listed

    output.line("Three things to try:")
    output.line()
    output.line(f"  cd {shlex.quote(str(project.root))}")
    if path := _missing_from_path():
        output.line(f"  export PATH={shlex.quote(path)}:$PATH")
    example = listed(project, code="not_null", limit=1)["messages"][0]["id"]
    things = {
        "Break a contract, and see the event wait in quarantine:": [
            """echo '{"event_id": "evt_1", "event_type": "teleport"}' | headrace publish clickstream""",
            "headrace build && headrace quarantine list --limit 1",
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


def _missing_from_path() -> str:
    """Return the folder of our own `headrace`, where a shell would not find it."""
    ours = Path(sys.executable).parent / "headrace"
    found = shutil.which("headrace")
    return "" if not ours.exists() or (found and Path(found).samefile(ours)) else str(ours.parent)
