"""Opening: what producers wrap an event in is taken off, and what the wrapping says of the event's version is kept.

A message whose wrapping cannot be opened is rejected by itself; the others go on as if they had come without it. Bronze
has every message as it came, wrapping and all, so a rebuild opens it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.stages.rejections import in_row_order, none_rejected

if TYPE_CHECKING:
    from collections.abc import Sequence


class Opened(NamedTuple):
    """What is inside of a batch of messages.

    `messages` are those that could be opened, with what was inside as their payload; `rows` (int32) says which of the
    batch each is. `named` is the version that each names, null where it names none. `refused` are the others.
    """

    messages: pa.RecordBatch
    rows: np.ndarray
    named: pa.Array
    refused: pa.RecordBatch


class Opening(Protocol):
    """A way to wrap events. `where` and `path` tell in a rejection where a wrapping names the version."""

    where: str
    path: str | None

    def __call__(self, messages: pa.RecordBatch) -> Opened:
        """Open a batch of messages (`words.message_schema()` and more). Never raises for what a message says."""
        ...

    def told(self, messages: pa.RecordBatch, rejected: pa.RecordBatch) -> pa.RecordBatch:
        """Return rejections of what was inside, with those of a wrapping that only seemed whole in their place.

        The rows of `rejected` are those of `messages`, which are as they came.
        """
        ...


def opened(
    messages: pa.RecordBatch, inside: pa.Array, named: pa.Array, refused: Sequence[pa.RecordBatch]
) -> Opened:  # fmt: skip
    """Return what was opened of a batch: all but what is refused, with `inside` in place of their payloads."""
    some = [each for each in refused if len(each)]
    at = messages.schema.get_field_index("payload")
    whole = messages.set_column(at, messages.schema.field(at), inside)
    if not some:
        return Opened(whole, np.arange(len(messages), dtype=np.int32), named, none_rejected())
    wrong = in_row_order(some)
    good = np.ones(len(messages), dtype=bool)
    good[wrong.column("row").to_numpy()] = False
    rows = np.flatnonzero(good).astype(np.int32)
    kept = pa.array(rows)
    return Opened(whole.take(kept), rows, named.take(kept), wrong)


def meant_by(texts: pa.Array, meant: dict[str, str | None]) -> pa.Array:
    """Return what each text means by a table of all that there are; null stays null."""
    encoded = texts.dictionary_encode()
    words = pa.array([meant[each] for each in encoded.dictionary.to_pylist()], pa.string())
    return pc.take(words, encoded.indices)
