"""Select: which rows of a batch meet a filter. Pure and columnar; no row ever raises."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.contract import is_json
from headrace.errors import ConfigError
from headrace.stages import paths
from headrace.stages.base import ERRS, PASSES
from headrace.stages.sql import SqlKernel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.stages.expression import Expression

Value = str | bool | int | float | None | dt.date | dt.datetime
"""What a field is compared with: a scalar of YAML."""


class Selected(NamedTuple):
    """Which rows are selected; `undecided` are those that are not since the expression cannot be computed for them."""

    rows: pa.Array
    undecided: int


class Select:
    """Finds the rows whose fields have the wanted values and for which an expression is true.

    A filter maps a path (`status`, `customer.country`, `items[].sku`) to a value or several; all of its fields must
    match. A path through a list matches where any element does; null matches a field without a value. The expression is
    that of a quality rule, but where it is null, or cannot be computed, the row is not selected; the latter rows are
    counted. Without either, every row is. Belongs to one thread.
    """

    def __init__(
        self, schema: pa.Schema, filter_: Mapping[str, Value | tuple[Value, ...]], where: str | None = None
    ) -> None:
        """Check a filter against the columns that there are.

        Raises:
            ConfigError: A path or expression names no place, or a value cannot be one of what stands there.
        """
        self._wanted = [wanted(schema, path, values) for path, values in filter_.items()]
        self._kernel = SqlKernel(isolate_errors=True)
        self._where: tuple[Expression, Expression] | None = None
        if where is not None:
            from headrace.stages.expression import compile_expression  # loads sqlglot, which only expressions need

            plain = compile_expression(where, schema, self._kernel)  # its faults are said of what was written
            # A rule passes where it is null; to be selected is to be true.
            self._where = plain, compile_expression(f"coalesce(({where}), false)", schema, self._kernel)

    def __call__(self, batch: pa.RecordBatch) -> Selected:
        """Return, per row, whether it is selected, and how many rows were not since it cannot be told."""
        selected = np.ones(len(batch), dtype=bool)
        for path, values in self._wanted:
            selected &= _matching(batch, path, values)
        if self._where is None:
            return Selected(pa.array(selected), 0)
        plain, truth = self._where
        asked = np.flatnonzero(selected)
        verdicts = self._verdicts(plain, batch, asked)
        passed = asked[verdicts == PASSES]
        selected[:] = False
        selected[passed] = self._verdicts(truth, batch, passed) == PASSES
        return Selected(pa.array(selected), int(np.count_nonzero(verdicts == ERRS)))

    def _verdicts(self, expression: Expression, batch: pa.RecordBatch, rows: np.ndarray) -> np.ndarray:
        """Return the verdicts on some rows."""
        if not len(rows):
            return np.zeros(0, dtype=np.int8)
        needed = batch.select(list(expression.columns)) if expression.columns else batch
        chosen = needed if len(rows) == len(batch) else needed.take(pa.array(rows))
        verdicts: np.ndarray = expression.verdicts(self._kernel, chosen).to_numpy(zero_copy_only=False)
        return verdicts


def wanted(schema: pa.Schema, path: str, values: Value | tuple[Value, ...]) -> tuple[paths.Path, pa.Array]:
    """Return the place that a filter's path means, and its values as that place has them. Raises `ConfigError`."""
    place = paths.resolve(path, schema)
    if paths.is_list(place.type):
        raise ConfigError(f"{path} is a list", fix=f"write {path}[] for any of its elements")
    if pa.types.is_nested(place.type):
        raise ConfigError(f"{path} is {place.type}, not a single value", fix="name one of its fields")
    if not place.steps and is_json(schema.field(place.column)):
        raise ConfigError(f"{path} holds JSON of any kind", fix="use `where:` with an expression over it")
    several = values if isinstance(values, tuple) else (values,)
    return place, pa.array([_as(place.type, value, path) for value in several], place.type)


def _matching(batch: pa.RecordBatch, path: paths.Path, values: pa.Array) -> np.ndarray:
    found = paths.leaves(batch, path)
    leaves = found.values.combine_chunks() if isinstance(found.values, pa.ChunkedArray) else found.values
    hits = pc.is_in(leaves, value_set=values).to_numpy(zero_copy_only=False)  # null is in a set that has it
    matching = np.zeros(len(batch), dtype=bool)
    matching[found.rows[hits]] = True
    return matching


def _as(kind: pa.DataType, value: Value, path: str) -> object:
    """Return a scalar of YAML as a value of a column's type."""
    if value is None:
        return None
    try:
        return _typed(kind, value)
    except (ValueError, TypeError, ArithmeticError, pa.ArrowException):
        pass
    fix = f'put it in quotes: "{value}"' if pa.types.is_string(kind) else f"write a value of {kind}"
    raise ConfigError(f"{path} is {kind}, and {str(value)[:60]!r} is not", fix=fix)


def _typed(kind: pa.DataType, value: Value) -> object:
    if pa.types.is_boolean(kind) or isinstance(value, bool):
        if not (pa.types.is_boolean(kind) and isinstance(value, bool)):
            raise TypeError
        return value
    if pa.types.is_string(kind):
        if not isinstance(value, str):
            raise TypeError
        return value
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        if not isinstance(value, int | float):
            raise TypeError
        exact = Decimal(str(value)) if pa.types.is_decimal(kind) else value
        return pa.scalar(exact).cast(kind).as_py()
    text = value.isoformat() if isinstance(value, dt.date) else value
    if not isinstance(text, str):
        raise TypeError
    if pa.types.is_timestamp(kind):
        instant = dt.datetime.fromisoformat(text)
        if kind.tz:
            return instant.replace(tzinfo=instant.tzinfo or dt.UTC)
        return instant.replace(tzinfo=None)
    if pa.types.is_date(kind):
        return dt.date.fromisoformat(text)
    if pa.types.is_time(kind):
        return dt.time.fromisoformat(text)
    raise TypeError
