"""The reference data that events are enriched from: one version of each lookup at a time, kept in the lake."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from headrace.errors import EnrichError
from headrace.lake.reader import open_reader
from headrace.stages.canonical import column_sql
from headrace.stages.lookup import MAX_ROWS, MAX_TABLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.config.source import Source
    from headrace.lake.ducklake import DuckLake
    from headrace.stages.enrich import Enrichment


@dataclass(frozen=True)
class Seen:
    """What a batch is enriched from: a table a lookup, and the version that each is."""

    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


class References(Protocol):
    """What the batches of one source are enriched from."""

    def current(self) -> Seen:
        """Return what the next batch is enriched from; all of it is durable."""
        ...


@dataclass
class _Held:
    """A lookup of a source: the columns that its steps need together, and the version that was read last."""

    step: Enrichment
    columns: dict[str, None]
    refresh_secs: float
    places: dict[str, tuple[str, ...]] = field(default_factory=dict)
    table: pa.Table | None = None
    version: str = ""
    read_at: float = 0.0


class SourceReferences:
    """The lookups of one source. Belongs to one thread at a time, which need not be the lake's."""

    def __init__(self, source: Source, lake: DuckLake, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Read and keep in this lake: beside its writer, whatever it does."""
        self._source = source
        self._folder = lake.folder
        self._store = lake.references
        self._monotonic = monotonic
        self._held: dict[str, _Held] = {}
        self._missing: Enrichment | None = None
        for step in (step for dataset in source.datasets for step in dataset.enrichments):
            held = self._held.setdefault(step.lookup, _Held(step, {}, step.refresh_secs))
            held.columns |= dict.fromkeys(step.columns)
            held.places |= step.places
            held.refresh_secs = min(held.refresh_secs, step.refresh_secs)
            self._missing = self._missing or (step if step.missing else None)

    def current(self) -> Seen:
        """Return what the next batch is enriched from; all of it is durable.

        A seed is as it was when the project was loaded. A silver dataset is read where its version is older than
        `refresh`; what the read shows is one commit. Raises `EnrichError` where a lookup is missing or too large, and
        what the lake and the disk say.
        """
        if not self._held:
            return NOTHING
        if self._missing is not None:
            raise EnrichError(self._missing.missing, fix="then check, and start headrace again")
        for held in self._held.values():
            if held.table is None or (held.step.dataset and self._monotonic() - held.read_at >= held.refresh_secs):
                table = self._silver(held) if held.step.dataset else self._seed(held)
                held.version, held.read_at = self._store.keep(table), self._monotonic()
                held.table = table
            elif not self._store.hold(held.version):
                self._store.keep(held.table)
        tables = {name: held.table for name, held in self._held.items() if held.table is not None}
        return Seen(tables, {name: held.version for name, held in self._held.items()})

    def _seed(self, held: _Held) -> pa.Table:
        steps = [step for dataset in self._source.datasets for step in dataset.enrichments]
        columns: dict[str, pa.ChunkedArray] = {}
        for step in steps:
            if step.lookup == held.step.lookup and step.seed is not None:
                columns |= {name: step.seed[name] for name in step.columns}
        return pa.table(columns)

    def _silver(self, held: _Held) -> pa.Table:
        """Read the columns of a silver dataset that are needed, in order of all of them: the same rows, one version."""
        name = held.step.dataset
        with open_reader(self._folder) as lake:
            if lake is None:
                raise EnrichError(f"the lake has no dataset '{name}' yet", fix="nothing: it is tried again")
            lake.pin()
            table = f'lake.silver."{name}"'
            (counted,) = lake.rows(f"SELECT count(*) AS n FROM {table}")
            if counted["n"] > MAX_ROWS:
                said = f"'{name}' has {counted['n']:,} rows, and a lookup has at most {MAX_ROWS:,}"
                raise EnrichError(said, fix="look up a dataset with fewer rows, or join in a model of gold")
            found = lake.arrow(self._sql(held, table), MAX_TABLE_BYTES)
        if found is None:
            said = f"'{name}' takes more than {MAX_TABLE_BYTES >> 20} MiB of memory, which is the most for a lookup"
            raise EnrichError(said, fix="choose fewer `columns:`, or join in a model of gold")
        return found

    @staticmethod
    def _sql(held: _Held, table: str) -> str:
        """Return what reads the columns that are needed, in order of the key: the same rows are the same version."""
        columns = (f"{column_sql('t', *held.places[name])} AS {column_sql(name)}" for name in held.columns)
        order = ", ".join(column_sql("t", *held.places[name]) for _, name, _ in held.step.on)
        return f"SELECT {', '.join(columns)} FROM {table} t ORDER BY {order}"


NOTHING = Seen()
