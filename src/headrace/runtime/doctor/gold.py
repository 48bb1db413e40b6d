"""Gold: which builds can still be read, and publishing the newest of those."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import LakeError
from headrace.lake import soundness
from headrace.runtime.doctor.damage import Damage
from headrace.sqlite_file import aside_of, trouble
from headrace.warehouse.branch import CATALOGS, GoldFolder
from headrace.warehouse.published import Ledger, read_ledger, write_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.config.project import Project
    from headrace.warehouse.published import Entry

_KEPT = "Silver is not touched: a build makes every table of gold anew"


def gold(project: Project, *, deep: bool) -> Iterator[Damage]:
    """Yield what is damaged of the builds that readers and `undo` can reach."""
    folder = GoldFolder(project.state / "gold")
    try:
        ledger = read_ledger(folder.ledger)
    except LakeError:
        lost = f"What is published, and what `headrace undo` goes back to, is lost. {_KEPT}"
        remedy = "it is moved aside; then type: headrace build"
        yield Damage(
            "the file of published builds", folder.ledger, "it cannot be read", lost, remedy, mend=lambda: mend(project)
        )
        return
    for entry in ledger.entries:
        path, problem = _trouble(folder, entry, deep=deep)
        if problem:
            is_current = entry == ledger.current
            lost = f"Build {entry.build}{', which is what is published,' if is_current else ''} cannot be read. {_KEPT}"
            remedy = f"{entry.build} is forgotten{_next(folder, ledger) if is_current else ''}"
            yield Damage(f"build {entry.build} of gold", path, problem, lost, remedy, mend=lambda: mend(project))


def mend(project: Project) -> None:
    """Forget the builds that cannot be read, their catalogs moved aside. Raises `BusyError` while a build runs."""
    folder = GoldFolder(project.state / "gold")
    with folder.lock():
        catalogs = {path.stem: path for path in (folder.path / CATALOGS).glob("*.db")}
        last = max((int(name.removeprefix("b")) for name in catalogs if name.removeprefix("b").isdecimal()), default=0)
        try:
            ledger = read_ledger(folder.ledger)
        except LakeError:
            folder.ledger.rename(aside_of(folder.ledger))
            ledger = Ledger(last_number=last)
        kept = Ledger(
            tuple(each for each in ledger.past if not _trouble(folder, each, deep=True)[1]),
            tuple(each for each in ledger.undone if not _trouble(folder, each, deep=True)[1]),
            max(ledger.last_number, last),
        )
        write_ledger(folder.ledger, kept)
        for path in catalogs.values():  # a build reads all that there are, to see which data files are nobody's
            if trouble(path):
                aside = aside_of(path)
                for end in ("", "-wal", "-shm"):
                    if (each := path.with_name(path.name + end)).exists():
                        each.rename(aside.with_name(aside.name + end))


def _trouble(folder: GoldFolder, entry: Entry, *, deep: bool) -> tuple[Path, str]:
    """Return what is wrong with a build and where; nothing where it can be read."""
    catalog = folder.catalog(entry.build)
    if not catalog.exists():
        return catalog, "it is gone"
    if problem := trouble(catalog):
        return catalog, problem
    try:
        damaged = soundness.damaged(catalog, folder.data, deep=deep)
    except LakeError as error:
        return catalog, error.message
    if damaged:
        return type(catalog)(damaged[0].file.path), f"a data file: {damaged[0].problem}"
    return catalog, ""


def _next(folder: GoldFolder, ledger: Ledger) -> str:
    """Say what will be published where the current build is forgotten."""
    sound = next((each for each in reversed(ledger.past) if not _trouble(folder, each, deep=False)[1]), None)
    if sound is None:
        return ", and nothing is published until you type: headrace build"
    return f", and {sound.build} is published again until the next: headrace build"
