"""`headrace init`: a project to start from, that checks clean and has something to see."""

from __future__ import annotations

import json
import shutil
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.options import AsJson
from headrace.cli.output import Output
from headrace.errors import UserError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

RENAMED = {"gitignore": ".gitignore"}
"""Files that would act on our own repository under the name that they have in a project."""

EDITOR_SCHEMA = "connectors/source.schema.json"


def run(
    name: Annotated[Path, typer.Argument(metavar="NAME", help="The new project's folder; its last part is its name.")],
    as_json: AsJson = False,
) -> None:
    """Start a project: an example source, its schema, sample events, a mart.

    All of it is written, or nothing. With --json: {"project", "name", "files": [path], "next": [command]}.
    """
    target = name.absolute()
    written = scaffold(target)
    steps = [f"cd {name}", "headrace check", "headrace publish orders sample/orders.jsonl", "headrace up"]
    output = Output(as_json)

    def text() -> None:
        output.line(f"{name} is ready: {len(written)} files.")
        output.line()
        for step in steps:
            output.line(f"  {step}", "bold")
        output.line()
        output.line(f"{name}/README.md says more.")

    output.show({"project": str(target), "name": target.name, "files": written, "next": steps}, text)


def scaffold(target: Path, template: Traversable | None = None) -> list[str]:
    """Write a project into a folder that does not exist or is empty; return its files, relative, in order.

    `template` is the folder to copy, this verb's own unless given.

    Raises UserError where the folder holds something, or its name cannot be a project's: then nothing was written.
    """
    from headrace.config.editor import source_schema
    from headrace.config.project_file import NAME

    if not NAME.fullmatch(target.name):
        raise UserError(
            f"'{target.name}' cannot name a project",
            at=str(target),
            fix="a lower-case letter, then letters, digits, - and _, such as: headrace init my-shop",
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        what = "is not empty" if target.is_dir() else "is a file"
        raise UserError(f"{target.name} {what}", at=str(target), fix="choose another name, or an empty folder")
    words = {"__name__": target.name, "__dbt_name__": target.name.replace("-", "_")}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder:
            draft = Path(folder) / "project"
            _copy(template or files("headrace.cli") / "scaffold", draft, words)
            schema = json.dumps(source_schema(), indent=2, ensure_ascii=False) + "\n"
            (draft / EDITOR_SCHEMA).write_text(schema, encoding="utf-8")
            written = sorted(path.relative_to(draft).as_posix() for path in draft.rglob("*") if path.is_file())
            _move(draft, target)
    except OSError as error:
        raise UserError(
            f"cannot write the project: {error.strerror}", at=str(target), fix="check the folder's rights and space"
        ) from error
    return written


def _copy(source: Traversable, target: Path, words: dict[str, str]) -> None:
    target.mkdir()
    for item in source.iterdir():
        path = target / RENAMED.get(item.name, item.name)
        if item.is_dir():
            _copy(item, path, words)
        else:
            text = item.read_text(encoding="utf-8")
            for word, meaning in words.items():
                text = text.replace(word, meaning)
            path.write_text(text, encoding="utf-8", newline="\n")


def _move(draft: Path, target: Path) -> None:
    if not target.exists():
        draft.rename(target)
        return
    # The folder is there and empty: someone may stand in it, so it is filled, not replaced.
    moved: list[Path] = []
    try:
        for item in sorted(draft.iterdir()):
            moved.append(item.rename(target / item.name))  # noqa: PERF401 - known, even when a later one fails
    except OSError:
        for path in moved:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise
