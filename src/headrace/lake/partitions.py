"""Rows cut by the values that partition their table: a file each."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.lake.tables import Table


def parts(table: Table, rows: pa.Table) -> Iterator[tuple[tuple[object, ...], pa.Table]]:
    """Yield the rows of each partition value, in their order, without the partition columns."""
    if not len(rows):
        return
    if not table.partition:
        yield (), rows
        return
    names = list(table.partition)
    values = rows.select(names).combine_chunks()
    order = pa.array(np.arange(len(rows)))
    # One stable sort, then slices: a mask per value is quadratic where a replay brings thousands of dates.
    order = pc.sort_indices(values.append_column("\0at", order), [(name, "ascending") for name in (*names, "\0at")])
    starts = _run_starts(values.take(order))
    body = rows.drop_columns(names)
    if len(starts) == 1:
        yield tuple(values.slice(0, 1).to_pylist()[0].values()), body
        return
    where, body = order.to_numpy(), body.take(order)
    for start, end in itertools.pairwise((*starts.tolist(), len(rows))):
        value = values.slice(int(where[start]), 1).to_pylist()[0]
        yield tuple(value.values()), body.slice(start, end - start)


def _run_starts(ordered: pa.Table) -> np.ndarray:
    """Return where a new combination of values starts in an ordered table."""
    starts = np.zeros(len(ordered), dtype=bool)
    starts[0] = True
    for column in ordered.columns:
        codes = column.combine_chunks().dictionary_encode(null_encoding="encode").indices.to_numpy()
        starts[1:] |= codes[1:] != codes[:-1]
    return np.flatnonzero(starts)
