"""What the writer knows of silver: digests in memory as numbers, however they came."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from headrace.lake.knowledge import DIGEST_BYTES, _digest_hashes

digests = st.lists(st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES), max_size=6)


@given(st.lists(st.tuples(digests, st.integers(0, 3)), max_size=4))
def test_a_digest_is_the_same_number_from_whatever_chunk(parts):
    chunked = pa.chunked_array([pa.array(part, pa.binary()).slice(start) for part, start in parts], pa.binary())
    expected = [int.from_bytes(digest[:8], "little") for part, start in parts for digest in part[start:]]
    assert _digest_hashes(chunked).tolist() == expected
