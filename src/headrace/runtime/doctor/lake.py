"""The lake: its catalog, a copy of which can be put back, and the files that the catalog names."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from headrace.bus import remains
from headrace.bus.topic_file import topic_path
from headrace.errors import HeadraceError, LakeError
from headrace.lake import copies, soundness, tables
from headrace.lake.base import Position
from headrace.lake.catalog import CATALOG, DATA, attach_statement, connect, is_catalog
from headrace.lake.ducklake import writer_lock
from headrace.runtime.doctor import silver
from headrace.runtime.doctor.damage import Damage
from headrace.runtime.doctor.topics import committed
from headrace.sqlite_file import aside_of, trouble
from headrace.warehouse.branch import GoldFolder
from headrace.warehouse.published import forget_snapshots

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headrace.config.project import Project
    from headrace.lake.soundness import Damaged

_LOST = {
    "bronze": "The bytes of {rows} messages as they came are lost with it; what silver made of them is not touched. "
    "Until the file is back, `good`, `bad`, `explain` and `verify --from-bronze` fail where they need it",
    "silver": "Nothing, as long as bronze is sound: it has the messages that {rows} events here were made of. "
    "Until it is mended, queries and builds that read this table fail, and gold stays as it was published",
    "ops": "What the lake keeps of its own work, {rows} rows here, cannot be read; events are not touched. "
    "Until the file is back, {fails}",
}
_STARTS_WITH = frozenset(each.name for each in (tables.POSITIONS, tables.BATCHES, tables.DEPLOYMENTS, tables.CONTRACTS))


def catalog(project: Project, *, deep: bool) -> Iterator[Damage]:
    """Yield the catalog of a project's lake where it is damaged or gone."""
    folder = project.state / "lake"
    problem = soundness.catalog_trouble(folder, whole=deep)
    if not problem:
        return
    what, path = "the lake's catalog", folder / CATALOG
    if why := _useless(folder):
        lost = f"Nothing that is committed can be read without it; {why}"
        yield Damage(what, path, problem, lost, "", f"put it back from a backup, while nothing runs: {path}")
        return
    made = dt.datetime.fromtimestamp((folder / copies.COPY).stat().st_mtime, dt.UTC)
    remedy = f"the copy of {made:%Y-%m-%d %H:%M:%S} UTC is put back, and what was committed since is taken again"
    yield Damage(what, path, problem, _lost(project), remedy, mend=lambda: restore(project))


def files(project: Project, *, deep: bool) -> Iterator[Damage]:
    """Yield the tables of which data files are damaged; `deep` reads them all. Raises `LakeError`."""
    folder = project.state / "lake"
    if not is_catalog(folder / CATALOG):
        return
    found = soundness.damaged(folder / CATALOG, folder / DATA, deep=deep)
    for table, each in groupby(sorted(found, key=_table), key=_table):
        yield _of(project, table, list(each))


def positions(project: Project, catalog: str = CATALOG) -> list[Position]:
    """Return what is committed, of the catalog or of its copy; none where there is no lake yet. Raises `LakeError`."""
    folder = project.state / "lake"
    if not (folder / catalog).exists():
        return []
    try:
        with closing(connect()) as connection:
            connection.execute(attach_statement("lake", folder / catalog, folder / DATA, read_only=True))
            rows = connection.execute(
                'SELECT source, topic, "partition", max(next_offset), sum(accepted)::BIGINT FROM lake.ops.positions '
                "GROUP BY ALL ORDER BY ALL"
            ).fetchall()
    except duckdb.Error as error:
        raise LakeError(f"what is committed cannot be read: {error}", at=str(folder / catalog)) from error
    return [Position(*row) for row in rows]


def restore(project: Project) -> Path:
    """Put the copy of the catalog back, and let what was committed since come again from the bus.

    Data files that the copy does not know are moved aside: upkeep would remove what nobody names. Builds of gold no
    longer say which snapshot of the lake they read: its numbers are given again. Raises `BusyError` while `up` runs.
    """
    folder = project.state / "lake"
    with writer_lock(folder):
        if why := _useless(folder):
            raise LakeError(why, at=str(folder / copies.COPY), fix="put the catalog back from a backup")
        known = {each.path for each in soundness.named(folder / copies.COPY, folder / DATA)}
        aside = aside_of(folder / DATA)
        for path in sorted((folder / DATA).rglob("*.parquet")):
            if str(path) not in known:
                moved = aside / path.relative_to(folder / DATA)
                moved.parent.mkdir(parents=True, exist_ok=True)
                path.rename(moved)
        forget_snapshots(GoldFolder(project.state / "gold").ledger)
        return copies.restore_copy(folder)


def _useless(folder: Path) -> str:
    """Return why the copy of the catalog cannot be put back; nothing where it can."""
    copy = folder / copies.COPY
    if not copy.exists():
        return "there is no copy of it yet"
    if problem := trouble(copy):
        return f"its copy is damaged too: {problem}"
    try:
        gone = soundness.damaged(copy, folder / DATA)
    except LakeError as error:
        return f"its copy is damaged too: {error.message}"
    return f"of the files that its copy names, {len(gone):,} are damaged: {gone[0].file.path}" if gone else ""


def _lost(project: Project) -> str:
    """Say what of the commits since the copy the bus no longer has."""
    try:
        parts = [
            f"{missing:,} of topic {topic}"
            for topic, known in committed(project, positions(project, copies.COPY)).items()
            if (missing := _missing(topic_path(project.state / "bus", topic), topic, known.needed()))
        ]
    except HeadraceError as error:
        return f"Whether the bus still has all that was committed since its copy is not known: {error.message}"
    if not parts:
        return "Nothing is lost: the bus still has all that was committed since its copy was made"
    return (
        f"Messages that were committed since its copy was made, and that the bus no longer has: {', '.join(parts)}; "
        "their data files are kept aside"
    )


def _missing(path: Path, topic: str, needed: dict[str, int]) -> int:
    if not path.exists() or not needed:
        return 0
    found = remains.look(path, topic, needed, deep=False)
    if found.end is None or found.epoch not in needed:
        return 0
    oldest = found.end if found.oldest is None else found.oldest
    return max(0, oldest - found.since)


def _table(damaged: Damaged) -> str:
    return damaged.file.table


def _of(project: Project, table: str, damaged: Sequence[Damaged]) -> Damage:
    first = damaged[0]
    schema, name = table.split(".", maxsplit=1)
    others = f", and {len(damaged) - 1:,} more files of {table}" if len(damaged) > 1 else ""
    fails = "`headrace up` cannot start" if table in _STARTS_WITH else "what needs these rows fails"
    lost = _LOST[schema].format(rows=f"{sum(each.file.rows for each in damaged):,}", fails=fails)
    what, path, problem = f"a data file of {table}", Path(first.file.path), first.problem + others
    if schema == "silver":
        remedy = f"{table} is made anew from bronze, which takes as long as `headrace verify --from-bronze`"
        paths = [Path(each.file.path) for each in damaged]
        return Damage(what, path, problem, lost, remedy, mend=lambda: silver.mend(project, name, paths))
    return Damage(what, path, problem, lost, fix=f"put it back from a backup, while nothing runs: {path}")
