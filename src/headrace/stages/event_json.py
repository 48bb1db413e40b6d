"""An event as the JSON document that others are sent: its columns as typed values, in one SQL expression."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.contracts.contract import is_json
from headrace.contracts.types import literal
from headrace.stages.canonical import column_sql, concatenated

if TYPE_CHECKING:
    from collections.abc import Iterable, Set

INSTANT_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


def event_json_sql(fields: Iterable[pa.Field], alias: str, required: Set[str] = frozenset()) -> str:
    """Return a SQL expression for the JSON text of rows called `alias`, with these columns in their order.

    A column that is null is left out, at every depth, but for the `required` ones: so that what is sent meets the
    contract that it met. Times are ISO 8601, instants in UTC with a Z, bytes base64; JSON text stands as it is. NaN and
    infinity, for which JSON has no word, count as null.
    """
    return _object((field, column_sql(alias, field.name), field.name in required) for field in fields)


def _object(parts: Iterable[tuple[pa.Field, str, bool]]) -> str:
    members = [
        f"coalesce({literal(json.dumps(field.name, ensure_ascii=False) + ':')} || {_text(field, value)} || ',', "
        f"{literal(json.dumps(field.name, ensure_ascii=False) + ':null,' if required else '')})"
        for field, value, required in parts
    ]
    # Every member ends in a comma: the last one is taken off.
    return f"'{{' || rtrim({concatenated(members)}, ',') || '}}'" if members else "'{}'"


def _text(field: pa.Field, value: str, depth: int = 0) -> str:
    """Return the SQL of a value's JSON text, null where the value is."""
    kind = field.type
    if is_json(field):
        return value
    if pa.types.is_struct(kind):
        children = (kind.field(i) for i in range(kind.num_fields))
        inner = _object((child, f"struct_extract({value}, {literal(child.name)})", False) for child in children)
        return f"CASE WHEN {value} IS NOT NULL THEN {inner} END"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        element = f"_v{depth}"
        each = f"coalesce({_text(kind.value_field, element, depth + 1)}, 'null')"
        return f"('[' || array_to_string(list_transform({value}, lambda {element}: {each}), ',') || ']')"
    if pa.types.is_timestamp(kind):
        shape = INSTANT_FORMAT if kind.tz else INSTANT_FORMAT.removesuffix("Z")
        return f"('\"' || strftime(make_timestamp(epoch_us({value})), {literal(shape)}) || '\"')"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return f"('\"' || to_base64({value}) || '\"')"
    if pa.types.is_floating(kind):
        return f"CASE WHEN isfinite({value}) THEN CAST(to_json({value}) AS VARCHAR) END"
    return f"CAST(to_json({value}) AS VARCHAR)"
