"""Silver of which files are damaged, made anew from bronze: in its place only where it is what was there."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from headrace.disk import make_folder
from headrace.errors import LakeError
from headrace.lake import digests
from headrace.lake.catalog import DATA
from headrace.lake.ducklake import DuckLake
from headrace.lake.reader import open_reader
from headrace.lake.row_counts import row_counts
from headrace.runtime.rebuild.silver import rebuilt
from headrace.sqlite_file import aside_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from headrace.config.project import Project
    from headrace.lake.reader import LakeReader

_NAMED = 3  # dates that are said


def mend(project: Project, dataset: str, damaged: Sequence[Path]) -> None:
    """Make a silver table anew from bronze, as `verify --from-bronze` does, and let it take the damaged one's place.

    All or nothing, in one commit. What bronze makes must be what the ticks kept of the table, partition by partition,
    and as many rows as the catalog counts. Of the `damaged` files, those that are there are moved aside. Raises
    `LakeError` where it is not the same, or bronze cannot be read; `BusyError` while `up` runs; `SpaceError`.
    """
    folder = project.state / "lake"
    with closing(DuckLake(folder)) as lake:  # the writer's lock first: what is rebuilt is what is replaced
        with open_reader(folder) as reader:
            if reader is None:
                return
            snapshot = reader.pin()
            sources = _sources(reader, dataset)
            with rebuilt(project, reader, sources) as made:
                if made.lake is None or (other := _other(reader, snapshot, made.lake, dataset, sources)):
                    said = other if made.lake is not None else "bronze is empty"
                    raise LakeError(
                        f"what bronze makes of silver.{dataset} is not what was there: {said}",
                        at=f"silver.{dataset}",
                        fix="put the files back from a backup, while nothing runs",
                    )
                lake.put_in_place(made.folder, [dataset])
        _aside(folder / DATA, damaged)
        lake.keep_copy()  # the one of before names files that are damaged


def _sources(lake: LakeReader, dataset: str) -> list[str]:
    rows = lake.rows("SELECT DISTINCT source FROM lake.ops.ledger WHERE dataset = ? ORDER BY ALL", [dataset])
    return [row["source"] for row in rows]


def _other(lake: LakeReader, snapshot: int, made: LakeReader, dataset: str, sources: Sequence[str]) -> str:
    """Return in what a table that was made anew is another than it was; nothing where it is the same."""
    counts = row_counts(lake, f"silver.{dataset}", snapshot)
    ours, unknown = _kept(lake, dataset, sources)
    theirs, _ = _kept(made, dataset, sources)
    found = []
    for date in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(date, digests.NOTHING), theirs.get(date, digests.NOTHING)
        rows = counts.pop(str(date), 0)
        if rows != other.rows:
            found.append(f"{date} has {other.rows:,} rows, and had {rows:,}")
        elif date not in unknown and mine != other:
            found.append(f"{date} has other values")
    found += [f"{date} has no rows, and had {rows:,}" for date, rows in sorted(counts.items())]
    more = f", and {len(found) - _NAMED:,} more dates" if len(found) > _NAMED else ""
    return "; ".join(found[:_NAMED]) + more


def _kept(lake: LakeReader, dataset: str, sources: Iterable[str]) -> tuple[digests.Parts, set[dt.date]]:
    parts: digests.Parts = {}
    unknown: set[dt.date] = set()
    for source in sources:
        kept = digests.kept(lake, source)
        unknown |= {date for name, date in kept.unknown if name == dataset}
        for date, each in kept.parts.get(dataset, {}).items():
            parts[date] = parts.get(date, digests.NOTHING).plus(each)
    return parts, unknown


def _aside(data: Path, damaged: Iterable[Path]) -> None:
    """Move what is left of damaged files out of the way: upkeep removes what nobody names."""
    aside = aside_of(data)
    for path in damaged:
        if path.exists():
            moved = aside / path.relative_to(data) if data in path.parents else aside_of(path)
            make_folder(moved.parent)
            path.rename(moved)
