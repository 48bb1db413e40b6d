"""`headrace jobs`: what runs beside the ticks, when it runs next, how it went, and running one now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

run = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

COLOURS = {"ok": "green", "nothing": "green", "running": "yellow"}


@run.command("list")
def list_(project: ProjectDir = None, env: EnvName = None, as_json: AsJson = False) -> None:
    """List the jobs: schedule, next run, last run.

    With --json: {"running", "jobs": [{"name", "schedule", "timezone", "next", "last": run | null}]}, a run
    as in `jobs history`.
    """
    from headrace.runtime.jobs.actions import listing

    document = listing(open_project(project, env))
    output = Output(as_json)
    output.show(document, lambda: _list(output, document))


@run.command("run")
def run_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The job, as `jobs list` names it.", show_default=False)],
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Run a job now, in the running `up` where there is one. Exits 1 where it fails.

    With --json: a run of `jobs history`.
    """
    from headrace.runtime.jobs.actions import run_now

    output = Output(as_json)
    done = run_now(open_project(project, env), name)
    output.show(done, lambda: _show(output, [done]))
    if done["status"] not in {"ok", "nothing"}:
        raise typer.Exit(1)


@run.command("history")
def history(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only this job.", show_default=False)] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most this many runs.")] = 20,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Show how the last runs went, newest first.

    With --json: {"runs": [{"run", "job", "slot", "attempt", "missed", "started_at", "ended_at", "seconds", "status",
    "message"}]}.
    """
    from headrace.runtime.jobs.actions import past_runs

    document = {"runs": past_runs(open_project(project, env), name, limit)}
    output = Output(as_json)
    output.show(document, lambda: _show(output, document["runs"]))


def _list(output: Output, document: dict[str, Any]) -> None:
    rows = []
    for each in document["jobs"]:
        last = each["last"] or {}
        rows.append([each["name"], each["schedule"] or "off", _time(each["next"]), last.get("status"),
                     _time(last.get("started_at"))])  # fmt: skip
    output.table(["job", "schedule", "next", "last", "at"], rows)
    for each in document["jobs"]:
        if each["last"] and each["last"]["status"] not in COLOURS:
            output.line(f"{each['name']} {each['last']['status']}: {each['last']['message']}", "red")
    if not document["running"]:
        output.note("no `headrace up` runs here: nothing starts by itself")


def _show(output: Output, runs: Sequence[dict[str, Any]]) -> None:
    if not runs:
        output.line("nothing ran yet")
    wide = max(11, *(len(each["job"]) for each in runs)) if runs else 0
    for each in runs:
        took = "" if each["seconds"] is None else f"  {each['seconds']:,.1f} s"
        lead = f"{_time(each['started_at'])}  {each['job']:<{wide}} {each['status']}{took}"
        if each["attempt"] > 1:
            lead += f"  (attempt {each['attempt']})"
        if each["missed"]:
            lead += f"  (for {each['missed']:,} missed run{'s' * (each['missed'] != 1)} too)"
        output.line(lead, COLOURS.get(each["status"], "red"))
        if each["message"]:
            output.line(f"  {each['message']}")


def _time(instant: str | None) -> str | None:
    return None if instant is None else f"{instant[:10]} {instant[11:19]}"
