"""Digests of silver: whether two tables hold the same events, told by a few numbers a partition.

A row's digest is the MD5 of its canonical text: contract columns and what was added to them, unknown fields, event
time, contract version; not `_seq` and `_ingest_time`, which are the transport's. A partition's digest is its number of
rows and the sums of the two halves of its rows' digests, each modulo 2^64. Sums do not depend on the order of rows, and
unlike an exclusive or they change when a row is there twice: two partitions that differ have the same digest with a
probability of about 2^-128. (M. Bellare, D. Micciancio, "A new paradigm for collision-free hashing", 1997: AdHash. It
is no defence against somebody who chooses the events in order to find a collision.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from headrace import words
from headrace.stages.canonical import canonical_sql, column_sql

if TYPE_CHECKING:
    import datetime as dt

    from headrace.lake.reader import LakeReader
    from headrace.stages.dataset import Dataset

SUMS = (
    "count(*) AS n, coalesce(sum(md5_number_lower(text)), 0) AS low, coalesce(sum(md5_number_upper(text)), 0) AS high"
)
"""What a digest is made of, as SQL over rows that have a `text`."""

_HALF = 1 << 64
_BUCKET = "(md5_number_lower(text) % 4096)"


class Digest(NamedTuple):
    """The rows of a partition, and 128 bits that depend on all of them."""

    rows: int
    low: int
    high: int

    @classmethod
    def of(cls, rows: int, low: int, high: int) -> Digest:
        """Return the digest of what `SUMS` gives."""
        return cls(rows, int(low) % _HALF, int(high) % _HALF)

    def __str__(self) -> str:
        return f"{self.rows}:{self.high:016x}{self.low:016x}"

    def plus(self, other: Digest) -> Digest:
        """Return the digest of both together."""
        return Digest.of(self.rows + other.rows, self.low + other.low, self.high + other.high)


NOTHING = Digest(0, 0, 0)


def partitions(lake: LakeReader | None, dataset: Dataset) -> dict[dt.date, Digest]:
    """Return the digest of every partition of a silver table; none where there is no such table, or no lake."""
    return {row["date"]: _digest(row) for row in _sums(lake, dataset, f'"{words.EVENT_DATE}" AS date')}


def buckets(lake: LakeReader | None, dataset: Dataset, date: dt.date) -> dict[int, Digest]:
    """Return a partition's digest in parts, by a share of each row's own digest: what differs is found in few rows."""
    return {row["bucket"]: _digest(row) for row in _sums(lake, dataset, f"{_BUCKET} AS bucket", _on(date))}


def events(lake: LakeReader | None, dataset: Dataset, date: dt.date, bucket: int) -> list[tuple[str, str]]:
    """Return the rows of a bucket: the text that their digest is of, and their message ids."""
    if lake is None or f"silver.{dataset.name}" not in lake.tables():
        return []
    sql = f'SELECT text, "{words.EVENT_ID}" AS id FROM ({_texts(dataset)}) {_on(date)} AND {_BUCKET} = {bucket}'
    return [(row["text"], row["id"]) for row in lake.rows(f"{sql} ORDER BY ALL")]


def _sums(lake: LakeReader | None, dataset: Dataset, by: str, where: str = "") -> list[dict[str, Any]]:
    if lake is None or f"silver.{dataset.name}" not in lake.tables():
        return []
    return lake.rows(f"SELECT {by}, {SUMS} FROM ({_texts(dataset)}) {where} GROUP BY ALL ORDER BY ALL")


def _digest(row: dict[str, Any]) -> Digest:
    return Digest.of(row["n"], row["low"], row["high"])


def _on(date: dt.date) -> str:
    return f"WHERE \"{words.EVENT_DATE}\" = DATE '{date}'"


def _texts(dataset: Dataset) -> str:
    """Return the SELECT of every row's canonical text."""
    lenient = dataset.contract.validation == "lenient"
    told: list[Any] = [words.EXTRA] if lenient else []
    told += [words.SCHEMA_VERSION]
    parts = [canonical_sql(dataset.columns(), "t")]
    parts += [f"coalesce({column_sql('t', name)}, '')" for name in told]
    parts += [f"coalesce(epoch_us({column_sql('t', words.EVENT_TIME)})::VARCHAR, '')"]
    text = " || chr(31) || ".join(f"({part})" for part in parts)
    return f'SELECT t."{words.EVENT_DATE}", t."{words.EVENT_ID}", {text} AS text FROM lake.silver."{dataset.name}" t'
