"""`headrace up`: run the project: bus, tick and builds, until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.options import EnvName, ProjectDir, open_project

if TYPE_CHECKING:
    from collections.abc import Callable


def run(
    project: ProjectDir = None,
    env: EnvName = None,
    build_every: Annotated[
        float, typer.Option("--build-every", metavar="SECS", help="Build gold at most this often, when silver changed.")
    ] = 10.0,
    no_build: Annotated[bool, typer.Option("--no-build", help="Leave gold alone; `headrace build` builds it.")] = False,
) -> None:
    """Run the project until Ctrl-C, which drains; a second Ctrl-C ends at once. `kill -9` is safe at any moment."""
    from headrace.runtime.up import Up, line

    shop = open_project(project, env)
    up = Up(shop, build_every_secs=None if no_build else build_every)
    started = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: up.stop())
    typer.echo(f"headrace up: {shop.name} ({shop.environment}), {len(shop.sources)} sources; Ctrl-C drains", err=True)
    finished = threading.Event()
    shower = threading.Thread(target=_show, args=(lambda: line(up, started), finished), daemon=True)
    shower.start()
    up.run()
    finished.set()
    shower.join()
    typer.echo(f"\r\033[K{line(up, started)}" if sys.stderr.isatty() else line(up, started), err=True)
    if up.progress.failing:
        raise typer.Exit(1)


def _show(line: Callable[[], str], finished: threading.Event) -> None:
    """Keep one line up to date on a terminal; elsewhere, print it when it changes, every ten seconds at most."""
    last = ""
    while not finished.wait(1.0 if sys.stderr.isatty() else 10.0):
        now = line()
        if sys.stderr.isatty():
            typer.echo(f"\r\033[K{now[:119]}", nl=False, err=True)
        elif now.partition("·")[2] != last.partition("·")[2]:
            typer.echo(now, err=True)
        last = now
