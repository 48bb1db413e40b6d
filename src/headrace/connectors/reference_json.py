"""Reference data as JSON: an array of objects, or an object a line."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.connectors.records import BYTE_ORDER_MARK
from headrace.connectors.reference_text import decoded
from headrace.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BETWEEN = re.compile(r"[\s,]*")


def read(
    content: bytes, file: str, types: Mapping[str, pa.DataType], *, lines: bool
) -> tuple[pa.Table, Mapping[str, str], Callable[[int], int | None]]:
    """Return the table of a file, and what says in which line a row stands. A member that is absent is null.

    A column of values that have no type in common is not in the table, unless it is declared to be text; the second of
    what is returned says so.
    """
    text = decoded(content.removeprefix(BYTE_ORDER_MARK), file)
    rows, where = _lines(text, file) if lines else _array(text, file)
    names = dict.fromkeys(name for row in rows for name in row)
    columns, unusable = {}, {}
    for name in names:
        values = [row.get(name) for row in rows]
        kind = types.get(name)
        if kind == pa.string():
            values = [value if value is None or isinstance(value, str) else _dumped(value) for value in values]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            unusable[name] = "its values have no type in common: declare it STRING in the lookup's `types:`"
    return pa.table(columns), unusable, where


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(text: str, file: str) -> tuple[list[dict[str, Any]], Callable[[int], int | None]]:
    rows: list[dict[str, Any]] = []
    places: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            rows.append(_object(_parsed(line, file, number), file, number))
            places.append(number)
    return rows, places.__getitem__


def _array(text: str, file: str) -> tuple[list[dict[str, Any]], Callable[[int], int | None]]:
    found = _parsed(text, file, 1)
    if not isinstance(found, list):
        raise InputError("the file is no array of objects", at=f"{file}:1", fix="write [{…}, {…}], or use .ndjson")

    def line(row: int) -> int:
        """Return where an element stands: parsed again up to there, which only a fault asks for."""
        decoder = json.JSONDecoder()
        at = text.index("[") + 1
        for _ in range(row):
            at = decoder.raw_decode(text, _skip(text, at))[1]
        return text.count("\n", 0, _skip(text, at)) + 1

    for row, value in enumerate(found):
        if not isinstance(value, dict):
            _object(value, file, line(row))
    return found, line


def _skip(text: str, at: int) -> int:
    between = _BETWEEN.match(text, at)
    return between.end() if between else at


def _parsed(text: str, file: str, line: int) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as problem:
        at = f"{file}:{line + problem.lineno - 1}"
        raise InputError(f"this is not JSON: {problem.msg} (column {problem.colno})", at=at, fix="correct it") from None
    except (ValueError, RecursionError) as problem:
        raise InputError(f"this is not JSON: {problem}", at=f"{file}:{line}", fix="correct it") from None


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _object(value: Any, file: str, line: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError("a row is a JSON object, and this is none", at=f"{file}:{line}", fix='write {"code": …}')
    return value
