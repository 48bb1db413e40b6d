"""Reading the schema documents that contracts are made of, and pointing into them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from headrace.config import json_lines
from headrace.config.files import inside, read_text
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_POINTER = re.compile(r"#(/[^\s:]*)?")


def read_schema(root: Path, file: str, bound: tuple[Path, ...]) -> dict[str, Any] | None:
    """Return the JSON document of a schema file, given relative to the project's folder; None where there is none.

    Raises:
        ConfigError: It leaves the project (symlinks followed), or is not one JSON object.
    """
    path = root / file
    if "\0" in file or not inside(path, (root, *bound)):
        raise ConfigError(f"the schema file {file} leaves the project", at=file, fix="keep schemas in schemas/")
    if not path.is_file():
        return None
    text = read_text(path, file, f"keep what these events need of it: headrace add SOURCE --from {file}#DEFINITION")
    try:
        document = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"not valid JSON: {error.msg}", at=f"{file}:{error.lineno}", fix=f"correct column {error.colno}"
        ) from error
    except (ValueError, RecursionError) as error:
        text = str(error) if isinstance(error, ValueError) else "nested too deeply"
        raise ConfigError(f"not a usable JSON document: {text}", at=f"{file}:1", fix="correct the file") from error
    if not isinstance(document, dict):
        raise ConfigError("a schema is a JSON object", at=f"{file}:1", fix='start it with {"type": "object"')
    return document


def line_of(root: Path, file: str, message: str) -> int:
    """Return the line of a schema file that a message with a JSON pointer (`#/properties/id`) speaks of."""
    pointer = _POINTER.search(message)
    return lines_of(root, file, [pointer[0]])[0] if pointer is not None else 1


def lines_of(root: Path, file: str, pointers: Sequence[str]) -> list[int]:
    """Return the line of a schema file that each JSON pointer leads to, or of the nearest place around it."""
    try:
        found = json_lines.lines_of(read_text(root / file, file), pointers)
    except ConfigError:
        return [1] * len(pointers)
    return [found[pointer] for pointer in pointers]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key '{twice}' is there twice")
    return document


def nearest(root: Path, file: str) -> str:
    """Return what to type where a schema file is missing: the name of one that is there, or to write it."""
    from headrace.config.faults import did_you_mean

    folder = (root / file).parent
    names = [path.name for path in folder.glob("*.json")] if inside(folder, (root,)) else []
    wanted = file.rsplit("/", 1)
    hint = did_you_mean(wanted[-1], names) if names else ""
    if hint.startswith("did you mean"):
        return hint if len(wanted) == 1 else hint.replace("'", f"'{wanted[0]}/", 1)
    return f"write {file}, or correct the path"
