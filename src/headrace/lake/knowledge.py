"""What the writer knows of silver: keys and payloads by their digests, confirmed by the table where that must be."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace import words
from headrace.contracts.contract import is_json
from headrace.disk import sync
from headrace.errors import LakeError
from headrace.lake import tables
from headrace.lake.base import Change, Known, Stored
from headrace.lake.key_index import FOLDER, RECENT_ROWS, STATE, Coverage, Jobs, KeyIndex
from headrace.lake.keys import Entries, Runs, digests_of
from headrace.lake.parquet import ROW_GROUP_ROWS
from headrace.stages.key import ALIAS, key_columns, key_hash_sql
from headrace.stages.row_digests import payload_digests
from headrace.words import Fate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from headrace.stages.dataset import Dataset
    from headrace.stages.merge import Contended


DIGEST_BYTES = 16
_NAMED_AT_ONCE = 32  # rows by their numbers in one query
_NEAR_ROWS = ROW_GROUP_ROWS // 4
_STALE = 4  # times as many rows as silver has: an index of so many that are no more is made anew


class _Facts(NamedTuple):
    """What is committed of a dataset: its rows, its fates `silver` and `erased`, its newest batch, its sources."""

    rows: int = 0
    ledger: int = 0
    batch_id: str = ""
    next_seq: int = 0
    sources: int = 0


class Knowledge:
    """Answers the merge's questions about silver. `query` runs SQL on the writer's connection, tables by name.

    What it knows of keys is in files of the lake's `folder`; what these lack is read from silver when a dataset is
    first asked about. It follows every commit from then on.
    """

    def __init__(self, query: Callable[..., pa.Table], folder: Path, recent_rows: int = RECENT_ROWS) -> None:
        self._query = query
        self._folder = folder / FOLDER
        self._recent_rows = recent_rows
        self._jobs = Jobs(*(ThreadPoolExecutor(1, thread_name_prefix=f"keys-{job}") for job in Jobs._fields))
        self._indexes: dict[str, KeyIndex] = {}
        self._made_for: dict[str, Dataset] = {}
        self._superseded: dict[str, Runs] = {}
        self._committed: Mapping[str, _Facts] | None = None

    def close(self, *, keep: bool = True) -> None:
        """Bring what is known to files, if it is to be kept and so much is worth it, and end what is under way."""
        for index in self._indexes.values():
            index.close(keep=keep)
        for job in self._jobs:
            job.shutdown()

    def settle(self) -> None:
        """Wait for what other threads write."""
        for index in self._indexes.values():
            index.settle()

    def forget(self) -> None:
        """Forget all that is known of keys, files too, before silver is changed otherwise than by commits.

        No crash brings the files back. Raises `LakeError` where they cannot be removed, and `OSError`.
        """
        self._indexes, self._superseded, self._committed = {}, {}, None
        if not self._folder.exists():
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        if any(self._folder.glob(f"*/{STATE}")):
            raise LakeError(
                "the index of keys cannot be removed", at=str(self._folder), fix="check its owner and its permissions"
            )
        sync(self._folder.parent)

    def keep_only(self, datasets: Sequence[Dataset]) -> None:
        """Remove the files of keys of all other datasets: these are all that there are."""
        kept = {dataset.name for dataset in datasets if dataset.key}
        for each in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            if each.is_dir() and each.name not in kept:
                index = self._indexes.pop(f"silver.{each.name}", None)
                if index is not None:
                    index.clear()
                shutil.rmtree(each, ignore_errors=True)  # nobody asks for them any more

    def remember(self, changes: Sequence[Change]) -> None:
        """Keep up to date with what was just committed."""
        for change in changes:
            lost = change.ops.get(tables.SUPERSEDED.name)
            if lost is not None:
                for dataset in pc.unique(lost["dataset"]).to_pylist():
                    if dataset in self._superseded:
                        part = lost.filter(pc.equal(lost["dataset"], dataset))
                        self._superseded[dataset].add(_digest_hashes(part["digest"]))
            touched = {each.table for each in change.files} | {each.table for each in change.removals}
            for table in touched & self._indexes.keys():
                self._follow(table, change)

    def _follow(self, table: str, change: Change) -> None:
        """Tell the index of a table what a change did to it."""
        index, dataset = self._indexes[table], table.split(".")[1]
        added = sum(each.rows for each in change.files if each.table == table)
        told = change.keys.get(table)
        if added != (0 if told is None else told.rows):  # of what is there when it is next asked
            self._indexes.pop(table).clear()
            self._committed = None
            return
        lost = change.ops.get(tables.SUPERSEDED.name)
        removed = [seq for each in change.removals if each.table == table for seq in each.seqs]
        if removed:
            again: frozenset[int] = frozenset()
            if lost is not None:
                again = frozenset(lost.filter(pc.equal(lost["dataset"], dataset))["seq"].to_pylist())
            if gone := [seq for seq in removed if seq not in again]:
                index.forget(gone)
            index.lose(seq for seq in removed if seq in again)
        ledger, batch = change.ops.get(tables.LEDGER.name), change.ops.get(tables.BATCHES.name)
        moved = 0
        if ledger is not None:
            mine = ledger.filter(pc.equal(ledger["dataset"], dataset))
            moved = sum(pc.sum(mine[fate]).as_py() or 0 for fate in _LEDGER)
        covered = index.coverage or Coverage("", 0, 0, 0)
        newest = (covered.batch_id, covered.next_seq)
        if batch is not None:
            newest = (batch["batch_id"][0].as_py(), batch["next_seq"][0].as_py())
        index.coverage = Coverage(*newest, covered.rows + added - len(removed), covered.ledger + moved)
        if told is not None:
            index.add(told)
            if sum(each.in_memory for each in self._indexes.values()) > self._recent_rows:
                max(self._indexes.values(), key=lambda each: each.in_memory).spill()

    def foresee(self, dataset: Dataset) -> None:
        """Read what questions about this dataset will need."""
        if dataset.key:
            self._index(dataset)

    def stored(self, dataset: Dataset, events: pa.RecordBatch, hashes: np.ndarray) -> Stored:
        """Return, per event, whether its key may be in silver, and whether just this event was there before."""
        same = np.zeros(len(hashes), dtype=bool)
        if not dataset.key:
            return Stored(same, same)
        maybe, entries = self._index(dataset).find(hashes)
        entries = entries.take(entries.low | entries.high != 0)
        if entries.rows:
            places = np.flatnonzero(maybe)
            digests = payload_digests(events.take(pa.array(places)), dataset.payload().names)
            same[places] = pc.is_in(digests_of(*digests), entries.digests()).to_numpy(zero_copy_only=False)
        return Stored(maybe, same)

    def known(self, dataset: Dataset, contended: Contended) -> Known:
        """Return the silver rows of these keys, and which of their digests lost before."""
        index = self._index(dataset)
        suspects = contended.rows.filter(pa.array(contended.maybe_stored))
        hashes = contended.hashes[contended.maybe_stored]
        _, entries = index.find(hashes)
        if not entries.rows:
            return Known(pa.table({}), frozenset())
        # The newest row of a key is the one that is there, unless two keys have one hash, or it was taken out.
        order = np.lexsort((entries.seqs, entries.hashes))
        entries = entries.take(order)
        last = np.append(entries.hashes[1:] != entries.hashes[:-1], [True])
        rows = self._rows(dataset, entries.seqs[last])
        if not last.all():
            left = self._not_among(dataset, suspects.append_column(words.KEY_HASH, pa.array(hashes)), rows)
            others = entries.seqs[np.isin(entries.hashes, left) & ~last]
            if len(others):
                rows = pa.concat_tables([rows, self._rows(dataset, np.setdiff1d(others, entries.seqs[last]))])
        self._learn(dataset, index, entries, rows)
        # What lost is a duplicate as long as a row of its key is there, whatever else is asked in the same batch.
        there = entries.hashes[np.isin(entries.seqs, rows[words.SEQ].to_numpy().astype(np.uint64))]
        mine = np.isin(contended.hashes, there).tolist()
        digests = [digest for digest, of_key in zip(contended.digests, mine, strict=True) if of_key]
        return Known(rows, self._lost_before(dataset, digests))

    def _rows(self, dataset: Dataset, seqs: np.ndarray) -> pa.Table:
        """Return the rows of silver that have these sequence numbers."""
        table, seq = tables.silver(dataset).sql, f'"{words.SEQ}"'
        found = [self._query(f"SELECT * FROM {table} LIMIT 0")]
        for part in parted(np.unique(seqs).astype(np.int64)):
            if len(part) > _NAMED_AT_ONCE:  # they are near each other, and the planner takes long over many numbers
                asked = pa.table({"seq": part})
                among = f"{seq} BETWEEN {part[0]} AND {part[-1]} AND {seq} IN (SELECT seq FROM asked)"
                found.append(self._query(f"SELECT * FROM {table} WHERE {among}", asked=asked))
                continue
            # `IN` is asked of each row group, and `list_contains` of each row before its other columns are looked at.
            named = ", ".join(map(str, part.tolist()))
            among = f"{seq} IN ({named}) AND list_contains([{named}]::BIGINT[], {seq})"
            found.append(self._query(f"SELECT * FROM {table} WHERE {among}"))
        return pa.concat_tables(found)

    def _not_among(self, dataset: Dataset, suspects: pa.RecordBatch, rows: pa.Table) -> np.ndarray:
        """Return the hashes of suspects whose key none of these rows has."""
        pairs = zip(key_columns(dataset, "_s"), key_columns(dataset, "_k"), strict=True)
        same = " AND ".join(f"{stored} = {asked}" for stored, asked in pairs)
        left = self._query(
            f'SELECT DISTINCT "{words.KEY_HASH}" AS h FROM suspects _k ANTI JOIN rows_read _s ON {same}',
            suspects=suspects,
            rows_read=rows,
        )
        hashes: np.ndarray = left["h"].to_numpy()
        return hashes

    def _learn(self, dataset: Dataset, index: KeyIndex, entries: Entries, rows: pa.Table) -> None:
        """Remember the payloads of rows that had to be read, so that they need not be read again."""
        blank = (entries.low | entries.high) == 0
        unknown = entries.take(blank & ~np.isin(entries.seqs, entries.seqs[~blank]))
        if not unknown.rows:
            return
        seqs = rows[words.SEQ].to_numpy().astype(np.uint64)
        order = np.argsort(unknown.seqs)
        at = np.minimum(np.searchsorted(unknown.seqs, seqs, sorter=order), unknown.rows - 1)
        mine = unknown.seqs[order[at]] == seqs
        low, high = payload_digests(rows.filter(pa.array(mine)), dataset.payload().names)
        index.add(Entries(unknown.hashes[order[at]][mine], seqs[mine], low, high))

    def _lost_before(self, dataset: Dataset, digests: Sequence[bytes]) -> frozenset[bytes]:
        if dataset.name not in self._superseded:
            scanned = self._query(f"SELECT digest FROM {tables.SUPERSEDED.sql} WHERE dataset = '{dataset.name}'")
            self._superseded[dataset.name] = Runs()
            self._superseded[dataset.name].add(_digest_hashes(scanned["digest"]))
        numbers = _digest_hashes(pa.chunked_array([digests], pa.binary()))
        maybe = self._superseded[dataset.name].holds(numbers)
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
        if self._made_for.get(table.name) is not dataset:
            made_by = _made_by(dataset)
            had = self._indexes.get(table.name)
            if had is not None and had.made_by != made_by:  # another contract since
                self._indexes.pop(table.name).clear()
                self._committed = None
            self._made_for[table.name] = dataset
        if table.name not in self._indexes:
            made_by = _made_by(dataset)
            index = KeyIndex(self._folder / dataset.name, made_by, self._jobs, recent_rows=self._recent_rows)
            now = self._facts().get(dataset.name, _Facts())
            if index.coverage is not None and not self._holds(index, index.coverage, now):
                index.clear()
            since = 0 if index.coverage is None else index.coverage.next_seq
            if now.rows and (index.coverage is None or since != now.next_seq):
                for part in self._scanned(dataset, since):
                    index.add(part)
            index.coverage = Coverage(now.batch_id, now.next_seq, now.rows, now.ledger)
            if not since:
                index.save()
            self._indexes[table.name] = index
        return self._indexes[table.name]

    def _scanned(self, dataset: Dataset, since: int) -> Iterator[Entries]:
        """Yield the keys of the rows from a message on; their payloads are not read."""
        table, day = tables.silver(dataset).sql, f'"{words.EVENT_DATE}"'
        newer = f'"{words.SEQ}" >= {since}' if since else "true"
        for date in self._query(f"SELECT DISTINCT {day} AS day FROM {table} WHERE {newer} ORDER BY ALL")[
            "day"
        ].to_pylist():
            keys = self._query(
                f'SELECT "{words.SEQ}" AS seq, {key_hash_sql(dataset)} AS h FROM {table} {ALIAS} '
                f"WHERE {newer} AND {day} = DATE '{date}'"
            )
            yield Entries.of(keys["h"].to_numpy(), keys["seq"].to_numpy())

    def _holds(self, index: KeyIndex, covered: Coverage, now: _Facts) -> bool:
        """Return whether an index of before is of the silver that is there, but for the batches that came since."""
        if covered.batch_id != now.batch_id:
            found = self._query(f"SELECT 1 FROM {tables.BATCHES.sql} WHERE batch_id = '{covered.batch_id}'")
            if not len(found):  # a catalog of before was put back: numbers were given out again
                return False
        taken_out = covered.rows - covered.ledger != now.rows - now.ledger
        return not taken_out and now.sources == 1 and index.rows <= _STALE * now.rows + self._recent_rows

    def _facts(self) -> Mapping[str, _Facts]:
        """Return what was committed of every dataset when this was first asked.

        Asked once for all: a table is indexed before this process first commits to it, and nobody else does.
        """
        if self._committed is None:
            counted = self._query(
                """
                SELECT t.table_name AS name, sum(f.record_count - coalesce(d.delete_count, 0))::BIGINT AS n
                FROM __ducklake_metadata_lake.ducklake_data_file f
                JOIN __ducklake_metadata_lake.ducklake_table t ON t.table_id = f.table_id AND t.end_snapshot IS NULL
                JOIN __ducklake_metadata_lake.ducklake_schema s ON s.schema_id = t.schema_id AND s.end_snapshot IS NULL
                LEFT JOIN __ducklake_metadata_lake.ducklake_delete_file d
                    ON d.data_file_id = f.data_file_id AND d.end_snapshot IS NULL
                WHERE s.schema_name = 'silver' AND f.end_snapshot IS NULL
                GROUP BY ALL
                """
            )
            rows = dict(zip(counted["name"].to_pylist(), counted["n"].to_pylist(), strict=True))
            booked = self._query(
                f"""
                SELECT dataset AS name, sum({" + ".join(_LEDGER)})::BIGINT AS ledger,
                       count(DISTINCT l.source) AS sources,
                       max_by(b.batch_id, b.next_seq) AS batch_id, max(b.next_seq) AS next_seq
                FROM {tables.LEDGER.sql} l LEFT JOIN {tables.BATCHES.sql} b ON b.batch_id = l.batch_id
                GROUP BY ALL
                """
            ).to_pylist()
            self._committed = {
                each["name"]: _Facts(
                    rows.get(each["name"], 0), each["ledger"], each["batch_id"] or "", each["next_seq"] or 0,
                    each["sources"],
                )
                for each in booked
            }  # fmt: skip
            self._committed = {name: _Facts(n) for name, n in rows.items()} | self._committed
        return self._committed


_LEDGER = (Fate.SILVER.value, Fate.ERASED.value)
"""What a row of silver may be in the ledger: erasure alone takes it from the one to the other."""


def _made_by(dataset: Dataset) -> str:
    """Return what hashes and digests depend on: those that were made by other means are not compared with new ones.

    Under another contract a row may be another event: what a column that comes back, or was added by a lookup, holds in
    older rows is a part of them again, and no part of what was remembered of those that lost meanwhile.
    """
    payload = (f"{each.name}: {each.type}{' json' if is_json(each) else ''}" for each in dataset.payload())
    return f"duckdb {duckdb.__version__}: {key_hash_sql(dataset)} of {', '.join(payload)}"


def parted(numbers: np.ndarray) -> list[np.ndarray]:
    """Part numbers, which are in order, into stretches of near ones, and into a few at a time where there is a gap."""
    parts: list[np.ndarray] = []
    few: list[np.ndarray] = []
    for near in np.split(numbers, np.flatnonzero(np.diff(numbers) > _NEAR_ROWS) + 1):
        if len(near) > _NAMED_AT_ONCE:
            parts.append(near)
        elif len(near):
            few.append(near)
    scattered = np.concatenate([np.zeros(0, np.int64), *few])
    return parts + [scattered[at : at + _NAMED_AT_ONCE] for at in range(0, len(scattered), _NAMED_AT_ONCE)]


def _digest_hashes(digests: pa.ChunkedArray) -> np.ndarray:
    """Return the first half of each digest as a number. No digest becomes an object: there may be millions."""
    halves = [np.zeros(0, "<u8")]
    for chunk in digests.chunks:
        fixed = chunk.cast(pa.binary(DIGEST_BYTES))
        halves.append(np.frombuffer(fixed.buffers()[1], "<u8")[2 * fixed.offset :][: 2 * len(fixed) : 2])
    return np.concatenate(halves)
