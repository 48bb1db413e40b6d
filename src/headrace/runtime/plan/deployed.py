"""What is deployed: the files as `up` or `apply` last took them, and the project that they were."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.errors import ConfigError
from headrace.runtime.rebuild.recorded import Deployments

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headrace.config.project import Project
    from headrace.lake.reader import LakeReader


@dataclass(frozen=True)
class Deployed:
    """A deployment: its digest, its project, and its dbt files; `models` is None where they were not recorded.

    Before the first there is neither digest nor project. `problem` says why its project does not load any more.
    """

    digest: str = ""
    project: Project | None = None
    models: Mapping[str, bytes] | None = field(default_factory=dict)
    problem: str = ""

    @property
    def models_digest(self) -> str:
        """What changes when any dbt file does."""
        return digest_of(self.models or {})


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return what changes when any of some files does."""
    said = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def deployed(project: Project, lake: LakeReader | None, folder: Path) -> Deployed:
    """Return what is deployed; its files are laid out in a folder, which must stay while its project is used."""
    if lake is None or lake.layout("ops.deployments") is None:
        return Deployed()
    rows = lake.rows("SELECT * FROM lake.ops.deployments ORDER BY deployed_at DESC LIMIT 1")
    if not rows:
        return Deployed()
    said: str | None = rows[0].get("models")
    models: dict[str, Any] | None = json.loads(said) if said is not None else None
    files = None if models is None else {name: text.encode() for name, text in models.items()}
    try:
        then = Deployments(project, lake, folder).project(rows[0]["digest"])
    except ConfigError as problem:
        return Deployed(rows[0]["digest"], None, files, problem.message)
    return Deployed(rows[0]["digest"], then, files)
