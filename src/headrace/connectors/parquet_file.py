"""Parquet: each row as the JSON text of one object, exact, column by column."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.connectors.byte_stream import BLOCK_BYTES, UNBOUNDED
from headrace.connectors.parquet_pages import groups
from headrace.connectors.records import MAX_RECORD_BYTES, batches
from headrace.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from headrace.connectors.byte_stream import Bounds
    from headrace.connectors.parquet_pages import Group

BATCH_ROWS = 20_000
BUFFER_BYTES = 1 << 20  # of each column
DENSE_BYTES = 128 << 20  # what a batch may take where its pages are densest
PIECE_BYTES = 32 << 20
_PLAIN = r'^[^"\\\x00-\x1f]*$'


_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
_STRINGS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


class RowsAsJson:
    """Turns batches of rows into JSON text; `not_finite` counts the numbers that JSON cannot say and that became null.

    Integers and decimals keep every digit. An instant is ISO 8601 in UTC with a Z; a time without a zone has none, and
    the contract's zone decides. Dates and times are ISO, bytes base64, durations a count of their unit.
    """

    def __init__(self) -> None:
        self.not_finite = 0

    def texts(self, batch: pa.RecordBatch) -> pa.Array:
        """Return an object for each row."""
        return self._object(batch.schema.names, batch.columns, batch.num_rows)

    def _object(self, names: list[str], columns: list[pa.Array], rows: int) -> pa.Array:
        if not names:
            return pa.repeat("{}", rows)
        parts: list[Any] = []
        for name, column in zip(names, columns, strict=True):
            parts += [("," if parts else "{") + json.dumps(name, ensure_ascii=False) + ":", self._text(column)]
        return pc.binary_join_element_wise(*parts, "}", "")

    def _text(self, column: pa.Array) -> pa.Array:
        if isinstance(column.type, pa.UuidType):
            column = pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
        elif isinstance(column, pa.ExtensionArray):
            column = column.storage
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_null(column.type):
            return pa.repeat("null", len(column))
        return pc.fill_null(self._json(column), "null")

    def _json(self, column: pa.Array) -> pa.Array:
        kind, types = column.type, pa.types
        if types.is_boolean(kind) or types.is_integer(kind) or types.is_decimal(kind):
            return column.cast(pa.string())
        if types.is_floating(kind):
            finite = pc.is_finite(column)
            self.not_finite += pc.sum(pc.invert(finite)).as_py() or 0
            return pc.if_else(finite, column.cast(pa.string()), None)
        if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
            return _quoted(column.cast(pa.string()))
        if types.is_timestamp(kind):
            zone = "Z" if kind.tz else ""
            naive = column.cast(pa.timestamp(kind.unit))
            return _wrapped(pc.strftime(naive, format=f"%Y-%m-%dT%H:%M:%S{zone}"))
        if types.is_date(kind):
            return _wrapped(column.cast(pa.date32()).cast(pa.string()))
        if types.is_time(kind):
            return _wrapped(column.cast(pa.string()))
        if types.is_duration(kind):
            return column.cast(pa.int64()).cast(pa.string())
        if any(is_bytes(kind) for is_bytes in _BYTES):
            return _wrapped(_base64(column))
        if types.is_struct(kind):
            inner = self._object([field.name for field in kind], column.flatten(), len(column))
            return pc.if_else(pc.is_valid(column), inner, None)
        if types.is_map(kind):
            return self._map(column)
        if any(is_list(kind) for is_list in _LISTS):
            return self._list(column)
        raise InputError(f"a Parquet column of type {kind} has no JSON form", fix="leave the column out")

    def _map(self, column: pa.MapArray) -> pa.Array:
        keys, items, offsets = _entries(column)
        entries = pc.binary_join_element_wise(_quoted(keys.cast(pa.string())), self._text(items), ":")
        return _joined(column, offsets, entries, "{", "}")

    def _list(self, column: pa.Array) -> pa.Array:
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        return _joined(column, np.concatenate([[0], np.cumsum(lengths)]), self._text(pc.list_flatten(column)), "[", "]")


def _joined(column: pa.Array, offsets: Any, texts: pa.Array, start: str, end: str) -> pa.Array:
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), texts)
    inner = pc.binary_join_element_wise(start, pc.binary_join(lists, ","), end, "")
    return pc.if_else(pc.is_valid(column), inner, None)


def _wrapped(texts: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise('"', texts, '"', "")


def _quoted(texts: pa.StringArray) -> pa.Array:
    """Return JSON strings; only the few texts that need escapes are looked at one by one."""
    plain = pc.fill_null(pc.match_substring_regex(texts, _PLAIN), fill_value=True)
    quoted = _wrapped(texts)
    if pc.all(plain).as_py() in {True, None}:
        return quoted
    odd = [json.dumps(text, ensure_ascii=False) for text in texts.filter(pc.invert(plain)).to_pylist()]
    return pc.replace_with_mask(quoted, pc.invert(plain), pa.array(odd, pa.string()))


def _base64(column: pa.Array) -> pa.Array:
    texts = [None if value is None else base64.b64encode(value).decode() for value in column.to_pylist()]
    return pa.array(texts, pa.string())


def read_parquet(
    source: BinaryIO, name: str, attributes: Mapping[str, str], note: Callable[[str], None], bounds: Bounds = UNBOUNDED
) -> Iterator[pa.RecordBatch]:
    """Yield a message for each row, in order; `note` is told of numbers that JSON cannot say and that became null.

    Memory is bounded by the open pages and some batches, whatever the file says of itself. Raises `InputError` where it
    is damaged, or where a row or all that comes out of it go beyond their bounds, after all that came before.
    """
    rows = RowsAsJson()
    packed = source.seek(0, io.SEEK_END)
    if not packed:
        raise InputError(
            "the file is empty, and a Parquet file never is", at=name, fix="write it again, or leave it out"
        )
    told = 0
    try:
        found = groups(source, name)
        texts = sorted(frozenset().union(*(group.texts for group in found)))
        source.seek(0)
        # Without a buffer, or with one for all, each column of a row group would be held as a whole.
        with pq.ParquetFile(source, read_dictionary=texts, pre_buffer=False, buffer_size=BUFFER_BYTES) as file:
            for number, group in enumerate(found):
                if not group.rows:
                    continue
                for batch in file.iter_batches(batch_size=_fitting(group), row_groups=[number]):
                    for piece in _pieces(batch, name):
                        payload = rows.texts(piece).cast(pa.binary())
                        told += payload.nbytes
                        bounds.hold(told, packed, name, "Parquet file")
                        yield from batches(payload, attributes)
    except (MemoryError, InputError):
        raise
    except (pa.ArrowException, OSError, ValueError, LookupError, RecursionError) as error:
        what = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"the Parquet file cannot be read: {what}", at=name, fix="fetch the file again") from error
    if rows.not_finite:
        note(f"{name}: {rows.not_finite:,} numbers are NaN or infinite, which JSON cannot say: they became null")


def _fitting(group: Group) -> int:
    """Return how many rows are read at once."""
    usual, dense = BLOCK_BYTES / max(1.0, group.row_bytes), DENSE_BYTES / max(1.0, group.densest)
    return int(max(1, min(BATCH_ROWS, usual, dense)))


def _pieces(batch: pa.RecordBatch, name: str) -> Iterator[pa.RecordBatch]:
    """Yield a batch in parts of which each becomes no more than PIECE_BYTES of text, or is one row."""
    size = sum(
        len(column) * (len(title) + 4) + _told(column)
        for title, column in zip(batch.schema.names, batch.columns, strict=True)
    )
    if size <= PIECE_BYTES:
        yield batch
    elif batch.num_rows > 1:
        half = batch.num_rows // 2
        yield from _pieces(batch.slice(0, half), name)
        yield from _pieces(batch.slice(half), name)
    elif size <= MAX_RECORD_BYTES:
        yield batch
    else:
        raise InputError(
            f"a row unfolds to more than {MAX_RECORD_BYTES >> 20} MiB",
            at=name,
            fix="look at it; write it as several rows",
        )


def _told(column: pa.Array) -> int:
    """Return about how many bytes of text a column becomes."""
    kind, types = column.type, pa.types
    if isinstance(column, pa.ExtensionArray):
        return _told(column.storage)
    if types.is_dictionary(kind):
        if not any(is_bytes(kind.value_type) for is_bytes in (*_BYTES, *_STRINGS)):
            return 24 * len(column)
        lengths = pc.binary_length(column.dictionary).cast(pa.int64())
        return (pc.sum(lengths.take(column.indices)).as_py() or 0) + 4 * len(column)
    if types.is_struct(kind):
        return sum(
            len(column) * (len(field.name) + 4) + _told(part)
            for field, part in zip(kind, column.flatten(), strict=True)
        )
    if types.is_map(kind):
        keys, items, _ = _entries(column)
        return _told(keys) + _told(items)
    if any(is_list(kind) for is_list in _LISTS):
        return 2 * len(column) + _told(pc.list_flatten(column))
    return int(column.nbytes) + 16 * len(column)


def _entries(column: pa.MapArray) -> tuple[pa.Array, pa.Array, Any]:
    """Return the keys and items of these maps alone, and where those of each start among them."""
    offsets = column.offsets.to_numpy()
    first, many = int(offsets[0]), int(offsets[-1] - offsets[0])
    return column.keys.slice(first, many), column.items.slice(first, many), offsets - first
