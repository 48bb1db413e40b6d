"""The fast path of decode: proof, for a whole batch at once, that a text is exactly what its parsed form says.

DuckDB parses JSON fast but kindly: it takes NaN and trailing commas, the first of two equal keys, a number for a
string, and null for what does not fit. So its parse is believed only where counting proves it. Of a document we count,
in the bytes, the closing quotes before a colon (at least one for each member of an object) and all quotes (two for each
string); and, in the parsed form, the members M and the strings S that were found. `colons == M` proves that each member
was found, once: no unknown key, no second key, no null, nothing of another shape. `quotes == 2 * (M + S)` then proves
that each text was a string, arrays set aside. A comma before a closing bracket and whitespace between a key and its
colon are left to the exact reader; so is whatever fails to add up.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.contract import JSON_MARK
from headrace.stages.sql import SqlKernel

if TYPE_CHECKING:
    import numpy.typing as npt

    from headrace.contracts.contract import Contract

    Counts = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

NULL_TEXT = "\x01"
NULL_RAW = '"\\u0001"'
"""Stand in `fields` for a member that is null, in columns of text and of raw JSON.

No proven document holds this string: it can only be written with that escape, which is left to the exact reader.
"""

_CHUNK_BYTES = 1 << 18  # what stays in a core's cache
_QUOTE, _COLON, _COMMA, _CLOSER, _SPACE, _BACKSLASH = 34, 58, 44, 0x7D, 32, 92
_SCALAR = np.zeros(256, dtype=np.uint8)  # by first character: 1 a number or boolean, 2 a string, 3 a sign, 4 an array
_SCALAR[[*b"0123456789tf"]] = 1
_SCALAR[_QUOTE] = 2
_SCALAR[45] = 3
_ARRAY = 4
_SCALAR[91] = _ARRAY


class _Found(NamedTuple):
    """What was counted in each value of an array."""

    present: Flags
    members: Counts
    strings: Counts
    nulls: Counts
    doubtful: Flags


class Prover:
    """Takes documents apart as a contract lays them out. Pure: the same text gives the same answer in any batch."""

    def __init__(self, contract: Contract) -> None:
        self._kernel = SqlKernel()
        fields = list(contract.arrow_schema())
        layout = json.dumps({field.name: _layout(field) for field in fields}, ensure_ascii=False).replace("'", "''")
        self._sql = f"SELECT from_json(doc, '{layout}') AS fields FROM docs"
        self._careful_sql = self._sql.replace("(doc,", "(CASE WHEN json_valid(doc) THEN doc END,", 1)
        self._types = fields
        self._type = pa.struct([pa.field(field.name, _parsed_type(field)) for field in fields])

    def __call__(self, docs: pa.Array) -> pa.Array:
        """Return the fields of each document, texts of numbers as text; null where nothing is proven."""
        if not self._types or not len(docs):
            return pa.nulls(len(docs), self._type)
        bare, hazards = _without_escapes(docs)
        colons, quotes, blanks = _count_bytes(bare)
        hazards |= blanks
        fields = self._parse(docs)
        found = self._tally(fields, nulls=False)
        proven = _adds_up(found, colons, quotes) & ~hazards
        again = np.flatnonzero(~proven & ~hazards & (found.members < colons) & ~found.doubtful)
        if len(again):
            held = self._with_nulls(docs, again, colons, quotes)
            if held is not None:
                rows, nulled = held
                proven[rows] = True
                places = np.arange(len(docs))
                places[rows] = len(docs) + np.arange(len(rows))
                fields = pa.concat_arrays([fields, nulled]).take(pa.array(places))
        return pa.StructArray.from_arrays(fields.flatten(), fields=list(fields.type), mask=pa.array(~proven))

    def _parse(self, docs: pa.Array) -> pa.StructArray:
        texts = pa.table({"doc": docs})
        try:
            table = self._kernel.run(self._sql, docs=texts)
        except duckdb.InvalidInputException:  # some text is not JSON: parse twice, which most batches need not
            table = self._kernel.run(self._careful_sql, docs=texts)
        return _one_chunk(table.column(0))

    def _tally(self, fields: pa.StructArray, *, nulls: bool) -> _Found:
        return _tally_struct(fields, self._types, nulls=nulls)

    def _with_nulls(
        self, docs: pa.Array, rows: npt.NDArray[np.intp], colons: Counts, quotes: Counts
    ) -> tuple[npt.NDArray[np.intp], pa.StructArray] | None:
        """Prove documents with null members: each null becomes a string that none of them holds."""
        texts = docs.take(pa.array(rows))
        able = pc.match_substring_regex(texts, '": ?null').to_numpy(zero_copy_only=False)
        rows = rows[able]
        if not len(rows):
            return None
        texts = texts.filter(pa.array(able))
        marked = pc.replace_substring(
            pc.replace_substring(texts, '":null', f'":{NULL_RAW}'), '": null', f'": {NULL_RAW}'
        )
        longer = pc.subtract(pc.binary_length(marked), pc.binary_length(texts)).to_numpy()
        fields = self._parse(marked)
        found = self._tally(fields, nulls=True)
        proven = _adds_up(found, colons[rows], quotes[rows])
        proven &= found.nulls * (len(NULL_RAW) - len("null")) == longer
        return (rows[proven], fields.filter(pa.array(proven))) if proven.any() else None


def _adds_up(found: _Found, colons: Counts, quotes: Counts) -> Flags:
    proven: Flags = (
        (found.members > 0)
        & (found.members == colons)
        & (quotes == 2 * (found.members + found.strings))
        & ~found.doubtful
    )
    return proven


def is_json(field: pa.Field) -> bool:
    """Say whether a field's text is JSON."""
    return (field.metadata or {}).items() >= JSON_MARK.items()


def is_text(field: pa.Field) -> bool:
    """Say whether a field comes from a JSON string."""
    type_ = field.type
    return not is_json(field) and not (
        pa.types.is_nested(type_)
        or pa.types.is_integer(type_)
        or pa.types.is_floating(type_)
        or pa.types.is_decimal(type_)
        or pa.types.is_boolean(type_)
    )


def _layout(field: pa.Field) -> object:
    if pa.types.is_struct(field.type):
        return {child.name: _layout(child) for child in field.type}
    if pa.types.is_list(field.type):
        return [_layout(field.type.value_field)]
    return "VARCHAR" if is_text(field) else "JSON"


def _parsed_type(field: pa.Field) -> pa.DataType:
    if pa.types.is_struct(field.type):
        return pa.struct([pa.field(child.name, _parsed_type(child)) for child in field.type])
    if pa.types.is_list(field.type):
        return pa.list_(_parsed_type(field.type.value_field))
    return pa.string()


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _without_escapes(docs: pa.Array) -> tuple[pa.Array, Flags]:
    """Return the texts with escaped backslashes and quotes blanked, and which texts may hold the mark of null.

    In what is returned, each quote that is left bounds a string.
    """
    marked = np.zeros(len(docs), dtype=np.bool_)
    data = docs.buffers()[2]
    if data is None or not (np.frombuffer(data, dtype=np.uint8) == _BACKSLASH).any():
        return docs, marked
    escaped = pc.fill_null(pc.match_substring(docs, "\\"), False)
    some = docs.filter(escaped)
    marked[escaped.to_numpy(zero_copy_only=False)] = pc.match_substring(some, NULL_RAW[1:-1]).to_numpy(
        zero_copy_only=False
    )
    blank = pc.replace_substring(pc.replace_substring(some, "\\\\", "__"), '\\"', "__")
    return pc.replace_with_mask(docs, escaped, blank), marked


def _count_bytes(docs: pa.Array) -> tuple[Counts, Counts, Flags]:
    """Return, for each text: quotes before a colon, quotes, and whether the exact reader must look at it."""
    rows = len(docs)
    offsets = np.frombuffer(docs.buffers()[1], dtype=np.int32)[docs.offset : docs.offset + rows + 1].astype(np.int64)
    data = np.frombuffer(docs.buffers()[2] or b"", dtype=np.uint8)
    colons, quotes, hazards = (np.zeros(rows, dtype=np.int64) for _ in range(3))
    first = 0
    while first < rows:
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + _CHUNK_BYTES, side="right")) - 1)
        begin, end = offsets[first], offsets[last]
        here, borders = data[begin:end], offsets[first : last + 1] - begin
        if len(here) > 2:
            quote, blank, comma = here == _QUOTE, here <= _SPACE, here == _COMMA
            colon, closer = here == _COLON, (here | 0x20) == _CLOSER
            quotes[first:last] = _per_row(quote, borders)
            colons[first:last] = _per_row(quote[:-1] & colon[1:], borders)
            loose = (colon | closer)[2:] & blank[1:-1] & (quote | blank | comma)[:-2]
            hazards[first:last] = _per_row(loose | closer[2:] & comma[1:-1], borders)
        first = last
    return colons, quotes, hazards > 0


def _per_row(flags: Flags, borders: Counts) -> Counts:
    """Return how many flags are set between borders, by counting bits."""
    bits = np.packbits(flags, bitorder="little")
    bits_of_64 = np.zeros((int(borders[-1]) >> 6) + 1, dtype="<u8")
    bits_of_64.view(np.uint8)[: len(bits)] = bits
    upto = np.zeros(len(bits_of_64), dtype=np.int64)
    np.cumsum(np.bitwise_count(bits_of_64[:-1]), dtype=np.int64, out=upto[1:])
    whole = borders >> 6
    below = (np.uint64(1) << (borders & 63).astype(np.uint64)) - np.uint64(1)
    before = upto[whole] + np.bitwise_count(bits_of_64[whole] & below)
    counted: Counts = np.diff(before)
    return counted


def _valid(array: pa.Array) -> Flags:
    flags: Flags = array.is_valid().to_numpy(zero_copy_only=False)
    return flags


def _tally(array: pa.Array, field: pa.Field, *, nulls: bool) -> _Found:
    if pa.types.is_struct(field.type):
        return _tally_struct(array, list(field.type), nulls=nulls)
    if pa.types.is_list(field.type):
        return _tally_list(array, field.type.value_field, nulls=nulls)
    present = _valid(array)
    none = np.zeros(len(array), dtype=np.int64)
    null = none.astype(bool)
    if nulls:
        marker = NULL_TEXT if is_text(field) else NULL_RAW
        null = pc.fill_null(pc.equal(array, marker), False).to_numpy(zero_copy_only=False)
    if is_text(field):
        # An array becomes text too; one of a single string would add up.
        arrays = present & (_kinds(array) == _ARRAY)
        return _Found(present, none, (present & ~null).astype(np.int64), null.astype(np.int64), arrays)
    kind = _kinds(array)
    return _Found(present, none, (present & (kind == 2) & ~null).astype(np.int64), null.astype(np.int64),
                  present & ((kind == 0) | (kind == _ARRAY)))  # fmt: skip


def _kinds(array: pa.Array) -> npt.NDArray[np.uint8]:
    """Return what each JSON text is by its first characters; a sign counts as a number only before a digit."""
    if not len(array) or array.buffers()[2] is None or not array.buffers()[2].size:
        return np.zeros(len(array), dtype=np.uint8)
    offsets = np.frombuffer(array.buffers()[1], dtype=np.int32)[array.offset : array.offset + len(array)]
    data = np.frombuffer(array.buffers()[2], dtype=np.uint8)
    limit = len(data) - 1
    kinds = _SCALAR[data[np.minimum(offsets, limit)]]
    signs = np.flatnonzero(kinds == 3)
    if len(signs):
        after = data[np.minimum(offsets[signs] + 1, limit)]
        kinds[signs] = (after >= 48) & (after <= 57)
    return kinds


def _tally_struct(array: pa.StructArray, fields: list[pa.Field], *, nulls: bool) -> _Found:
    rows = len(array)
    members, strings, null_count = (np.zeros(rows, dtype=np.int64) for _ in range(3))
    doubtful = np.zeros(rows, dtype=np.bool_)
    for child, field in zip(array.flatten(), fields, strict=True):
        found = _tally(child, field, nulls=nulls)
        members += found.present
        members += found.members
        strings += found.strings
        null_count += found.nulls
        doubtful |= found.doubtful
    return _Found(members > 0, members, strings, null_count, doubtful)


def _tally_list(array: pa.ListArray, item: pa.Field, *, nulls: bool) -> _Found:
    borders = array.offsets.to_numpy().astype(np.int64)
    found = _tally(array.values, item, nulls=nulls)
    # An element that is null, or an object without a known member, cannot be told from one of another shape.
    doubtful = _sums(~found.present | found.doubtful, borders) > 0
    return _Found(
        _valid(array),
        _sums(found.members, borders),
        _sums(found.strings, borders),
        _sums(found.nulls, borders),
        doubtful,
    )


def _sums(values: Counts | Flags, borders: Counts) -> Counts:
    upto = np.concatenate(([0], np.cumsum(values, dtype=np.int64)))
    summed: Counts = upto[borders[1:]] - upto[borders[:-1]]
    return summed
