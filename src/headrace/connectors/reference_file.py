"""Files of reference data, whole and typed: the seeds of a project, CSV as dbt takes them, JSON, NDJSON and Parquet."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.connectors import reference_json, reference_text
from headrace.errors import InputError
from headrace.stages.lookup import MAX_ROWS, MAX_TABLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

SUFFIXES = (".csv", ".json", ".ndjson", ".jsonl", ".parquet")
MAX_FILE_BYTES = 64 << 20
_SMALLER = "make it a source, whose silver dataset can be a lookup; or leave rows and columns out"


@dataclass(frozen=True)
class ReferenceFile:
    """A file that was read: its rows, in its order, as columns of contract types, and the SHA-256 of its bytes.

    `unusable` says of columns that are not in `table` why they cannot be used.
    """

    file: str
    table: pa.Table
    digest: str
    unusable: Mapping[str, str]
    _line: Callable[[int], int | None]

    def at(self, row: int) -> str:
        """Return where a row stands: `file:line`, or the file alone where it has no lines."""
        line = self._line(row)
        return self.file if line is None else f"{self.file}:{line}"

    def named(self, row: int) -> str:
        """Return what a user calls a row: its line, or its number where the file has no lines."""
        line = self._line(row)
        return f"row {row + 1:,}" if line is None else f"line {line:,}"


def read_reference(
    path: Path, file: str, types: Mapping[str, pa.DataType], assumed: Mapping[str, pa.DataType]
) -> ReferenceFile:
    """Return a file's rows. `types` are those of columns that were declared; `file` is what messages call it.

    CSV has no types: a column is what all of its values are (whole numbers, numbers, true and false, dates, instants),
    else text; an empty cell is null. Numbers with leading zeros, and columns of `assumed` to be text, stay text.

    Raises:
        InputError: It cannot be read, or is too large; with `at` (the file, its line where one is to blame) and a fix.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            said = f"the file has {size / 2**20:,.0f} MiB, and a lookup has at most {MAX_FILE_BYTES >> 20} MiB"
            raise InputError(said, at=file, fix=_SMALLER)
        content = path.read_bytes()
    except OSError as problem:
        raise InputError(f"the file cannot be read: {problem.strerror}", at=file, fix=f"see: ls -l {file}") from problem
    digest = hashlib.sha256(content).hexdigest()
    match path.suffix.lower():
        case ".csv":
            read = reference_text.read(content, file, types, assumed)
        case ".parquet":
            read = _parquet(content, file)
        case suffix:
            read = reference_json.read(content, file, types, lines=suffix != ".json")
    table, unusable, line = read
    _within(len(table), table.nbytes, file)
    usable: dict[str, pa.Array] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        wanted = types.get(name)
        try:
            kind = contract_type(column.type)
            if wanted is None and pa.types.is_string(kind) and pa.types.is_temporal(assumed.get(name, kind)):
                kind = _temporal(column, assumed[name])
            # To the type of a contract all is widened, but for nanoseconds, which silver has not.
            usable[name] = column.cast(kind, safe=False) if wanted is None else column.cast(wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TypeError) as problem:
            if wanted is not None:
                raise InputError(f"{name} cannot be {wanted}: {problem}", at=file, fix="declare another type") from None
            unusable = {**unusable, name: f"it is {column.type}, which no column of silver can be"}
    return ReferenceFile(file, pa.table(usable), digest, unusable, line)


def contract_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of a contract that holds the values of an Arrow type. Raises `TypeError` where there is none."""
    is_ = pa.types
    if is_.is_dictionary(kind):
        return contract_type(kind.value_type)
    if is_.is_uint64(kind):
        return pa.decimal128(38, 0)
    if is_.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if is_.is_decimal(kind) and kind.precision <= 38:
        return pa.decimal128(kind.precision, kind.scale)
    if is_.is_struct(kind) and kind.num_fields:
        return pa.struct([pa.field(each.name, contract_type(each.type)) for each in kind])
    if is_.is_list(kind) or is_.is_large_list(kind):
        return pa.list_(contract_type(kind.value_type))
    plain = (
        (is_.is_integer, pa.int64()),
        (is_.is_floating, pa.float64()),
        (is_.is_boolean, pa.bool_()),
        (is_.is_date, pa.date32()),
        (is_.is_time, pa.time64("us")),
        (is_.is_null, pa.string()),
        (is_.is_string, pa.string()),
        (is_.is_large_string, pa.string()),
        (is_.is_binary, pa.binary()),
        (is_.is_large_binary, pa.binary()),
    )
    found = next((target for is_one, target in plain if is_one(kind)), None)
    if found is None:
        raise TypeError(str(kind))
    return found


def _temporal(column: pa.ChunkedArray, kind: pa.DataType) -> pa.DataType:
    """Return the type of texts that events are compared with as times, which JSON has no type for."""
    try:
        column.cast(kind)
    except pa.ArrowInvalid:
        return pa.string()
    return kind


def _parquet(content: bytes, file: str) -> tuple[pa.Table, Mapping[str, str], Callable[[int], int | None]]:
    import pyarrow.parquet as pq

    try:
        reader = pq.ParquetFile(io.BytesIO(content))
        _within(reader.metadata.num_rows, 0, file)
        batches, size = [], 0
        for batch in reader.iter_batches(batch_size=1024):  # a small file may hold much: never all of it at once
            size += batch.nbytes
            _within(0, size, file)
            batches.append(batch)
        table = pa.Table.from_batches(batches, schema=reader.schema_arrow)
        table.validate(full=True)  # texts that are none would be found by the first who reads them
    except (
        pa.ArrowException,
        OSError,
        ValueError,
        LookupError,
        TypeError,
    ) as problem:  # of whatever is in a damaged file
        raise InputError(f"the file is not Parquet: {problem}", at=file, fix="write it again") from None
    return table, {}, lambda _: None


def _within(rows: int, size: int, file: str) -> None:
    if rows > MAX_ROWS:
        raise InputError(f"the file has {rows:,} rows, and a lookup has at most {MAX_ROWS:,}", at=file, fix=_SMALLER)
    if size > MAX_TABLE_BYTES:
        said = f"the file takes more than {MAX_TABLE_BYTES >> 20} MiB of memory, which is the most for a lookup"
        raise InputError(said, at=file, fix=_SMALLER)
