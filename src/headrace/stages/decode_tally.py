"""What was found in documents that DuckDB took apart: members and strings, counted in the parsed form.

That is one side of the proof (`decode_proof`); the other is counted in the bytes of the documents themselves.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.contract import is_json
from headrace.stages.decode_counts import NULL_RAW, NULL_TEXT, count_bytes, sums, too_deep
from headrace.stages.decode_free import Free
from headrace.stages.decode_lengths import array_bytes, infinite, name_bytes, object_bytes, respelled, text_bytes
from headrace.stages.decode_shape import Node, is_array, is_object, is_text

if TYPE_CHECKING:
    import numpy.typing as npt

    from headrace.stages.decode_counts import Counts, Flags

    Rows = npt.NDArray[np.intp]

_OTHER, _BOOLEAN, _NUMBER, _STRING, _SIGN, _ARRAY, _OBJECT = range(7)
_KIND = np.zeros(256, dtype=np.uint8)
_KIND[[*b"0123456789"]] = _NUMBER
_KIND[[*b'tf"-[{']] = _BOOLEAN, _BOOLEAN, _STRING, _SIGN, _ARRAY, _OBJECT


class Found(NamedTuple):
    """What was counted in each value of an array, and the array as the contract lays it out."""

    array: pa.Array
    present: Flags
    members: Counts
    strings: Counts
    nulls: Counts
    doubtful: Flags
    least: Counts
    unsettled: Flags


class Tally:
    """Counts what was found in parsed documents, and sets the unknown members apart.

    `found` has a count for each document; bit p of `strangers` says that it has unknown members at place p. `free` are
    the texts of free JSON in them, which are yet to be proven.
    """

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

    def _value(self, array: pa.Array, node: Node, rows: Rows) -> Found:
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
            return Found(array, present, none, strings, null.astype(np.int64), arrays, least, loose)
        strings = (present & (kind == _STRING) & ~null).astype(np.int64)
        doubtful = present & ((kind == _OTHER) | (kind >= _ARRAY))
        return Found(array, present, none, strings, null.astype(np.int64), doubtful, least, loose)

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

    def _json(self, array: pa.Array, rows: Rows, room: int, *, exact: bool) -> Found:
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
        return Found(array, present, members, strings, nulls, doubtful, least, loose | rich)

    def _object(self, array: pa.StructArray, node: Node, rows: Rows) -> Found:
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
        return Found(whole, present, members, strings, nulls, doubtful, object_bytes(least, present), loose)

    def _array(self, array: pa.ListArray, node: Node, rows: Rows) -> Found:
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
        return Found(
            whole,
            present,
            sums(found.members, borders),
            sums(found.strings, borders),
            sums(found.nulls, borders),
            doubtful,
            array_bytes(sums(found.least, borders), np.diff(borders), present),
            sums(found.unsettled, borders) > 0,
        )


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
