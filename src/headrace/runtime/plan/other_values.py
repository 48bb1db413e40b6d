"""Whether a value is another one, in SQL, also where its column has another type: a number is a number.

A field that an object gains, and that is null, makes it no other value: a column that silver gains does not either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.types import literal

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

_NUMBERS = frozenset(
    {"tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"}
    | {"float", "double", "decimal"}
)


def is_other(left: str, right: str, was: str, now: str) -> str:
    """Return the SQL that says whether two expressions, of these SQL types, are different values; never null."""
    from duckdb import sqltype

    return _is_other(left, right, sqltype(was), sqltype(now), 0)


def _is_other(left: str, right: str, was: DuckDBPyType, now: DuckDBPyType, depth: int) -> str:
    if was == now or (was.id in _NUMBERS and now.id in _NUMBERS):
        return f"{left} IS DISTINCT FROM {right}"
    gone = f"({left} IS NULL) <> ({right} IS NULL)"
    if was.id == now.id == "struct":
        fields: dict[str, Any] = dict(was.children)
        others: dict[str, Any] = dict(now.children)
        tests = [gone]
        for name in dict.fromkeys([*fields, *others]):
            each, other = (f"struct_extract({side}, {literal(name)})" for side in (left, right))
            if name not in others:
                tests.append(f"{each} IS NOT NULL")
            elif name not in fields:
                tests.append(f"{other} IS NOT NULL")
            else:
                tests.append(_is_other(each, other, fields[name], others[name], depth))
        return f"({' OR '.join(tests)})"
    if was.id == now.id == "list":
        one: Any = was.children[0][1]
        two: Any = now.children[0][1]
        pair = f"pair{depth}"
        test = _is_other(f"{pair}[1]", f"{pair}[2]", one, two, depth + 1)
        within = f"list_bool_or(list_transform(list_zip({left}, {right}), lambda {pair}: {test}))"
        return f"({gone} OR coalesce(len({left}) <> len({right}) OR {within}, false))"
    return f"CAST(to_json({left}) AS VARCHAR) IS DISTINCT FROM CAST(to_json({right}) AS VARCHAR)"
