"""`headrace` as it is typed: a process of its own, run to its end."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.config.project import Project

COMMAND = (sys.executable, "-m", "headrace")


def headrace(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command; `options` are those of `subprocess.run`."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False, **options,
    )  # fmt: skip


def headrace_in(project: Project, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command for a project."""
    return headrace(*arguments, "--project", project.root, **options)


def answered(*arguments: object, **options: Any) -> tuple[int, Any]:
    """Run a command with --json; return its exit code and its document."""
    done = headrace(*arguments, "--json", **options)
    return done.returncode, json.loads(done.stdout)
