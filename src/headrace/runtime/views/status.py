"""What a project's environment is doing: the ledger of every source, whether it balances, lag and freshness."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.bus.base import Lag
from headrace.bus.sqlite import SqliteBus
from headrace.errors import BusError
from headrace.lake.reader import open_reader
from headrace.runtime.tick import subscription
from headrace.runtime.views.books import Books
from headrace.runtime.views.edges import files_of, pushes_of

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
        books = Books()
        batches: dict[str, dict[str, Any]] = {}
        warned: dict[str, dict[str, int]] = {}
        if lake is not None:
            lake.pin()  # what is counted in several queries must be of one commit
            books = Books.read(lake, project.sources)
            batches, warned = _batches(lake), _warned(lake)
    files, pushes = files_of(project), pushes_of(project)
    found = {}
    for name, source in project.sources.items():
        faults, lag = books.unbalanced(name), waits[name]
        if isinstance(lag, BusError):
            faults, lag = [*faults, f"what waits cannot be told: {lag}"], Lag(0, None)
        age = (dt.datetime.now(dt.UTC) - lag.oldest).total_seconds() if lag.oldest else 0.0
        found[name] = SourceStatus(
            ledger=books.fates(name),
            balanced=not faults,
            unbalanced=faults,
            lag=lag.messages,
            freshness_secs=round(max(age, 0.0), 3),
            last_commit=batches.get(name, {}).get("last_commit"),
            batches=batches.get(name, {}).get("batches", 0),
            contracts={dataset.name: dataset.contract.version for dataset in source.datasets},
            warned=warned.get(name, {}),
            files=files.get(name),
            pushes=pushes.get(name),
        )
    return found


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


def _batches(lake: LakeReader) -> dict[str, dict[str, Any]]:
    rows = lake.rows(
        "SELECT source, max(committed_at) AS last_commit, count(*) AS batches FROM lake.ops.batches GROUP BY ALL"
    )
    return {row["source"]: row for row in rows}


def _warned(lake: LakeReader) -> dict[str, dict[str, int]]:
    rows = lake.rows(
        "SELECT source, entry.key AS warning, sum(entry.value)::BIGINT AS n FROM "
        "(SELECT source, unnest(map_entries(warned)) AS entry FROM lake.ops.batches) GROUP BY ALL ORDER BY ALL"
    )
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["source"], {})[row["warning"]] = row["n"]
    return found
