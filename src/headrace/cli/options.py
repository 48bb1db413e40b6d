"""The options that every verb shares, and how a verb opens its project.

A verb is `def run(project: ProjectDir = None, env: EnvName = None, as_json: AsJson = False) -> None:` and starts with
`shop = open_project(project, env)`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from headrace.config.project import Project

ProjectDir = Annotated[
    Path | None,
    typer.Option("--project", metavar="DIR", help="The project's folder (default: the nearest with headrace.yaml)."),
]
EnvName = Annotated[
    str | None,
    typer.Option("--env", metavar="NAME", help="The environment (default: HEADRACE_ENV, or the project's default)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, in a documented shape.")]


def project_root(project: Path | None) -> Path:
    """Return the folder of headrace.yaml: the one given, or the nearest at or above the working directory."""
    from headrace.config.files import find_root

    return find_root(project)


def open_project(project: Path | None, env: str | None) -> Project:
    """Load the project, or raise ConfigError with the first fault."""
    from headrace.config.project import load_project

    return load_project(project_root(project), env)
