"""A value that a project's file gives in place of one that an event lacks, as the column's type holds it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from headrace.contracts.contract import is_json
from headrace.errors import ConfigError
from headrace.stages.json_text import Unreadable, write
from headrace.stages.validate_exact import converter

_KINDS: tuple[tuple[Any, tuple[type, ...], str], ...] = (
    (pa.types.is_boolean, (bool,), "true or false"),
    (pa.types.is_integer, (int,), "a whole number"),
    (pa.types.is_floating, (int, float), "a number"),
    (pa.types.is_decimal, (int, float, str), "a number"),
    (pa.types.is_struct, (dict,), "a mapping"),
    (pa.types.is_list, (list,), "a list"),
)


def default_of(value: Any, field: pa.Field) -> pa.Scalar:
    """Return a value of a YAML file as a column holds it. Raises `ConfigError` where it is none of its values."""
    if value is None:
        raise ConfigError(f"the default of {field.name} is null", fix="leave it out: what is absent is null")
    said = f"the default of {field.name} is {str(value)[:40]!r}, which is not {_kind(field)}"
    wrong = ConfigError(said, fix="correct it")
    if is_json(field):
        return pa.scalar(write(value), pa.string())
    kinds = next((kinds for is_one, kinds, _ in _KINDS if is_one(field.type)), (str, dt.date))
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise wrong
    try:
        exact = Decimal(str(value)) if isinstance(value, float) else value
        return pa.scalar(converter(field)(exact, "$"), field.type)
    except (Unreadable, ValueError, TypeError, KeyError, AttributeError, InvalidOperation, pa.ArrowException) as error:
        raise wrong from error


def _kind(field: pa.Field) -> str:
    return next((said for is_one, _, said in _KINDS if is_one(field.type)), f"a {field.type}")
