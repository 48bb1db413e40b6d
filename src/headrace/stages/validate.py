"""Validate: from the JSON text of an event to the typed columns of its contract, or the rule that it breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace import words
from headrace.stages.base import Outcome
from headrace.stages.decode import FIELDS, NULLS, STRANGERS, UNKNOWN
from headrace.stages.json_text import Unreadable, read
from headrace.stages.rejections import Fault, none_rejected, of_faults
from headrace.stages.sql import SqlKernel
from headrace.stages.validate_columns import PROVEN, is_unmarked, may_be_unmarked, spread
from headrace.stages.validate_exact import ExactPath
from headrace.stages.validate_rules import Rules, compile_rules

if TYPE_CHECKING:
    from headrace.contracts.contract import Contract

_ENVELOPE = (words.ROW, words.EVENT_ID, words.INGEST_TIME, words.SEQ, words.TRACE_ID)
_ANY_DEPTH = 10**9  # decode has set the limit


class Validate:
    """Holds events against a contract; the verdict on each is the full JSON Schema validator's.

    `kept` has the contract's columns (the types of `contract.arrow_schema()`, in order), then ROW, EVENT_ID,
    INGEST_TIME, SEQ, TRACE_ID, SCHEMA_VERSION and, when lenient, EXTRA: unknown top-level fields as JSON text. What
    compiled rules are sure of is decided in columns; every other event goes to the exact path.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._schema = contract.arrow_schema()
        self._lenient = contract.validation == "lenient"
        self._exact = ExactPath(contract)
        self._unmarked = frozenset(field.name for field in self._schema if may_be_unmarked(field))
        self._rules = compile_rules(contract, self._unmarked)
        self._kernel = SqlKernel()

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        """Decide on a batch of decode's `kept`."""
        columns, sure = self._sure(batch)
        faults: list[Fault] = []
        envelope = [batch.column(name) for name in _ENVELOPE]
        extra = _unknown(batch)
        slow = pc.indices_nonzero(pc.invert(sure))
        if len(slow):
            values, extras, kept_rows = self._one_by_one(batch, slow.to_pylist(), faults)
            columns = [column.filter(sure) for column in columns]
            extra = extra.filter(sure)
            if kept_rows:
                order = pa.concat_arrays([pc.indices_nonzero(sure).cast(pa.int64()), pa.array(kept_rows, pa.int64())])
                rank = pc.sort_indices(order)
                columns = [
                    pa.concat_arrays([column, exact]).take(rank) for column, exact in zip(columns, values, strict=True)
                ]
                extra = pa.concat_arrays([extra, pa.array(extras, pa.string())]).take(rank)
                envelope = [column.take(order.take(rank)) for column in envelope]
            else:
                envelope = [column.filter(sure) for column in envelope]
        fields = [*self._schema, *(batch.schema.field(name) for name in _ENVELOPE)]
        fields.append(pa.field(words.SCHEMA_VERSION, pa.string()))
        rest = [*envelope, pa.repeat(pa.scalar(self._contract.version), len(envelope[0]))]
        if self._lenient:
            fields.append(pa.field(words.EXTRA, pa.string()))
            rest.append(extra)
        kept = pa.RecordBatch.from_arrays([*columns, *rest], schema=pa.schema(fields))
        return Outcome(kept, of_faults("contract", faults), none_rejected())

    def _sure(self, batch: pa.RecordBatch) -> tuple[list[pa.Array], pa.BooleanArray]:
        """Return typed columns, and for which rows the rules are sure of them."""
        if self._rules is None or FIELDS not in batch.schema.names or not len(batch):
            return [pa.nulls(len(batch), field.type) for field in self._schema], pa.repeat(False, len(batch))
        fields = batch.column(FIELDS)
        members = dict(zip((field.name for field in fields.type), fields.flatten(), strict=True))
        rules = self._rules_for(members, fields.null_count, self._rules)
        source = {PROVEN: fields.is_valid(), **{name: batch.column(name) for name in (STRANGERS, NULLS, "doc")}}
        for name in sorted(rules.reads):
            source |= spread(name, members[name])
        table = self._kernel.run(rules.sql, events=pa.table(source))
        sure, *values = (_one_chunk(column) for column in table.columns)
        members |= dict(zip(rules.columns, values, strict=True))
        typed = [
            column if (column := members[field.name]).type == field.type else column.cast(field.type)
            for field in self._schema
        ]
        return typed, sure

    def _rules_for(self, members: dict[str, pa.Array], unproven: int, rules: Rules) -> Rules:
        """Return the rules for what a batch has null in: those of the batch before, if they do."""
        marked = {
            field.name
            for field in self._schema
            if field.name in self._unmarked and not is_unmarked(members[field.name], field, unproven)
        }
        if marked:
            self._unmarked -= marked  # for good: rules that change are planned anew
            self._rules = rules = compile_rules(self._contract, self._unmarked) or rules
        return rules

    def _one_by_one(
        self, batch: pa.RecordBatch, rows: list[int], faults: list[Fault]
    ) -> tuple[list[pa.Array], list[str | None], list[int]]:
        """Take the exact path; return the columns, extras and row numbers of what is valid."""
        docs = batch.column("doc").take(pa.array(rows, pa.int64())).to_pylist()
        ids = batch.column(words.ROW).take(pa.array(rows, pa.int64())).to_pylist()
        found: list[list[Any]] = [[] for _ in self._schema]
        extras: list[str | None] = []
        kept: list[int] = []
        for row, message, doc in zip(rows, ids, docs, strict=True):
            try:
                value = read(doc, _ANY_DEPTH)
                converted = self._exact.row(value)
            except Unreadable as fault:
                faults.append(Fault.of(message, fault))
                continue
            for column, item in zip(found, converted, strict=True):
                column.append(item)
            extras.append(self._exact.unknown(value) if self._lenient else None)
            kept.append(row)
        arrays = [pa.array(column, field.type) for column, field in zip(found, self._schema, strict=True)]
        return arrays, extras, kept


def _unknown(batch: pa.RecordBatch) -> pa.Array:
    return batch.column(UNKNOWN) if UNKNOWN in batch.schema.names else pa.nulls(len(batch), pa.string())


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
