"""A plan as a file: what would change, and the digests of all that it was made of."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from headrace.disk import make_folder, sync
from headrace.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headrace.config.project import Project

FORMAT = 2
FOLDER = "plans"
LARGEST_BYTES = 256 << 20


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    """Return a plan with its digest: that of its inputs and of what it says, but not of when it was made."""
    said = {name: each for name, each in document.items() if name not in {"digest", "made_at", "estimate"}}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()
    return {"format": FORMAT, "digest": digest, **document}


def write(project: Project, document: Mapping[str, Any], file: Path | None) -> Path:
    """Write a plan durably, to its own name below the state unless another is given; return where it is."""
    if file is None:
        folder = project.state / FOLDER
        make_folder(folder)
        file = folder / f"{document['digest'][:16]}.json"
    if file.is_dir() or not file.name:
        raise InputError("the plan cannot be written: it is a folder", at=str(file), fix="name a file in it")
    try:
        written = file.with_name(file.name + ".new")
        written.write_text(json.dumps(document, indent=1, default=str) + "\n", encoding="utf-8")
        sync(written)
        written.replace(file)
        sync(file.parent)
    except OSError as problem:
        raise InputError(
            f"the plan cannot be written: {problem.strerror}", at=str(file), fix="name another file"
        ) from problem
    return file


def read(file: Path) -> dict[str, Any]:
    """Return a plan from its file. Raises `InputError` where it is none, or was changed since it was made."""
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise InputError("the file is too large for a plan", at=str(file), fix="headrace plan makes one")
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise InputError(
            f"the plan cannot be read: {problem.strerror}", at=str(file), fix="headrace plan makes one"
        ) from problem
    except ValueError as problem:
        raise InputError(
            "the file is not a plan: it is not JSON", at=str(file), fix="headrace plan makes one"
        ) from problem
    if not isinstance(document, dict) or document.get("format") != FORMAT or "inputs" not in document:
        raise InputError(f"the file is not a plan of format {FORMAT}", at=str(file), fix="headrace plan makes one")
    bare = {name: each for name, each in document.items() if name not in {"format", "digest"}}
    if sealed(bare)["digest"] != document.get("digest"):
        raise InputError("the plan was changed after it was made", at=str(file), fix="make it anew: headrace plan")
    return document


def stale(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return, in words, which of a plan's inputs are others now."""
    words = {
        "project": "the project's name",
        "environment": "the environment",
        "files": "the project's files, or its HEADRACE_ settings",
        "models": "the dbt files",
        "deployed": "what is deployed",
        "deployed_models": "the dbt files that are deployed",
        "code_version": "the version of Headrace",
    }
    found = [said for name, said in words.items() if was.get(name) != now.get(name)]
    before, after = was.get("history") or {}, now.get("history") or {}
    others = (source for source in sorted(before.keys() | after.keys()) if before.get(source) != after.get(source))
    found += [f"the history of {source}: messages were taken, or decided again, since" for source in others]
    return found
