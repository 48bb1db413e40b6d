"""`headrace up`: run the project: bus, tick and builds, until Ctrl-C.

With --json: lines of JSON. {"event": "started", "project", "environment", "sources": [id]}; a {"event": "warning",
"file", "line", "message", "fix"} for each warning of `headrace check`; {"event": "progress", "seconds", "messages",
"commits", "commit_secs", "gold": build, "building", "gold_problem", "failing": {source: problem}, "damage": {what:
sentence} (files that were damaged when it started), "children": {name:
{"pid", "problem", and what it says of itself}}} when it changed, once a second at most; and at the end {"event":
"stopped", …} with the same fields.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sys
import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.config.faults import Fault
    from headrace.config.project import Project
    from headrace.runtime.up import Up

SHOWN_WARNINGS = 10
LINE_EVERY = 10  # seconds, where it is not a terminal


def run(
    project: ProjectDir = None,
    env: EnvName = None,
    build_every: Annotated[
        float | None,
        typer.Option(
            "--build-every", metavar="SECS", min=0, help="Build gold at most this often, when silver changed."
        ),
    ] = None,
    no_build: Annotated[bool, typer.Option("--no-build", help="Leave gold alone; `headrace build` builds it.")] = False,
    no_collector: Annotated[
        bool, typer.Option("--no-collector", help="Take no events over HTTP; `headrace publish` sends some.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the project until Ctrl-C, which drains; a second Ctrl-C ends at once. `kill -9` is safe at any moment."""
    # While it starts, Ctrl-C is only noted: an exception amid an import can be lost, or leave its lock held.
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    from headrace.runtime.children import children
    from headrace.runtime.up import Up, line, problems

    shop = open_project(project, env)
    if asked.is_set():
        raise KeyboardInterrupt
    intake, outlets = children(shop, collector=not no_collector)
    every: float | Literal["scheduled"] | None = (
        None if no_build else "scheduled" if build_every is None else build_every
    )
    up = Up(shop, build_every_secs=every, intake=intake, outlets=outlets)
    started = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: up.stop())
    if asked.is_set():
        up.stop()
    finished = threading.Event()
    if as_json:
        shower = threading.Thread(target=while_heard, args=(_tell, up, started, finished), daemon=True)
    else:
        said = Said()
        arguments = (_show, lambda: line(up, started), lambda: said.news(problems(up)), finished)
        shower = threading.Thread(target=while_heard, args=arguments, daemon=True)
    _begin(shop, as_json=as_json)
    shower.start()
    up.run()
    finished.set()
    shower.join()
    if as_json:
        _print("stopped", _progress(up, started))
    else:
        _tell_apart(said.news(problems(up)))
        typer.echo(f"\r\033[K{line(up, started)}" if sys.stderr.isatty() else line(up, started), err=True)
    if up.progress.failing:
        raise typer.Exit(1)


def _begin(project: Project, *, as_json: bool) -> None:
    """Say what runs, and what `headrace check` would warn of: a rule that is not applied, say."""
    from headrace.config.lint import lint

    warnings = [fault for fault in lint(project.root, project.environment) if fault.severity == "warning"]
    if as_json:
        names = {"project": project.name, "environment": project.environment, "sources": list(project.sources)}
        _print("started", names)
        for fault in warnings:
            _print("warning", {name: value for name, value in asdict(fault).items() if name != "severity"})
        return
    count = len(project.sources)
    sources = f"{count} source{'' if count == 1 else 's'}"
    typer.echo(f"headrace up: {project.name} ({project.environment}), {sources}; Ctrl-C drains", err=True)
    for text in _warned(warnings):
        typer.echo(text, err=True)


def _warned(warnings: list[Fault]) -> list[str]:
    shown = [f"warning: {fault.file}:{fault.line}: {fault.message}" for fault in warnings[:SHOWN_WARNINGS]]
    more = len(warnings) - len(shown)
    return [*shown, f"… and {more} more: headrace check shows all"] if more else shown


def _progress(up: Up, started: float) -> dict[str, Any]:
    return {"seconds": round(time.monotonic() - started, 1), **up.told()}


def _print(event: str, document: dict[str, Any]) -> None:
    typer.echo(json.dumps({"event": event, **document}, ensure_ascii=False))


def while_heard(show: Callable[..., None], *arguments: Any) -> None:
    """Show what goes on for as long as somebody reads it: a project runs on where its terminal or pipe is gone."""
    with contextlib.suppress(OSError):
        show(*arguments)


def _tell(up: Up, started: float, finished: threading.Event) -> None:
    """Print a line of JSON when something changed, once a second at most."""
    last: dict[str, Any] = {}
    while not finished.wait(1.0):
        now = _progress(up, started)
        if {**now, "seconds": 0} != last:
            _print("progress", now)
        last = {**now, "seconds": 0}


class Said:
    """Remembers which problems the terminal has seen."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def news(self, problems: Mapping[str, str]) -> list[str]:
        """Return a line for each problem that is new, changed or back, and for each that is over."""
        before, self._last = self._last, dict(problems)
        over = [f"{name}: works again" for name in before if name not in problems]
        return over + [
            f"{name}: {' '.join(text.split())}" for name, text in problems.items() if before.get(name) != text
        ]


def _show(line: Callable[[], str], news: Callable[[], list[str]], finished: threading.Event) -> None:
    """Keep one line up to date on a terminal; elsewhere, print it when it changes, every ten seconds at most.

    What fails gets a line of its own, in full, within a second: a problem cut short is none that one can act on.
    """
    last, waits = "", 0
    while not finished.wait(1.0):
        _tell_apart(news())
        now = line()
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns - 1  # a line that wraps could not be written over
            typer.echo(f"\r\033[K{now[:width]}", nl=False, err=True)
            continue
        waits = (waits + 1) % LINE_EVERY
        if waits == 0 and now.partition("·")[2] != last.partition("·")[2]:
            typer.echo(now, err=True)
            last = now


def _tell_apart(news: list[str]) -> None:
    for text in news:
        typer.echo(f"\r\033[K{text}" if sys.stderr.isatty() else text, err=True)
