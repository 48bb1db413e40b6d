"""A lookup: one version of reference data, and where in it a key stands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.stages.sql import SqlKernel

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ROWS = 1_000_000
MAX_TABLE_BYTES = 256 << 20
"""How much a lookup may hold: it is in memory, once for each source that uses it."""


def comparable(field: pa.DataType, column: pa.DataType) -> pa.DataType | None:
    """Return the type in which an event's field and a lookup's column are compared; None where they cannot be.

    Whole numbers and doubles compare as doubles; all else only with its like.
    """
    if pa.types.is_nested(field) or pa.types.is_nested(column):
        return None
    if field == column:
        return field
    numbers = (pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (field, column))
    return pa.float64() if all(numbers) else None


class _Index(NamedTuple):
    """How a key is numbered, column by column.

    `values` are the distinct values of each column; `pairs` the numbers that the columns up to it have together, a
    number before times how many `values` there are, plus the number of the value. `codes` number the rows' keys in
    order of their first row, which is in `first`; a row with a null in its key has none.
    """

    values: tuple[pa.Array, ...]
    pairs: tuple[pa.Array, ...]
    codes: np.ndarray
    first: np.ndarray


@dataclass(frozen=True)
class Lookup:
    """The rows of a table by some of its columns, each in the type that it is compared in. Never changes.

    Where several rows have one key, the first is found. A row with a null in its key is never found.
    """

    table: pa.Table
    key: tuple[tuple[str, pa.DataType], ...]

    def find(self, columns: Sequence[pa.Array]) -> pa.Array:
        """Return the row of each key, given column by column; null where there is none, or a part of it is null.

        Costs what the keys cost, however large the lookup is: a hash leads to one row, whose key is then compared.
        """
        keys = [_as(column, kind) for column, (_, kind) in zip(columns, self.key, strict=True)]
        hashes, order, stored = self._hashed
        if not len(order):
            return pa.nulls(len(keys[0]), pa.int64())
        asked = _hashes(keys)
        places = np.minimum(np.searchsorted(hashes, asked), len(order) - 1)
        whole = _all([pc.is_valid(key) for key in keys])
        hit = whole & (hashes[places] == asked)
        rows = np.where(hit, order[places], 0)
        same = hit & _all(
            [pc.equal(column.take(pa.array(rows)), key) for column, key in zip(stored, keys, strict=True)]
        )
        found = pa.array(rows, mask=~same)
        other = hit & ~same  # two keys of one hash, or what is not equal to itself
        return found if not other.any() else self._exactly(keys, found, other)

    def _exactly(self, keys: Sequence[pa.Array], found: pa.Array, which: np.ndarray) -> pa.Array:
        """Return what was found, and for the keys of `which` what comparing all values finds."""
        mask = pa.array(which)
        codes = self._numbered([key.filter(mask) for key in keys], self._index.values, self._index.pairs)
        return pc.replace_with_mask(found, mask, pa.array(self._index.first).take(codes))

    @cached_property
    def repeated(self) -> tuple[int, int] | None:
        """The first row whose key stands in an earlier one: that earlier row, and itself; None where there is none."""
        index = self._index
        rows = np.flatnonzero(index.codes >= 0)
        again = rows[index.first[index.codes[rows]] != rows]
        if not len(again):
            return None
        return int(index.first[index.codes[again[0]]]), int(again[0])

    @cached_property
    def without_key(self) -> int | None:
        """The first row with a null in its key, which nothing can find; None where there is none."""
        rows = np.flatnonzero(self._index.codes < 0)
        return int(rows[0]) if len(rows) else None

    @cached_property
    def _hashed(self) -> tuple[np.ndarray, np.ndarray, list[pa.Array]]:
        """The hashes of the rows' keys in their order, the rows that they are of, the first first; and the keys."""
        keys = [_as(self.table[name].combine_chunks(), kind) for name, kind in self.key]
        hashes = _hashes(keys)
        order = np.argsort(hashes, kind="stable")
        return hashes[order], order, keys

    @cached_property
    def _index(self) -> _Index:
        columns = [self.table[name].combine_chunks() for name, _ in self.key]
        values = tuple(
            _as(column, kind).drop_null().unique() for column, (_, kind) in zip(columns, self.key, strict=True)
        )
        pairs: list[pa.Array] = []
        codes = self._numbered(columns[:1], values[:1], ())
        for column, known in zip(columns[1:], values[1:], strict=True):
            both = _paired(codes, pc.index_in(_as(column, known.type), value_set=known), len(known))
            pairs.append(both.drop_null().unique())
            codes = pc.index_in(both, value_set=pairs[-1])
        numbers = codes.fill_null(-1).to_numpy()
        found, first = np.unique(numbers, return_index=True)
        return _Index(values, tuple(pairs), numbers, first[found >= 0])

    def _numbered(self, columns: Sequence[pa.Array], values: Sequence[pa.Array], pairs: Sequence[pa.Array]) -> pa.Array:
        first, *rest = (
            pc.index_in(_as(column, known.type), value_set=known) for column, known in zip(columns, values, strict=True)
        )
        for code, known, together in zip(rest, values[1:], pairs, strict=True):
            first = pc.index_in(_paired(first, code, len(known)), value_set=together)
        return first


def _hashes(keys: Sequence[pa.Array]) -> np.ndarray:
    """Return a 64-bit hash of each key. Only ever compared within a process."""
    names = [f"k{place}" for place in range(len(keys))]
    found = SqlKernel().run(f"SELECT hash({', '.join(names)}) AS h FROM keys", keys=pa.table(list(keys), names))
    hashes: np.ndarray = found["h"].to_numpy()
    return hashes


def _all(verdicts: Sequence[pa.Array]) -> np.ndarray:
    """Return where all of them are true; null is not."""
    together = np.ones(len(verdicts[0]), dtype=bool)
    for verdict in verdicts:
        together &= verdict.fill_null(False).to_numpy(zero_copy_only=False)
    return together


def _paired(before: pa.Array, code: pa.Array, count: int) -> pa.Array:
    return pc.add(pc.multiply(before.cast(pa.int64()), count), code.cast(pa.int64()))


def _as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return column if column.type == kind else column.cast(kind, safe=False)
