"""`headrace doctor`: which files are damaged, what is lost with them, and the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.options import AsJson, EnvName, ProjectDir, open_project
from headrace.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.runtime.doctor.damage import Damage


def run(
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended; what is replaced is moved aside, never deleted.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --repair: say what it would do; do nothing.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Look only at what every start looks at: not into large files.")
    ] = False,
    project: ProjectDir = None,
    env: EnvName = None,
    as_json: AsJson = False,
) -> None:
    """Look for damaged files: what is lost with each, and the way out. Exits 1 where one is left.

    With --json: {"damaged": [{"what", "file", "problem", "lost", "remedy" (what a repair does; empty where none is
    safe), "fix", "mended", "refused" (why a repair did not mend it)}], "left": how many are damaged now}.
    """
    from headrace.runtime.doctor.examine import examine
    from headrace.runtime.doctor.examine import repair as mended

    output = Output(as_json)
    shop = open_project(project, env)
    is_done = repair and not dry_run
    found = list(mended(shop)) if is_done else [(each, "") for each in examine(shop, deep=not quick)]
    left = sum(not is_done or bool(refused) for _, refused in found)
    document = {
        "damaged": [
            {
                "what": each.what,
                "file": str(each.file),
                "problem": each.problem,
                "lost": each.lost,
                "remedy": each.remedy,
                "fix": each.fix,
                "mended": is_done and not refused,
                "refused": refused,
            }
            for each, refused in found
        ],
        "left": left,
    }
    output.show(document, lambda: _text(output, found, is_done=is_done))
    if left:
        raise typer.Exit(1)


def _text(output: Output, found: Sequence[tuple[Damage, str]], *, is_done: bool) -> None:
    if not found:
        output.line("no file is damaged", "green")
    for each, refused in found:
        output.line(f"{each.what}: {each.problem}", "bold red")
        output.line(f"  file:   {each.file}")
        output.line(f"  lost:   {each.lost}")
        if is_done and not refused:
            output.line(f"  mended: {each.remedy}", "green")
            continue
        if refused:
            output.line(f"  left:   {refused}", "red")
        if each.remedy:
            output.line(f"  repair: {each.remedy}")
        output.line(f"  type:   {each.fix}")
