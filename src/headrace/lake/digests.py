"""Digests of silver: whether two tables hold the same events, told by a few numbers a partition.

A partition's digest is its number of rows, and the sums of both halves of its rows' digests (`stages/row_digests.py`),
modulo 2^64. Sums do not depend on the order of rows; unlike an exclusive or they change when a row is there twice; and
since each row is mixed as a whole, values that are swapped between rows do not make up for each other. What is added
and taken away adds up, so every batch records what it did (`ops.batches.digests`) and nothing is read to know the sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from headrace import words
from headrace.stages.row_digests import event_digests, row_digests

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

    from headrace.lake.reader import LakeReader
    from headrace.stages.row_digests import RowDigests

SUMS = (
    "count(*) AS n, coalesce(sum(md5_number_lower(text)), 0) AS low, coalesce(sum(md5_number_upper(text)), 0) AS high"
)
"""The digest of tables of gold, which only SQL reads: rows that have a `text`."""

BUCKETS = 4096
_HALF = 1 << 64


class Digest(NamedTuple):
    """The rows of a partition, and 128 bits that depend on all of them. Of a change: rows may be negative."""

    rows: int
    low: int
    high: int

    @classmethod
    def of(cls, rows: int, low: int, high: int) -> Digest:
        """Return the digest of so many rows, and sums of any size."""
        return cls(rows, int(low) % _HALF, int(high) % _HALF)

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Return the digest that was written as this text. Raises `ValueError`."""
        rows, _, sums = text.partition(":")
        if len(sums) != 32:
            raise ValueError(f"{text!r} is no digest")
        return cls(int(rows), int(sums[16:], 16), int(sums[:16], 16))

    def __str__(self) -> str:
        return f"{self.rows}:{self.high:016x}{self.low:016x}"

    def plus(self, other: Digest) -> Digest:
        """Return the digest of both together."""
        return Digest.of(self.rows + other.rows, self.low + other.low, self.high + other.high)

    def minus(self, other: Digest) -> Digest:
        """Return the digest of what is left without the other."""
        return Digest.of(self.rows - other.rows, self.low - other.low, self.high - other.high)


NOTHING = Digest(0, 0, 0)

Parts = dict["dt.date", Digest]
"""Digests by partition: event date."""


class Kept(NamedTuple):
    """What the ticks kept of some sources' datasets, and of which of their partitions they did not keep all.

    A batch that an earlier version committed has no digests: the partitions that it touched are `unknown`.
    """

    parts: Mapping[str, Parts]
    unknown: frozenset[tuple[str, dt.date]]


def total(parts: Iterable[Digest]) -> Digest:
    """Return the digest of several partitions together."""
    whole = NOTHING
    for each in parts:
        whole = whole.plus(each)
    return whole


def of_rows(rows: pa.Table) -> Parts:
    """Return the digests of rows of silver by their event date."""
    return _by_date(rows, row_digests(rows))


def _by_date(rows: pa.Table, digests: RowDigests) -> Parts:
    days = rows[words.EVENT_DATE].cast("int32").to_numpy()
    if len(days) and (days[0] == days).all():
        groups = [(0, len(days))]
    else:
        order = np.argsort(days, kind="stable")
        days, digests = days[order], type(digests)(*(lane[order] for lane in digests))
        starts = np.flatnonzero(np.diff(days, prepend=days[:1] - 1))
        groups = list(zip(starts.tolist(), [*starts[1:].tolist(), len(days)], strict=True)) if len(days) else []
    return {
        np.datetime64(int(days[start]), "D").item(): Digest(
            end - start, *(int(lane[start:end].sum(dtype=np.uint64)) for lane in digests)
        )
        for start, end in groups
    }


class Changed(NamedTuple):
    """What a batch does to the digests of a dataset's partitions; and the digests of the payloads that it adds."""

    parts: Parts
    payloads: RowDigests | None


def of_change(added: pa.Table | None, removed: pa.Table | None, payload: Iterable[str]) -> Changed:
    """Return what a batch does: what it adds less what it removes. `payload` names the columns that are an event's."""
    parts: Parts = {}
    payloads = None
    if added is not None:
        digests, payloads = event_digests(added, payload)
        parts = _by_date(added, digests)
    for date, gone in (of_rows(removed) if removed is not None else {}).items():
        parts[date] = parts.get(date, NOTHING).minus(gone)
    return Changed(parts, payloads)


def kept(lake: LakeReader, source: str, since: int = 0) -> Kept:
    """Return what the batches of a source kept, from this message of it on; all from metadata."""
    where = "FROM lake.ops.batches WHERE source = ? AND first_seq >= ?"
    has = lake.rows(
        "SELECT 1 FROM duckdb_columns() WHERE database_name = 'lake' AND schema_name = 'ops' "
        "AND table_name = 'batches' AND column_name = 'digests'"
    )
    parts: dict[str, Parts] = {}
    if has:
        each = f"SELECT unnest(digests) AS d {where}"
        for row in lake.rows(
            'SELECT d.dataset AS dataset, d.event_date AS date, sum(d."rows") AS n, sum(d.low) AS low, '
            f"sum(d.high) AS high FROM ({each}) GROUP BY ALL",
            [source, since],
        ):
            parts.setdefault(row["dataset"], {})[row["date"]] = Digest.of(row["n"], row["low"], row["high"])
    before = f"SELECT unnest(touched) AS t {where}{' AND digests IS NULL' if has else ''}"
    unknown = lake.rows(f"SELECT DISTINCT t.dataset AS dataset, t.event_date AS date FROM ({before})", [source, since])
    return Kept(parts, frozenset((row["dataset"], row["date"]) for row in unknown))


def scanned(lake: LakeReader | None, dataset: str) -> Parts:
    """Return the digest of every partition of a silver table as its files are; none where there is no such table."""
    parts: Parts = {}
    for rows in _silver(lake, dataset):
        for date, each in of_rows(rows).items():
            parts[date] = parts.get(date, NOTHING).plus(each)
    return parts


def buckets(lake: LakeReader | None, dataset: str, date: dt.date) -> list[Digest]:
    """Return a partition's digest in parts, by a share of each row's own digest: what differs is found in few rows."""
    count = np.zeros(BUCKETS, np.int64)
    low, high = np.zeros(BUCKETS, np.uint64), np.zeros(BUCKETS, np.uint64)
    for rows in _silver(lake, dataset, date):
        digests = row_digests(rows)
        where = (digests.low % np.uint64(BUCKETS)).astype(np.int64)
        count += np.bincount(where, minlength=BUCKETS)
        np.add.at(low, where, digests.low)
        np.add.at(high, where, digests.high)
    return [Digest(*each) for each in zip(count.tolist(), low.tolist(), high.tolist(), strict=True)]


def events(lake: LakeReader | None, dataset: str, date: dt.date, among: set[int]) -> list[tuple[Digest, str]]:
    """Return the rows of some buckets: their digests, and their message ids."""
    found = []
    for rows in _silver(lake, dataset, date):
        digests = row_digests(rows)
        wanted = np.isin(digests.low % np.uint64(BUCKETS), np.array(sorted(among), np.uint64))
        for at in np.flatnonzero(wanted).tolist():
            one = Digest(1, int(digests.low[at]), int(digests.high[at]))
            found.append((one, rows[words.EVENT_ID][at].as_py()))
    return sorted(found, key=lambda each: (each[0], each[1] or ""))


def _silver(lake: LakeReader | None, dataset: str, date: dt.date | None = None) -> Iterator[pa.Table]:
    if lake is None or f"silver.{dataset}" not in lake.tables():
        return
    where = f" WHERE \"{words.EVENT_DATE}\" = DATE '{date}'" if date is not None else ""
    unread = ", ".join(f'"{name}"' for name in (words.INGEST_TIME, words.SEQ, words.TRACE_ID))
    yield from lake.tables_of(f'SELECT * EXCLUDE ({unread}) FROM lake.silver."{dataset}"{where}')


def recorded(parts: Mapping[str, Parts]) -> list[dict[str, Any]]:
    """Return digests as they are kept in `ops.batches`."""
    return [
        {"dataset": dataset, "event_date": date, "rows": each.rows, "low": each.low, "high": each.high}
        for dataset in sorted(parts)
        for date, each in sorted(parts[dataset].items())
    ]
