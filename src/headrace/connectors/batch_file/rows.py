"""The rows of a file as messages that say where they come from: path, digest of the bytes, number of the row."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PATH, DIGEST, ROW = "file-path", "file-digest", "file-row"
"""Message attributes: the path below the source's location, SHA-256 of the bytes, and the row, from 1."""


class Numbered(NamedTuple):
    """Messages, and the number of the first of them in its file, from 0."""

    first: int
    messages: pa.RecordBatch


def numbered(batches: Iterable[pa.RecordBatch], path: str, digest: str) -> Iterator[Numbered]:
    """Yield the messages of one file with their attributes; those of one batch had the same ones before."""
    first = 0
    for batch in batches:
        told = {PATH: path, DIGEST: digest}
        if "attributes" in batch.schema.names and batch.num_rows:
            told = {**dict(batch.column("attributes")[0].as_py() or []), **told}
        columns = {"payload": batch.column("payload"), "attributes": _attributes(told, first, batch.num_rows)}
        yield Numbered(first, pa.record_batch(columns))
        first += batch.num_rows


def _attributes(told: dict[str, str], first: int, rows: int) -> pa.MapArray:
    """Return, for each message, what all have in common and its own ROW."""
    same = len(told)
    order = np.tile(np.arange(same + 1), rows)
    keys = pa.array([*told, ROW], pa.string()).take(pa.array(order))
    places = order.reshape(rows, same + 1).copy()
    places[:, same] += np.arange(rows)
    numbers = pa.array(np.arange(first + 1, first + rows + 1)).cast(pa.string())
    values = pa.concat_arrays([pa.array(list(told.values()), pa.string()), numbers]).take(pa.array(places.reshape(-1)))
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * (same + 1))
    return pa.MapArray.from_arrays(offsets, keys, values)
