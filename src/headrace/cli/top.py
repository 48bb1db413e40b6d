"""`headrace top`: what happens now: rate, lag, freshness and fates of each source; the children of `up`; builds.

With --json: one frame: {"project", "environment", "at", "running", "problem", "sources": {id: {"rate", "lag",
"waiting_secs", "freshness_secs", "last_commit", "ledger": {"accepted", and the fates}, "problem"}}, "gold": {"gold",
"building", "gold_problem"}, "upkeep", "children": {name: {"pid", "problem", and what it says of itself}}}.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

WIDE = 120
RARE = ("filtered", "erased")


def run(
    every: Annotated[float, typer.Option("--every", metavar="SECS", min=0.2, help="How often to look.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and end.")] = False,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Show what happens now, until Ctrl-C: rate, lag, freshness and fates of each source, what runs beside."""
    from headrace.runtime.views.glance import Glances

    output = Output(as_json)
    with Glances(open_project(project, env)) as glances:
        if once or as_json or not sys.stdout.isatty():
            frame = glances.glance()
            output.show(frame, lambda: output.console.print(picture(frame, output.console.width)))
            return
        try:
            _live(glances.glance, output, every)
        except KeyboardInterrupt:
            return
        except RuntimeError as problem:
            if not isinstance(problem.__cause__, KeyboardInterrupt):  # what DuckDB makes of Ctrl-C amid a query
                raise


def _live(glance: Any, output: Output, every: float) -> None:
    from rich.live import Live

    with Live(console=output.console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(picture(glance(), output.console.width), refresh=True)
            time.sleep(every)


def picture(frame: dict[str, Any], width: int) -> RenderableType:
    """Return a frame as it is shown; it fits 80 columns."""
    from rich.console import Group
    from rich.text import Text

    state = "up" if frame["running"] else "no `headrace up` runs here"
    lines: list[RenderableType] = [
        Text.assemble(
            (f"{frame['project']} ({frame['environment']})", "bold"),
            f" · {frame['at'][11:19]} UTC · ",
            (state, "green" if frame["running"] else "yellow"),
        ),
        Text(),
        _sources(frame["sources"], wide=width >= WIDE),
    ]
    beside = [*_beside(frame)]
    if beside:
        lines += [Text(), *(Text(text, style=style, overflow="fold") for text, style in beside)]
    return Group(*lines)


def _sources(sources: dict[str, Any], *, wide: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("source", max_width=24 if wide else 14, no_wrap=True, overflow="ellipsis")
    fates = ("silver", "superseded", "duplicate", "quarantined")
    more = ("accepted",) if wide else ()
    for title in ("/s", "lag", "fresh", *more, *fates):
        table.add_column(title, justify="right", no_wrap=True)
    if wide:
        table.add_column("last commit", no_wrap=True)
    for name, each in sources.items():
        ledger = each["ledger"]
        bad = ledger["quarantined"]
        cells = [
            Text(name, style="red" if each["problem"] else ""),
            Text(short(each["rate"])),
            Text("?" if each["lag"] is None else short(each["lag"])),
            Text(_fresh(each)),
            *(Text(short(ledger[title])) for title in (*more, *fates[:-1])),
            Text(short(bad), style="yellow" if bad else ""),
        ]
        if wide:
            cells.append(Text(each["last_commit"][:19].replace("T", " ") if each["last_commit"] else "-"))
        table.add_row(*cells)
    return table


def _beside(frame: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the lines below the table: what runs beside the ticks, and every problem in full."""
    told = []
    gold = frame["gold"]
    for fate in RARE:  # without them, the columns of some source would not add up
        counts = [(name, each["ledger"][fate]) for name, each in frame["sources"].items() if each["ledger"][fate]]
        if counts:
            told.append((f"{fate}: {', '.join(f'{name} {short(count)}' for name, count in counts)}", ""))
    if frame["running"] or gold["gold"]:
        told.append((f"gold {gold['gold'] or '-'}{' · building' if gold['building'] else ''}", ""))
    for name, child in frame["children"].items():
        said = child.get("listening") or (f"process {child['pid']}" if child.get("pid") else "starting")
        told.append((f"{name} {child['problem'] or said}", "red" if child["problem"] else ""))
    told += [(f"{name}: {each['problem']}", "red") for name, each in frame["sources"].items() if each["problem"]]
    told += [
        (f"{name}: {text}", "red")
        for name, text in (("gold", gold["gold_problem"]), ("upkeep", frame["upkeep"]), ("lake", frame["problem"]))
        if text
    ]
    return told


def _fresh(source: dict[str, Any]) -> str:
    """Return how far silver is behind: the worst of the last seconds' commits and of what waits."""
    known = [secs for secs in (source["freshness_secs"], source["waiting_secs"] or None) if secs is not None]
    if not known:
        return "-"
    worst = max(known)
    return f"{worst:.1f}s" if worst < 100 else f"{short(worst)}s"


def short(number: float) -> str:
    """Return a count in at most five characters: 950, 12.3k, 4.5M."""
    if number < 999.5:
        return f"{number:.1f}" if number < 10 and number != int(number) else f"{number:.0f}"
    size, unit = next(((size, unit) for size, unit in ((1e3, "k"), (1e6, "M")) if number / size < 999.5), (1e9, "G"))
    scaled = number / size
    return f"{scaled:.1f}{unit}" if scaled < 99.95 else f"{scaled:.0f}{unit}"
