"""The outbox: what of a batch is to be pushed, decided beside the merge and committed with it.

One row per push and version that became silver: of several versions of a key in one batch the winner, and of later
batches each that takes the place of the one before. What was superseded when it arrived, and redeliveries, are not
pushed; neither is anything that a rebuild or a replay decides again.

A push never keeps a batch from its commit. What a push does not send though it may have been meant, since its `where`
cannot be computed or since a bug of ours fails on it, is counted among the batch's warnings.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace import words
from headrace.config.pushes import applicable, version_of
from headrace.contracts.contract import JSON_MARK
from headrace.contracts.types import literal
from headrace.errors import SpaceError
from headrace.lake import tables
from headrace.stages.downcast import Downcast
from headrace.stages.event_json import event_json_sql
from headrace.stages.key import ALIAS, key_columns
from headrace.stages.sql import SqlKernel
from headrace.words import Fate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.config.source import Source
    from headrace.connectors.push import PushSpec
    from headrace.lake.ducklake import DuckLake
    from headrace.runtime.batch import Merges, Prepared
    from headrace.stages.dataset import Dataset
    from headrace.stages.select import Select

Choose = Callable[[pa.Table], tuple[pa.Table, Counter[str]]]
"""Turns rows of silver or of the quarantine into rows of the outbox; and how many it cannot send, by why."""

_WHERE = "its `where` cannot be computed"

FORGET_EVERY_SECS = 600.0
_ENVELOPE = (*words.ENVELOPE, words.EVENT_DATE)


@dataclass
class Tries:
    """How often the rows of a push may still be halved: one that fails on every row must not hold up its source."""

    left: int = 100

    def another(self) -> bool:
        """Take one of them; return whether there was one."""
        self.left -= 1
        return self.left >= 0


class Outbox:
    """Chooses the rows of one source's pushes. Pure but for what it is given; belongs to the writer's thread."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._datasets = {dataset.name: dataset for dataset in source.datasets}
        self._pushes = [(push, applicable(push, source.datasets)) for push in source.spec.serving.push]
        self._kernel = SqlKernel()
        self._downcasts = {
            (push.name, dataset.name): Downcast(dataset, version)
            for push in source.spec.serving.push
            for dataset in source.datasets
            if push.version is not None
            and (version := version_of(dataset, push.version)) is not None
            and version is not dataset.versions[-1]
        }

    def __call__(self, merges: Merges, committed_at: dt.datetime) -> tuple[pa.Table | None, Counter[str]]:
        """Return the rows that a batch adds, by push and in the order of `seq`, and what there is to warn of.

        None where there are no rows. What is raised while a push chooses is warned of, but for a full disk.
        """
        parts: list[pa.Table] = []
        warned: Counter[str] = Counter()
        for push, selects in self._pushes:
            tries = Tries()
            mine = [
                found
                for choose, rows in self._choices(push, selects, merges, committed_at)
                for found in self._chosen(push, choose, rows, tries, warned)
            ]
            if mine:
                parts.append(self._addressed(push, pa.concat_tables(mine), merges.prepared, committed_at))
        return (pa.concat_tables(parts) if parts else None), warned

    def _choices(
        self, push: PushSpec, selects: Mapping[str, Select], merges: Merges, committed_at: dt.datetime
    ) -> list[tuple[Choose, pa.Table]]:
        """Return what a push looks at, and how it chooses from that."""
        match push.on:
            case "silver":
                inserted = merges.inserted.items()
                return [
                    (partial(self._events, selects[name], name, self._downcasts.get((push.name, name))), rows)
                    for name, rows in inserted
                    if name in selects
                ]
            case "quarantined":
                quarantine = merges.quarantine
                return [(partial(self._failures, selects[""]), pa.concat_tables(quarantine))] if quarantine else []
            case _:
                one = pa.table({"batch_id": [merges.prepared.batch_id]})
                return [(lambda _: (self._completion(merges, committed_at), Counter()), one)]

    def _chosen(
        self, push: PushSpec, choose: Choose, rows: pa.Table, tries: Tries, warned: Counter[str]
    ) -> list[pa.Table]:
        """Return what a push chooses; where that fails by a bug of ours, of all but the rows that it fails on."""
        try:
            found, undecided = choose(rows)
        except SpaceError:
            raise
        except Exception as problem:  # noqa: BLE001 - a push must not keep its source's batch from the commit
            if len(rows) > 1 and tries.another():
                half = len(rows) // 2
                halves = (rows.slice(0, half), rows.slice(half))
                return [each for part in halves for each in self._chosen(push, choose, part, tries, warned)]
            warned[f"push_failed: {push.name}: not sent, headrace failed on it ({type(problem).__name__})"] += len(rows)
            return []
        for why, count in undecided.items():
            warned[f"push_undecided: {push.name}: not sent, {why}"] += count
        return [found] if len(found) else []

    def _events(
        self, select: Select, name: str, downcast: Downcast | None, rows: pa.Table
    ) -> tuple[pa.Table, Counter[str]]:
        dataset = self._datasets[name]
        chosen, undecided = _selected(select, rows)
        older: pa.Array | None = None
        if downcast is not None and len(chosen):
            older, fits = downcast(chosen)
            undecided += Counter({"it has no counterpart in that version": len(chosen) - len(fits)})
            chosen = chosen.take(fits)
        if not len(chosen):
            return _NONE, undecided
        sql = (
            f'SELECT "{words.SEQ}" AS seq, "{words.EVENT_ID}" AS id, \'silver\' AS kind, {literal(name)} AS dataset, '
            f'{_key_sql(dataset)} AS "key", "{words.EVENT_TIME}" AS at, "{words.TRACE_ID}" AS trace_id, '
            f"{_data_sql(dataset, rows.schema) if older is None else 'NULL::VARCHAR'} AS data FROM rows {ALIAS}"
        )
        found = self._kernel.run(sql, rows=chosen).cast(_NONE.schema)
        if older is not None:
            found = found.set_column(found.schema.get_field_index("data"), "data", older)
        return found, undecided

    def _failures(self, select: Select, rows: pa.Table) -> tuple[pa.Table, Counter[str]]:
        chosen, undecided = _selected(select, rows)
        if not len(chosen):
            return _NONE, undecided
        fields = [field for field in tables.QUARANTINE.columns if field.name not in {"batch_id", "status"}]
        sql = (
            "SELECT seq, id, 'quarantined' AS kind, dataset, id AS \"key\", ingest_time AS at, "
            f"NULL::VARCHAR AS trace_id, {event_json_sql(fields, 'r')} AS data FROM rows r"
        )
        return self._kernel.run(sql, rows=chosen).cast(_NONE.schema), undecided

    def _completion(self, merges: Merges, committed_at: dt.datetime) -> pa.Table:
        prepared, tally = merges.prepared, merges.tally
        fates = dict.fromkeys(Fate, 0)
        for moved in tally.fates.values():
            for fate, messages in moved.items():
                fates[fate] += messages
        data: dict[str, Any] = {
            "source": self._source.id,
            "batch_id": prepared.batch_id,
            "first_seq": prepared.first_seq,
            "next_seq": prepared.next_seq,
            "accepted": sum(tally.accepted.values()),
            "fates": {fate.value: count for fate, count in fates.items()},
            "inserted": {name: len(rows) for name, rows in merges.inserted.items() if len(rows)},
            "positions": [
                {"topic": prepared.topic, "partition": each.partition, "next_offset": each.next_offset}
                for each in prepared.stretches
            ],
            "committed_at": committed_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        row = {
            "seq": prepared.next_seq - 1,
            "id": prepared.batch_id,
            "kind": "batch",
            "dataset": "",
            "key": self._source.id,
            "at": committed_at,
            "trace_id": None,
            "data": json.dumps(data, ensure_ascii=False),
        }
        return pa.Table.from_pylist([row], schema=_NONE.schema)

    def _addressed(self, push: PushSpec, rows: pa.Table, prepared: Prepared, committed_at: dt.datetime) -> pa.Table:
        """Return a push's rows in order, as they stand in the table."""
        rows = rows.take(pc.sort_indices(rows, [("seq", "ascending")]))
        count = len(rows)
        said = {
            "source": pa.repeat(self._source.id, count),
            "push": pa.repeat(push.name, count),
            "batch_id": pa.repeat(prepared.batch_id, count),
            "committed_at": pa.repeat(pa.scalar(committed_at, tables.INSTANT), count),
        }
        columns = {name: said[name] if name in said else rows[name] for name in tables.OUTBOX.columns.names}
        return pa.table(columns, schema=tables.OUTBOX.columns)


def outboxes(sources: Mapping[str, Source], make: Callable[[Source], Outbox] = Outbox) -> dict[str, Outbox]:
    """Return the outbox of every source that has a push."""
    return {name: make(source) for name, source in sources.items() if source.spec.serving.push}


class Forgetting:
    """Removes rows of the outbox that are done and old, now and then; called by the loop in the writer's thread."""

    def __init__(
        self,
        delivered: Callable[[], Mapping[tuple[str, str], int]],
        retention: dt.timedelta,
        every_secs: float = FORGET_EVERY_SECS,
    ) -> None:
        """`delivered` returns, per source and push of the project, the sequence number up to which it is done."""
        self._delivered = delivered
        self._retention = retention
        self._every_secs = every_secs
        self._at = time.monotonic()

    def __call__(self, lake: DuckLake) -> None:
        """Remove what nobody needs, if the last time is long enough ago."""
        if time.monotonic() < self._at:
            return
        self._at = time.monotonic() + self._every_secs
        lake.forget_outbox(self._delivered(), dt.datetime.now(dt.UTC) - self._retention)


_NONE = pa.schema(
    [field for field in tables.OUTBOX.columns if field.name not in {"source", "push", "batch_id", "committed_at"}]
).empty_table()


def _selected(select: Select, rows: pa.Table) -> tuple[pa.RecordBatch, Counter[str]]:
    """Return the rows that are selected, and how many cannot be told of."""
    if not len(rows):
        return pa.RecordBatch.from_pylist([], schema=rows.schema), Counter()
    (batch,) = rows.combine_chunks().to_batches()
    chosen, undecided = select(batch)
    return batch.filter(chosen), Counter({_WHERE: undecided} if undecided else {})


def _key_sql(dataset: Dataset) -> str:
    """Return the SQL of what orders events among each other; without a key, every event is on its own."""
    if not dataset.key:
        return f'"{words.EVENT_ID}"'
    return f"CAST(to_json([{', '.join(f'CAST({each} AS VARCHAR)' for each in key_columns(dataset))}]) AS VARCHAR)"


def _data_sql(dataset: Dataset, schema: pa.Schema) -> str:
    fields = [field for field in schema if field.name not in _ENVELOPE]
    marked = {field.name: field for field in dataset.columns()}
    marked[words.EXTRA] = pa.field(words.EXTRA, pa.string(), metadata=dict(JSON_MARK))
    fields = [marked.get(field.name, field) for field in fields]
    required = {name for name in dataset.contract.schema.get("required", ()) if isinstance(name, str)}
    return event_json_sql(fields, ALIAS, required)
