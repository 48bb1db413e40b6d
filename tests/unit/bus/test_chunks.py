"""How messages are cut, encoded and placed."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.bus import chunks
from headrace.errors import BusError

pairs = st.none() | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2).map(
    lambda own: list(own.items())
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=20), pairs), max_size=30), st.integers(0, 5))
def test_what_is_encoded_is_decoded(rows, cut):
    sent = pa.record_batch(
        {
            "payload": pa.array([row[0] for row in rows], pa.binary()),
            "attributes": pa.array([row[1] for row in rows], chunks.ATTRIBUTES.type),
        }
    ).slice(cut)
    got = [
        row
        for part in chunks.encode(chunks.messages_of(sent))
        for row in chunks.decode(part.data.to_pybytes(), part.rows, part.checksum, "here").to_pylist()
    ]
    assert got == sent.to_pylist()


@given(
    st.lists(st.binary(max_size=9), min_size=1, max_size=20), st.integers(0, 5), st.integers(1, 9), st.integers(0, 60)
)
def test_fitting_is_the_longest_run_within_both_limits(payloads, cut, max_rows, max_bytes):
    payload = pa.array(payloads, pa.binary()).slice(min(cut, len(payloads) - 1))
    sizes = [len(each) for each in payload.to_pylist()]
    longest = max([rows for rows in range(min(max_rows, len(sizes)) + 1) if sum(sizes[:rows]) <= max_bytes])
    assert chunks.fitting(payload, max_rows, max_bytes) == max(longest, 1)


def test_a_checksum_guards_the_bytes():
    (part,) = chunks.encode(chunks.messages_of(pa.record_batch({"payload": pa.array([b"abc"])})))
    with pytest.raises(BusError, match="damaged"):
        chunks.decode(part.data.to_pybytes(), part.rows, part.checksum ^ 1, "here")
    with pytest.raises(BusError, match="damaged"):
        chunks.decode(part.data.to_pybytes(), part.rows + 1, part.checksum, "here")
