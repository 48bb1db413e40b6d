"""Messages as the tick pulls them from a bus, with their numbers in bronze: what the stages begin with."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def messages(
    *payloads: Any, attributes: Sequence[Mapping[str, str] | None] | None = None, first_seq: int = 0
) -> pa.RecordBatch:
    """Return messages with the ids m0, m1, …, all of which came `NOW`; what is not bytes is sent as JSON."""
    count = len(payloads)
    raw = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in payloads]
    said = [None if each is None else list(each.items()) for each in attributes or [None] * count]
    columns = {
        "partition": ["0"] * count,
        "offset": range(count),
        "message_id": [f"m{row}" for row in range(count)],
        "ingest_time": [NOW] * count,
        "attributes": said,
        "payload": raw,
        "seq": range(first_seq, first_seq + count),
    }
    return pa.RecordBatch.from_pydict(columns, schema=words.message_schema().append(pa.field("seq", pa.int64())))
