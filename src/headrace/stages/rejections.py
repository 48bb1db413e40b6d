"""Building the rejected and warned halves of an Outcome, a column at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from headrace import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.stages.json_text import Unreadable


class Fault(NamedTuple):
    """Why a message is rejected: a row of `words.rejection_schema()` but for the stage."""

    row: int
    code: str
    reason: str
    path: str | None
    value: str | None

    @classmethod
    def of(cls, row: int, verdict: Unreadable) -> Fault:
        """Keep what a verdict says, and not the frames that an exception holds on to."""
        return cls(row, verdict.code, str(verdict), verdict.path, verdict.value)


def none_rejected() -> pa.RecordBatch:
    """Return a rejection batch without rows."""
    return pa.RecordBatch.from_pylist([], schema=words.rejection_schema())


def rejections(
    rows: pa.Array,
    *,
    stage: str,
    code: str | pa.Array,
    reason: str | pa.Array,
    path: str | pa.Array | None = None,
    value: str | pa.Array | None = None,
) -> pa.RecordBatch:
    """Return a rejection for each of `rows` (values of the ROW column); a text stands for all of them.

    Values are cut to the length that the layout promises.
    """
    if isinstance(value, pa.Array):
        value = pc.utf8_slice_codeunits(value, 0, 200)
    columns = (rows.cast(pa.int32()), stage, code, reason, path, value)
    return pa.RecordBatch.from_arrays(
        [c if isinstance(c, pa.Array) else pa.repeat(pa.scalar(c, pa.string()), len(rows)) for c in columns],
        schema=words.rejection_schema(),
    )


def of_faults(stage: str, faults: Sequence[Fault]) -> pa.RecordBatch:
    """Return faults found one by one as rejections, in the order of their messages."""
    ordered = sorted(faults, key=lambda fault: fault.row)
    return pa.RecordBatch.from_pylist(
        [fault._asdict() | {"stage": stage} for fault in ordered], schema=words.rejection_schema()
    )


def in_row_order(parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Return all the rejections of `parts` by row; those of one row stay in the order of `parts`."""
    table = pa.Table.from_batches(parts, schema=words.rejection_schema())
    table = table.append_column(
        "part", pa.array([i for i, part in enumerate(parts) for _ in range(len(part))], pa.int32())
    )
    table = table.sort_by([("row", "ascending"), ("part", "ascending")]).drop_columns(["part"]).combine_chunks()
    batches = table.to_batches()
    return batches[0] if batches else none_rejected()
