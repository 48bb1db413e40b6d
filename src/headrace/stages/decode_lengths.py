"""The shortest way to a proof: a document that is exactly as long as what was found in it has room for nothing else.

Of what DuckDB found in a document we know the fewest bytes that say it: names, values, and the marks between them. A
text without backslashes holds two quotes for each member and two for each string, so quotes count both. Say that they
are as many as was found, and the text as long as the fewest bytes; then nothing else is in it, not even a blank.

Why: k of the strings that we found may have been other scalars, which a text column takes as their text; each saves the
two quotes that we reckoned. As the quotes add up, the text has X further members and Y further strings in them, and
X + Y = k. Those take at least 5 X + Y bytes, and for two or more strings in one member 3 bytes a string; there are 2 k.
So k, X and Y are 0. What is left to fill is nothing, unless a number was written in fewer bytes than DuckDB wrote it
anew: of such texts nothing is proven here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from headrace.stages.decode_counts import Counts, Flags

_BRACES, _QUOTES, _COMMA = 2, 2, 1
_ZERO, _POINT, _MINUS, _EXPONENT = ord("0"), ord("."), ord("-"), ord("e")
_INFINITY = b"Infinity"


def name_bytes(name: str) -> int:
    """Return how many bytes a member takes beside its value, the comma before it included."""
    return len(name.encode()) + _QUOTES + 1 + _COMMA


def object_bytes(values: Counts, present: Flags) -> Counts:
    """Return the bytes of objects from those of all their members; the first has no comma before it."""
    return np.where(present, values + (_BRACES - _COMMA), 0)


def array_bytes(elements: Counts, size: Counts, present: Flags) -> Counts:
    """Return the bytes of arrays from those of their elements, and how many there are."""
    return np.where(present, elements + _BRACES + np.maximum(size - 1, 0), 0)


def text_bytes(array: pa.Array, present: Flags, *, quoted: bool) -> Counts:
    """Return the bytes of strings that come without their quotes, or (`quoted`) of JSON as it is."""
    offsets = _offsets(array)
    lengths: Counts = np.subtract(offsets[1:], offsets[:-1], dtype=np.int64)
    if not quoted:
        lengths += _QUOTES
    return lengths if present.all() else np.where(present, lengths, 0)


def respelled(array: pa.Array, numeric: Flags) -> Flags:
    """Say of texts, those of numbers among them being `numeric`, which may have been written in fewer bytes.

    DuckDB writes a double without an exponent while that is short: 1e2 as 100.0, and 1e-4 as 0.0001.
    """
    found = np.zeros(len(array), dtype=np.bool_)
    offsets, data = _offsets(array), _data(array)
    rows = np.flatnonzero(numeric & (offsets[1:] > offsets[:-1]))
    if not len(rows):
        return found
    begins, ends = offsets[rows], offsets[rows + 1]
    inside = data[begins[0] : ends[-1]]
    if (inside == _POINT).any():
        begins = begins + (data[begins] == _MINUS)
        length = ends - begins
        round_ = _have(data, ends - 3, b"0.0") & (length >= 3)
        found[rows[round_ | _have(data, begins, b"0.00") & (length >= 4)]] = True
    marks = np.flatnonzero(inside == _EXPONENT) + offsets[rows[0]]
    if len(marks):
        owner = np.searchsorted(begins, marks, side="right") - 1
        found[rows[owner[marks < ends[owner]]]] = True
    return found


def infinite(array: pa.Array, odd: Flags) -> Flags:
    """Say which texts, those that begin with no digit and no bracket being `odd`, may have been infinity.

    DuckDB takes `inf` for a number, and writes it in full.
    """
    found = np.zeros(len(array), dtype=np.bool_)
    offsets = _offsets(array)
    length = offsets[1:] - offsets[:-1]
    rows = np.flatnonzero(odd & ((length == len(_INFINITY)) | (length == len(_INFINITY) + 1)))
    if len(rows):
        found[rows[_have(_data(array), offsets[rows + 1] - len(_INFINITY), _INFINITY)]] = True
    return found


def _have(data: npt.NDArray[np.uint8], places: npt.NDArray[np.int32], text: bytes) -> Flags:
    """Say at which places the data has this text."""
    left = np.arange(len(places))
    for at in reversed(range(len(text))):
        where = np.clip(places[left] + at, 0, len(data) - 1)
        left = left[data[where] == text[at]]
    found = np.zeros(len(places), dtype=np.bool_)
    found[left] = True
    return found


def _data(array: pa.Array) -> npt.NDArray[np.uint8]:
    return np.frombuffer(array.buffers()[2] or b"", dtype=np.uint8)


def _offsets(array: pa.Array) -> npt.NDArray[np.int32]:
    buffer = array.buffers()[1]
    if buffer is None or not buffer.size:
        return np.zeros(len(array) + 1, dtype=np.int32)
    return np.frombuffer(buffer, dtype=np.int32)[array.offset : array.offset + len(array) + 1]
