"""The columns of decode's `fields` that rules read: one for each member of an object, and how SQL names them.

A text may stand there for a member that is null; a column in which none does is unmarked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from headrace.contracts.contract import is_json
from headrace.contracts.types import quoted
from headrace.stages.decode import FIELDS
from headrace.stages.decode_counts import NULL_RAW, NULL_TEXT
from headrace.stages.decode_shape import is_text
from headrace.stages.validate_texts import NotCompiled, literal

if TYPE_CHECKING:
    from collections.abc import Iterator

PROVEN = "_proven"
"""The column beside them that says which events have `fields`."""
WITHIN = "\x1f"
"""Stands before the name of each column that is read, and between those of an object and its member."""


def spread(name: str, array: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    """Return a member of `fields` as the rules read it: of an object the members, each a column of its own.

    To DuckDB, a CASE over one member of an object costs as much as all of its members.
    """
    if not pa.types.is_struct(array.type):
        yield WITHIN + name, array
        return
    for field, child in zip(array.type, array.flatten(), strict=True):
        yield from spread(f"{name}{WITHIN}{field.name}", child)


def may_be_unmarked(field: pa.Field) -> bool:
    """Return whether to ask `is_unmarked` of a column: not of objects and arrays that hold more than text."""
    if pa.types.is_list(field.type):
        return is_all_text(field)
    if pa.types.is_struct(field.type):
        return is_json(field) or is_all_text(field)
    return True


def is_unmarked(array: pa.Array, field: pa.Field, unproven: int) -> bool:
    """Return whether no text in a member of `fields` stands for null, and an object is there in every proven row."""
    if pa.types.is_struct(array.type):
        children = array.flatten()
        return any(_always_there(child, unproven) for child in children) and all(
            is_unmarked(child, of, unproven) for child, of in zip(children, field.type, strict=True)
        )
    if pa.types.is_list(array.type):
        return True  # what is in a proven array is no null
    data, offsets = array.buffers()[2], array.buffers()[1]
    if data is None or offsets is None or not len(array):
        return True
    begin, end = np.frombuffer(offsets, dtype=np.int32)[[array.offset, array.offset + len(array)]]
    first = NULL_TEXT if is_text(field) else NULL_RAW[1]  # each a character that is rare
    return not (np.frombuffer(data, dtype=np.uint8)[begin:end] == ord(first)).any()


def is_all_text(field: pa.Field) -> bool:
    """Return whether a field is a text, or made of nothing else."""
    if is_json(field):
        return False
    if pa.types.is_struct(field.type):
        return all(is_all_text(child) for child in field.type)
    if pa.types.is_list(field.type):
        return bool(pa.types.is_string(field.type.value_type)) and not is_json(field.type.value_field)
    return bool(pa.types.is_string(field.type))


def null_mark(field: pa.Field) -> str:
    """Return the SQL of what stands for null in a column."""
    return f"chr({ord(NULL_TEXT)})" if is_text(field) else literal(NULL_RAW)


def column_of(name: str) -> str:
    """Return the SQL of a column of `fields`."""
    if WITHIN in name:
        raise NotCompiled
    return f"{FIELDS}.{quoted(WITHIN + name)}"


def member_of(at: str, field: pa.Field) -> str:
    """Return the SQL of a member of the value at `at`: its own column, or a field of a struct within a list."""
    if at == FIELDS:
        return column_of(field.name)
    if at.startswith(f"{FIELDS}."):
        if WITHIN in field.name:
            raise NotCompiled
        return f"{at[:-1]}{WITHIN}{quoted(field.name)[1:]}"
    return f"{at}.{quoted(field.name)}"


def is_within(column: str, sql: str) -> bool:
    """Say whether SQL names a column, or a member of it."""
    return column in sql or f"{column[:-1]}{WITHIN}" in sql


def is_absent(at: str, field: pa.Field) -> str:
    """Return the condition that a member is not there; an object without a known member was not proven at all."""
    if pa.types.is_struct(field.type) and not is_json(field):
        return "(" + " AND ".join(is_absent(member_of(at, child), child) for child in field.type) + ")"
    return f"{at} IS NULL"


def _always_there(array: pa.Array, unproven: int) -> bool:
    if pa.types.is_struct(array.type):
        return any(_always_there(child, unproven) for child in array.flatten())
    return bool(array.null_count == unproven)
