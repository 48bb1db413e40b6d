"""Decode: from a message's bytes to the JSON text of one object, or a reason why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace import words
from headrace.stages.base import Outcome
from headrace.stages.csv_rows import CsvReader, CsvSpec
from headrace.stages.decode_proof import Prover
from headrace.stages.json_text import Unreadable, read
from headrace.stages.rejections import Fault, none_rejected, of_faults

if TYPE_CHECKING:
    from headrace.contracts.contract import Contract

__all__ = ["Decode"]

FIELDS = "fields"
"""A struct beside `doc`: the document taken apart as the contract lays it out; null where only `doc` is certain."""
STRANGERS = "strangers"
NULLS = "nulls"
"""Beside `fields`: at which places (`decode_shape`) are unknown members, and at which null stands for an object or
array; a bit for each place."""
UNKNOWN = "unknown"
"""Beside `fields`, where the contract is lenient: the JSON text of the unknown members of the document, by name."""

_BOM = b"\xef\xbb\xbf"
_TYPES = {
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "text/csv": "csv",
}


class Decode:
    """Takes messages apart: JSON, NDJSON (one document a message) or CSV (one record a message).

    `kept` has ROW, EVENT_ID, INGEST_TIME, SEQ, TRACE_ID, `doc` and, with a contract, `fields` and what stands beside
    it. A message's attribute `content-type` overrules the source's format. One leading byte order mark is dropped; any
    other is invalid. What most messages need is proven for a whole batch at once; the rest is read one by one by the
    exact reader.
    """

    def __init__(self, message_format: str, contract: Contract | None, csv: CsvSpec, max_depth: int = 100) -> None:
        self._format = message_format
        self._max_depth = max_depth
        self._csv = CsvReader(csv, contract)
        self._prover = Prover(contract, max_depth) if contract else None

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        """Take a batch of messages (`words.message_schema()` and `seq`) apart."""
        faults: list[Fault] = []
        rows = pa.array(np.arange(len(batch), dtype=np.int32))
        docs = self.documents(batch, faults)
        proof = self._prover(docs) if self._prover else None
        self._read(docs, proof.fields if proof else None, faults)
        bad = {fault.row for fault in faults}
        attributes = batch.column("attributes")
        columns = {
            words.ROW: rows,
            words.EVENT_ID: batch.column("message_id"),
            words.INGEST_TIME: batch.column("ingest_time"),
            words.SEQ: batch.column("seq"),
            words.TRACE_ID: _trace_ids(attributes),
            "doc": docs,
        }
        if proof is not None:
            columns |= {FIELDS: proof.fields, STRANGERS: proof.strangers, NULLS: proof.nulls, UNKNOWN: proof.extra}
        kept = pa.RecordBatch.from_pydict(columns)
        if bad:
            kept = kept.filter(pa.array([row not in bad for row in range(len(batch))]))
        return Outcome(kept, of_faults("decode", faults), none_rejected())

    def documents(self, batch: pa.RecordBatch, faults: list[Fault]) -> pa.Array:
        """Return the JSON text of each message, which nobody has read yet; null and a fault where there is none."""
        return self._from_csv(batch, self._texts(batch, faults), faults)

    def _texts(self, batch: pa.RecordBatch, faults: list[Fault]) -> pa.Array:
        payload = batch.column("payload")
        marked = pc.starts_with(payload, _BOM)
        if marked.true_count:
            # Not pc.binary_slice: Arrow's fails where a message of the batch is shorter than the slice's start.
            bare = [message[len(_BOM) :] for message in payload.filter(marked).to_pylist()]
            payload = pc.replace_with_mask(payload, marked, pa.array(bare, pa.binary()))
        try:
            return payload.cast(pa.string())
        except pa.ArrowInvalid:
            texts: list[str | None] = []
            for row, message in enumerate(payload.to_pylist()):
                try:
                    texts.append(message.decode())
                except UnicodeDecodeError as error:
                    texts.append(None)
                    reason = f"not UTF-8 at byte {error.start}: {error.reason}"
                    faults.append(Fault(row, "invalid_utf8", reason, None, None))
            return pa.array(texts, pa.string())

    def _from_csv(self, batch: pa.RecordBatch, docs: pa.Array, faults: list[Fault]) -> pa.Array:
        """Replace the texts of CSV messages by the JSON of their records."""
        attributes = batch.column("attributes")
        none = attributes.null_count == len(attributes)
        if none and self._format != "csv":
            return docs
        kinds = [None] * len(docs) if none else pc.map_lookup(attributes, "content-type", "first").to_pylist()
        formats = [self._format_of(kind) for kind in kinds]
        if "csv" not in formats:
            return docs
        headers, dialects = (
            [None] * len(docs) if none else pc.map_lookup(attributes, name, "first").to_pylist()
            for name in ("csv-header", "csv-dialect")
        )
        texts = docs.to_pylist()
        for row, (text, format_, header, dialect) in enumerate(zip(texts, formats, headers, dialects, strict=True)):
            if text is None or format_ != "csv":
                continue
            try:
                texts[row] = self._csv.object_text(text, header, dialect)
            except Unreadable as fault:
                texts[row] = None
                faults.append(Fault.of(row, fault))
        return pa.array(texts, pa.string())

    def _format_of(self, content_type: str | None) -> str:
        if not content_type:
            return self._format
        return _TYPES.get(content_type.partition(";")[0].strip().lower(), self._format)

    def _read(self, docs: pa.Array, fields: pa.Array | None, faults: list[Fault]) -> None:
        """Read exactly what was not proven."""
        suspects = docs.is_valid()
        if fields is not None:
            suspects = pc.and_(suspects, fields.is_null())
        rows = pc.indices_nonzero(suspects)
        for row, text in zip(rows.to_pylist(), docs.take(rows).to_pylist(), strict=True):
            try:
                read(text, self._max_depth)
            except Unreadable as fault:
                faults.append(Fault.of(row, fault))


def _trace_ids(attributes: pa.MapArray) -> pa.Array:
    """Return the trace id of each W3C `traceparent`, null where there is none or it is malformed."""
    if attributes.null_count == len(attributes):
        return pa.nulls(len(attributes), pa.string())
    parents = pc.map_lookup(attributes, "traceparent", "first")
    found = pc.extract_regex(parents, r"^[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)")
    trace = pc.struct_field(found, "trace")
    return pc.if_else(pc.equal(trace, "0" * 32), None, trace)
