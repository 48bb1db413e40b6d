"""What `headrace good` and `headrace bad` share: their options, and how messages are waited for and told."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import visible
from headrace.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.config.project import Project

SourceId = Annotated[str, typer.Argument(metavar="SOURCE", help="The source, by its id.", show_default=False)]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=0, help="Show at most this many (default: 20).")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Then show new ones as they are committed, until Ctrl-C.")]
After = Annotated[
    int | None, typer.Option("--after", metavar="SEQ", min=-1, help="Only those after this one; -1 is from the start.")
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="FIELD=VALUE", help="Only those of which this is true; repeatable."),
]
Wait = Annotated[
    int | None,
    typer.Option("--wait", metavar="N", min=1, help="Wait until there are N, and exit 1 where they stay out."),
]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECS", min=0, help="How long --wait waits (default: 30).")
]


MESSAGE = (
    "source", "seq", "message_id", "partition", "offset", "ingest_time", "attributes", "payload", "payload_base64",
    "dataset", "contract_version",
)  # fmt: skip
"""What `good` and `bad` both say of a message."""


def verb(
    read: Callable[..., dict[str, Any]], show: Callable[[dict[str, Any]], None], about: str, more: tuple[str, ...]
) -> Callable[..., None]:
    """Return a verb that shows what `read` finds of a source (see `runtime.views.recent`), each by `show`.

    `more` are the fields that a message has there beside those of `MESSAGE`.
    """

    def run(
        source: SourceId,
        limit: Limit = 20,
        follow: Follow = False,
        after: After = None,
        where: Where = None,
        wait: Wait = None,
        timeout: Timeout = 30.0,
        project: ProjectDir = None,
        env: EnvName = None,
        as_json: AsJson = False,
    ) -> None:
        conditions = dict(condition(each, (*MESSAGE, *more)) for each in where or ())
        _tell(
            open_project(project, env), source, read, show, conditions,
            limit=limit, follow=follow, after=after, wait=wait, timeout=timeout, as_json=as_json,
        )  # fmt: skip

    run.__doc__ = about
    return run


def _tell(
    project: Project,
    source: str,
    read: Callable[..., dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
    conditions: dict[str, str],
    *,
    limit: int,
    follow: bool,
    after: int | None,
    wait: int | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Show what there is, and what comes, each once. Exits 1 where `wait` was not met in time."""
    if wait is not None and follow:
        raise InputError("--wait ends and --follow does not", at="--wait", fix="give one of the two")
    told = 0

    def tell_all(events: list[dict[str, Any]]) -> None:
        nonlocal told
        for event in events if wait is None else events[: wait - told]:
            told += 1
            if as_json:
                typer.echo(json.dumps(event, ensure_ascii=False))
            else:
                show(event)

    if wait is None:
        document = read(project, source, limit, after, conditions)
        tell_all(document["events"])
        if not follow:
            if not told and not as_json:
                typer.echo("none" + (" of which that is true" if conditions else ""), err=True)
            return
        cursor = document["cursor"]
    else:
        project.source(source)
        cursor = -1 if after is None else after

    from headrace.runtime.views.follow import follow as followed

    deadline = time.monotonic() + timeout
    comes = followed(
        project.state / "lake",
        lambda cursor, page: read(project, source, page, cursor, conditions),
        cursor,
        lambda: wait is not None and (told >= wait or time.monotonic() >= deadline),
    )
    for events in comes:
        tell_all(events)
    if wait is not None and told < wait:
        typer.echo(f"{told} of {wait} within {timeout:g} s: {_why_not(project)}", err=True)
        raise typer.Exit(1)


def below(text: str) -> None:
    """Print a text below a message as one line, cut to the terminal; whole where stdout is a pipe."""
    line = "  " + visible(" ".join(text.split()))
    width = shutil.get_terminal_size().columns
    typer.echo(line if not sys.stdout.isatty() or len(line) <= width else f"{line[: width - 1]}…")


def clock(instant: str) -> str:
    """Return the time of day of an instant in ISO 8601, in UTC as it was written."""
    return instant[11:19]


def condition(text: str, fields: tuple[str, ...]) -> tuple[str, str]:
    """Return the path and the value of a `--where`. Raises `InputError` where no message can have such a field."""
    path, sign, value = text.partition("=")
    if not sign or not path:
        raise InputError(f"{text!r} is not FIELD=VALUE", at="--where", fix="write such as --where event.id=o1")
    if path.partition(".")[0] not in fields:
        body = "event" if "event" in fields else "payload"
        below_it = f"what it says is below `{body}`: --where {shlex.quote(f'{body}.{text}')}"
        raise InputError(
            f"a message has no field '{path}' of its own",
            at="--where",
            fix=f"{below_it}; else one of {', '.join(fields)}",
        )
    return path, value


def _why_not(project: Project) -> str:
    from headrace.runtime import control

    if control.ask(project.state, {"verb": "ping"}) is None:
        return "no `headrace up` runs here, so nothing is committed"
    return "what waits is in `headrace status`, what was rejected in `headrace bad`, the rest in `headrace good`"
