"""Merge on key: which of the messages with one key is the silver row, and what became of the others.

The rule (DESIGN §8). Of the m valid messages with one key let d be the distinct (version, payload) pairs. The winner is
the greatest version; among equals, or without a version, the payload whose first arrival is latest. Fates: silver 1,
superseded d − 1, duplicate m − d: the first message of the winning pair is silver, the first of each other pair
superseded, all the rest duplicates. An identical redelivery writes nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from headrace import words
from headrace.contracts.contract import JSON_MARK
from headrace.spec import Spec
from headrace.stages.canonical import canonical_json, canonical_sql
from headrace.stages.key import key_columns, key_hash_sql, path_column
from headrace.stages.sql import SqlKernel
from headrace.words import Fate

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Set as AbstractSet

    from headrace.stages.dataset import Dataset


class DeduplicationSpec(Spec):
    """One row of silver per key; the latest version wins, and a redelivery changes nothing."""

    key: tuple[str, ...] = Field(
        min_length=1, description="The columns that make an event itself.", examples=[["order_id"]]
    )
    version_by: str | None = Field(
        None, description="The column that orders the versions of a key; the greatest wins.", examples=["updated_at"]
    )


@dataclass(frozen=True, slots=True)
class Contended:
    """The rows of a batch whose key is, or may be, somewhere else too; and their digests, in order."""

    free: pa.RecordBatch
    rows: pa.RecordBatch
    maybe_stored: np.ndarray
    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Merged:
    """What a batch does to a silver table."""

    inserted: pa.RecordBatch
    removed_seqs: tuple[int, ...] = ()
    removed_dates: tuple[dt.date, ...] = ()
    superseded: pa.Table | None = None
    deltas: dict[str, Counter[Fate]] = field(default_factory=dict)


class Merge:
    """The merge of one dataset. Pure: what silver knows goes in as values. Belongs to one thread."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._kernel = SqlKernel()
        self._columns = [column.name for column in dataset.contract.columns]
        self._json_columns = json_columns(dataset.contract.arrow_schema())
        if dataset.contract.validation == "lenient":
            self._columns.append(words.EXTRA)
            self._json_columns.append(words.EXTRA)

    def hashes(self, rows: pa.RecordBatch | pa.Table) -> np.ndarray:
        """Return a 64-bit hash per row of its key; stable within a process only."""
        sql = f"SELECT {key_hash_sql(self._dataset)} AS h FROM rows"
        hashes: np.ndarray = self._kernel.run(sql, rows=rows)["h"].to_numpy()
        return hashes

    def contend(self, batch: pa.RecordBatch, hashes: np.ndarray, maybe_stored: np.ndarray) -> Contended:
        """Part the rows whose key is alone in the batch and surely not in silver from all the others."""
        contended = maybe_stored | _repeated(hashes)
        if not contended.any():
            return Contended(batch, batch.slice(0, 0), np.zeros(0, dtype=bool), ())
        mask = pa.array(contended)
        rows = batch.filter(mask)
        return Contended(batch.filter(pc.invert(mask)), rows, maybe_stored[contended], tuple(self._digests(rows)))

    def alone(self, batch: pa.RecordBatch) -> Merged:
        """Take every event as one of its own: the merge of a dataset without a key."""
        deltas: dict[str, Counter[Fate]] = {}
        _count(deltas, batch.column(words.SCHEMA_VERSION), Fate.SILVER)
        return Merged(batch, deltas=deltas)

    def __call__(self, contended: Contended, stored: pa.Table, superseded: AbstractSet[bytes]) -> Merged:
        """Decide the fates.

        `stored`: the silver rows of the contended keys (others do no harm); `superseded`: those of `contended.digests`
        that lost before.
        """
        alone = self.alone(contended.free)
        if not len(contended.rows):
            return alone
        deltas = alone.deltas
        verdicts = self._verdicts(contended, stored, superseded)
        arrived = verdicts.filter(pc.invert(verdicts["stored"]))
        for fate in (Fate.SILVER, Fate.SUPERSEDED, Fate.DUPLICATE):
            _count(deltas, arrived.filter(pc.equal(arrived["fate"], fate.value))["contract_version"], fate)
        removed = verdicts.filter(pc.and_(verdicts["stored"], pc.equal(verdicts["fate"], Fate.SUPERSEDED.value)))
        _count(deltas, removed["contract_version"], Fate.SUPERSEDED)
        _count(deltas, removed["contract_version"], Fate.SILVER, -1)
        winners = arrived.filter(pc.equal(arrived["fate"], Fate.SILVER.value))["nth"].combine_chunks()
        lost = verdicts.filter(pc.equal(verdicts["fate"], Fate.SUPERSEDED.value))
        return Merged(
            inserted=_concat(contended.free, contended.rows.take(winners.sort())),
            removed_seqs=tuple(removed["seq"].to_pylist()),
            removed_dates=tuple(sorted(set(removed["event_date"].to_pylist()))),
            superseded=lost.select(["digest", "event_id", "seq", "contract_version"]) if len(lost) else None,
            deltas=deltas,
        )

    def _verdicts(self, contended: Contended, stored: pa.Table, superseded: AbstractSet[bytes]) -> pa.Table:
        keys = [f"k{i}" for i in range(len(self._dataset.key))]
        arrived = self._pairs(contended.rows, contended.digests)
        seen = pa.array([digest in superseded for digest in contended.digests], pa.bool_())
        existing = self._pairs(stored, tuple(self._digests(stored)))
        both = pa.concat_tables(
            [
                arrived.append_column("seen", seen).append_column("stored", pa.repeat(False, len(arrived))),
                existing.append_column("seen", pa.repeat(False, len(existing))).append_column(
                    "stored",
                    pa.repeat(True, len(existing)),
                ),
            ],
            promote_options="default",
        )
        by_key = ", ".join(keys)
        return self._kernel.run(
            f"""
            WITH ranked AS (
                SELECT *, seen OR row_number() OVER (
                    PARTITION BY {by_key}, digest ORDER BY stored DESC, seq) > 1 AS again
                FROM pairs
            ), placed AS (
                SELECT *, row_number() OVER (
                    PARTITION BY {by_key}, again ORDER BY version DESC NULLS LAST, seq DESC) AS place
                FROM ranked
            )
            SELECT nth, stored, seq, event_id, event_date, contract_version, digest,
                CASE WHEN again THEN '{Fate.DUPLICATE}' WHEN place = 1 THEN '{Fate.SILVER}'
                     ELSE '{Fate.SUPERSEDED}' END AS fate
            FROM placed ORDER BY stored DESC, seq
            """,
            pairs=both,
        )

    def _pairs(self, rows: pa.RecordBatch | pa.Table, digests: tuple[bytes, ...]) -> pa.Table:
        keys = ", ".join(f"{column} AS k{i}" for i, column in enumerate(key_columns(self._dataset)))
        version = path_column(self._dataset, self._dataset.version_by) if self._dataset.version_by else "NULL::BIGINT"
        stored_date = words.EVENT_DATE in rows.schema.names
        table = self._kernel.run(
            f"""
            SELECT {keys}, {version} AS version, "{words.SEQ}" AS seq, "{words.EVENT_ID}" AS event_id,
                   "{words.SCHEMA_VERSION}" AS contract_version,
                   {f'"{words.EVENT_DATE}"' if stored_date else "NULL::DATE"} AS event_date
            FROM rows
            """,
            rows=rows,
        )
        table = table.append_column("digest", pa.array(digests, pa.binary()))
        return table.append_column("nth", pa.array(np.arange(len(table)), pa.int64()))

    def _digests(self, rows: pa.RecordBatch | pa.Table) -> list[bytes]:
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
        for name in self._json_columns:
            # The same document with its keys in another order is the same payload.
            canonical = [None if text is None else canonical_json(text) for text in table[name].to_pylist()]
            table = table.set_column(table.schema.get_field_index(name), name, pa.array(canonical, pa.string()))
        sql = f"SELECT unhex(md5({self._identity_sql()})) AS digest FROM rows"
        digests: list[bytes] = self._kernel.run(sql, rows=table)["digest"].to_pylist()
        return digests

    def _identity_sql(self) -> str:
        # The key is part of the digest, so that equal payloads of two keys are never taken for one.
        keys = " || '|' || ".join(f"CAST(to_json({column}) AS VARCHAR)" for column in key_columns(self._dataset))
        return f"{keys} || '|' || {canonical_sql(self._columns)}"


def json_columns(schema: pa.Schema) -> list[str]:
    """Return the columns that hold JSON text."""
    return [field.name for field in schema if (field.metadata or {}).items() >= JSON_MARK.items()]


def _repeated(hashes: np.ndarray) -> np.ndarray:
    """Return, per hash, whether it occurs more than once."""
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    repeated: np.ndarray = counts[inverse] > 1
    return repeated


def _count(deltas: dict[str, Counter[Fate]], versions: pa.ChunkedArray | pa.Array, fate: Fate, sign: int = 1) -> None:
    for each in pc.value_counts(versions).to_pylist():
        deltas.setdefault(each["values"], Counter())[fate] += sign * each["counts"]


def _concat(first: pa.RecordBatch, second: pa.RecordBatch) -> pa.RecordBatch:
    if not len(second):
        return first
    return pa.concat_batches([first, second]) if len(first) else second
