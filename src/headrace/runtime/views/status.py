"""What a project's environment is doing: the ledger of every source, whether it balances, lag and freshness."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from headrace.bus.base import Lag
from headrace.bus.sqlite import SqliteBus
from headrace.errors import BusError, LakeError
from headrace.lake.reader import open_reader
from headrace.lake.row_counts import row_counts
from headrace.runtime.tick import subscription
from headrace.runtime.views.edges import files_of, pushes_of
from headrace.words import COUNTS, SCHEMA_VERSION, Fate

if TYPE_CHECKING:
    from headrace.config.project import Project
    from headrace.config.source import Source
    from headrace.lake.reader import LakeReader
    from headrace.runtime.views.edges import Files, Pushes


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source. `ledger` has accepted and the six fates; `unbalanced` says, a sentence each, what does not add up.

    `lag` is messages on the bus that are not committed; `freshness_secs` how old the oldest of them is, or zero where
    nothing waits; `last_commit` is null where nothing was ever committed. `files` and `pushes` are null where a source
    has none.
    """

    ledger: dict[str, int]
    balanced: bool
    unbalanced: list[str]
    lag: int
    freshness_secs: float
    last_commit: dt.datetime | None
    batches: int
    contracts: dict[str, str]
    warned: dict[str, int] = field(default_factory=dict)
    files: Files | None = None
    pushes: Pushes | None = None


def status(project: Project) -> dict[str, SourceStatus]:
    """Return the status of every source, read from the files: with a running `up` or without."""
    with closing(SqliteBus(project.state / "bus")) as bus:  # before the lake: what is committed meanwhile is in both
        waits = {name: _lag(bus, source) for name, source in project.sources.items()}
    with open_reader(project.state / "lake") as lake:
        if lake is not None:
            lake.pin()  # what is counted in several queries must be of one commit
        found = {name: source_status(source, lake, waits[name]) for name, source in project.sources.items()}
    files, pushes = files_of(project), pushes_of(project)
    return {name: replace(each, files=files.get(name), pushes=pushes.get(name)) for name, each in found.items()}


def _lag(bus: SqliteBus, source: Source) -> Lag | BusError:
    """Return how much of a source waits, or why that cannot be told: a damaged topic is its own sources' trouble."""
    try:
        return bus.lag(source.topic, subscription(source.id))
    except BusError as problem:
        return problem


def as_json(statuses: dict[str, SourceStatus]) -> dict[str, Any]:
    """Return the documented shape of `headrace status --json`."""
    sources = {name: asdict(each) for name, each in statuses.items()}
    for each in sources.values():
        each["last_commit"] = each["last_commit"].isoformat() if each["last_commit"] else None
        for edge in ("files", "pushes"):
            each[edge] = each[edge]._asdict() if each[edge] else None
    return {"sources": sources}


def source_status(source: Source, lake: LakeReader | None, waits: Lag | BusError) -> SourceStatus:
    """Return the status of one source, as a reader sees it that is pinned to one commit.

    What of it cannot be read does not add up: it is said there, and other sources are told all the same.
    """
    contracts = {dataset.name: dataset.contract.version for dataset in source.datasets}
    counts = dict.fromkeys(COUNTS, 0)
    faults: list[str] = []
    last: dict[str, Any] = {"last_commit": None, "batches": 0}
    warned: dict[str, int] = {}
    if lake is not None:
        for row in ledger(lake, source.id):
            for name in counts:
                counts[name] += row[name]
        try:
            faults = unbalanced(lake, source)
        except LakeError as problem:
            faults = [f"its rows cannot be counted: {problem}"]
        counts["accepted"] = _accepted(lake, source)
        last = lake.rows(
            "SELECT max(committed_at) AS last_commit, count(*) AS batches FROM lake.ops.batches WHERE source = ?",
            [source.id],
        )[0]
        warned = _warned(lake, source.id)
    if isinstance(waits, BusError):
        faults = [*faults, f"what waits cannot be told: {waits}"]
        waits = Lag(0, None)
    age = (dt.datetime.now(dt.UTC) - waits.oldest).total_seconds() if waits.oldest else 0.0
    return SourceStatus(
        ledger=counts,
        balanced=not faults,
        unbalanced=faults,
        lag=waits.messages,
        freshness_secs=round(max(age, 0.0), 3),
        last_commit=last["last_commit"],
        batches=last["batches"],
        contracts=contracts,
        warned=warned,
    )


def ledger(lake: LakeReader, source: str) -> list[dict[str, Any]]:
    """Return the totals of a source, a row a dataset and contract version: `words.COUNTS`."""
    sums = ", ".join(f'coalesce(sum("{name}"), 0)::BIGINT AS "{name}"' for name in COUNTS)
    return lake.rows(
        f"SELECT dataset, contract_version, {sums} FROM lake.ops.ledger WHERE source = ? GROUP BY ALL ORDER BY ALL",
        [source],
    )


def unbalanced(lake: LakeReader, source: Source, snapshot: int | None = None) -> list[str]:
    """Return what does not add up: positions against bronze and ledger, fates against the tables that hold them.

    With the `snapshot` that the reader is pinned to, the rows of bronze and silver are those that the catalog counts:
    neither is read.
    """
    faults = []
    totals = ledger(lake, source.id)
    decided = sum(row["accepted"] for row in totals)
    counted = _accepted(lake, source)
    if snapshot is None:
        bronze = _count(lake, "lake.bronze.messages WHERE source = ?", source.id)
    else:
        bronze = row_counts(lake, "bronze.messages", snapshot).get(source.id, 0)
    if not counted == bronze == decided:
        faults.append(f"positions count {counted} messages, bronze holds {bronze}, the ledger decided {decided}")
    tables = lake.tables()
    for row in totals:
        dataset, version = row["dataset"], row["contract_version"]
        name = f"{dataset or source.id} {version}".strip()
        fates = sum(row[fate] for fate in Fate)
        if row["accepted"] != fates:
            faults.append(f"{name}: {row['accepted']} accepted, {fates} have a fate")
        silver = row["silver"] if snapshot is not None else 0
        if snapshot is None and f"silver.{dataset}" in tables:
            silver = _count(lake, f'lake.silver."{dataset}" WHERE "{SCHEMA_VERSION}" = ?', version)
        if silver != row["silver"]:
            faults.append(f"{name}: silver holds {silver} rows, the ledger says {row['silver']}")
        held = _count(
            lake,
            "lake.ops.quarantine WHERE source = ? AND dataset = ? AND contract_version = ?",
            source.id,
            dataset,
            version,
        )
        if held != row["quarantined"]:
            faults.append(f"{name}: quarantine holds {held} messages, the ledger says {row['quarantined']}")
        lost = _count(lake, "lake.ops.superseded WHERE dataset = ? AND contract_version = ?", dataset, version)
        if lost != row["superseded"]:
            faults.append(f"{name}: {lost} superseded are remembered, the ledger says {row['superseded']}")
    if snapshot is not None:
        for dataset in sorted({row["dataset"] for row in totals} - {""}):
            silver = sum(row_counts(lake, f"silver.{dataset}", snapshot).values())
            said = sum(row["silver"] for row in totals if row["dataset"] == dataset)
            if silver != said:
                faults.append(f"{dataset}: the catalog counts {silver} rows of silver, the ledger says {said}")
    return faults


def _accepted(lake: LakeReader, source: Source) -> int:
    return _count(lake, "lake.ops.positions WHERE source = ?", source.id, of="coalesce(sum(accepted), 0)")


def _count(lake: LakeReader, table: str, *parameters: str, of: str = "count(*)") -> int:
    return int(lake.rows(f"SELECT {of}::BIGINT AS n FROM {table}", parameters)[0]["n"])


def _warned(lake: LakeReader, source: str) -> dict[str, int]:
    rows = lake.rows(
        "SELECT entry.key AS warning, sum(entry.value)::BIGINT AS n FROM "
        "(SELECT unnest(map_entries(warned)) AS entry FROM lake.ops.batches WHERE source = ?) "
        "GROUP BY ALL ORDER BY ALL",
        [source],
    )
    return {row["warning"]: row["n"] for row in rows}
