"""Reference data as CSV: typed by what all values of a column are, every fault at its line."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from headrace.connectors.records import BYTE_ORDER_MARK
from headrace.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_INSTANT = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d(:?\d\d)?)$"
_LOOKS = (
    (r"^-?(0|[1-9]\d*)$", pa.int64()),
    (r"^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$", pa.float64()),
    (r"^(?i:true|false)$", pa.bool_()),
    (r"^\d{4}-\d\d-\d\d$", pa.date32()),
    (_INSTANT, pa.timestamp("us", "UTC")),
)


def read(
    content: bytes, file: str, types: Mapping[str, pa.DataType], assumed: Mapping[str, pa.DataType]
) -> tuple[pa.Table, Mapping[str, str], Callable[[int], int | None]]:
    """Return the table of a CSV file with a header, and what says in which line a row stands."""
    content = content.removeprefix(BYTE_ORDER_MARK)
    text = decoded(content, file)
    names = _header(text, file)
    try:
        table = pa_csv.read_csv(
            io.BytesIO(content),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as problem:
        raise _ragged(text, len(names), file, problem) from None
    columns = {}
    for name in names:
        cells = table[name].combine_chunks()
        if name in types:
            columns[name] = _cast(cells, name, types[name], text, file)
        elif name in assumed:
            columns[name] = _assumed(cells, assumed[name])
        else:
            columns[name] = _guessed(cells)
    return pa.table(columns), {}, lambda row: _line(text, row)


def decoded(content: bytes, file: str) -> str:
    """Return the text of a file, or raise `InputError` at the line that is not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise InputError("the file is not UTF-8", at=f"{file}:{line}", fix=f"iconv -t UTF-8 {file}") from None


def _header(text: str, file: str) -> list[str]:
    names = next((cells for _, cells in _records(text)), [])
    if not any(names):
        raise InputError("the file has no header", at=f"{file}:1", fix="name the columns in its first line")
    for place, name in enumerate(names):
        if not name:
            raise InputError(f"column {place + 1} has no name", at=f"{file}:1", fix="name it in the first line")
        if name in names[:place]:
            raise InputError(f"two columns are named '{name}'", at=f"{file}:1", fix="rename one of them")
    return names


def _guessed(cells: pa.Array) -> pa.Array:
    values = cells.drop_null().unique()
    for looks, kind in _LOOKS if len(values) else ():
        if pc.all(pc.match_substring_regex(values, looks)).as_py():
            try:
                return _as(cells, kind)
            except pa.ArrowInvalid:  # the 30th of February; more digits than a number has, which no double keeps either
                return cells
    return cells


def _assumed(cells: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return a column that events are compared with in their own type, or as it looks where it is not of that type."""
    try:
        return _as(cells, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _guessed(cells)


def _cast(cells: pa.Array, name: str, kind: pa.DataType, text: str, file: str) -> pa.Array:
    try:
        return _as(cells, kind)
    except pa.ArrowNotImplementedError:
        raise InputError(f"{name} cannot be {kind} in a CSV file", at=f"{file}:1", fix="declare another type") from None
    except pa.ArrowInvalid:
        row = next(row for row in range(len(cells)) if not _fits(cells.slice(row, 1), kind))
        raise InputError(
            f"{name} is declared {kind}, and this line has {cells[row].as_py()[:40]!r}",
            at=f"{file}:{_line(text, row)}",
            fix="correct the line, or the `types:` of the lookup",
        ) from None


def _fits(cell: pa.Array, kind: pa.DataType) -> bool:
    try:
        _as(cell, kind)
    except pa.ArrowInvalid:
        return False
    return True


def _as(cells: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_boolean(kind):
        return pc.utf8_lower(cells).cast(kind)
    return cells.cast(kind)


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each record with the line that it starts in; empty lines are none."""
    reader = csv.reader(io.StringIO(text, newline=""))
    line = 1
    for cells in reader:
        if cells:
            yield line, cells
        line = reader.line_num + 1


def _line(text: str, row: int) -> int | None:
    return next((line for at, (line, _) in enumerate(_records(text), -1) if at == row), None)


def _ragged(text: str, width: int, file: str, problem: Exception) -> InputError:
    for line, cells in _records(text):
        if len(cells) != width:
            said = f"this line has {len(cells)} cells, and the header has {width}"
            return InputError(said, at=f"{file}:{line}", fix="quote a cell that holds a comma")
    return InputError(f"the file is not CSV: {problem}", at=f"{file}:1", fix="see what is in it")
