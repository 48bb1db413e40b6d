"""The fast path of decode: proof, for a whole batch at once, that a text is exactly what its parsed form says.

DuckDB parses JSON fast but kindly: it takes NaN and trailing commas, the first of two equal keys, a number for a
string, and null for what does not fit. So its parse is believed only where counting proves it. Of a document we count,
in the bytes, the closing quotes before a colon (at least one for each member of an object) and all quotes (two for each
string); and, in the parsed form, the members M and the strings S that were found. `colons == M` proves that each member
was found, once: no unknown key, no second key, no null, nothing of another shape. `quotes == 2 * (M + S)` then proves
that each text was a string, arrays set aside. A comma before a closing bracket and whitespace between a key and its
colon are left to the exact reader; so is whatever fails to add up. What is written without a blank, as most machines
do, is proven by its length instead (`decode_lengths`), at a fraction of the cost.

Unknown members that open objects turn out to have join the layout as free JSON, beside the members that the contract
keeps as JSON text. What is inside of free JSON is counted in its own bytes, and proven by `decode_free`. Null is given
to the parser as a string that no proven document holds; for an object or array, DuckDB is asked what is there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.contract import is_json
from headrace.contracts.types import literal
from headrace.stages.decode_counts import (
    NULL_RAW,
    NULL_TEXT,
    count_bytes,
    count_quotes,
    sums,
    too_deep,
    without_escapes,
)
from headrace.stages.decode_free import Free, disprove
from headrace.stages.decode_lengths import array_bytes, infinite, name_bytes, object_bytes, respelled, text_bytes
from headrace.stages.decode_shape import Node, Shape, is_array, is_object, is_text
from headrace.stages.sql import SqlKernel

if TYPE_CHECKING:
    import numpy.typing as npt

    from headrace.contracts.contract import Contract
    from headrace.stages.decode_counts import Counts, Flags

    Rows = npt.NDArray[np.intp]

_SAMPLE = 24  # documents that are asked for their unknown members, in a batch that has some
_OTHER, _BOOLEAN, _NUMBER, _STRING, _SIGN, _ARRAY, _OBJECT = range(7)
_KIND = np.zeros(256, dtype=np.uint8)
_KIND[[*b"0123456789"]] = _NUMBER
_KIND[[*b'tf"-[{']] = _BOOLEAN, _BOOLEAN, _STRING, _SIGN, _ARRAY, _OBJECT


class Proof(NamedTuple):
    """What is certain of each document.

    `fields` is the document taken apart, texts of numbers as text; null where nothing is proven. Bit p of `strangers`
    says that it has unknown members at place p (`decode_shape`), bit p of `nulls` that null stands for the object or
    array at place p. `extra` is the JSON text of the unknown members of the document itself, by name.
    """

    fields: pa.StructArray
    strangers: pa.Int64Array
    nulls: pa.Int64Array
    extra: pa.StringArray


class _Found(NamedTuple):
    """What was counted in each value of an array, and the array as the contract lays it out."""

    array: pa.Array
    present: Flags
    members: Counts
    strings: Counts
    nulls: Counts
    doubtful: Flags
    least: Counts
    unsettled: Flags


class Prover:
    """Takes documents apart as a contract lays them out.

    It remembers which unknown members it met. That decides how fast a document is proven and which are left to the
    exact reader, never what is said of one.
    """

    def __init__(self, contract: Contract, max_depth: int = 100) -> None:
        self._kernel = SqlKernel()
        self._shape = Shape(contract)
        self._root = self._shape.root
        self._type = self._root.parsed_type()
        self._lenient = contract.validation == "lenient"
        self._max_depth = max_depth
        self._nested = [node for node in self._root.nested() if node.path not in (None, "$") and node.place > 0]
        self._lay_out()

    def _lay_out(self) -> None:
        layout = literal(json.dumps(self._root.layout(), ensure_ascii=False))
        self._sql = f"SELECT from_json(doc, {layout}) AS fields FROM docs"
        self._careful_sql = self._sql.replace("(doc,", "(CASE WHEN json_valid(doc) THEN doc END,", 1)

    def __call__(self, docs: pa.Array) -> Proof:
        """Return what is certain of each document."""
        rows = len(docs)
        if not self._root.children or not rows:
            return Proof(pa.nulls(rows, self._type), _words(rows), _words(rows), pa.nulls(rows, pa.string()))
        reading = _Reading(self, docs)
        reading.plainly(np.arange(rows))
        if len(left := reading.left()) and self._met(docs.take(pa.array(_some(left)))):
            reading.plainly(left)
        if len(left := reading.left()):
            reading.with_nulls(left)
        return reading.proof()

    def _met(self, docs: pa.Array) -> bool:
        """Add the unknown members of some documents to the layout; say whether there were new ones."""
        learned = False
        for text in docs.cast(pa.binary()).to_pylist():
            try:
                document = orjson.loads(text)
            except orjson.JSONDecodeError:
                continue
            learned |= self._shape.learn(document)
        if learned:
            self._lay_out()
        return learned

    def parse(self, docs: pa.Array) -> pa.StructArray:
        """Return the documents as DuckDB reads them, null where it cannot."""
        texts = pa.table({"doc": docs})
        try:
            table = self._kernel.run(self._sql, docs=texts)
        except (duckdb.InvalidInputException, UnicodeDecodeError):
            # Some text is not JSON: parse twice, which most batches need not. DuckDB's message cites the beginning of
            # the text, which may end within a character.
            table = self._kernel.run(self._careful_sql, docs=texts)
        return _one_chunk(table.column(0))

    def null_places(self, docs: pa.Array) -> tuple[Counts, Counts]:
        """Return, for valid documents, the places where null stands for an object or array, and how many."""
        places, many = (np.zeros(len(docs), dtype=np.int64) for _ in range(2))
        if self._nested:
            paths = ", ".join("'" + str(node.path) + "'" for node in self._nested)
            sql = f"SELECT list_transform(json_type(doc, [{paths}]), lambda x: x = 'NULL') AS null_at FROM docs"
            found = _one_chunk(self._kernel.run(sql, docs=pa.table({"doc": docs})).column(0))
            flags = pc.fill_null(found.flatten(), False).to_numpy(zero_copy_only=False)
            for node, null in zip(self._nested, flags.reshape(-1, len(self._nested)).T, strict=True):
                places[null] |= 1 << node.place
                many += null
        return places, many

    def tally(self, fields: pa.StructArray, *, nulls: bool) -> _Tally:
        """Count what was found in parsed documents."""
        return _Tally(self._root, fields, nulls=nulls, max_depth=self._max_depth, lenient=self._lenient)


class _Reading:
    """One batch on its way to a proof: the documents, what was counted in them, and what is proven so far."""

    def __init__(self, prover: Prover, docs: pa.Array) -> None:
        self._prover, self._docs = prover, docs
        rows = len(docs)
        self._colons, self._quotes = (np.zeros(rows, dtype=np.int64) for _ in range(2))
        self._hazards, self._counted = (np.zeros(rows, dtype=np.bool_) for _ in range(2))
        self._open = np.ones(rows, dtype=np.bool_)
        self._place = np.full(rows, -1, dtype=np.int64)
        self._nulls = np.zeros(rows, dtype=np.int64)
        self._parts: list[tuple[pa.Array, Counts, pa.Array]] = []
        self._size = 0

    def left(self) -> Rows:
        """Return the documents that another way of reading may yet prove."""
        return np.flatnonzero(self._open & ~self._hazards & (self._place < 0))

    def plainly(self, rows: Rows) -> None:
        """Prove documents without null, as far as the layout knows their members."""
        docs = self._docs if len(rows) == len(self._docs) else self._docs.take(pa.array(rows))
        tally = self._prover.tally(self._prover.parse(docs), nulls=False)
        found = tally.found
        certain = (found.members > 0) & ~found.doubtful
        proven = certain & self._filled(docs, found)
        rest = np.flatnonzero(~proven)
        self._open[rows] = False
        if len(rest):
            here = rows[rest]
            self._count(here)
            missing = self._colons[here] - found.members[rest]
            even = self._quotes[here] == 2 * (found.members + found.strings)[rest]
            proven[rest] = certain[rest] & (missing == 0) & even & ~self._hazards[here]
            self._open[here] = missing > 0
        self._keep(rows, docs, tally, proven)

    def _filled(self, docs: pa.Array, found: _Found) -> Flags:
        """Say which of some documents have no room for more than what was found in them (`decode_lengths`)."""
        lengths = pc.fill_null(pc.binary_length(docs), 0).to_numpy(zero_copy_only=False)
        full: Flags = (found.least == lengths) & ~found.unsettled
        if full.any():
            quotes, escaped = count_quotes(docs)
            full &= ~escaped & (quotes == 2 * (found.members + found.strings))
        return full

    def _count(self, rows: Rows) -> None:
        """Count in the bytes of those documents that were not counted yet."""
        rows = rows[~self._counted[rows]]
        whole = len(rows) == len(self._docs)
        counted = count_bytes(self._docs if whole else self._docs.take(pa.array(rows)))
        self._colons[rows], self._quotes[rows], self._hazards[rows] = counted
        self._counted[rows] = True

    def with_nulls(self, rows: Rows) -> None:
        """Prove documents with null members: each null becomes a string that none of them holds."""
        texts = self._docs.take(pa.array(rows))
        able = pc.match_substring_regex(texts, '": ?null').to_numpy(zero_copy_only=False)
        rows, docs = rows[able], texts.filter(pa.array(able))
        if not len(rows):
            return
        marked = pc.replace_substring(
            pc.replace_substring(docs, '":null', f'":{NULL_RAW}'), '": null', f'": {NULL_RAW}'
        )
        nulls = pc.count_substring_regex(without_escapes(docs), '": ?null').to_numpy()
        tally = self._prover.tally(self._prover.parse(marked), nulls=True)
        found = tally.found
        missing = self._colons[rows] - found.members
        # A mark within a string leaves no JSON. What was not found is null as well: each null that was not found is
        # among the missing, and they are as many.
        proven = found.nulls + missing == nulls
        proven &= self._quotes[rows] == 2 * (found.members + missing + found.strings)
        proven &= (missing >= 0) & (found.members > 0) & ~found.doubtful
        behind = np.flatnonzero(proven & (missing > 0))
        if len(behind):
            places, many = self._prover.null_places(docs.take(pa.array(behind)))
            proven[behind] = many == missing[behind]
            self._nulls[rows[behind]] = places
        self._keep(rows, docs, tally, proven)

    def _keep(self, rows: Rows, docs: pa.Array, tally: _Tally, proven: Flags) -> None:
        disprove(tally.free, docs, proven)
        self._place[rows[proven]] = self._size + np.flatnonzero(proven)
        self._size += len(rows)
        self._parts.append((tally.found.array, tally.strangers, tally.extra()))

    def proof(self) -> Proof:
        """Return what is proven."""
        unproven = pa.array(self._place < 0)
        arrays, strangers, extras = zip(*self._parts, strict=True)
        fields, bits, extra = arrays[0], strangers[0], extras[0]
        if len(self._parts) > 1:
            places = np.where(self._place < 0, 0, self._place)
            fields = pa.concat_arrays(arrays).take(pa.array(places))
            extra = pa.concat_arrays(extras).take(pa.array(places))
            bits = np.concatenate(strangers)[places]
        fields = pa.StructArray.from_arrays(fields.flatten(), fields=list(fields.type), mask=unproven)
        return Proof(fields, pa.array(bits), pa.array(self._nulls), extra)


class _Tally:
    """Counts what was found in parsed documents, and sets the unknown members apart."""

    def __init__(self, root: Node, fields: pa.StructArray, *, nulls: bool, max_depth: int, lenient: bool) -> None:
        self._root, self._with_nulls, self._max_depth, self._lenient = root, nulls, max_depth, lenient
        self._unknown: list[tuple[str, pa.Array]] = []
        self.strangers = np.zeros(len(fields), dtype=np.int64)
        self.free: list[Free] = []
        self.found = self._object(fields, root, np.arange(len(fields)))

    def extra(self) -> pa.Array:
        """Return the text of the unknown members of each document, null where there are none or they are not kept."""
        rows = len(self.strangers)
        if not self._lenient or not self._unknown:
            return pa.nulls(rows, pa.string())
        # Not null_handling="skip": Arrow's drops the rows that are null in every column.
        members = [
            pc.fill_null(pc.binary_join_element_wise(f",{json.dumps(name, ensure_ascii=False)}:", texts, ""), "")
            for name, texts in self._unknown
        ]
        inside = pc.binary_join_element_wise(*members, "")
        whole = pc.binary_join_element_wise("{", pc.utf8_slice_codeunits(inside, 1), "}", "")
        return pc.if_else(pc.equal(inside, ""), None, whole)

    def _value(self, array: pa.Array, node: Node, rows: Rows) -> _Found:
        field = node.field
        if is_object(field):
            return self._object(array, node, rows)
        if is_array(field):
            return self._array(array, node, rows)
        if is_json(field):
            return self._json(array, rows, self._max_depth - node.level, exact=True)
        present = _valid(array)
        none = np.zeros(len(array), dtype=np.int64)
        null = none.astype(bool)
        if self._with_nulls:
            marker = NULL_TEXT if is_text(field) else NULL_RAW
            null = pc.fill_null(pc.equal(array, marker), False).to_numpy(zero_copy_only=False)
        kind = _kinds(array)
        least, loose = self._least(array, present, kind, text=is_text(field))
        if is_text(field):
            # An array becomes text too; one of a single string would add up.
            arrays = present & (kind == _ARRAY)
            strings = (present & ~null).astype(np.int64)
            return _Found(array, present, none, strings, null.astype(np.int64), arrays, least, loose)
        strings = (present & (kind == _STRING) & ~null).astype(np.int64)
        doubtful = present & ((kind == _OTHER) | (kind >= _ARRAY))
        return _Found(array, present, none, strings, null.astype(np.int64), doubtful, least, loose)

    def _least(
        self, array: pa.Array, present: Flags, kind: npt.NDArray[np.uint8], *, text: bool
    ) -> tuple[Counts, Flags]:
        """Return the fewest bytes of each value, and where that is not certain. Marks of null have no length."""
        if self._with_nulls:
            return np.zeros(len(array), dtype=np.int64), np.ones(len(array), dtype=np.bool_)
        loose = respelled(array, present & (kind == _NUMBER))
        if text:  # an object becomes text too, with members that were not counted
            loose |= (present & (kind == _OBJECT)) | infinite(array, present & (kind == _OTHER))
        return text_bytes(array, present, quoted=not text), loose

    def _json(self, array: pa.Array, rows: Rows, room: int, *, exact: bool) -> _Found:
        """Count free JSON, in its own bytes, which may nest as deep as there is room."""
        present = _valid(array)
        nulls, members = (np.zeros(len(array), dtype=np.int64) for _ in range(2))
        null = np.zeros(len(array), dtype=np.bool_)
        kind = _kinds(array)
        least, loose = self._least(array, present, kind, text=False)
        rich = present & (kind >= _ARRAY)
        doubtful = present & (kind == _OTHER)
        if self._with_nulls:
            null = pc.fill_null(pc.equal(array, NULL_RAW), False).to_numpy(zero_copy_only=False)
            nulls += null
            if rich.any():
                restored = pc.replace_substring(array, f'":{NULL_RAW}', '":null')
                shorter = pc.fill_null(pc.subtract(pc.binary_length(array), pc.binary_length(restored)), 0)
                nulls += shorter.to_numpy(zero_copy_only=False) // (len(NULL_RAW) - len("null"))
                array = restored
        strings = (present & (kind == _STRING) & ~null).astype(np.int64)
        if rich.any():
            texts = array.filter(pa.array(rich))
            inner = count_bytes(texts, written=True)
            members[rich] = inner.colons
            strings[rich] = inner.quotes // 2 - inner.colons
            doubtful[rich] |= too_deep(texts, room)
        real = present & ~null
        if exact or rich.any():
            some = real if exact else rich
            texts = array if some.all() else array.filter(pa.array(some))
            self.free.append(Free(texts, rows[some], rich[some], exact))
        return _Found(array, present, members, strings, nulls, doubtful, least, loose | rich)

    def _object(self, array: pa.StructArray, node: Node, rows: Rows) -> _Found:
        size = len(array)
        members, strings, nulls, known, least = (np.zeros(size, dtype=np.int64) for _ in range(5))
        doubtful, loose = (np.zeros(size, dtype=np.bool_) for _ in range(2))
        columns = array.flatten()
        kept = []
        for index, column in enumerate(columns):
            stranger = index >= len(node.children)
            name = node.strangers[index - len(node.children)] if stranger else node.children[index].field.name
            if stranger:
                exact = self._lenient and node is self._root
                found = self._json(column, rows, self._max_depth - node.level - 1, exact=exact)
                self.strangers[rows[found.present]] |= 1 << node.place
                if exact:
                    texts = found.array
                    if self._with_nulls:
                        texts = pc.if_else(pc.equal(texts, NULL_RAW), "null", texts)
                    self._unknown.append((name, texts))
            else:
                found = self._value(column, node.children[index], rows)
                kept.append(found.array)
                known += found.present
            members += found.present
            members += found.members
            strings += found.strings
            nulls += found.nulls
            doubtful |= found.doubtful
            least += found.least + name_bytes(name) * found.present
            loose |= found.unsettled
        # An object of nothing but unknown members would look like none.
        doubtful |= (members > 0) & (known == 0)
        whole = array
        if any(mine is not theirs for mine, theirs in zip(kept, columns, strict=False)) or len(kept) < len(columns):
            fields = [pa.field(child.field.name, each.type) for child, each in zip(node.children, kept, strict=True)]
            mask = None if array.null_count == 0 else array.is_null()
            whole = pa.StructArray.from_arrays(kept, fields=fields, mask=mask)
        present = members > 0
        return _Found(whole, present, members, strings, nulls, doubtful, object_bytes(least, present), loose)

    def _array(self, array: pa.ListArray, node: Node, rows: Rows) -> _Found:
        borders = array.offsets.to_numpy().astype(np.int64)
        values = array.values.slice(borders[0], borders[-1] - borders[0])
        borders -= borders[0]
        found = self._value(values, node.children[0], np.repeat(rows, np.diff(borders)))
        # An element that is null, or an object without a known member, cannot be told from one of another shape.
        doubtful = sums(~found.present | found.doubtful, borders) > 0
        whole, present = array, _valid(array)
        if found.array is not values:
            mask = None if array.null_count == 0 else array.is_null()
            type_ = pa.list_(pa.field(array.type.value_field.name, found.array.type))
            whole = pa.ListArray.from_arrays(pa.array(borders.astype(np.int32)), found.array, type=type_, mask=mask)
        return _Found(
            whole,
            present,
            sums(found.members, borders),
            sums(found.strings, borders),
            sums(found.nulls, borders),
            doubtful,
            array_bytes(sums(found.least, borders), np.diff(borders), present),
            sums(found.unsettled, borders) > 0,
        )


def _some(rows: Rows) -> Rows:
    return rows[:: max(1, len(rows) // _SAMPLE)][:_SAMPLE]


def _words(rows: int) -> pa.Int64Array:
    return pa.array(np.zeros(rows, dtype=np.int64))


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _valid(array: pa.Array) -> Flags:
    flags: Flags = array.is_valid().to_numpy(zero_copy_only=False)
    return flags


def _kinds(array: pa.Array) -> npt.NDArray[np.uint8]:
    """Return what each JSON text is by its first characters; a sign counts as a number only before a digit."""
    if not len(array) or array.buffers()[2] is None or not array.buffers()[2].size:
        return np.zeros(len(array), dtype=np.uint8)
    offsets = np.frombuffer(array.buffers()[1], dtype=np.int32)[array.offset : array.offset + len(array)]
    data = np.frombuffer(array.buffers()[2], dtype=np.uint8)
    limit = len(data) - 1
    kinds = _KIND[data[np.minimum(offsets, limit)]]
    signs = np.flatnonzero(kinds == _SIGN)
    if len(signs):
        after = data[np.minimum(offsets[signs] + 1, limit)]
        kinds[signs] = np.where((after >= 48) & (after <= 57), _NUMBER, _OTHER)
    return kinds
