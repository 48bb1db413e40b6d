"""`headrace apply`: deploy the project's files, and decide history again where a plan said so."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output


def run(
    plan: Annotated[
        Path | None,
        typer.Argument(metavar="PLAN", help="The file of a plan (default: one made now, without history)."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say whether the plan still holds; change nothing.")
    ] = False,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Deploy the files as a plan says. Refused where what it was made of has changed; done twice, it is done once.

    A plan with history decides its window again, all in one commit, and `verify --from-bronze` is equal afterwards;
    one without changes the rules for the messages that follow. With --json: {"plan", "deployed", "decided", "messages",
    "partitions": {dataset: [date]}, "dry_run"}.
    """
    from headrace.runtime.plan.applying import apply, check, is_applied
    from headrace.runtime.plan.document import read
    from headrace.runtime.plan.making import plan as make

    output = Output(as_json)
    opened = open_project(project, env)
    document = read(plan) if plan is not None else make(opened)
    if dry_run:
        check(opened, document)
        nothing = {"deployed": False, "decided": False, "messages": 0, "partitions": {}}
        output.show(
            {"plan": document["digest"], **nothing, "dry_run": True},
            lambda: output.line("the plan holds: apply would do it"),
        )
        return
    if document["inputs"]["history"] and not is_applied(opened, document):
        output.note("deciding history again …")
    done = apply(opened, document)

    def text() -> None:
        if not (done.deployed or done.decided):
            output.line("nothing to do: it is applied already")
            return
        output.line(f"applied {done.plan[:16]}")
        if done.decided:
            output.line(f"{done.messages:,} messages were decided again, in one commit")
            for dataset, dates in done.partitions.items():
                output.line(f"  silver.{dataset}: {len(dates)} partition{'s' * (len(dates) != 1)} written anew")
            output.line("headrace verify --from-bronze proves it; headrace build brings gold up to it")
            others = {each for one in document["history"]["sources"] for each in one["decided_by"]}
            if others:
                output.line(f"what headrace {', '.join(sorted(others))} decided, only that version decides so again")
            if not others or document["inputs"]["files"] != document["inputs"]["deployed"]:
                output.line("to go back: put the old files back, and plan and apply with the same --history")
        else:
            output.line("the new rules hold for the messages that follow; history stays as it was decided")

    output.show({**asdict(done), "dry_run": False}, text)
