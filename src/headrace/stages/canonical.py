"""One text per event: what makes two payloads the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def column_sql(*names: str) -> str:
    """Return the SQL of a column, or of a field inside a struct column, from its names from the outside in."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def canonical_sql(columns: Iterable[str]) -> str:
    """Return a SQL expression for the canonical text of an event: its typed columns by name, nulls left out.

    Two events with the same text have the same value in every column, and the other way round. A column added later
    leaves the text of older events as it was.
    """
    parts = [
        f"coalesce({_literal(json.dumps(name) + ':')} || CAST(to_json({column_sql(name)}) AS VARCHAR) || ',', '')"
        for name in sorted(columns)
    ]
    return " || ".join(parts) or "''"


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


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
