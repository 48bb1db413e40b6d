"""Merge on key: which of the messages with one key is the silver row, and what became of the others.

The rule (DESIGN §8). Of the m valid messages with one key let d be the distinct (version, payload) pairs. The winner is
the greatest version; among equals, or without a version, the payload whose first arrival is latest. Fates: silver 1,
superseded d − 1, duplicate m − d: the first message of the winning pair is silver, the first of each other pair
superseded, all the rest duplicates. An identical redelivery writes nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from headrace import words
from headrace.contracts.contract import is_json
from headrace.spec import Spec
from headrace.stages.canonical import canonical_json, canonical_sql
from headrace.stages.key import ALIAS, key_columns, path_column
from headrace.stages.row_digests import payload_digests
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
    """A batch, and those of its rows whose key is, or may be, somewhere else too: in the batch, or in silver.

    `places` says which of the batch `rows` are; `hashes` and `maybe_stored` are theirs. `same` says which of the batch
    came before as they are, and are not among `rows`. `pairs` has a row for each of `rows`: its key, version and
    digest, and what the ledger wants to know of it.
    """

    batch: pa.RecordBatch
    batch_hashes: np.ndarray
    places: np.ndarray
    rows: pa.RecordBatch
    maybe_stored: np.ndarray
    same: np.ndarray
    pairs: pa.Table | None = None

    @property
    def hashes(self) -> np.ndarray:
        """The hash of the key of each of `rows`."""
        hashes: np.ndarray = self.batch_hashes[self.places]
        return hashes

    @property
    def digests(self) -> list[bytes]:
        """What makes the key and payload of each of `rows` themselves, sixteen bytes each."""
        return [] if self.pairs is None else self.pairs["digest"].to_pylist()


@dataclass(frozen=True, slots=True)
class Merged:
    """What a batch does to a silver table; `hashes` are those of the keys of what is inserted, if there is a key.

    `removed` has the rows of silver that are taken out, as they are there.
    """

    inserted: pa.RecordBatch
    hashes: np.ndarray | None = None
    removed_seqs: tuple[int, ...] = ()
    removed_dates: tuple[dt.date, ...] = ()
    removed: pa.Table | None = None
    superseded: pa.Table | None = None
    deltas: dict[str, Counter[Fate]] = field(default_factory=dict)


class Merge:
    """The merge of one dataset. Pure: what silver knows goes in as values. Belongs to one thread."""

    def __init__(self, dataset: Dataset) -> None:
        self._kernel = SqlKernel()
        self._by_key = ", ".join(f"k{i}" for i in range(len(dataset.key)))
        self._payload = tuple(dataset.payload().names)
        self._json_columns = [field.name for field in dataset.contract.arrow_schema() if is_json(field)]
        if dataset.contract.validation == "lenient":
            self._json_columns.append(words.EXTRA)
        self._pairs_sql = _pairs_sql(dataset, list(dataset.payload()))

    def contend(
        self, batch: pa.RecordBatch, hashes: np.ndarray, maybe_stored: np.ndarray, same: np.ndarray | None = None
    ) -> Contended:
        """Find the rows whose key is not alone in the batch, or may be in silver.

        `same` are rows that came before, key and payload: duplicates, whatever becomes of the others. So are those that
        came before in this batch.
        """
        same = np.zeros(len(batch), dtype=bool) if same is None else same.copy()
        repeated = np.flatnonzero(_repeated(np.argsort(hashes), hashes, first=True) & ~same)
        if len(repeated):
            numbers = (hashes[repeated], *payload_digests(batch.take(pa.array(repeated)), self._payload))
            as_they_came = np.lexsort(numbers)  # where they are equal
            again = _repeated(as_they_came, *numbers, first=False)
            same[repeated[again]] = True
            left = repeated[~again]
            repeated = left[_repeated(np.argsort(hashes[left]), hashes[left], first=True)]
        contested = maybe_stored & ~same
        contested[repeated] = True
        places = np.flatnonzero(contested)
        rows = batch.take(pa.array(places)) if len(places) else batch.slice(0, 0)
        pairs = self._pairs(rows) if len(places) else None
        return Contended(batch, hashes, places, rows, maybe_stored[places], same, pairs)

    def alone(self, batch: pa.RecordBatch, hashes: np.ndarray | None = None) -> Merged:
        """Take every event as one of its own, as the merge of a dataset without a key does."""
        deltas: dict[str, Counter[Fate]] = {}
        _count(deltas, batch.column(words.SCHEMA_VERSION), Fate.SILVER)
        return Merged(batch, hashes, deltas=deltas)

    def __call__(self, contended: Contended, stored: pa.Table, superseded: AbstractSet[bytes]) -> Merged:
        """Decide the fates.

        `stored`: the silver rows of the contended keys (others do no harm); `superseded`: those of `contended.digests`
        that lost before.
        """
        batch, hashes = contended.batch, contended.batch_hashes
        kept = ~contended.same
        if contended.pairs is None and kept.all():
            return self.alone(batch, hashes)
        kept[contended.places] = False
        deltas: dict[str, Counter[Fate]] = {}
        versions = batch.column(words.SCHEMA_VERSION)
        _count(deltas, versions.filter(pa.array(contended.same)), Fate.DUPLICATE)
        _count(deltas, versions.filter(pa.array(kept)), Fate.SILVER)
        if contended.pairs is None:
            return Merged(batch.filter(pa.array(kept)), hashes[kept], deltas=deltas)
        verdicts = self._verdicts(contended.pairs, stored, superseded)
        arrived = verdicts.filter(pc.invert(verdicts["stored"]))
        for fate in (Fate.SILVER, Fate.SUPERSEDED, Fate.DUPLICATE):
            _count(deltas, arrived.filter(pc.equal(arrived["fate"], fate.value))["contract_version"], fate)
        removed = verdicts.filter(pc.and_(verdicts["stored"], pc.equal(verdicts["fate"], Fate.SUPERSEDED.value)))
        _count(deltas, removed["contract_version"], Fate.SUPERSEDED)
        _count(deltas, removed["contract_version"], Fate.SILVER, -1)
        winners = arrived.filter(pc.equal(arrived["fate"], Fate.SILVER.value))["nth"].to_numpy()
        kept[contended.places[winners]] = True
        lost = verdicts.filter(pc.equal(verdicts["fate"], Fate.SUPERSEDED.value))
        return Merged(
            inserted=batch if kept.all() else batch.filter(pa.array(kept)),
            hashes=hashes[kept],
            removed_seqs=tuple(removed["seq"].to_pylist()),
            removed_dates=tuple(sorted(set(removed["event_date"].to_pylist()))),
            removed=stored.take(removed["nth"].combine_chunks()) if len(removed) else None,
            superseded=lost.select(["digest", "event_id", "seq", "contract_version"]) if len(lost) else None,
            deltas=deltas,
        )

    def _verdicts(self, arrived: pa.Table, stored: pa.Table, superseded: AbstractSet[bytes]) -> pa.Table:
        existing = self._pairs(stored) if len(stored) else arrived.slice(0, 0)
        seen = [digest in superseded for digest in arrived["digest"].to_pylist()] if superseded else None
        parts = [
            part.append_column("seen", known).append_column("stored", pa.repeat(is_stored, len(part)))
            for part, known, is_stored in (
                (arrived, pa.array(seen or [False] * len(arrived), pa.bool_()), False),
                (existing, pa.repeat(False, len(existing)), True),
            )
        ]
        return self._kernel.run(
            f"""
            WITH ranked AS (
                SELECT *, seen OR row_number() OVER (
                    PARTITION BY {self._by_key}, digest ORDER BY stored DESC, seq) > 1 AS again
                FROM pairs
            ), placed AS (
                SELECT *, row_number() OVER (
                    PARTITION BY {self._by_key}, again ORDER BY version DESC NULLS LAST, seq DESC) AS place
                FROM ranked
            )
            SELECT nth, stored, seq, event_id, event_date, contract_version, digest,
                CASE WHEN again THEN '{Fate.DUPLICATE}' WHEN place = 1 THEN '{Fate.SILVER}'
                     ELSE '{Fate.SUPERSEDED}' END AS fate
            FROM placed ORDER BY stored DESC, seq
            """,
            pairs=pa.concat_tables(parts, promote_options="default"),
        )

    def _pairs(self, rows: pa.RecordBatch | pa.Table) -> pa.Table:
        """Return the key, version and digest of each row, which it is, and what the ledger wants to know of it."""
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
        for name in self._json_columns:
            # The same document with its keys in another order is the same payload.
            canonical = [None if text is None else canonical_json(text) for text in table[name].to_pylist()]
            table = table.set_column(table.schema.get_field_index(name), name, pa.array(canonical, pa.string()))
        if words.EVENT_DATE not in table.schema.names:
            table = table.append_column(words.EVENT_DATE, pa.nulls(len(table), pa.date32()))
        pairs = self._kernel.run(self._pairs_sql, rows=table)
        return pairs.append_column("nth", pa.array(np.arange(len(pairs)), pa.int64()))


def _pairs_sql(dataset: Dataset, columns: list[pa.Field]) -> str:
    keys = key_columns(dataset)
    # The key is part of the digest, so that equal payloads of two keys are never taken for one.
    identity = " || '|' || ".join(
        [*(f"CAST(to_json({column}) AS VARCHAR)" for column in keys), canonical_sql(columns, ALIAS)]
    )
    version = path_column(dataset, dataset.version_by) if dataset.version_by else "NULL::BIGINT"
    named = [f"{column} AS k{i}" for i, column in enumerate(keys)]
    return f"""
        SELECT {", ".join([*named, f"{version} AS version"])}, "{words.SEQ}" AS seq, "{words.EVENT_ID}" AS event_id,
               "{words.SCHEMA_VERSION}" AS contract_version, "{words.EVENT_DATE}" AS event_date,
               unhex(md5({identity})) AS digest
        FROM rows {ALIAS}
    """


def _repeated(order: np.ndarray, *columns: np.ndarray, first: bool) -> np.ndarray:
    """Return, per row, whether the one before it in an order has the same numbers in all columns.

    With `first`, also whether the one after it has them.
    """
    equal = reduce(np.logical_and, (np.diff(column[order]) == 0 for column in columns))
    repeated = np.zeros(len(order), dtype=bool)
    repeated[order[1:][equal]] = True
    if first:
        repeated[order[:-1][equal]] = True
    return repeated


def _count(deltas: dict[str, Counter[Fate]], versions: pa.ChunkedArray | pa.Array, fate: Fate, sign: int = 1) -> None:
    for each in pc.value_counts(versions).to_pylist():
        deltas.setdefault(each["values"], Counter())[fate] += sign * each["counts"]
