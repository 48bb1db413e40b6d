"""`headrace contract`: the table of its verbs; each lives in a file of its own."""

from __future__ import annotations

import typer

from headrace.cli import contract_diff, contract_fetch, contract_versions

run = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
run.command("diff")(contract_diff.run)
run.command("list")(contract_versions.list_)
run.command("show")(contract_versions.show)
run.command("history")(contract_versions.history)
run.command("deprecate")(contract_versions.deprecate)
run.command("fetch")(contract_fetch.run)
