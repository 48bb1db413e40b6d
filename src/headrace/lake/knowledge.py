"""What the writer knows of the keys in silver: hashes in memory, confirmed by the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace import words
from headrace.lake import tables
from headrace.lake.base import Change, Known
from headrace.lake.keys import FAR, KeyIndex, Runs, spans
from headrace.stages import paths
from headrace.stages.key import ALIAS, key_columns, key_hash_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from headrace.lake.keys import Span
    from headrace.stages.dataset import Dataset
    from headrace.stages.merge import Contended


DIGEST_BYTES = 16


class Knowledge:
    """Answers the merge's questions about silver. `query` runs SQL on the writer's connection, tables by name.

    What it remembers is built from a scan when a dataset is first asked about, and follows every commit from then on.
    """

    def __init__(self, query: Callable[..., pa.Table]) -> None:
        self._query = query
        self._indexes: dict[str, KeyIndex] = {}
        self._superseded: dict[str, Runs] = {}
        self._had_rows: frozenset[str] | None = None

    def remember(self, changes: Sequence[Change]) -> None:
        """Keep up to date with what was just committed."""
        for change in changes:
            for file in change.files:
                index = self._indexes.get(file.table)
                if index is not None and file.seqs is not None and file.hashes is not None:
                    index.add(file.seqs, file.hashes)
            lost = change.ops.get(tables.SUPERSEDED.name)
            if lost is not None:
                for dataset in pc.unique(lost["dataset"]).to_pylist():
                    if dataset in self._superseded:
                        part = lost.filter(pc.equal(lost["dataset"], dataset))
                        self._superseded[dataset].add(_digest_hashes(part["digest"]))

    def maybe_stored(self, dataset: Dataset, hashes: np.ndarray) -> np.ndarray:
        """Return a boolean per key hash: False means surely not in silver."""
        if not dataset.key:
            return np.zeros(len(hashes), dtype=bool)
        return self._index(dataset).probe(hashes)[0]

    def known(self, dataset: Dataset, contended: Contended) -> Known:
        """Return the silver rows of these keys, and which of their digests lost before."""
        table = tables.silver(dataset)
        suspects = contended.rows.filter(pa.array(contended.maybe_stored))
        _, where = self._index(dataset).probe(contended.hashes[contended.maybe_stored])
        if not where:
            return Known(pa.table({}), frozenset())
        pairs = zip(key_columns(dataset, "_s"), key_columns(dataset, "_k"), strict=True)
        # DuckLake asks its catalog which files may hold these keys, and its question ends where a text has a NUL.
        # It asks for columns only: not where rows of one column are compared.
        of = "row({})" if _have_nul(dataset, suspects) else "{}"
        same = " AND ".join(f"{of.format(stored)} = {of.format(asked)}" for stored, asked in pairs)
        # First only the keys, which are narrow; then whole rows by number, which file statistics find quickly.
        seq = f'_s."{words.SEQ}"'
        keys = f"SELECT {seq} AS seq FROM {table.sql} _s SEMI JOIN suspects _k ON {same}"
        found = self._query(_within(keys, seq, where), suspects=suspects)
        where = spans(np.sort(found["seq"].to_numpy()), FAR)
        rows = self._query(
            _within(f"SELECT * FROM {table.sql} _s SEMI JOIN found ON {seq} = found.seq", seq, where), found=found
        )
        return Known(rows, self._lost_before(dataset, contended.digests))

    def _lost_before(self, dataset: Dataset, digests: Sequence[bytes]) -> frozenset[bytes]:
        if dataset.name not in self._superseded:
            scanned = self._query(f"SELECT digest FROM {tables.SUPERSEDED.sql} WHERE dataset = '{dataset.name}'")
            self._superseded[dataset.name] = Runs()
            self._superseded[dataset.name].add(_digest_hashes(scanned["digest"]))
        numbers = _digest_hashes(pa.chunked_array([digests], pa.binary()))
        maybe, _ = self._superseded[dataset.name].between(numbers, numbers)
        asked = pa.table({"digest": pa.array([digests[i] for i in np.flatnonzero(maybe).tolist()], pa.binary())})
        if not len(asked):
            return frozenset()
        found = self._query(
            f"SELECT DISTINCT digest FROM {tables.SUPERSEDED.sql} SEMI JOIN asked USING (digest) "
            f"WHERE dataset = '{dataset.name}'",
            asked=asked,
        )
        return frozenset(found["digest"].to_pylist())

    def _index(self, dataset: Dataset) -> KeyIndex:
        table = tables.silver(dataset)
        if table.name not in self._indexes:

            def scan() -> Iterator[tuple[np.ndarray, np.ndarray]]:
                if table.name not in self._filled():
                    return
                day = f'"{words.EVENT_DATE}"'
                for date in self._query(f"SELECT DISTINCT {day} AS day FROM {table.sql} ORDER BY ALL")[
                    "day"
                ].to_pylist():
                    keys = self._query(
                        f'SELECT "{words.SEQ}" AS seq, {key_hash_sql(dataset)} AS h FROM {table.sql} {ALIAS} '
                        f"WHERE {day} = DATE '{date}'"
                    )
                    yield keys["seq"].to_numpy(), keys["h"].to_numpy()

            self._indexes[table.name] = KeyIndex(scan)
        return self._indexes[table.name]

    def _filled(self) -> frozenset[str]:
        """Return the silver tables that had rows when this was first asked.

        Asked once for all: a table is indexed before this process first commits to it, and nobody else does.
        """
        if self._had_rows is None:
            found = self._query(
                """
                SELECT DISTINCT 'silver.' || t.table_name AS name
                FROM __ducklake_metadata_lake.ducklake_data_file f
                JOIN __ducklake_metadata_lake.ducklake_table t ON t.table_id = f.table_id AND t.end_snapshot IS NULL
                JOIN __ducklake_metadata_lake.ducklake_schema s ON s.schema_id = t.schema_id AND s.end_snapshot IS NULL
                WHERE s.schema_name = 'silver' AND f.end_snapshot IS NULL
                """
            )
            self._had_rows = frozenset(found["name"].to_pylist())
        return self._had_rows


def _within(select: str, seq: str, where: Sequence[Span]) -> str:
    """Return the SQL of a SELECT, parted by spans of sequence numbers: a range prunes files, an OR of them does not."""
    if not where:
        return f"{select} WHERE false"
    return " UNION ALL ".join(f"{select} WHERE {seq} BETWEEN {span.first} AND {span.last}" for span in where)


def _have_nul(dataset: Dataset, rows: pa.RecordBatch) -> bool:
    """Return whether any text of these keys has the character NUL."""
    schema = dataset.contract.arrow_schema()
    keys = (paths.leaves(rows, paths.resolve(text, schema)).values for text in dataset.key)
    return any(pc.any(pc.match_substring(key, "\0")).as_py() for key in keys if pa.types.is_string(key.type))


def _digest_hashes(digests: pa.ChunkedArray) -> np.ndarray:
    """Return the first half of each digest as a number. No digest becomes an object: there may be millions."""
    halves = [np.zeros(0, "<u8")]
    for chunk in digests.chunks:
        fixed = chunk.cast(pa.binary(DIGEST_BYTES))
        halves.append(np.frombuffer(fixed.buffers()[1], "<u8")[2 * fixed.offset :][: 2 * len(fixed) : 2])
    return np.concatenate(halves)
