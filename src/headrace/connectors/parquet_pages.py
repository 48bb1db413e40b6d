"""The pages of a Parquet file, by their own headers: what reading it takes, told before anything is unpacked.

The metadata at a file's end may say anything; what a reader makes room for is what the header of each page says.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from headrace.connectors.thrift_compact import struct_at
from headrace.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PAGE_BYTES = 512 << 20
MAX_TEXT_PAGE_BYTES = 128 << 20
"""One page of texts or bytes, which may be one value: a value is held several times while it becomes a message."""
MAX_OPEN_BYTES = 1 << 30
"""What is open at once: of each column a page and its dictionary."""
MAX_THIN_VALUES = 16_000_000
"""How many items of a nested column may lie in pages of less than a bit for each: one row could have them all."""

_FOOTER_BYTES, _MAX_FOOTER_BYTES = 8, 256 << 20
_HEADER_BYTES, _MAX_HEADER_BYTES = 256, 16 << 20  # it may hold statistics: the smallest and the largest value
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_REPEATED = 2
_BYTE_ARRAY, _FIXED, _DELTA_BYTE_ARRAY = 6, 7, 7
_WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8}  # of the other physical types
_DECIMAL = 5  # the type whose byte arrays are numbers, as old files and as new ones say it


class Group(NamedTuple):
    """One row group. `row_bytes`: about what a row takes once it is read, `densest` in its densest pages.

    `texts` are the columns whose values are looked up in a dictionary: read as such, each is held once.
    """

    rows: int
    row_bytes: float
    densest: float
    texts: frozenset[str]


_EMPTY = Group(0, 0.0, 0.0, frozenset())


class _Leaf(NamedTuple):
    path: str
    width: int
    is_nested: bool
    is_decimal: bool


class _Page(NamedTuple):
    kind: int
    unpacked: int
    values: int


def groups(file: BinaryIO, name: str) -> list[Group]:
    """Return the row groups of a file. Raises `InputError` where one is damaged, or takes more memory than is had.

    It asks no library: those end the process over metadata that contradicts itself.
    """
    end = file.seek(0, io.SEEK_END)
    try:
        file.seek(max(0, end - _FOOTER_BYTES))
        tail = file.read(_FOOTER_BYTES)
        size = int.from_bytes(tail[:4], "little")
        if tail[4:] != b"PAR1" or size > min(end - _FOOTER_BYTES, _MAX_FOOTER_BYTES):
            raise ValueError("it does not end as a Parquet file does")
        file.seek(end - _FOOTER_BYTES - size)
        footer, _ = struct_at(file.read(size), 0)
        leaves = _leaves(footer[2])
        # A group without rows has no pages, and says no place of any.
        return [_group(file, group, leaves, end, name) if group[3] else _EMPTY for group in footer.get(4, [])]
    except (IndexError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(
            f"the Parquet file cannot be read: {error or 'its metadata is damaged'}",
            at=name,
            fix="fetch the file again",
        ) from error


def _leaves(elements: list[dict[int, Any]]) -> list[_Leaf]:
    """Return the columns of a schema, which lies there as a tree whose children follow each node."""
    found: list[_Leaf] = []
    above = [(int(elements[0].get(5, 0)), "", False)]
    for each in elements[1:]:
        while above and not above[-1][0]:
            above.pop()
        left, path, nested = above.pop()
        above.append((left - 1, path, nested))
        path = f"{path}.{each[4].decode()}".lstrip(".")
        nested |= each.get(3) == _REPEATED
        if each.get(5):
            above.append((int(each[5]), path, nested))
            continue
        width = int(each.get(2, 0)) if each[1] == _FIXED else _WIDTHS.get(each[1], 0)
        found.append(_Leaf(path, width, nested, each.get(6) == _DECIMAL or _DECIMAL in each.get(10, {})))
    return found


def _group(file: BinaryIO, group: dict[int, Any], leaves: list[_Leaf], end: int, name: str) -> Group:
    texts: set[str] = set()
    is_open = 0
    each = densest = 0.0
    for leaf, column in zip(leaves, group[1], strict=True):
        chunk = column[3]
        is_text = chunk[1] == _BYTE_ARRAY
        largest = dictionary = values = thin = bulk = 0
        dense = 0.0
        for page in _pages(file, chunk, end):
            _hold_page(page, leaf, MAX_TEXT_PAGE_BYTES if is_text else MAX_PAGE_BYTES, name)
            if page.kind == _DICTIONARY:
                dictionary = max(dictionary, page.unpacked)
                continue
            largest = max(largest, page.unpacked)
            values += page.values
            bulk += page.unpacked
            thin += page.values if page.values > 8 * page.unpacked else 0
            dense = max(dense, page.unpacked / max(1, page.values))
        if leaf.is_nested and thin > MAX_THIN_VALUES:
            raise InputError(
                f"the column {leaf.path} unfolds to {values:,} items in one row group, as a bomb does",
                at=name, fix="look at it; where it is what it should be, write it with smaller row groups",
            )  # fmt: skip
        is_open += largest + dictionary
        if not is_text:
            usual = worst = float(leaf.width)
        elif dictionary and not leaf.is_decimal:
            texts.add(leaf.path)
            usual, worst = 4 + bulk / max(1, values), 4 + dense
        else:
            # A dictionary's value, or the start that one has in common with the last, may be all of a page.
            whole = dictionary or _DELTA_BYTE_ARRAY in chunk[2]
            usual, worst = bulk / max(1, values), float(max(largest, dictionary)) if whole else dense
        repeated = max(1.0, values / max(1, group[3]))
        each += repeated * (usual + 1)
        densest += repeated * (worst + 1)
    if is_open > MAX_OPEN_BYTES:
        raise InputError(
            f"reading it takes {is_open:,} bytes of pages at once, and at most {MAX_OPEN_BYTES:,} are taken",
            at=name, fix="write it with smaller pages or row groups",
        )  # fmt: skip
    return Group(group[3], each, densest, frozenset(texts))


def _hold_page(page: _Page, leaf: _Leaf, most: int, name: str) -> None:
    if page.unpacked > most:
        raise InputError(
            f"a page of the column {leaf.path} unfolds to {page.unpacked:,} bytes, and at most {most:,} are taken",
            at=name, fix="write it with smaller pages (data_page_size, say)",
        )  # fmt: skip


def _pages(file: BinaryIO, chunk: dict[int, Any], end: int) -> Iterator[_Page]:
    at = chunk[9]
    if chunk.get(11):
        at = min(at, chunk[11])
    upto = at + chunk[7]
    if not 0 <= at <= upto <= end:
        raise ValueError("a column lies outside of it")
    while at < upto:
        fields, length = _header(file, at, upto)
        kind, unpacked, packed = (fields.get(number, 0) for number in (1, 2, 3))
        inner = fields.get({_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}.get(kind, 0), {})
        at += length + packed
        if min(unpacked, packed, inner.get(1, 0)) < 0 or at > upto:
            raise ValueError("a page is longer than its column")
        if inner:
            yield _Page(kind, unpacked, inner.get(1, 0))


def _header(file: BinaryIO, at: int, upto: int) -> tuple[dict[int, Any], int]:
    size = _HEADER_BYTES
    while True:
        file.seek(at)
        data = file.read(min(size, upto - at))
        try:
            return struct_at(data, 0)
        except IndexError:
            if len(data) < size or size >= _MAX_HEADER_BYTES:
                raise
            size *= 8
