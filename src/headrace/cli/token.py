"""`headrace token`: who may send events to the collector, and who may look at what came in."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output
from headrace.errors import UserError
from headrace.identity.tokens import Role, TokenFile

if TYPE_CHECKING:
    from headrace.identity.tokens import Token

run = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@run.command("create")
def create(
    source: Annotated[
        str | None, typer.Option("--source", metavar="SOURCE", help="It may send events to this source.")
    ] = None,
    all_sources: Annotated[bool, typer.Option("--all-sources", help="It may send events to every source.")] = False,
    admin: Annotated[
        bool, typer.Option("--admin", help="It may do that, and see what came in and the metrics.")
    ] = False,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Who has it, or what for.")] = "",
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and show it, this once. A running collector knows it within a second.

    With --json: {"id", "role": "write" | "admin", "source": id or null for all, "note", "created_at", "revoked_at",
    "token"}.
    """
    if (source is not None) + all_sources + admin != 1:
        raise UserError("say what the token is for", at="token create", fix="one of --source, --all-sources, --admin")
    from headrace.runtime.state import open_state

    shop = open_project(project, env)
    if source is not None:
        shop.source(source)
    token, text = TokenFile(open_state(shop.state)).create(Role.ADMIN if admin else Role.WRITE, source, note)
    output = Output(as_json)
    output.show({**shown(token), "token": text}, lambda: output.line(text))
    output.note(f"token {token.id}: {_does(token)}; it is not shown again: keep it where secrets are kept")


@run.command("list")
def list_(project: ProjectDir = None, env: EnvName = None, as_json: AsJson = False) -> None:
    """List the tokens of the environment, revoked ones too.

    With --json: {"tokens": [{"id", "role", "source", "note", "created_at", "revoked_at"}]}.
    """
    tokens = TokenFile(open_project(project, env).state).read().all
    output = Output(as_json)

    def text() -> None:
        if not tokens:
            output.line("no tokens: only this machine may send events")
            return
        output.table(
            ["id", "may", "created", "revoked", "note"],
            [[each.id, _does(each), each.created_at, each.revoked_at, each.note] for each in tokens],
        )

    output.show({"tokens": [shown(each) for each in tokens]}, text)


@run.command("revoke")
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The id that `token list` shows.")],
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """End a token, for good. A running collector refuses it within a second; once more does nothing.

    With --json: {"id", "role", "source", "note", "created_at", "revoked_at"}.
    """
    token = TokenFile(open_project(project, env).state).revoke(token_id)
    output = Output(as_json)
    output.show(shown(token), lambda: output.line(f"token {token.id} is revoked since {token.revoked_at}"))


def shown(token: Token) -> dict[str, Any]:
    """Return what anybody may know of a token: all but its digest."""
    return {name: value for name, value in asdict(token).items() if name != "digest"}


def _does(token: Token) -> str:
    if token.role is Role.ADMIN:
        return "everything"
    return f"send to {token.source or 'every source'}"
