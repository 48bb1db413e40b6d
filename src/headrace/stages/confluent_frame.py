"""Confluent's frame: a zero byte and the id of a schema in four bytes, before a message of Kafka's serializers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.stages.opening import Opened, opened
from headrace.stages.rejections import rejections

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BYTES = 5
MAX_ID = 2**31 - 1

_NOT_JSON = np.array([not 32 <= code < 127 and chr(code) not in "\t\n\r" for code in range(256)])
_NOT_JSON[0xEF] = False  # a byte order mark


def unframed(payload: bytes) -> bytes:
    """Return a message without its frame, to be shown; one that has none as it is."""
    return payload[BYTES:] if payload[:1] == b"\0" and len(payload) >= BYTES else payload


class ConfluentFrame:
    """Opens framed messages; `ids` are those that the registry gave to each version, by the version's name.

    JSON never begins with a zero byte, so a message without a frame is taken as it is, and names no version. The ids
    are the project's: which version a message has does not depend on a registry that may be gone, or be another.
    """

    where = "the frame's schema id"
    path: str | None = None

    def __init__(self, ids: Mapping[str, Sequence[int]]) -> None:
        self._names = {number: name for name, numbers in ids.items() for number in numbers}
        known = ", ".join(f"{number} ({name})" for number, name in sorted(self._names.items()))
        self._unknown = f"the frame names a schema id that no version has; `version_from.confluent` knows {known}"

    def __call__(self, messages: pa.RecordBatch) -> Opened:
        """Take the frames off a batch; a cut frame, an unknown id, and what is no JSON behind one are refused."""
        payload = messages.column("payload")
        framed = pc.starts_with(payload, b"\0")
        if not framed.true_count:
            return opened(messages, payload, pa.nulls(len(messages), pa.string()), ())
        whole = pc.and_(framed, pc.greater_equal(pc.binary_length(payload), BYTES))
        rows = np.flatnonzero(whole.to_numpy(zero_copy_only=False))
        ids, inside, binary = _parted(payload.filter(whole)) if len(rows) else _nothing()
        payload = pc.replace_with_mask(payload, whole, inside)
        kinds, which = np.unique(ids, return_inverse=True)
        names = np.array([self._names.get(int(each)) for each in kinds] + [None], dtype=object)
        named = np.full(len(messages), None, dtype=object)
        named[rows] = names[which]
        is_known = np.array([int(each) in self._names for each in kinds] + [False])[which]
        binary &= is_known
        return opened(
            messages,
            payload,
            pa.array(named, pa.string()),
            (
                _cut(messages, np.flatnonzero(pc.and_not(framed, whole).to_numpy(zero_copy_only=False))),
                self._of_no_version(rows[~is_known], ids[~is_known]),
                _no_json(rows[binary], ids[binary]),
            ),
        )

    def told(self, messages: pa.RecordBatch, rejected: pa.RecordBatch) -> pa.RecordBatch:  # noqa: ARG002
        """Return the rejections as they are: places are those behind the frame."""
        return rejected

    def _of_no_version(self, rows: np.ndarray, ids: np.ndarray) -> pa.RecordBatch:
        return rejections(
            pa.array(rows, pa.int32()),
            stage="contract",
            code="version_unknown",
            reason=self._unknown,
            value=_texts(ids),
        )


def _nothing() -> tuple[np.ndarray, pa.Array, np.ndarray]:
    # Not a constant: Arrow's first array looks for pandas, which where it is installed is long to import.
    return np.zeros(0, np.int64), pa.array([], pa.binary()), np.zeros(0, bool)


def _parted(messages: pa.Array) -> tuple[np.ndarray, pa.Array, np.ndarray]:
    """Return the ids of messages that are long enough to have one, what is behind each frame, and where that is binary.

    Avro and Protobuf begin with a small number, as no text does.
    """
    # Not pc.binary_slice: Arrow's counts on every message being as long as the slice's start.
    count = len(messages)
    ends = np.frombuffer(messages.buffers()[1], np.int32, count + 1, messages.offset * 4)
    data = np.frombuffer(messages.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]
    ends = ends - ends[0]
    frames = ends[:-1, None] + np.arange(BYTES)
    ids = data[frames[:, 1:]] @ (256 ** np.arange(BYTES - 2, -1, -1, dtype=np.int64))
    kept = np.ones(len(data), dtype=bool)
    kept[frames] = False
    ends, data = (ends - BYTES * np.arange(count + 1)).astype(np.int32), data[kept]
    inside = pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(ends), pa.py_buffer(data)])
    binary = np.zeros(count, dtype=bool)
    some = np.flatnonzero(ends[1:] > ends[:-1])
    binary[some] = _NOT_JSON[data[ends[some]]]
    return ids, inside, binary


def _cut(messages: pa.RecordBatch, rows: np.ndarray) -> pa.RecordBatch:
    sizes = pc.binary_length(messages.column("payload").take(pa.array(rows)))
    return rejections(
        pa.array(rows, pa.int32()),
        stage="decode",
        code="frame_cut",
        reason=f"it begins with a zero byte, as Confluent's frame does, and ends before the {BYTES} bytes of one",
        value=sizes.cast(pa.string()),
    )


def _no_json(rows: np.ndarray, ids: np.ndarray) -> pa.RecordBatch:
    return rejections(
        pa.array(rows, pa.int32()),
        stage="decode",
        code="frame_not_json",
        reason="behind Confluent's frame is no JSON: messages of the Avro and Protobuf serializers are not read, those "
        "of the JSON Schema serializer are",
        value=_texts(ids),
    )


def _texts(ids: np.ndarray) -> pa.Array:
    return pa.array(ids, pa.int64()).cast(pa.string())
