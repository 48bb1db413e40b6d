"""Iglu's self-describing JSON: {"schema": "iglu:vendor/name/jsonschema/1-0-0", "data": {…}} around each event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.iglu import named
from headrace.stages.json_text import Unreadable, excerpt, quote, read, write
from headrace.stages.opening import Opened, meant_by, opened
from headrace.stages.rejections import Fault, in_row_order, of_faults, rejections

if TYPE_CHECKING:
    from headrace.contracts.iglu import Family

_BLANK = r"[ \t\r\n]*"
_SCHEMA = rf'"schema"{_BLANK}:{_BLANK}"(?P<schema>[!#-\[\]-~]*)"'
_DATA = rf'"data"{_BLANK}:{_BLANK}(?P<data>\{{.*\}})'
_USUAL = tuple(
    rf"(?s)^(?:\x{{EF}}\x{{BB}}\x{{BF}})?{_BLANK}\{{{_BLANK}{one}{_BLANK},{_BLANK}{other}{_BLANK}\}}{_BLANK}$"
    for one, other in ((_SCHEMA, _DATA), (_DATA, _SCHEMA))
)
"""The two ways in which producers write an envelope. Where a document has exactly these two members, `data` is theirs,
to the byte; where it has others beside, what was taken for `data` is no JSON, and `told` looks again."""

_MEMBERS = ("schema", "data")
_MAX_DEPTH = 101  # one more than that of an event


class IgluEnvelope:
    """Opens self-describing events of one family; the version of its URI is the one that an event names."""

    where = "the envelope's schema"
    path: str | None = "$.schema"

    def __init__(self, family: Family) -> None:
        self._family = family

    def __call__(self, messages: pa.RecordBatch) -> Opened:
        """Take the envelopes off a batch; what is none, or names another schema, is refused."""
        payload = messages.column("payload")
        faults: list[Fault] = []
        uris, inside = self._usual(payload)
        odd = np.flatnonzero(uris.is_null().to_numpy(zero_copy_only=False))
        if len(odd):
            uris, inside = _with_odd(payload, odd, uris, inside, faults)
        meant = {uri: self._version(uri) for uri in pc.unique(uris).to_pylist() if uri is not None}
        versions = meant_by(uris, meant)
        wrong = np.flatnonzero(pc.and_(uris.is_valid(), versions.is_null()).to_numpy(zero_copy_only=False))
        return opened(messages, inside, versions, (of_faults("decode", faults), self._others(wrong, uris)))

    def told(self, messages: pa.RecordBatch, rejected: pa.RecordBatch) -> pa.RecordBatch:
        """Look at the whole message where its data could not be read: then the fault may be the envelope's."""
        unread = rejected.filter(pc.equal(rejected.column("stage"), "decode"))
        if not len(unread):
            return rejected
        rows = unread.column("row")
        faults = []
        for row, payload in zip(rows.to_pylist(), messages.column("payload").take(rows).to_pylist(), strict=True):
            try:
                _read(payload)
            except Unreadable as fault:
                path = fault.path
                if path is not None and path.startswith(("$.data.", "$.data[")):  # as all else says it: within the data
                    path = "$" + path.removeprefix("$.data")
                faults.append(Fault(row, fault.code, str(fault), path, fault.value))
        if not faults:
            return rejected
        again = of_faults("decode", faults)
        others = pc.invert(pc.is_in(rejected.column("row"), value_set=again.column("row")))
        return in_row_order([rejected.filter(others), again])

    def _usual(self, payload: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Return URI and data of what is written as usual; null and the message itself where it is not."""
        found = [pc.extract_regex(payload, pattern=pattern) for pattern in _USUAL[:1]]
        if found[0].null_count:
            found.append(pc.extract_regex(payload, pattern=_USUAL[1]))
        uris = pc.coalesce(*(pc.if_else(each.is_valid(), pc.struct_field(each, "schema"), None) for each in found))
        data = pc.coalesce(
            *(pc.if_else(each.is_valid(), pc.struct_field(each, "data"), None) for each in found), payload
        )
        return uris.cast(pa.string()), data

    def _version(self, uri: str) -> str | None:
        """Return the version that a URI of this family names; None for any other."""
        found = named(uri)
        return None if found is None or found[0][:3] != self._family[:3] else found[1]

    def _others(self, rows: np.ndarray, uris: pa.Array) -> pa.RecordBatch:
        """Return the rejections of events whose URI is none, or of another family."""
        texts = uris.take(pa.array(rows)).to_pylist()
        sound = [named(each) is not None for each in texts]
        other = f"the envelope names another schema; this source takes {self._family}"
        none = "the envelope's schema is no Iglu URI, such as iglu:com.example/order/jsonschema/1-0-0"
        return rejections(
            pa.array(rows, pa.int32()),
            stage="contract",
            code=pa.array(["schema_unknown" if each else "schema_malformed" for each in sound], pa.string()),
            reason=pa.array([other if each else none for each in sound], pa.string()),
            path=self.path,
            value=pa.array([quote(each) for each in texts], pa.string()),
        )


def _with_odd(
    payload: pa.Array, rows: np.ndarray, uris: pa.Array, inside: pa.Array, faults: list[Fault]
) -> tuple[pa.Array, pa.Array]:
    """Read one by one what is written in another way; what is no envelope goes to `faults`."""
    read_uris: list[str | None] = []
    read_data: list[bytes] = []
    for row, message in zip(rows.tolist(), payload.take(pa.array(rows)).to_pylist(), strict=True):
        uri, data = None, b""
        try:
            uri, data = _read(message)
        except Unreadable as fault:
            faults.append(Fault.of(row, fault))
        read_uris.append(uri)
        read_data.append(data)
    mask = np.zeros(len(payload), dtype=bool)
    mask[rows] = True
    return (
        pc.replace_with_mask(uris, pa.array(mask), pa.array(read_uris, pa.string())),
        pc.replace_with_mask(inside, pa.array(mask), pa.array(read_data, pa.binary())),
    )


def _read(message: bytes) -> tuple[str, bytes]:
    """Return the URI and the data of an envelope. Raises `Unreadable` where it is none."""
    try:
        value = read(message.decode("utf-8-sig"), _MAX_DEPTH)
    except UnicodeDecodeError as error:
        raise Unreadable("invalid_utf8", f"not UTF-8 at byte {error.start}: {error.reason}") from None
    for name in _MEMBERS:
        if name not in value:
            said = 'it is {"schema": "iglu:…", "data": {…}}'
            raise Unreadable("envelope_missing", f"no self-describing event: it has no {name!r}; {said}", "$")
    if more := [name for name in value if name not in _MEMBERS]:
        raise Unreadable("envelope_more", f"beside `schema` and `data` the envelope has {quote(more[0])}", "$")
    uri, data = value["schema"], value["data"]
    if not isinstance(uri, str):
        raise Unreadable("schema_malformed", "the envelope's schema is no text", "$.schema", excerpt(uri))
    if not isinstance(data, dict):
        raise Unreadable(
            "not_an_object", "the envelope's data is no object, and an event is one", "$.data", excerpt(data)
        )
    return uri, write(data).encode()
