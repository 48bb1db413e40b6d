"""Each row says which file and row it was, wherever batches are cut."""

from __future__ import annotations

import pyarrow as pa

from headrace.connectors.batch_file.rows import numbered


def batch(*payloads: bytes, **attributes: str) -> pa.RecordBatch:
    columns = {"payload": pa.array(payloads, pa.binary())}
    if attributes:
        columns["attributes"] = pa.array([list(attributes.items())] * len(payloads), pa.map_(pa.string(), pa.string()))
    return pa.record_batch(columns)


def test_rows_are_numbered_from_one_through_all_batches():
    batches = [batch(b"a", b"b", kind="csv"), batch(b"c"), batch(), batch(b"d", b"e")]
    got = list(numbered(batches, "in/x.csv", "d1"))
    assert [each.first for each in got] == [0, 2, 3, 3]
    rows = [row for each in got for row in each.messages.to_pylist()]
    assert [row["payload"] for row in rows] == [b"a", b"b", b"c", b"d", b"e"]
    told = [dict(row["attributes"]) for row in rows]
    assert [each.pop("file-row") for each in told] == ["1", "2", "3", "4", "5"]
    where = {"file-path": "in/x.csv", "file-digest": "d1"}
    assert told == [{"kind": "csv", **where}] * 2 + [where] * 3
    for each in got:
        each.messages.validate(full=True)
