"""Scans: looking at a source's files when its schedule says so, and saying what that took.

In `up` the process that takes files does it, since a file or a store can hold one up for ever: the run waits for its
answer, in a thread of its own, and keeps its slot until there is one.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from headrace.config.jobs import SCAN
from headrace.runtime.jobs.scheduler import Outcome
from headrace.runtime.landing.watch import Landing, manifest_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from headrace.config.project import Project
    from headrace.connectors.batch_file.manifest import Answer
    from headrace.runtime.child import Child

LOOK_SECS = 0.2


def scans(
    project: Project, stopping: threading.Event | None = None, children: Iterable[Child] = ()
) -> dict[str, Callable[[], Outcome]]:
    """Return what each scan of a project does: with the child that takes files, or here where there is none."""
    landing = next((child for child in children if child.name == "landing"), None)

    def action(source: str) -> Callable[[], Outcome]:
        if landing is None or stopping is None:
            return lambda: scanned_here(project, source)
        return lambda: scanned_by(landing, project, source, stopping)

    return {name: action(name.removeprefix(SCAN)) for name in project.jobs if name.startswith(SCAN)}


def scanned_here(project: Project, source: str) -> Outcome:
    """Look at a source's files in this process. Raises where its place cannot be looked at."""
    landing = Landing(project)
    try:
        if source in landing.faults:
            raise landing.faults[source]
        return _outcome(landing.scan(landing.sources[source]).answer())
    finally:
        landing.close()


def scanned_by(landing: Child, project: Project, source: str, stopping: threading.Event) -> Outcome:
    """Let a child look at a source's files, and wait for its answer; what it has begun when `up` ends stays asked."""
    with closing(manifest_of(project)) as manifest:
        number = manifest.ask(source)
        while (answer := manifest.answered(source, number)) is None:
            if landing.pid is None and landing.problem:
                return Outcome("failed", f"the process that takes files does not run: {landing.problem}")
            if stopping.wait(LOOK_SECS):
                return Outcome("interrupted", "headrace up ended; the scan goes on when it starts again")
    return _outcome(answer)


def _outcome(answer: Answer) -> Outcome:
    return Outcome("ok" if answer.ok else "failed", answer.message)
