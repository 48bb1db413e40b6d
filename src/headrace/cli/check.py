"""`headrace check`: lint every file of the project, all faults at once."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, project_root
from headrace.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from headrace.config.faults import Fault
    from headrace.config.project import Assembled

Against = Annotated[
    str | None, typer.Option("--against", metavar="REV", help="Hold the contracts against those of a git revision.")
]

_STYLES = {"error": "bold red", "warning": "yellow"}


def run(against: Against = None, project: ProjectDir = None, env: EnvName = None, as_json: AsJson = False) -> None:
    """Lint every file of the project, and hold the contracts against the lake; all faults at once.

    A deprecated field that a model reads, or a version past its day that is still sent or served, is an error there.
    With --against REV also hold the contracts against those of a git revision: a change that breaks under the source's
    `evolution`, and is no version of its own, is an error; what breaks readers and is let pass, since `evolution` is
    `none` or was loosened, a warning. Exits 1 where there is an error; warnings alone exit 0. With --json: {"faults":
    [{"severity", "file", "line", "message", "fix"}]}.
    """
    from headrace.config.lint import lint
    from headrace.runtime.deployment import undeployable
    from headrace.runtime.live_readers import live_readers

    root = project_root(project)
    also: list[Callable[[Assembled], Iterable[Fault]]] = [undeployable, live_readers]
    if against is not None:
        also.append(partial(_breaking, root, against))
    faults = lint(root, env, also=also)
    output = Output(as_json)
    output.show({"faults": [asdict(fault) for fault in faults]}, lambda: _text(output, faults))
    if any(fault.severity == "error" for fault in faults):
        raise typer.Exit(1)


def _breaking(root: Path, against: str, assembled: Assembled) -> list[Fault]:
    import os

    from headrace.config.contract_changes import changes_since, faults_of
    from headrace.config.revisions import revision

    root = root.resolve()
    changes = changes_since(assembled, root, revision(root, against), environ=os.environ)
    return faults_of(root, changes, against)


def _text(output: Output, faults: list[Fault]) -> None:
    for fault in faults:
        output.line(f"{fault.file}:{fault.line}: {fault.severity}", _STYLES[fault.severity])
        output.wrapped(fault.message, "  ")
        if fault.fix:
            output.wrapped(f"fix: {fault.fix}", "  ", "dim")
    counts = {severity: sum(fault.severity == severity for fault in faults) for severity in ("error", "warning")}
    if faults:
        output.line()
    output.line(", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in counts.items()))
