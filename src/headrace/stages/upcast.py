"""Upcast: from the columns of an older version of a contract to those of the newest, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ConfigDict, Field, model_validator

from headrace import words
from headrace.spec import Spec
from headrace.stages import paths
from headrace.stages.base import Outcome
from headrace.stages.rejections import none_rejected, rejections
from headrace.stages.sql import SqlKernel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


CODE = "upcast_failed"
"""The code of a rejection: a value of an older version has no counterpart in the newest."""


class UpcastStep(Spec):
    """One step from a version to the next; exactly one of the keys is given."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    rename: dict[str, str] | None = Field(
        default=None,
        min_length=1,
        description="New names by old; an old one may be a path into an object.",
        examples=[{"customer.id": "customer_id"}],
    )
    default: dict[str, Any] | None = Field(
        default=None,
        min_length=1,
        description="What a field is where an event has none.",
        examples=[{"currency": "EUR"}],
    )
    cast: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Fields that get the type that the next version gives them.",
        examples=[["amount"]],
    )
    set: dict[str, str] | None = Field(
        default=None,
        min_length=1,
        description="Fields that are computed, each by a SQL expression over the fields before the step.",
        examples=[{"amount_cents": "round(amount * 100)"}],
    )
    drop: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Fields that the next version does not have.", examples=[["legacy"]]
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"a step of upcast has exactly one of {', '.join(type(self).model_fields)}")
        return self


@dataclass(frozen=True)
class Compute:
    """Sets a column to what SQL makes of others (`c0`, `c1`, … in SQL). What has no value is rejected."""

    name: str
    columns: tuple[str, ...]
    sql: str
    type: pa.DataType
    path: str
    reason: str
    zero: str = "false"

    def run(self, kernel: SqlKernel, columns: Mapping[str, pa.Array], rows: int) -> tuple[pa.Array, pa.Array]:
        """Return the values, and which rows have none since it could not be computed."""
        arrays = [columns[name] for name in self.columns]
        names = [f"c{index}" for index in range(len(arrays))]
        # A list around the result tells an error from a result that is null, for TRY gives null for both.
        found = kernel.run(
            "SELECT r[1] AS value, r IS NULL OR (r[1] IS NULL AND zero) AS bad "
            f"FROM (SELECT TRY([{self.sql}]) AS r, {self.zero} AS zero FROM rows)",
            rows=pa.table([*arrays, pa.nulls(rows, pa.int8())], names=[*names, "filler"]),
        )
        values, bad = (column.combine_chunks() for column in found.columns)
        return values if values.type == self.type else values.cast(self.type), bad


@dataclass(frozen=True)
class Fill:
    """Puts a value where a column has none; a column that is not there comes to be."""

    name: str
    value: pa.Scalar


@dataclass(frozen=True)
class Rename:
    """Gives a column another name."""

    old: str
    new: str


@dataclass(frozen=True)
class Extract:
    """Sets a column to a member of an object."""

    name: str
    path: paths.Path


@dataclass(frozen=True)
class Keep:
    """Leaves these columns, in this order; what is not there is null."""

    fields: tuple[pa.Field, ...]


Op = Compute | Fill | Rename | Extract | Keep


class Upcast:
    """Brings events from the columns of an older version to those of the newest.

    Takes and gives a batch with columns of a contract first, then envelope columns, which it leaves as they are. An
    event with a value that a step cannot convert, or that lacks what the newest version requires, is rejected alone.
    """

    def __init__(self, ops: Sequence[Op], newest: pa.Schema, origin: Mapping[str, str]) -> None:
        """`origin` has the JSON path of each column in the event as it came."""
        self._ops = ops
        self._newest = newest
        self._origin = origin
        self._kernel = SqlKernel(isolate_errors=True)

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        """Keep what the newest version can hold."""
        names = [name for name in batch.schema.names if name not in _ENVELOPE]
        columns = {name: batch.column(name) for name in names}
        envelope = {name: batch.column(name) for name in batch.schema.names if name in _ENVELOPE}
        refused = [none_rejected()]
        for op in self._ops:
            bad, told = self._applied(op, columns, envelope[words.ROW])
            if told is not None:
                refused.append(told)
                good = pc.invert(bad)
                columns = {name: column.filter(good) for name, column in columns.items()}
                envelope = {name: column.filter(good) for name, column in envelope.items()}
        for wanted in self._newest:
            if not wanted.nullable and columns[wanted.name].null_count:
                null = columns[wanted.name].is_null()
                refused.append(
                    rejections(
                        envelope[words.ROW].filter(null),
                        stage="contract",
                        code=CODE,
                        reason=f"the newest version requires {wanted.name}, and the event has none",
                        path=self._origin.get(wanted.name, "$"),
                    )
                )
                good = pc.invert(null)
                columns = {name: column.filter(good) for name, column in columns.items()}
                envelope = {name: column.filter(good) for name, column in envelope.items()}
        fields = [*self._newest, *(batch.schema.field(name) for name in envelope)]
        kept = pa.RecordBatch.from_arrays([*columns.values(), *envelope.values()], schema=pa.schema(fields))
        return Outcome(kept, pa.concat_batches(refused), none_rejected())

    def _applied(
        self, op: Op, columns: dict[str, pa.Array], rows: pa.Array
    ) -> tuple[pa.Array | None, pa.RecordBatch | None]:
        """Change the columns; return which rows cannot go on, and their rejections, where there are any."""
        match op:
            case Rename(old, new):
                columns[new] = columns.pop(old)
            case Fill(name, value):
                had = columns.get(name)
                filled = pa.repeat(value, len(rows))
                columns[name] = filled if had is None else pc.if_else(had.is_valid(), had, filled)
            case Extract(name, path):
                batch = pa.RecordBatch.from_arrays([columns[path.column]], names=[path.column])
                columns[name] = paths.leaves(batch, path).values
            case Keep(fields):
                kept = {
                    each.name: columns[each.name] if each.name in columns else pa.nulls(len(rows), each.type)
                    for each in fields
                }
                columns.clear()
                columns.update(kept)
            case Compute():
                return self._computed(op, columns, rows)
        return None, None

    def _computed(
        self, op: Compute, columns: dict[str, pa.Array], rows: pa.Array
    ) -> tuple[pa.Array | None, pa.RecordBatch | None]:
        arrays = [columns[name] for name in op.columns]
        columns[op.name], bad = op.run(self._kernel, columns, len(rows))
        if not bad.true_count:
            return None, None
        value = None
        if len(arrays) == 1:
            sql = "SELECT CAST(to_json(c0) AS VARCHAR) AS value FROM rows"
            value = self._kernel.run(sql, rows=pa.table({"c0": arrays[0].filter(bad)}))["value"].combine_chunks()
        told = rejections(rows.filter(bad), stage="contract", code=CODE, reason=op.reason, path=op.path, value=value)
        return bad, told


_ENVELOPE = frozenset(
    {words.ROW, words.EVENT_ID, words.INGEST_TIME, words.SEQ, words.TRACE_ID, words.SCHEMA_VERSION, words.EXTRA}
)
