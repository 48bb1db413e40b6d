"""One text per event: what makes two payloads the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from headrace.contracts.types import literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa


def column_sql(*names: str) -> str:
    """Return the SQL of a column, or of a field inside a struct column, from its names from the outside in."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def concatenated(texts: Sequence[str]) -> str:
    """Return the SQL of texts one after the other, of which none is null.

    Many are joined in groups: DuckDB goes a thousand expressions deep, and each `||` is one deeper than the last.
    """
    while len(texts) > _SIDE_BY_SIDE:
        groups = (texts[start : start + _SIDE_BY_SIDE] for start in range(0, len(texts), _SIDE_BY_SIDE))
        texts = [f"({' || '.join(group)})" for group in groups]
    return " || ".join(texts) or "''"


_SIDE_BY_SIDE = 200


def canonical_sql(fields: Iterable[pa.Field], alias: str) -> str:
    """Return a SQL expression for the canonical text of an event: its typed columns by name, nulls left out.

    Two events with the same text have the same value in every column, and the other way round. A column, or a field
    of a struct, that is added later leaves the text of older events as it was. `alias` is what the rows are called.
    """
    return _members((field, column_sql(alias, field.name)) for field in sorted(fields, key=lambda each: each.name))


def _members(parts: Iterable[tuple[pa.Field, str]]) -> str:
    texts = [
        f"coalesce({literal(json.dumps(field.name) + ':')} || {_text(field.type, value)} || ',', '')"
        for field, value in parts
    ]
    return concatenated(texts)


def _text(kind: pa.DataType, value: str, depth: int = 0) -> str:
    """Return the SQL of a value's text, null where the value is."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        children = sorted((kind.field(i) for i in range(kind.num_fields)), key=lambda each: each.name)
        named = ((child, f"struct_extract({value}, {literal(child.name)})") for child in children)
        return f"CASE WHEN {value} IS NOT NULL THEN '{{' || {_members(named)} || '}}' END"
    if pa.types.is_list(kind) and pa.types.is_nested(kind.value_type):
        element = f"_e{depth}"
        each = f"coalesce({_text(kind.value_type, element, depth + 1)}, 'null')"
        return f"('[' || array_to_string(list_transform({value}, lambda {element}: {each}), ',') || ']')"
    return f"CAST(to_json({value}) AS VARCHAR)"


def canonical_json(text: str) -> str:
    """Return JSON text with sorted keys and no white space, its numbers as they were written."""
    # Numbers stay text, so that no digit is lost; strings are re-encoded in one way.
    value = json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
    return _dump(value)


class _Number(str):
    __slots__ = ()


def _dump(value: object) -> str:
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_dump(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_dump, value)) + "]"
    return json.dumps(value)
