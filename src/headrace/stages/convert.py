"""Converting a value from one type of contracts to another, in SQL: exactly, or with an error.

Nothing is guessed and nothing is cut off: 12.5 is no integer, neither is 'twelve', and '2026-01-01 or so' is no date.
Texts become times where they have the form of RFC 3339, and all times are of the years 1 to 9999. Only a number that
becomes a decimal is rounded to its scale; of a second, what is below its millionth is left out.
"""

from __future__ import annotations

import pyarrow as pa

from headrace.contracts.contract import is_json
from headrace.contracts.types import DATETIME, INSTANT, TIME, duckdb_type, literal

_DATE, _MINUTES = "[0-9]{4}-[0-9]{2}-[0-9]{2}", "([01][0-9]|2[0-3]):[0-5][0-9]"
_CLOCK = rf"{_MINUTES}:([0-5][0-9]|60)(\.[0-9]+)?"
_TEXTS = {
    pa.date32(): _DATE,
    TIME: _CLOCK,
    DATETIME: f"{_DATE}[T ]{_CLOCK}",
    INSTANT: f"{_DATE}[T ]{_CLOCK}(Z|[-+]{_MINUTES})",
}
"""What of RFC 3339 a text is that becomes a time: an instant with its zone or offset, the others without."""


def same(one: pa.Field, other: pa.Field) -> bool:
    """Say whether a value of a field is one of the other as it stands; list elements may be called anything."""
    return is_json(one) == is_json(other) and _same(one.type, other.type)


def reshaped(value: str, was: pa.Field, now: pa.Field) -> str | None:
    """Return the SQL of a value in a type that only has more or fewer members; None where more than that differs."""
    return _shaped(value, was, now, casting=False, depth=0)


def converted(value: str, was: pa.Field, now: pa.Field) -> str | None:
    """Return the SQL of a value in another type, which raises where it does not fit; None where no value would."""
    return _shaped(value, was, now, casting=True, depth=0)


def _same(one: pa.DataType, other: pa.DataType) -> bool:
    if pa.types.is_list(one) and pa.types.is_list(other):
        return same(one.value_field, other.value_field)
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        names = [field.name for field in one] == [field.name for field in other]
        return names and all(same(mine, theirs) for mine, theirs in zip(one, other, strict=True))
    return bool(one == other)


def _shaped(value: str, was: pa.Field, now: pa.Field, *, casting: bool, depth: int) -> str | None:
    if same(was, now):
        return value
    mine, theirs = was.type, now.type
    if pa.types.is_struct(mine) and pa.types.is_struct(theirs):
        return _struct(value, mine, theirs, casting=casting, depth=depth)
    if pa.types.is_list(mine) and pa.types.is_list(theirs):
        element = f"_v{depth}"
        each = _shaped(element, mine.value_field, theirs.value_field, casting=casting, depth=depth + 1)
        return None if each is None else f"list_transform({value}, lambda {element}: {each})"
    return _scalar(value, was, now) if casting else None


def _struct(value: str, was: pa.StructType, now: pa.StructType, *, casting: bool, depth: int) -> str | None:
    has = {field.name: field for field in was}
    if not has.keys() & {field.name for field in now}:
        return None
    members = []
    for field in now:
        if field.name not in has:
            members.append((field.name, f"CAST(NULL AS {duckdb_type(field.type)})"))
            continue
        member = f"struct_extract({value}, {literal(field.name)})"
        shaped = _shaped(member, has[field.name], field, casting=casting, depth=depth)
        if shaped is None:
            return None
        members.append((field.name, shaped))
    packed = ", ".join(f"{_quoted(name)} := {sql}" for name, sql in members)
    return f"CASE WHEN {value} IS NULL THEN NULL ELSE struct_pack({packed}) END"


def _scalar(value: str, was: pa.Field, now: pa.Field) -> str | None:
    mine, theirs = was.type, now.type
    if is_json(now):
        return f"CAST(to_json({value}) AS VARCHAR)"
    if is_json(was):
        if theirs == pa.string():
            return f"CASE WHEN json_type({value}) = 'VARCHAR' THEN json_extract_string({value}, '$') ELSE {value} END"
        # A JSON text or number is read as the text that it is; anything else fits none of the types below.
        text = pa.field(was.name, pa.string())
        return _scalar(f"json_extract_string({value}, '$')", text, now)
    if pa.types.is_nested(mine) or pa.types.is_nested(theirs):
        return None
    if theirs == pa.string():
        return _to_text(value, mine)
    if _is_whole(theirs):
        return _to_whole(value, mine, theirs)
    if pa.types.is_floating(theirs) or pa.types.is_decimal(theirs):
        return _to_number(value, mine, theirs)
    if pa.types.is_boolean(theirs):
        return _to_boolean(value, mine)
    return _to_time(value, mine, theirs)


def _to_text(value: str, was: pa.DataType) -> str:
    if was == INSTANT:
        return f"strftime({value}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    if was == DATETIME:
        return f"strftime({value}, '%Y-%m-%dT%H:%M:%S.%f')"
    if pa.types.is_binary(was):
        return f"base64({value})"
    return f"CAST({value} AS VARCHAR)"


def _to_whole(value: str, was: pa.DataType, now: pa.DataType) -> str | None:
    kind = duckdb_type(now)
    if pa.types.is_integer(was) or pa.types.is_boolean(was):
        return f"CAST({value} AS {kind})"
    if pa.types.is_floating(was) or pa.types.is_decimal(was):
        return _unless(value, f"{value} = trunc({value})", kind)
    if was == pa.string():
        return _unless(value, f"regexp_full_match({value}, '[-+]?[0-9]+')", kind)
    return None


def _to_number(value: str, was: pa.DataType, now: pa.DataType) -> str | None:
    kind = duckdb_type(now)
    if pa.types.is_integer(was) or pa.types.is_floating(was) or pa.types.is_decimal(was):
        return f"CAST({value} AS {kind})"
    if was == pa.string():
        number = r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?"
        fits = f"regexp_full_match({value}, '{number}') AND isfinite(CAST({value} AS DOUBLE))"
        return _unless(value, fits, kind)
    return None


def _to_boolean(value: str, was: pa.DataType) -> str | None:
    if was == pa.string():
        return _unless(value, f"lower({value}) IN ('true', 'false')", "BOOLEAN")
    if pa.types.is_integer(was):
        return _unless(value, f"{value} IN (0, 1)", "BOOLEAN")
    return None


def _to_time(value: str, was: pa.DataType, now: pa.DataType) -> str | None:
    """Instants and wall clocks are in UTC, and a date is its midnight."""
    if was == pa.string() and now in {INSTANT, DATETIME, TIME, pa.date32()}:
        # DuckDB takes more than this, and drops what it does not need: 'epoch', '2026-01-01 (BC)', '2026-01-01 or so'.
        kind, large = duckdb_type(now), f"upper({value})"  # which is how DuckDB wants its T and Z
        fits = f"regexp_full_match({large}, '{_TEXTS[now]}')"
        if now != TIME:
            fits = f"CASE WHEN {fits} THEN {_in_years(f'TRY_CAST({large} AS {kind})', now)} ELSE false END"
        return _unless(large, fits, kind)
    if (was, now) in {(INSTANT, DATETIME), (DATETIME, INSTANT)}:
        return f"({value} AT TIME ZONE 'UTC')"
    if was == pa.date32() and now in {INSTANT, DATETIME}:
        wall = f"CAST({value} AS TIMESTAMP)"
        return wall if now == DATETIME else f"({wall} AT TIME ZONE 'UTC')"
    if now == pa.date32() and was in {INSTANT, DATETIME}:
        return f"CAST({value} AS DATE)" if was == DATETIME else f"CAST(({value} AT TIME ZONE 'UTC') AS DATE)"
    if was == pa.string() and pa.types.is_binary(now):
        return f"from_base64({value})"
    return None


def bounded(value: str, kind: pa.DataType) -> str:
    """Return the SQL of a value that raises where it is a date or a timestamp beyond the years 1 to 9999."""
    if kind not in {INSTANT, DATETIME, pa.date32()}:
        return value
    return _unless(value, _in_years(value, kind), duckdb_type(kind))


def _in_years(value: str, kind: pa.DataType) -> str:
    """Return the SQL that tells whether a date or a timestamp is one of the years 1 to 9999, in UTC."""
    wall = f"({value} AT TIME ZONE 'UTC')" if kind == INSTANT else value
    return f"coalesce(isfinite({value}) AND year({wall}) BETWEEN 1 AND 9999, false)"


def _raising(kind: str) -> str:
    """Return the SQL of what has a type and no value: it raises."""
    return f"CAST(CAST(CAST('' AS BIGINT) AS VARCHAR) AS {kind})"  # error() is not allowed within a TRY


def _is_whole(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0))


def _unless(value: str, fits: str, kind: str) -> str:
    """Return the SQL of a cast that raises where the value does not fit."""
    return f"CASE WHEN {value} IS NULL THEN NULL WHEN {fits} THEN CAST({value} AS {kind}) ELSE {_raising(kind)} END"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
