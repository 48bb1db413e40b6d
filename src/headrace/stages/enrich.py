"""Enrich: columns from a table of reference data, for each event that the table has a row for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from headrace import words
from headrace.durations import Duration
from headrace.errors import InternalError
from headrace.spec import Spec
from headrace.stages import paths
from headrace.stages.base import Outcome
from headrace.stages.lookup import Lookup
from headrace.stages.rejections import none_rejected, rejections
from headrace.stages.sql import SqlKernel

if TYPE_CHECKING:
    from collections.abc import Mapping

MISS = "lookup_miss"
"""The code of a rejection, or a warning: the event has a key, and the lookup has no row for it."""

_LOOKUP = b"headrace:lookup"


class MissSpec(Spec):
    """What an event gets that the lookup has no row for."""

    default: dict[str, Any] = Field(
        min_length=1, description="Values by column of the lookup; columns without one are null."
    )


class EnrichSpec(Spec):
    """Add columns from a table of reference data.

    A batch is enriched from one version of the lookup, which is recorded with it and kept.
    """

    lookup: str = Field(
        min_length=1,
        description="seeds/<lookup>.csv, .json, .ndjson or .parquet; or the silver dataset of a source.",
        examples=["countries"],
    )
    on: str | dict[str, str] = Field(
        min_length=1,
        description="The field that is looked up in the column of its name; or columns by field, for other names or "
        "several.",
        examples=["country_code", {"address.country": "code"}],
    )
    columns: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="The columns that are added (default: all but those of `on`)."
    )
    types: dict[str, str] = Field(
        default={},
        description="Types of the seed's columns, as in the `fields` form of a schema, where its values do not say.",
        examples=[{"area_code": "STRING"}],
    )
    prefix: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$",
        description="What the names of the added columns start with.",
        examples=["country_"],
    )
    as_: str | None = Field(
        default=None,
        alias="as",
        pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$",
        description="The one struct column that holds what is added, in place of a column for each.",
        examples=["country"],
    )
    miss: Literal["null", "quarantine"] | MissSpec = Field(
        default="null",
        description="What becomes of an event that the lookup has no row for: null columns, quarantine, or defaults.",
        examples=["quarantine", {"default": {"name": "unknown"}}],
    )
    refresh: Duration = Field(
        default=timedelta(minutes=5),
        description="How old the version of a silver dataset may be when a batch is enriched from it.",
        examples=["1m"],
    )

    @field_validator("miss", mode="before")
    @classmethod
    def _null(cls, miss: object) -> object:
        return "null" if miss is None else miss

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.prefix is not None and self.as_ is not None:
            raise ValueError("give `prefix` or `as`, not both")
        return self

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The fields of `on`, each with the column of the lookup that it is compared with."""
        if isinstance(self.on, dict):
            return tuple(self.on.items())
        return ((self.on, self.on.rpartition(".")[2]),)


@dataclass(frozen=True)
class Enrichment:
    """An `enrich` step, held against a dataset's columns and its lookup's.

    `on` has the fields of the event, each with the column of the lookup and the type that they are compared in; `added`
    the columns of the lookup that are taken; `defaults` their values for a miss. `dataset` is the silver dataset that
    the lookup is, `places` where in it its columns are, names from the outside in, and `personal` those of `added` in
    which its contract tags anything; for a seed they are empty, and its rows are `seed`. `missing` says why there is no
    such lookup: then nothing is added, and the source cannot run.
    """

    lookup: str
    on: tuple[tuple[str, str, pa.DataType], ...] = ()
    added: tuple[pa.Field, ...] = ()
    prefix: str = ""
    struct: str = ""
    miss: Literal["null", "quarantine", "default"] = "null"
    defaults: Mapping[str, pa.Scalar] = field(default_factory=dict)
    dataset: str = ""
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    personal: frozenset[str] = frozenset()
    seed: pa.Table | None = field(default=None, compare=False, repr=False)
    refresh_secs: float = 0.0
    missing: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the lookup that are needed: those of the key, then those that are added."""
        return tuple(dict.fromkeys([*(column for _, column, _ in self.on), *(each.name for each in self.added)]))

    def fields(self) -> list[pa.Field]:
        """Return the columns that events get, marked with the lookup. All of them may be null."""
        mark = {_LOOKUP: self.lookup.encode()}
        if self.struct and self.added:
            return [pa.field(self.struct, pa.struct(list(self.added)), metadata=mark)]
        return [
            each.with_name(self.prefix + each.name).with_metadata((each.metadata or {}) | mark) for each in self.added
        ]


def lookup_of(field: pa.Field) -> str:
    """Return the lookup that a column of a dataset is from; empty where it is the contract's."""
    return str((field.metadata or {}).get(_LOOKUP, b"").decode())


class Enrich:
    """The stage: looks every event up. Belongs to one thread.

    An event with a null in what is looked up has nothing to look up: it is no miss, and gets what a miss gets but for
    quarantine. A miss is warned of, or rejected with `miss: quarantine`.
    """

    def __init__(self, step: Enrichment, schema: pa.Schema, table: pa.Table | None = None) -> None:
        """Make the step ready for events of these columns, and for a version of its lookup."""
        self.step = step
        self._schema = schema
        self._paths = [paths.resolve(name, schema) for name, _, _ in step.on]
        self._fields = step.fields()
        self._kernel = SqlKernel()
        self._table = table
        key = tuple((column, kind) for _, column, kind in step.on)
        self._lookup = None if table is None else Lookup(table, key)
        self._columns = [] if table is None else [_one_chunk(table[each.name], each.type) for each in step.added]

    def seeing(self, table: pa.Table) -> Enrich:
        """Return the same step over this version of its lookup."""
        return self if table is self._table else Enrich(self.step, self._schema, table)

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        """Take a batch with the columns of the contract and ROW; what is added comes after all of them."""
        if self._lookup is None:
            raise InternalError(f"no version of {self.step.lookup} was given")
        keys = [paths.leaves(batch, path).values for path in self._paths]
        found = self._lookup.find(keys)
        missed = pc.is_null(found)
        for key in keys:
            missed = pc.and_(missed, pc.is_valid(key))
        rejected, warned = none_rejected(), none_rejected()
        if missed.true_count:
            told = self._told(batch, keys, missed)
            if self.step.miss == "quarantine":
                rejected = told
                keep = pc.invert(missed)
                batch, found = batch.filter(keep), found.filter(keep)
            else:
                warned = told
        for column, values in zip(self._fields, self._added(found), strict=True):
            batch = batch.append_column(column, values)
        return Outcome(batch, rejected, warned)

    def _told(self, batch: pa.RecordBatch, keys: list[pa.Array], missed: pa.Array) -> pa.RecordBatch:
        """Return the rejection, or warning, of each event that is missed."""
        names = [name for name, _, _ in self.step.on]
        value = None
        if self.step.miss == "quarantine":  # a warning is only counted
            looked_up = pa.table({f"k{i}": key.filter(missed) for i, key in enumerate(keys)})
            whole = "k0" if len(keys) == 1 else f"json_array({', '.join(looked_up.column_names)})"
            sql = f"SELECT CAST(to_json({whole}) AS VARCHAR) AS value FROM rows"
            value = self._kernel.run(sql, rows=looked_up)["value"].combine_chunks()
        return rejections(
            batch.column(words.ROW).filter(missed),
            stage="enrich",
            code=MISS,
            reason=f"{', '.join(names)}: {self.step.lookup} has no such row",
            path=self._paths[0].json() if len(names) == 1 else "$",
            value=value,
        )

    def _added(self, found: pa.Array) -> list[pa.Array]:
        """Return the columns of the rows found, and what a miss gets where there is none."""
        hit = pc.is_valid(found)
        defaults = self.step.defaults
        columns = []
        for each, column in zip(self.step.added, self._columns, strict=True):
            values = column.take(found)
            if each.name in defaults:
                values = pc.if_else(hit, values, defaults[each.name])
            columns.append(values)
        if not (self.step.struct and columns):
            return columns
        mask = None if defaults else pc.invert(hit)
        return [pa.StructArray.from_arrays(columns, fields=list(self.step.added), mask=mask)]


def _one_chunk(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    one = column.combine_chunks()
    return one if one.type == kind else one.cast(kind)
