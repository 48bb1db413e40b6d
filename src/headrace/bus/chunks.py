"""Chunks: how messages lie in a topic file, as compressed Arrow IPC streams of bounded size."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import BusError, InputError
from headrace.words import message_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHUNK_BYTES = 4 << 20
CHUNK_ROWS = 65_536
COMPRESSION = "lz4"  # JSON events: 1.8 times the bytes of zstd, a fifth faster to read; a topic is short-lived

SALVAGE = "see what is lost: headrace doctor; keep all that can be read: headrace doctor --repair"

PAYLOAD = pa.field("payload", pa.binary(), nullable=False)
ATTRIBUTES = pa.field("attributes", pa.map_(pa.string(), pa.string()))


class Chunk(NamedTuple):
    """Some messages in a row, encoded; `bytes` counts payloads before compression."""

    rows: int
    bytes: int
    checksum: int
    data: pa.Buffer


def messages_of(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a publisher's batch as `payload` and, only where a message has some, `attributes`.

    Raises `InputError` where the columns are not what `Bus.publish` takes.
    """
    fix = "publish columns payload (binary, not null) and attributes (map of string to string)"
    names = batch.schema.names
    if "payload" not in names or set(names) - {"payload", "attributes"}:
        raise InputError(f"messages with columns {', '.join(names) or 'none'} cannot be published", fix=fix)
    try:
        payload = batch.column("payload").cast(PAYLOAD.type)
        attributes = batch.column("attributes").cast(ATTRIBUTES.type) if "attributes" in names else None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"messages cannot be published: {error}", fix=fix) from error
    if payload.null_count:
        raise InputError(f"{payload.null_count} messages have no payload (null)", fix=fix)
    if attributes is None or attributes.null_count == len(attributes):
        return pa.record_batch([payload], schema=pa.schema([PAYLOAD]))
    return pa.record_batch([payload, attributes], schema=pa.schema([PAYLOAD, ATTRIBUTES]))


def ends(payload: pa.BinaryArray) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return, for each message, the bytes of payload up to and with it; no payload is touched."""
    if not len(payload):
        return np.zeros(0, np.int64)
    offsets = np.frombuffer(payload.buffers()[1], np.int32)[payload.offset : payload.offset + len(payload) + 1]
    return offsets[1:].astype(np.int64) - int(offsets[0])


def fitting(payload: pa.BinaryArray, max_rows: int, max_bytes: int) -> int:
    """Return how many of the first messages stay within both limits: one at least, where there is one."""
    rows = int(np.searchsorted(ends(payload), max_bytes, side="right"))
    return min(max(rows, 1), max_rows, len(payload))


def encode(batch: pa.RecordBatch) -> Iterator[Chunk]:
    """Split messages into chunks of at most CHUNK_ROWS and about CHUNK_BYTES, and compress each."""
    extra = batch.column("attributes").nbytes // batch.num_rows if batch.num_columns > 1 and batch.num_rows else 0
    rows_max = max(1, min(CHUNK_ROWS, CHUNK_BYTES // extra)) if extra else CHUNK_ROWS
    options = pa.ipc.IpcWriteOptions(compression=COMPRESSION)
    at = 0
    while at < batch.num_rows:
        part = batch.slice(at, rows_max)
        part = part.slice(0, fitting(part.column(0), rows_max, CHUNK_BYTES))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, part.schema, options=options) as writer:
            writer.write_batch(part)
        data = sink.getvalue()
        yield Chunk(part.num_rows, int(ends(part.column(0))[-1]), zlib.crc32(data), data)
        at += part.num_rows


def decode(data: bytes, rows: int, checksum: int, at: str) -> pa.RecordBatch:
    """Return the messages of a chunk, `attributes` included; `BusError` where the bytes are not what was written."""
    damaged = BusError(
        f"{rows:,} message{'' if rows == 1 else 's'} from here on cannot be read: damaged on disk", at=at, fix=SALVAGE
    )
    if zlib.crc32(data) != checksum:
        raise damaged
    try:
        batch = pa.ipc.open_stream(data).read_next_batch()
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged from error
    if batch.num_rows != rows:
        raise damaged
    if batch.num_columns == 1:
        batch = batch.append_column(ATTRIBUTES, pa.nulls(rows, ATTRIBUTES.type))
    return batch


def place(
    batch: pa.RecordBatch, topic: str, partition: str, first: int, times: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> pa.RecordBatch:
    """Return messages that lie in a row from offset `first` on, in `words.message_schema()`.

    `times` holds the microseconds at which each was taken.
    """
    rows = batch.num_rows
    offsets = pa.array(np.arange(first, first + rows, dtype=np.int64))
    ids = pc.binary_join_element_wise(f"{topic}-{partition}", offsets.cast(pa.string()), "-")
    columns = [
        pa.repeat(partition, rows),
        offsets,
        ids,
        pa.array(times).cast(pa.timestamp("us", "UTC")),
        batch.column("attributes"),
        batch.column("payload"),
    ]
    return pa.record_batch(columns, schema=message_schema())


def matching(batch: pa.RecordBatch, wanted: Mapping[str, str]) -> pa.RecordBatch:
    """Return the messages whose attributes have all the values wanted; all of them where nothing is wanted."""
    for key, value in wanted.items():
        found = pc.map_lookup(batch.column("attributes"), pa.scalar(key), "last")
        batch = batch.filter(pc.fill_null(pc.equal(found, value), fill_value=False))
    return batch


def dead_letters(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return messages as a dead-letter topic takes them: payload and attributes kept, plus `dead_letter_of`, the id."""
    attributes = [
        [*(pair for pair in (own or []) if pair[0] != "dead_letter_of"), ("dead_letter_of", message_id)]
        for own, message_id in zip(
            batch.column("attributes").to_pylist(), batch.column("message_id").to_pylist(), strict=True
        )
    ]
    return pa.record_batch(
        [batch.column("payload"), pa.array(attributes, ATTRIBUTES.type)], schema=pa.schema([PAYLOAD, ATTRIBUTES])
    )
