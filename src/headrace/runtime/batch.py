"""One source's batch on its way: the rows that it adds to bronze and to the ops tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import headrace
from headrace import words
from headrace.lake import digests, tables
from headrace.lake.keys import Entries
from headrace.words import Fate

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from concurrent.futures import Future

    from headrace.lake.base import Removal, StagedFile
    from headrace.runtime.pipeline import Decided
    from headrace.stages.merge import Merged


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a batch takes from one partition: the next offset after it, and how many messages its positions count."""

    partition: str
    next_offset: int | None
    accepted: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch whose stages are done and whose bronze is staged; what is left is the merge and the commit.

    `lookups` are the versions of reference data that it was enriched with, by lookup: digests of `lake.references`.
    """

    batch_id: str
    source: str
    topic: str
    first_seq: int
    next_seq: int
    oldest_ingest_time: dt.datetime
    stretches: tuple[Stretch, ...]
    decided: Decided
    files: tuple[StagedFile, ...]
    receipts: tuple[object, ...]
    lookups: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Tally:
    """The ledger of one batch as it is counted: deltas by dataset and contract version."""

    accepted: Counter[tuple[str, str]] = field(default_factory=Counter)
    fates: dict[tuple[str, str], Counter[Fate]] = field(default_factory=dict)

    def move(self, dataset: str, version: str, fate: Fate, messages: int) -> None:
        """Count messages into (or, where negative, out of) a fate."""
        self.fates.setdefault((dataset, version), Counter())[fate] += messages

    def merged(self, dataset: str, merged: Merged) -> None:
        """Count what a merge did."""
        for version, delta in merged.deltas.items():
            for fate, messages in delta.items():
                self.move(dataset, version, fate, messages)

    def rows(self, batch_id: str, source: str) -> pa.Table:
        """Return the rows of the ledger."""
        rows = []
        for dataset, version in sorted(self.accepted.keys() | self.fates.keys()):
            fates = self.fates.get((dataset, version), Counter())
            names = {"batch_id": batch_id, "source": source, "dataset": dataset, "contract_version": version}
            counts = {"accepted": self.accepted[dataset, version], **{fate.value: fates[fate] for fate in Fate}}
            rows.append(names | counts)
        return pa.Table.from_pylist(rows, schema=tables.LEDGER.columns)


@dataclass
class Merges:
    """What the merges of a batch decided, its silver still being written."""

    prepared: Prepared
    tally: Tally = field(init=False)
    quarantine: list[pa.Table] = field(init=False)
    removals: list[Removal] = field(default_factory=list)
    lost: list[pa.Table] = field(default_factory=list)
    inserted: dict[str, pa.Table] = field(default_factory=dict)
    touched: set[tuple[str, dt.date]] = field(default_factory=set)
    digests: dict[str, Future[digests.Changed]] = field(default_factory=dict)
    hashes: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tally = Tally(accepted=self.prepared.decided.arrived.copy())
        self.quarantine = list(self.prepared.decided.quarantine)

    @property
    def source(self) -> str:
        """The source that the batch is of."""
        return self.prepared.source


def numbered(batch: pa.RecordBatch, first_seq: int) -> pa.RecordBatch:
    """Return messages with their sequence numbers."""
    return batch.append_column("seq", pa.array(np.arange(first_seq, first_seq + len(batch)), pa.int64()))


def stretches(batch: pa.RecordBatch, known: Mapping[str, int | None]) -> tuple[Stretch, ...]:
    """Return what a batch takes from each partition; `known` has the committed next offset of each.

    Counted from positions, not from rows: a message that the bus lost shows as a ledger that does not balance.
    """
    if batch.column("offset").null_count:
        return (Stretch("", None, len(batch)),)
    found = (
        pa.Table.from_batches([batch.select(["partition", "offset"])])
        .group_by("partition")
        .aggregate([("offset", "min"), ("offset", "max")])
    )
    parts = []
    for row in found.to_pylist():
        since = known.get(row["partition"])
        start = row["offset_min"] if since is None else since
        parts.append(Stretch(row["partition"], row["offset_max"] + 1, row["offset_max"] + 1 - start))
    return tuple(parts)


def bronze_rows(source: str, messages: pa.RecordBatch) -> pa.Table:
    """Return the rows of bronze for numbered messages."""
    table = pa.Table.from_batches([messages])
    table = table.append_column("source", pa.repeat(source, len(table)))
    return table.append_column("ingest_date", utc_date(table["ingest_time"])).select(tables.BRONZE.columns.names)


def silver_rows(merged: Merged) -> pa.Table:
    """Return the rows of silver that a merge inserts, with their partition."""
    table = pa.Table.from_batches([merged.inserted]).drop_columns([words.ROW])
    return table.append_column(words.EVENT_DATE, utc_date(table[words.EVENT_TIME]))


def utc_date(instants: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the UTC date of instants."""
    # Through a naive timestamp: UTC needs no time zone database.
    return pc.floor_temporal(instants.cast(pa.timestamp("us")), unit="day").cast(pa.date32())


def keys_of(merges: Merges) -> dict[str, Entries]:
    """Return what the rows that are inserted have as keys and payloads, by silver table."""
    found = {}
    for name, hashes in merges.hashes.items():
        seqs = merges.inserted[name][words.SEQ].to_numpy()
        found[f"silver.{name}"] = Entries.of(hashes, seqs, merges.digests[name].result().payloads)
    return found


def position_rows(prepared: Prepared) -> pa.Table:
    """Return where a batch ended, a row a partition."""
    rows = [
        {
            "batch_id": prepared.batch_id,
            "source": prepared.source,
            "topic": prepared.topic,
            "partition": each.partition,
            "next_offset": each.next_offset,
            "accepted": each.accepted,
        }
        for each in prepared.stretches
    ]
    return pa.Table.from_pylist(rows, schema=tables.POSITIONS.columns)


def batch_rows(
    merges: Merges,
    deployment: str,
    touched: set[tuple[str, dt.date]],
    committed_at: dt.datetime,
    noticed: Counter[str],
) -> pa.Table:
    """Return the row that says what a batch ran under and what it touched; `noticed` is warned of beside its stages."""
    prepared = merges.prepared
    row = {
        "batch_id": prepared.batch_id,
        "source": prepared.source,
        "deployment": deployment,
        "code_version": headrace.__version__,
        "first_seq": prepared.first_seq,
        "next_seq": prepared.next_seq,
        "contracts": _contracts(prepared.decided.arrived),
        "warned": sorted((prepared.decided.warned + noticed).items()),
        "touched": [{"dataset": dataset, "event_date": date} for dataset, date in sorted(touched)],
        "oldest_ingest_time": prepared.oldest_ingest_time,
        "committed_at": committed_at,
        "lookups": sorted(prepared.lookups.items()),
        "digests": digests.recorded({name: each.result().parts for name, each in merges.digests.items()}),
    }
    return pa.Table.from_pylist([row], schema=tables.BATCHES.columns)


def _contracts(arrived: Counter[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the version of each dataset's messages; all of them in one text where a batch has several."""
    versions: dict[str, list[str]] = {}
    for dataset, version in sorted(arrived):
        if dataset:
            versions.setdefault(dataset, []).append(version)
    return [(dataset, ", ".join(each)) for dataset, each in versions.items()]


def superseded_rows(batch_id: str, dataset: str, lost: pa.Table) -> pa.Table:
    """Return the rows that remember what lost."""
    count = len(lost)
    return pa.table(
        {
            "dataset": pa.repeat(dataset, count),
            **{name: lost[name] for name in ("digest", "event_id", "seq", "contract_version")},
            "batch_id": pa.repeat(batch_id, count),
        },
        schema=tables.SUPERSEDED.columns,
    )


def quarantine_of(batch_id: str, parts: list[pa.Table]) -> pa.Table:
    """Return quarantine rows with the batch that they belong to."""
    table = pa.concat_tables(parts)
    at = table.schema.get_field_index("batch_id")
    return table.set_column(at, "batch_id", pa.repeat(batch_id, len(table)))
