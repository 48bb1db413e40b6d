"""What a stage is: a pure function from a RecordBatch to an Outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


PASSES, FAILS, ERRS = 0, 1, 2
"""The verdicts of an expression on a row: it is true or null, false, or cannot be computed."""


class Outcome(NamedTuple):
    """What a stage did with a batch; every row that came in is in `kept` or in `rejected`, once.

    `kept` holds the rows that go on, in their order, with the stage's own output columns. `rejected` holds a row of
    `words.rejection_schema()` for each row that does not; where a row has several faults, the first one found.
    `warned` has rows of the same layout for faults that do not stop a row (a row may appear several times).
    """

    kept: pa.RecordBatch
    rejected: pa.RecordBatch
    warned: pa.RecordBatch


class Stage(Protocol):
    """Pure and columnar: the same batch gives the same Outcome. No clock, no randomness, no IO."""

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        """Take a batch apart. A bad row is data, never an exception; an exception is a bug, and the tick bisects it."""
        ...
