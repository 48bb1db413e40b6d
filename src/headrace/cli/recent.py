"""What `good`, `bad` and `tap` share: their options, and how messages are read, waited for and told."""

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
    from collections.abc import Callable, Iterable, Iterator

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
    "dataset", "contract_version", "fate", "key",
)  # fmt: skip
"""The fields that say something of every message."""


def verb(kind: str, show: Callable[[dict[str, Any]], None], about: str, more: tuple[str, ...]) -> Callable[..., None]:
    """Return a verb that shows the messages of a kind (see `runtime.views.recent`), each by `show`.

    `more` are the fields that say something there, beside those of `MESSAGE`.
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
        if wait is not None and follow:
            raise InputError("--wait ends and --follow does not", at="--wait", fix="give one of the two")
        messages = Messages(open_project(project, env), source, kind, (*MESSAGE, *more), where)
        told = Told(show, as_json)
        if wait is None:
            document = messages.read(limit, after)
            told.tell(document["events"])
            if follow:
                told.all(messages.follow(document["cursor"]))
            elif not told.count and not as_json:
                typer.echo("none" + (" of which that is true" if messages.where else ""), err=True)
            return
        deadline = time.monotonic() + timeout
        told.all(messages.follow(-1 if after is None else after, lambda: time.monotonic() >= deadline), wait)
        if told.count < wait:
            typer.echo(f"{told.count} of {wait} within {timeout:g} s: {_why_not(messages.project)}", err=True)
            raise typer.Exit(1)

    run.__doc__ = about
    return run


class Messages:
    """The messages of a kind that a source has, and gets."""

    def __init__(
        self, project: Project, source: str, kind: str, fields: tuple[str, ...], where: list[str] | None
    ) -> None:
        """Raises `ConfigError` for a source, and `InputError` for a `--where`, that there cannot be."""
        from headrace.runtime.views.recent import Kind

        self.project = project
        self.where = dict(condition(each, fields) for each in where or ())
        self._source = project.source(source).id
        self._kind = Kind(kind)

    def read(self, limit: int, after: int | None = None) -> dict[str, Any]:
        """Return the last messages, or the first that follow a cursor."""
        from headrace.runtime.views.recent import recent

        return recent(self.project, self._source, self._kind, limit, after, self.where)

    def follow(self, cursor: int, over: Callable[[], bool] = lambda: False) -> Iterator[list[dict[str, Any]]]:
        """Yield what follows a cursor, as it is committed, until `over`; now and then nothing."""
        from headrace.runtime.views.follow import follow

        return follow(self.project.state / "lake", lambda after, page: self.read(page, after), cursor, over)


class Told:
    """Shows messages, and counts them."""

    def __init__(self, show: Callable[[dict[str, Any]], None], as_json: bool) -> None:
        self._show = show
        self._as_json = as_json
        self.count = 0

    def tell(self, events: list[dict[str, Any]]) -> None:
        """Show messages: a line of JSON each, or as they are shown to people."""
        for event in events:
            self.count += 1
            if self._as_json:
                typer.echo(json.dumps(event, ensure_ascii=False))
            else:
                self._show(event)

    def all(self, pages: Iterable[list[dict[str, Any]]], most: int | None = None) -> None:
        """Show all that comes, or the first so many."""
        for events in pages:
            self.tell(events if most is None else events[: most - self.count])
            if most is not None and self.count >= most:
                return


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


def is_up(project: Project) -> bool:
    """Return whether a `headrace up` runs here."""
    from headrace.runtime import control

    return control.ask(project.state, {"verb": "ping"}) is not None


def _why_not(project: Project) -> str:
    if not is_up(project):
        return "no `headrace up` runs here, so nothing is committed"
    return "what waits is in `headrace status`, what was rejected in `headrace bad`, the rest in `headrace good`"
