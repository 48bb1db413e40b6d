"""`headrace`: the table of verbs, and the one place where errors become exit codes.

A verb is the module `headrace.cli.<verb>` with `run`: a function with typer parameters, or a `typer.Typer` where the
verb has verbs of its own. It is imported when it is called, so that `headrace --help` pays for none of them.
"""

from __future__ import annotations

import errno
import gc
import io
import os
import shlex
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from headrace import __version__
from headrace.cli.output import is_interrupt
from headrace.errors import ExternalError, HeadraceError, InternalError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Verb(NamedTuple):
    """A line of the table: what is typed, where it lives, what the help says."""

    name: str
    module: str
    help: str


VERBS = (
    Verb("demo", "headrace.cli.demo", "Open a shop: from nothing to published gold in a minute."),
    Verb("init", "headrace.cli.init", "Start a project: a source, its schema, sample events, a mart."),
    Verb("add", "headrace.cli.add", "Add a source from a sample of its events, or from a schema."),
    Verb("check", "headrace.cli.check", "Lint every file of the project; all faults at once."),
    Verb("contract", "headrace.cli.contract", "Versions of contracts: diff, list, show, history, deprecate."),
    Verb("plan", "headrace.cli.plan", "Show what apply would change, and what it does to history."),
    Verb("apply", "headrace.cli.apply", "Deploy the files as a plan says, history included."),
    Verb("test", "headrace.cli.test", "Run the cases of sources through their stages."),
    Verb("export", "headrace.cli.export", "Export a contract: JSON Schema, Avro, Protobuf, ODCS …"),
    Verb("registry", "headrace.cli.registry", "Serve the contracts to Kafka clients as a schema registry."),
    Verb("schema", "headrace.cli.schema", "Print the JSON Schema of a source file, for editors."),
    Verb("up", "headrace.cli.up", "Run the project: bus, tick and builds, until Ctrl-C."),
    Verb("publish", "headrace.cli.publish", "Send events from a file or stdin to a source, durably."),
    Verb("files", "headrace.cli.files", "List the files of watched folders, or take them now."),
    Verb("status", "headrace.cli.status", "Show each source: its ledger, balance, lag and freshness."),
    Verb("verify", "headrace.cli.verify", "Prove that nothing is lost or doubled on the way to silver."),
    Verb("doctor", "headrace.cli.doctor", "Find damaged files, say what is lost, and mend them."),
    Verb("chaos", "headrace.cli.chaos", "Break a copy in every way; prove that nothing is lost."),
    Verb("top", "headrace.cli.top", "Watch rates, lag, freshness and fates of each source, live."),
    Verb("good", "headrace.cli.good", "Show the last accepted events of a source."),
    Verb("bad", "headrace.cli.bad", "Show the last rejected messages of a source, and why."),
    Verb("tap", "headrace.cli.tap", "See the events of a source pass, each with its fate."),
    Verb("explain", "headrace.cli.explain", "Explain what became of one message, and why."),
    Verb("lineage", "headrace.cli.lineage", "Show where a column comes from, and what it goes into."),
    Verb("query", "headrace.cli.query", "Run one SELECT over gold, silver, bronze and ops."),
    Verb("quarantine", "headrace.cli.quarantine", "List and show the messages that failed."),
    Verb("push", "headrace.cli.push", "List the pushes; list, retry or discard their dead letters."),
    Verb("token", "headrace.cli.token", "Create, list and revoke tokens: who may send events over HTTP."),
    Verb("jobs", "headrace.cli.jobs", "List the scheduled jobs, run one now, show how they went."),
    Verb("build", "headrace.cli.build", "Build gold with dbt; publish it when its tests pass."),
    Verb("undo", "headrace.cli.undo", "Publish the previous version of gold again."),
)

_BRIEF = frozenset({"contract"})
"""Verbs whose work is brief, whatever they read. They leave next to nothing in circles, and the process ends with the
answer: to search all that was read for such circles, again and again, would be a tenth of its time."""

USER_EXIT = 2

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EPIPE}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}

_LEADS = ((ExternalError, "external", "unavailable"), (InternalError, "internal", "internal error"))


class _Verbs(TyperGroup):
    """Lists verbs from the table, and imports only the one that runs."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the table is the same in every context
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        verb = next((verb for verb in VERBS if verb.name == name), None)
        return name, command if verb is None else _load(verb), rest


def _load(verb: Verb) -> Any:
    if verb.name in _BRIEF:
        gc.disable()
    run = import_module(verb.module).run
    if not isinstance(run, typer.Typer):
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name=verb.name)(run)
        run = app
    command = typer.main.get_command(run)
    command.name = verb.name
    return command


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"headrace {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """A data platform for event streams: one YAML file a source, from topic to published gold, with the proof."""


def _command() -> Any:
    app = typer.Typer(
        cls=_Verbs, name="headrace", add_completion=False, no_args_is_help=True, rich_markup_mode=None, callback=_root
    )
    group: Any = typer.main.get_group(app)
    for verb in VERBS:
        group.add_command(TyperCommand(verb.name, help=verb.help, rich_markup_mode=None))
    return group


def kind_and_lead(error: HeadraceError) -> tuple[str, str]:
    """Return who must act (`user`, `external`, `internal`) and the word that a message starts with."""
    for family, kind, lead in _LEADS:
        if isinstance(error, family):
            return kind, lead
    return "user", "error"


def report(error: HeadraceError, *, as_json: bool) -> None:
    """Show an error: JSON on stdout, or text on stderr with its place and its fix on lines of their own."""
    kind, lead = kind_and_lead(error)
    if as_json:
        import json

        document = {"error": {"message": error.message, "at": error.at, "fix": error.fix, "kind": kind}}
        typer.echo(json.dumps(document, indent=2))
        return
    typer.echo(f"{lead}: {error.message}", err=True)
    if error.at:
        typer.echo(f"  at:  {error.at}", err=True)
    if error.fix:
        typer.echo(f"  fix: {error.fix}", err=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Exits 0, 1 (a check found something), 2 (someone must act) or 130 (Ctrl-C)."""
    _open_closed_streams()
    _show_what_can_be_shown()
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in (given[: given.index("--")] if "--" in given else given)
    collects = gc.isenabled()
    try:
        _command()(args=given, prog_name="headrace")
    except HeadraceError as error:
        report(error, as_json=as_json)
        sys.exit(USER_EXIT)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as problem:
        if problem.errno in _FORBIDDEN and problem.filename:
            report(_forbidden(problem), as_json=as_json)
            sys.exit(USER_EXIT)
        if problem.errno not in _UNWRITABLE:
            _show_bug(problem, as_json=as_json)
        # All that writes files maps this to an error of ours, so what is full or gone is where the answer goes.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - or Python would fail again, flushing at its end
        refused = ExternalError(
            f"the answer could not be written: {problem.strerror}",
            at="standard output",
            fix="see where it goes: a full disk, or a program that ended",
        )
        report(refused, as_json=False)
        sys.exit(USER_EXIT)
    except Exception as bug:  # noqa: BLE001 - the outermost edge: a bug is shown as one, never as a wall of text
        if is_interrupt(bug):
            sys.exit(130)
        _show_bug(bug, as_json=as_json)
    finally:
        if collects and not gc.isenabled():
            # A process that ends needs no search for circles; who called with arguments may go on, as a test does.
            (gc.freeze if arguments is None else gc.enable)()


def _forbidden(problem: OSError) -> ExternalError:
    """Return the error for a file that this user may not use, whatever wanted it."""
    file = os.fsdecode(problem.filename)
    return ExternalError(
        f"the file cannot be used: {problem.strerror}",
        at=file,
        fix=f"see whose it is, and that you may write there: ls -ld {shlex.quote(os.path.dirname(file) or '.')}",  # noqa: PTH120
    )


def _show_bug(bug: Exception, *, as_json: bool) -> NoReturn:
    if os.environ.get("HEADRACE_DEBUG"):
        raise bug
    internal = InternalError(
        f"{type(bug).__name__}: {bug}",
        fix="this is a bug of Headrace; HEADRACE_DEBUG=1 shows where, and please report it",
    )
    report(internal, as_json=as_json)
    sys.exit(USER_EXIT)


def _open_closed_streams() -> None:
    """Give a process that was started without standard streams, as a daemon may be, empty ones."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 - for as long as the process lives


def _show_what_can_be_shown() -> None:
    """Let a terminal that knows fewer characters show the others as their numbers: no answer fails over a dot."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
