"""The small files of an environment: what they remember can be lost without an event being lost."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from headrace.connectors.batch_file.manifest import MANIFEST
from headrace.errors import ConfigError, HeadraceError
from headrace.identity.tokens import TokenFile
from headrace.lake.leases import LEASES
from headrace.lake.references import FOLDER, References
from headrace.runtime.doctor.damage import Damage
from headrace.runtime.jobs.history import HISTORY
from headrace.runtime.landing.watch import manifest_path
from headrace.runtime.relay.store import FILE, MEMORY
from headrace.runtime.state import format_mark, unreadable_format
from headrace.sqlite_file import aside_of, trouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.config.project import Project

_MADE_ANEW = "it is moved aside, and made anew when it is needed"


def small(project: Project, *, deep: bool) -> Iterator[Damage]:
    """Yield the small files that are damaged; `deep` reads the versions of reference data too."""
    mark = format_mark(project.state)
    if mark.exists() and (problem := unreadable_format(mark)):
        lost = "Nothing is lost: it says how the other files are laid out"
        yield Damage("the mark of the state's format", mark, problem, lost, _MADE_ANEW, mend=partial(set_aside, mark))
    state = project.state
    for kind, path in (
        (HISTORY, state / "jobs.db"),
        (LEASES, state / "lake" / "leases.db"),
        (MEMORY, state / FILE),
        (MANIFEST, manifest_path(project)),
    ):
        if path.exists() and (path.is_dir() or path.stat().st_size) and (problem := trouble(path)):
            lost = f"No event is lost: {kind.lost}"
            yield Damage(kind.what, path, problem, lost, _MADE_ANEW, mend=partial(set_aside, path))
    tokens = TokenFile(state)
    try:
        tokens.read()
    except ConfigError as error:
        lost = "No event is lost. Nobody is let in while it cannot be read, for doors must not open by themselves"
        yield Damage("the file of tokens", tokens.path, error.message, lost, "", error.fix)
    if deep:
        yield from _references(state / "lake")


def set_aside(path: Path) -> None:
    """Move a file of SQLite, or any other, aside with what lies beside it."""
    aside = aside_of(path)
    for end in ("-wal", "-shm", ""):
        if (each := path.with_name(path.name + end)).exists():
            each.rename(aside.with_name(aside.name + end))


def _references(lake: Path) -> Iterator[Damage]:
    kept = References(lake)
    for path in sorted((lake / FOLDER).glob("*.parquet")):
        try:
            kept.load(path.stem)
        except HeadraceError as error:
            lost = "No event is lost; silver that was enriched from it cannot be made anew"
            yield Damage("a version of reference data", path, error.message, lost, "", error.fix)
