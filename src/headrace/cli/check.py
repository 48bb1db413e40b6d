"""`headrace check`: lint every file of the project, all faults at once."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, project_root
from headrace.cli.output import Output

if TYPE_CHECKING:
    from headrace.config.faults import Fault

_STYLES = {"error": "bold red", "warning": "yellow"}


def run(project: ProjectDir = None, env: EnvName = None, as_json: AsJson = False) -> None:
    """Lint every file of the project, and hold the contracts against the lake; all faults at once.

    Exits 1 where there is an error; warnings alone exit 0. With --json: {"faults": [{"severity", "file", "line",
    "message", "fix"}]}.
    """
    from headrace.config.lint import lint
    from headrace.runtime.deployment import undeployable

    faults = lint(project_root(project), env, also=[undeployable])
    output = Output(as_json)
    output.show({"faults": [asdict(fault) for fault in faults]}, lambda: _text(output, faults))
    if any(fault.severity == "error" for fault in faults):
        raise typer.Exit(1)


def _text(output: Output, faults: list[Fault]) -> None:
    for fault in faults:
        output.line(f"{fault.file}:{fault.line}: {fault.severity}", _STYLES[fault.severity])
        output.line(_indented(fault.message))
        if fault.fix:
            output.line(_indented(f"fix: {fault.fix}"), "dim")
    counts = {severity: sum(fault.severity == severity for fault in faults) for severity in ("error", "warning")}
    if faults:
        output.line()
    output.line(", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in counts.items()))


def _indented(text: str) -> str:
    return textwrap.fill(
        text, 80, initial_indent="  ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
