"""`headrace demo`: a shop, from nothing to published gold in a minute.

With --once --json: {"accepted", "silver", "superseded", "duplicate", "quarantined", "filtered", "erased", "balanced",
"gold_tables": {name: rows}, "seconds"}; the numbers are the same for the same --seed and --events. Exits 1 where the
ledger does not balance, is not what the shop knows that it sent, or gold was not published.

With --json alone, lines of it: {"event": "opened", "project", and the fields above}; once a second {"event":
"progress", "sent", "accepted", …, "erased", "balanced", "gold", "collector": URL, "failing": {source: problem}}; and at
the end {"event": "stopped", "sent"}.
"""

from __future__ import annotations

import datetime as dt
import json
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, nullcontext
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.demo_report import missing_from_path, report
from headrace.cli.options import AsJson
from headrace.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headrace.config.project import Project
    from headrace.demo.glance import Glance
    from headrace.demo.open_hours import OpenHours
    from headrace.demo.opening import Opened, Plan

SEED = 7
EVENTS = 20_000
RATE = 50.0
SCREEN_EVERY_SECS, LINE_EVERY_SECS, JSON_EVERY_SECS = 0.5, 5.0, 1.0


def _day(text: str) -> dt.date:
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day; write such as 2026-11-20") from None
    if not 2000 <= day.year < 2100:
        raise typer.BadParameter(f"{text} is too far away; write such as 2026-11-20")
    return day


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
        dt.date | None,
        typer.Option("--until", metavar="DATE", parser=_day, help="The day after those weeks (default: today)."),
    ] = None,
    rate: Annotated[
        float,
        typer.Option("--rate", metavar="N", min=1, max=100_000, help="Messages a second that stream in then."),
    ] = RATE,
    as_json: AsJson = False,
) -> None:
    """Open a shop in a folder of its own: two weeks of events, some of them broken, go through to published gold.

    Then it stays open, and more of them stream in, until Ctrl-C.
    """
    from headrace.demo.opening import Plan, open_shop

    output = Output(as_json)
    day = until or dt.datetime.now(dt.UTC).date()
    place = (folder or Path(tempfile.mkdtemp(prefix="headrace-demo-")) / "shop").absolute()
    project, plan = settled(place, Plan(seed, day, events))
    if not as_json:
        output.line(f"A shop opens in {project.root}", "bold")
    if (seed not in {SEED, plan.seed}) or (events not in {EVENTS, plan.events}) or until not in {None, plan.until}:
        been = f"--seed {plan.seed} --events {plan.events} --until {plan.until}"
        output.note(f"note: this shop is there already, with {been}, and goes on; another --dir is another shop")
    with _steps(output) as told:
        opened = open_shop(project, plan, told, build=once or not plan.opened)
    if once or opened.faults:
        output.show(_document(opened), lambda: report(output, project, opened))
        if as_json and folder is None:
            shutil.rmtree(place.parent)  # nobody was told where it is
        if opened.faults:
            raise typer.Exit(1)
        return
    if as_json:
        typer.echo(json.dumps({"event": "opened", "project": str(project.root), **_document(opened)}))
    _stay_open(project, plan, rate, output)


def _stay_open(project: Project, plan: Plan, rate: float, output: Output) -> None:
    """Let events stream in until Ctrl-C, and show what becomes of them."""
    # While it starts, Ctrl-C is only noted: an exception amid an import can be lost, or leave its lock held.
    asked = threading.Event()
    _on_ctrl_c(asked.set)
    from headrace.demo.open_hours import OpenHours

    hours = OpenHours(project, plan, rate)
    _on_ctrl_c(hours.stop)
    if asked.is_set():
        hours.stop()
    over = threading.Event()
    troubles: list[Exception] = []

    def watch() -> None:
        try:
            _watch(project, hours, output, over)
        except Exception as trouble:  # noqa: BLE001 - the edge of this thread: nobody sees the shop any more, so it closes
            troubles.append(trouble)
            hours.stop()

    shower = threading.Thread(target=watch)
    shower.start()
    try:
        hours.run()
    finally:
        over.set()
        shower.join()
    for trouble in troubles:
        raise trouble
    if output.as_json:
        typer.echo(json.dumps({"event": "stopped", "sent": hours.feed.sent.total()}))
    else:
        output.line(f"The shop is closed. To open it again: headrace demo --dir {_quoted(project.root)}")
    if hours.up.progress.failing:
        raise typer.Exit(1)


def _on_ctrl_c(heard: Callable[[], object]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: heard())


def _watch(project: Project, hours: OpenHours, output: Output, over: threading.Event) -> None:
    """Show the shop: a screen that keeps up to date on a terminal; elsewhere, a line now and then."""
    from headrace.demo.glance import Window
    from headrace.demo.scene import Scene

    with Window(project) as window:
        scene = Scene(str(project.root), hours, _cd(project))
        if output.as_json:
            for _ in _until(over, JSON_EVERY_SECS):
                typer.echo(json.dumps({"event": "progress", **_progress(window.look(), hours)}))
        elif not sys.stdout.isatty():
            for _ in _until(over, LINE_EVERY_SECS):
                output.line(scene.line(window.look()))
        else:
            from rich.live import Live

            with Live(console=output.console, auto_refresh=False) as live:
                for _ in _until(over, SCREEN_EVERY_SECS):
                    live.update(scene.draw(window.look(), ending=hours.closing), refresh=True)


def _until(over: threading.Event, every_secs: float) -> Iterator[None]:
    """Yield now and then, and once more when it is over."""
    while not over.wait(every_secs):
        yield
    yield


def _progress(glance: Glance, hours: OpenHours) -> dict[str, Any]:
    return {
        "sent": hours.feed.sent.total(),
        **glance.together,
        "balanced": glance.balanced,
        "gold": glance.gold,
        "collector": hours.listening,
        "failing": dict(hours.up.progress.failing),
    }


def _cd(project: Project) -> str:
    """Return how to get to the project in another terminal, with `headrace` at hand."""
    path = f"; export PATH={shlex.quote(path)}:$PATH" if (path := missing_from_path()) else ""
    return f"cd {_quoted(project.root)}{path}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


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
        # Through the console, which knows of the line that it keeps up to date below.
        output.console.print(f"{took:5.1f} s  {sentence}", markup=False)

    with output.console.status("working …") if sys.stdout.isatty() else nullcontext():
        yield told


def _document(opened: Opened) -> dict[str, Any]:
    return {
        **opened.ledger,
        "balanced": all(each.balanced for each in opened.sources.values()),
        "gold_tables": opened.gold_tables,
        "seconds": opened.seconds,
    }
