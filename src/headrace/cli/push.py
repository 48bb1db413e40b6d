"""`headrace push`: how the pushes are doing, and their dead letters."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output
from headrace.errors import InputError

run = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Dead letters, as `push dead` shows them.")]
Whole = Annotated[str | None, typer.Option("--push", metavar="PUSH", help="All dead letters of this push.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show which; change nothing.")]


@run.command("list")
def list_(project: ProjectDir = None, env: EnvName = None, as_json: AsJson = False) -> None:
    """List the pushes: how far each is, what waits, what fails. Exits 1 where one has dead letters or is failing.

    With --json: {"pushes": [{"push", "on", "to", "topic", "position", "delivered", "last_delivered", "waiting",
    "oldest_secs", "retrying", "dead", "failing_since", "problem"}]}.
    """
    from headrace.runtime.relay.pushes import pushes

    found = pushes(open_project(project, env))
    output = Output(as_json)
    output.show({"pushes": found}, lambda: _list(output, found))
    if any(each["dead"] or each["failing_since"] for each in found):
        raise typer.Exit(1)


@run.command("dead")
def dead(
    push: Annotated[str | None, typer.Argument(metavar="[PUSH]", help="Only this push's, such as orders/desk.")] = None,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """List the dead letters: what was given up, after how many attempts, and why.

    With --json: {"letters": [{"id", "push", "event_id", "kind", "dataset", "at", "attempts", "first_attempt",
    "problem", "data"}]}.
    """
    from headrace.runtime.relay.pushes import dead_letters

    found = dead_letters(open_project(project, env), push)
    output = Output(as_json)
    output.show({"letters": found}, lambda: _dead(output, found))


@run.command("retry")
def retry(
    ids: Ids = None,
    push: Whole = None,
    dry_run: DryRun = False,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Try dead letters again, by id or all of a push; a running `headrace up` starts at once.

    With --json: {"letters": [id], "dry_run"}.
    """
    from headrace.runtime.relay.pushes import revive

    _asked(ids, push)
    done = revive(open_project(project, env), ids or (), push, dry_run=dry_run)
    _say(Output(as_json), done, "would be tried again" if dry_run else "will be tried again", dry_run=dry_run)


@run.command("discard")
def discard(
    ids: Ids = None,
    push: Whole = None,
    dry_run: DryRun = False,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Remove dead letters for good, by id or all of a push. The events themselves stay in silver and bronze.

    With --json: {"letters": [id], "dry_run"}.
    """
    from headrace.runtime.relay.pushes import discard as act

    _asked(ids, push)
    done = act(open_project(project, env), ids or (), push, dry_run=dry_run)
    _say(Output(as_json), done, "would be discarded" if dry_run else "discarded", dry_run=dry_run)


def _asked(ids: list[str] | None, push: str | None) -> None:
    if not ids and push is None:
        raise InputError("no dead letter is named", at="push", fix="give their ids, or --push for all of a push")


def _list(output: Output, found: list[dict[str, Any]]) -> None:
    if not found:
        output.line("no source has a push")
        return
    counts = ["delivered", "waiting", "retrying", "dead"]
    rows = [[each["push"], each["on"], each["topic"] or each["to"], *(each[name] for name in counts)] for each in found]
    output.table(["push", "on", "to", *counts], rows, right=counts)
    for each in found:
        if each["problem"]:
            since = f" since {each['failing_since'][:19]}" if each["failing_since"] else ""
            output.line(f"{each['push']} fails{since}: {each['problem']}", "yellow")
    if any(each["dead"] for each in found):
        output.note("see what was given up: headrace push dead")


def _dead(output: Output, found: list[dict[str, Any]]) -> None:
    if not found:
        output.line("no dead letters")
        return
    rows = [[each["id"], each["event_id"], each["attempts"], each["problem"]] for each in found]
    output.table(["id", "event", "attempts", "problem"], rows, right=["attempts"])
    output.note("once the endpoint is mended: headrace push retry ID, or --push PUSH")


def _say(output: Output, done: list[str], what: str, *, dry_run: bool) -> None:
    def text() -> None:
        for each in done:
            output.line(each)
        output.line(f"{len(done):,} {what}")

    output.show({"letters": done, "dry_run": dry_run}, text)
