"""The books of a lake: what ledger, positions and tables say of every source, and whether it adds up.

They are read in a few queries, however many sources there are: a query of a lake costs milliseconds before it reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.contracts.types import literal
from headrace.errors import LakeError
from headrace.lake.row_counts import row_counts
from headrace.words import COUNTS, SCHEMA_VERSION, Fate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.lake.reader import LakeReader

TABLES_AT_ONCE = 25  # of silver: what a query of them all takes to be planned grows faster than they do

_SUMS = ", ".join(f'coalesce(sum("{name}"), 0)::BIGINT AS "{name}"' for name in COUNTS)

Counts = Mapping[tuple[str, ...], int]
"""Numbers of messages or rows, by what `Books` says of each."""


@dataclass(frozen=True, slots=True)
class Held:
    """What tables hold: `bronze` by source, `quarantine` by source, dataset and version, the others by the last two.

    Where `silver` is None, the rows of bronze and silver are those that the catalog counts, the latter in `catalog` by
    dataset: neither table was read.
    """

    bronze: Counts = field(default_factory=dict)
    silver: Counts | None = None
    quarantine: Counts = field(default_factory=dict)
    superseded: Counts = field(default_factory=dict)
    catalog: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, lake: LakeReader, sources: list[str], datasets: set[str], snapshot: int | None) -> Held:
        """Count what the tables hold of these. Raises `LakeError` where a file of theirs cannot be read."""
        silver: Counts | None = None
        catalog: dict[str, int] = {}
        named = sorted(datasets - {""})
        if snapshot is None:
            bronze = _counts(lake, "bronze.messages", ["source"], sources)
            silver = _silver(lake, named)
        else:
            bronze = {(source,): n for source, n in row_counts(lake, "bronze.messages", snapshot).items()}
            catalog = {name: sum(row_counts(lake, f"silver.{name}", snapshot).values()) for name in named}
        quarantine = _counts(lake, "ops.quarantine", ["source", "dataset", "contract_version"], sources)
        superseded = _counts(lake, "ops.superseded", ["dataset", "contract_version"], named)
        return cls(bronze, silver, quarantine, superseded, catalog)


@dataclass(frozen=True, slots=True)
class Books:
    """What a lake says of some sources at one commit.

    `totals` has the rows of `ledger` and `accepted` what positions say, by source. `held` says what tables hold, or why
    that cannot be told; one `Held` may be of several sources.
    """

    totals: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    accepted: Counts = field(default_factory=dict)
    held: Mapping[str, Held | LakeError] = field(default_factory=dict)

    @classmethod
    def read(cls, lake: LakeReader, sources: Iterable[str], snapshot: int | None = None) -> Books:
        """Read the books of these sources; with the snapshot that the reader is pinned to, by the catalog alone."""
        asked = list(sources)
        totals = ledger(lake, asked)
        accepted = _counts(lake, "ops.positions", ["source"], asked, "coalesce(sum(accepted), 0)")
        try:
            every = {row["dataset"] for rows in totals.values() for row in rows}
            held: dict[str, Held | LakeError] = dict.fromkeys(asked, Held.read(lake, asked, every, snapshot))
        except LakeError:  # a damaged file is the trouble of its own source: each by itself says whose
            held = {}
            for source in asked:
                try:
                    own = {row["dataset"] for row in totals.get(source, ())}
                    held[source] = Held.read(lake, [source], own, snapshot)
                except LakeError as problem:
                    held[source] = problem
        return cls(totals, accepted, held)

    def fates(self, source: str) -> dict[str, int]:
        """Return what a source accepted, by its positions, and how many of it the ledger says have each fate."""
        rows = self.totals.get(source, [])
        return {name: sum(row[name] for row in rows) for name in COUNTS} | {"accepted": self.accepted.get((source,), 0)}

    def unbalanced(self, source: str) -> list[str]:
        """Return what does not add up: positions against bronze and ledger, fates against the tables that hold them."""
        totals, held = self.totals.get(source, []), self.held.get(source, Held())
        if isinstance(held, LakeError):
            return [f"its rows cannot be counted: {held}"]
        decided = sum(row["accepted"] for row in totals)
        counted, bronze = self.accepted.get((source,), 0), held.bronze.get((source,), 0)
        faults = []
        if not counted == bronze == decided:
            faults.append(f"positions count {counted} messages, bronze holds {bronze}, the ledger decided {decided}")
        for row in totals:
            faults += _faults(source, row, held)
        for dataset in sorted({row["dataset"] for row in totals} & held.catalog.keys()):
            there, said = held.catalog[dataset], sum(row["silver"] for row in totals if row["dataset"] == dataset)
            if there != said:
                faults.append(f"{dataset}: the catalog counts {there} rows of silver, the ledger says {said}")
        return faults


def _faults(source: str, row: Mapping[str, Any], held: Held) -> list[str]:
    """Return where a dataset's version does not add up: fates against what was accepted, and against the tables."""
    dataset, version = row["dataset"], row["contract_version"]
    name = f"{dataset or source} {version}".strip()
    faults = []
    fates = sum(row[fate] for fate in Fate)
    if row["accepted"] != fates:
        faults.append(f"{name}: {row['accepted']} accepted, {fates} have a fate")
    silver = row["silver"] if held.silver is None else held.silver.get((dataset, version), 0)
    if silver != row["silver"]:
        faults.append(f"{name}: silver holds {silver} rows, the ledger says {row['silver']}")
    quarantined = held.quarantine.get((source, dataset, version), 0)
    if quarantined != row["quarantined"]:
        faults.append(f"{name}: quarantine holds {quarantined} messages, the ledger says {row['quarantined']}")
    lost = held.superseded.get((dataset, version), 0)
    if lost != row["superseded"]:
        faults.append(f"{name}: {lost} superseded are remembered, the ledger says {row['superseded']}")
    return faults


def ledger(lake: LakeReader, sources: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the totals of sources, for each a row a dataset and contract version: `words.COUNTS`."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in lake.rows(
        f"SELECT source, dataset, contract_version, {_SUMS} FROM lake.ops.ledger WHERE source IN ({_listed(sources)}) "
        "GROUP BY ALL ORDER BY ALL"
    ):
        found[row.pop("source")].append(row)
    return found


def _counts(
    lake: LakeReader, table: str, by: list[str], these: Iterable[str], of: str = "count(*)"
) -> dict[tuple[str, ...], int]:
    """Return how many rows a table has of these values of the first column of `by`, by all of them."""
    only = f"WHERE {by[0]} IN ({_listed(these)})"
    rows = lake.rows(f"SELECT {', '.join(by)}, {of}::BIGINT AS n FROM lake.{table} {only} GROUP BY ALL")
    return {tuple(row[name] for name in by): row["n"] for row in rows}


def _silver(lake: LakeReader, datasets: list[str]) -> dict[tuple[str, ...], int]:
    """Return how many rows each table of silver has of each version."""
    there = lake.tables()
    known = [name for name in datasets if f"silver.{name}" in there]
    found: dict[tuple[str, ...], int] = {}
    for first in range(0, len(known), TABLES_AT_ONCE):
        parts = (
            f'SELECT {literal(name)} AS dataset, "{SCHEMA_VERSION}" AS version, count(*) AS n '
            f'FROM lake.silver."{name}" GROUP BY ALL'
            for name in known[first : first + TABLES_AT_ONCE]
        )
        for row in lake.rows(" UNION ALL ".join(parts)):
            found[row["dataset"], row["version"]] = row["n"]
    return found


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(literal(each) for each in texts) or "NULL"
