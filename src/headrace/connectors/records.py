"""Records: byte ranges of a block become messages, without a loop over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headrace.connectors.byte_stream import ByteStream

MAX_RECORD_BYTES = 256 << 20
BATCH_ROWS = 50_000
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Places: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]


def newlines(block: bytes) -> Places:
    """Return where the newlines of a block are."""
    return np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))


def lines_ending(block: bytes, at: Places) -> pa.BinaryArray:
    """Return the records of a block that end with the newlines at these places, without LF or CRLF.

    The first record starts with the block; what follows the last place is not looked at.
    """
    starts = np.zeros(len(at) + 1, np.int32)
    starts[1:] = at + 1
    whole = pa.Array.from_buffers(pa.binary(), len(at), [None, pa.py_buffer(starts), pa.py_buffer(block)])
    without = pc.binary_slice(whole, 0, -1)
    data = np.frombuffer(block, np.uint8)
    returns = (at > starts[:-1]) & (data[at - 1] == ord("\r"))
    if not returns.any():
        return without
    shorter = pc.binary_slice(whole, 0, -2)
    return shorter if returns.all() else pc.if_else(pa.array(returns), shorter, without)


def is_empty_line(data: bytes) -> bool:
    """Say whether the data is one empty line."""
    return data in {b"\n", b"\r\n"}


def ends_in_empty_line(data: bytes) -> bool:
    """Say whether the last line of the data is empty."""
    return data.endswith((b"\n\n", b"\n\r\n")) or is_empty_line(data)


def batches(payload: pa.BinaryArray, attributes: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Yield messages that all carry the same attributes, at most BATCH_ROWS at once."""
    for at in range(0, len(payload), BATCH_ROWS):
        part = payload.slice(at, BATCH_ROWS)
        columns = {"payload": part}
        if attributes:
            columns["attributes"] = repeated(attributes, len(part))
        yield pa.record_batch(columns)


def repeated(attributes: Mapping[str, str], rows: int) -> pa.MapArray:
    """Return the same attributes for each of so many messages."""
    count = len(attributes)
    order = pa.array(np.tile(np.arange(count), rows))
    keys, values = (pa.array(list(part), pa.string()).take(order) for part in (attributes.keys(), attributes.values()))
    return pa.MapArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32) * count), keys, values)


class Carry:
    """What of a block belongs to a record that ends in a later one; grows only to MAX_RECORD_BYTES."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._parts: list[bytes] = []
        self._size = 0

    def keep(self, rest: bytes) -> None:
        """Put bytes aside. Raises `InputError` where a record never ends."""
        if rest:
            self._parts.append(rest)
            self._size += len(rest)
        if self._size > MAX_RECORD_BYTES:
            raise InputError(
                f"one record is longer than {MAX_RECORD_BYTES >> 20} MiB, near byte {self._stream.taken:,}",
                at=self._stream.name,
                fix="see that --format is what the file holds",
            )

    def joined(self, block: bytes = b"") -> bytes:
        """Return what was put aside, and then the block; nothing stays aside."""
        parts, self._parts, self._size = self._parts, [], 0
        return b"".join([*parts, block]) if parts else block
