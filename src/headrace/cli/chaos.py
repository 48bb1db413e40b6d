"""`headrace chaos`: does everything survive that can happen to a process, a disk and a machine?"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output

if TYPE_CHECKING:
    from headrace.chaos.campaign import Report
    from headrace.chaos.supply import Supply
    from headrace.config.project import Project

TOLD_EVERY = 10  # schedules


def run(
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="The seed of the first schedule.")] = 1,
    schedules: Annotated[
        int, typer.Option("--schedules", metavar="N", min=1, help="How many, each with a seed one higher.")
    ] = 50,
    at_once: Annotated[
        int, typer.Option("--at-once", metavar="N", min=0, help="How many side by side (0: one a core).")
    ] = 0,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Break a copy of the project in every way, and prove that nothing is lost or doubled. Exits 1 where it is.

    Processes are killed and paused, disks fill, writes tear, the power fails, clocks jump, messages repeat and overtake
    each other; then everything must be there, once, and `verify` must hold. The project and its state stay as they are.
    With --json: {"schedules", "lost", "duplicated", "unbalanced", "unequal", "stuck", "failing_seeds", "failures":
    [{"seed", "why", "struck", "schedule", "replay"}], "messages", "lives", "struck", "power_cuts", "builds",
    "unbuilt", "points_passed", "points", "surprises", "left_out": [{"kind", "why"}], "seconds"}. Lost and duplicated
    count messages; unbalanced, unequal and stuck count schedules.
    """
    from headrace.chaos import campaign

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: what lies in the temporary folder goes
    output = Output(as_json)
    opened = open_project(project, env)
    supply = _supply(opened)

    def told(report: Report) -> None:
        if report.schedules % TOLD_EVERY == 0 and report.schedules < schedules:
            output.note(f"{report.schedules:,} of {schedules:,} schedules: {len(report.failing_seeds)} fail")

    report = campaign.run(
        opened, supply, range(seed, seed + schedules), at_once=at_once or os.cpu_count() or 1, told=told
    )
    output.show(report.document(), lambda: _text(output, report))
    if report.failing_seeds:
        raise typer.Exit(1)


def _supply(project: Project) -> Supply:
    """Return what is sent: a shop's own messages, the same ones every time, or the newest of the project's bronze."""
    from headrace.chaos.supply import MOST, Sent, of_bronze
    from headrace.demo.opening import remembered

    plan = remembered(project.state)
    if plan is None:
        return of_bronze(project)
    supply: Supply = {}
    for message in plan.shop().history():
        if message.source in project.sources and len(supply.setdefault(message.source, [])) < MOST:
            supply[message.source].append(Sent(message.payload))
    return supply


def _text(output: Output, report: Report) -> None:
    for failure in report.failures:
        output.line(f"seed {failure['seed']} fails:", "bold red")
        for why in failure["why"]:
            output.line(f"  {why}", "red")
        output.line(f"  after: {'; '.join(failure['struck']) or 'nothing that struck'}")
        output.line(f"  again: {failure['replay']}")
    for each in report.left_out:
        output.line(f"left out: {each['kind']}, since {each['why']}")
    for problem in report.unbuilt:
        output.line(f"gold was not published in some, since {problem}")
    done = f"{report.schedules:,} schedules, {report.lives:,} lives, {report.struck:,} strikes"
    where = f"{report.points_passed} of {report.points} fault points"
    output.line(f"{done}, {report.power_cuts:,} power cuts, {where}, {report.messages:,} messages")
    verdict = (
        f"{report.lost:,} lost, {report.duplicated:,} duplicated, {report.unbalanced:,} unbalanced, "
        f"{report.unequal:,} unequal, {report.stuck:,} stuck"
    )
    output.line(verdict, "bold red" if report.failing_seeds else "green")
