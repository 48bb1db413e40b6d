"""What comes in as files and goes out as pushes, counted: what `headrace status` shows beside the ledger."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from headrace.connectors.batch_file.manifest import Manifest
from headrace.runtime.landing.watch import manifest_path
from headrace.runtime.landing.watched import is_watched
from headrace.runtime.relay.pushes import pushes

if TYPE_CHECKING:
    from headrace.config.project import Project


class Files(NamedTuple):
    """The newest versions of a source's files: those taken whole, those that wait or are being read, and failures."""

    taken: int = 0
    waiting: int = 0
    failed: int = 0


class Pushes(NamedTuple):
    """All pushes of a source: what was sent, what waits or is tried again, and dead letters."""

    sent: int = 0
    waiting: int = 0
    dead: int = 0


def files_of(project: Project) -> dict[str, Files]:
    """Return the counts of each source whose files are watched."""
    names = [source.id for source in project.sources.values() if is_watched(source)]
    path = manifest_path(project)
    counts: dict[str, dict[str, int]] = {}
    if names and path.exists():
        with closing(Manifest(path)) as manifest:
            counts = manifest.counts()
    states = {name: counts.get(name, {}) for name in names}
    return {
        name: Files(of.get("done", 0), of.get("waiting", 0) + of.get("reading", 0), of.get("failed", 0))
        for name, of in states.items()
    }


def pushes_of(project: Project) -> dict[str, Pushes]:
    """Return the counts of each source that has a push; those of builds are not among them."""
    found: dict[str, Pushes] = {}
    if not any(source.spec.serving.push for source in project.sources.values()):
        return found
    for push in pushes(project):
        source, slash, _ = push["push"].partition("/")
        if slash:
            sent, waiting, dead = found.get(source, Pushes())
            waits = push["waiting"] + push["retrying"]
            found[source] = Pushes(sent + push["delivered"], waiting + waits, dead + push["dead"])
    return found
