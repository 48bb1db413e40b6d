"""Schema evolution, decided purely: what a table has, what a contract wants, what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.contracts.contract import is_json
from headrace.errors import ContractError
from headrace.stages.canonical import column_sql
from headrace.stages.enrich import lookup_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Set

    from headrace.lake.tables import Table


_SHOWN = 100  # characters of a type


@dataclass(frozen=True, slots=True)
class AddColumn:
    """Add a column, or a field of a struct (`path` has its names from the outside in); older rows read null."""

    path: tuple[str, ...]
    type: pa.DataType


def check(table: Table, existing: pa.Schema, json_columns: Mapping[str, Set[str]]) -> None:
    """Raise `ContractError` where a silver table cannot become what it should be; `json_columns` by table."""
    check_json(table.name, existing, table.columns, json_columns.get(table.table_name, frozenset()))
    decide(table.name, existing, table.columns)


def decide(table: str, existing: pa.Schema, wanted: pa.Schema) -> list[AddColumn]:
    """Return the additions that make `existing` hold `wanted`.

    A column that the contract no longer names stays and reads null from then on. Raises `ContractError` where a column
    would change its type (rows already written keep theirs, so that needs a new column), and where a new name differs
    from an existing one only in case.
    """
    return list(_additions(table, (), existing, wanted))


AGAIN = "Or decide all of history again, every row anew: headrace plan --history all"
"""What else there is to do where a column cannot become another, and bronze has its messages."""


def replaced(table: Table, existing: pa.Schema, json_columns: Mapping[str, Set[str]]) -> list[str]:
    """Return the columns that there are and that cannot become what is wanted.

    Where every row is written anew, they are dropped, and those of their names are added.
    """
    marked = json_columns.get(table.table_name, frozenset())
    gone = []
    for field in table.columns:
        twin = next((each for each in existing.names if each.casefold() == field.name.casefold()), None)
        if twin is None:
            continue
        alone = pa.schema([existing.field(twin)])
        try:
            check_json(table.name, alone, pa.schema([field]), marked & {twin})
            decide(table.name, alone, pa.schema([field]))
        except ContractError:
            gone.append(twin)
    return gone


def statement(table: Table, step: AddColumn, kind: str) -> str:
    """Return the ALTER that adds a column of this SQL type: what `deploy` runs, and what a plan shows."""
    return f"ALTER TABLE {table.sql} ADD COLUMN {column_sql(*step.path)} {kind}"


def missing(existing: pa.Schema | None, wanted: pa.Schema) -> list[pa.Field]:
    """Return the columns that one of our own tables lacks: all of them where there is no table yet.

    Our own tables only ever gain columns, so names are all that is looked at; older rows read null.
    """
    return [field for field in wanted if existing is None or field.name not in existing.names]


def check_json(table: str, existing: pa.Schema, wanted: pa.Schema, marked: Set[str]) -> None:
    """Raise `ContractError` where a column of text becomes one of JSON text, or the other way round.

    `marked` names the existing columns that hold JSON text. Text `12` and JSON `"12"` are not the same value.
    """
    for field in wanted:
        if field.name in existing.names and is_json(field) != (field.name in marked):
            was, now = ("JSON", "text") if field.name in marked else ("text", "JSON")
            raise ContractError(
                f"column {field.name} of {table} holds {was}, and the contract now makes it {now}",
                at=table,
                fix=f"give the new type a new name (such as {field.name}_v2): rows already written keep the old one",
            )


def _additions(
    table: str,
    path: tuple[str, ...],
    existing: pa.Schema | pa.StructType,
    wanted: pa.Schema | pa.StructType,
    lookup: str = "",
) -> Iterator[AddColumn]:
    has = {field.name: field.type for field in existing}
    folded = {name.casefold(): name for name in has}
    for field in wanted:
        here = (*path, field.name)
        said_by = lookup or lookup_of(field)
        twin = folded.get(field.name.casefold(), field.name)
        if field.name not in has and twin != field.name:  # SQL does not tell the two apart
            raise ContractError(
                f"column {'.'.join(here)} of {table} differs only in case from {twin}, which is there already",
                at=table,
                fix=f"Spell it {twin}, or give the new column a name of its own (such as {field.name}_v2).",
            )
        if field.name not in has:
            yield AddColumn(here, field.type)
        elif pa.types.is_struct(field.type) and pa.types.is_struct(has[field.name]):
            yield from _additions(table, here, has[field.name], field.type, said_by)
        elif not _same(has[field.name], field.type) and said_by:
            was, now = _short(has[field.name]), _short(field.type)
            raise ContractError(
                f"column {'.'.join(here)} of {table} is {was}, and the lookup {said_by} now says {now}",
                at=table,
                fix="Correct the file, or say in `types:` what its type was, or give the new type a name by `prefix:`.",
            )
        elif not _same(has[field.name], field.type):
            raise ContractError(
                f"column {'.'.join(here)} of {table} is {_short(has[field.name])}, and the contract now says "
                f"{_short(field.type)}",
                at=table,
                fix=f"Give the new type a new name (such as {field.name}_v2): rows already written keep the old one.",
            )


def _same(one: pa.DataType, other: pa.DataType) -> bool:
    if pa.types.is_list(one) and pa.types.is_list(other):
        return _same(one.value_type, other.value_type)
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        return {field.name: field.type for field in one} == {field.name: field.type for field in other}
    return bool(one == other)


def _short(kind: pa.DataType) -> str:
    text = str(kind)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"
