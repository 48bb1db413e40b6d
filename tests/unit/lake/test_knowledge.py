"""What the writer knows of silver: digests in memory as numbers, however they came."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import LakeError
from headrace.lake.base import Change, StagedFile
from headrace.lake.key_index import KeyIndex
from headrace.lake.keys import Entries
from headrace.lake.knowledge import DIGEST_BYTES, Knowledge, _digest_hashes

digests = st.lists(st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES), max_size=6)


@given(st.lists(st.tuples(digests, st.integers(0, 3)), max_size=4))
def test_a_digest_is_the_same_number_from_whatever_chunk(parts):
    chunked = pa.chunked_array([pa.array(part, pa.binary()).slice(start) for part, start in parts], pa.binary())
    expected = [int.from_bytes(digest[:8], "little") for part, start in parts for digest in part[start:]]
    assert _digest_hashes(chunked).tolist() == expected


def test_the_bound_of_rows_in_memory_is_that_of_all_tables_together(tmp_path):
    names = [f"silver.t{n}" for n in range(5)]
    with closing(Knowledge(lambda sql: None, tmp_path, recent_rows=200)) as knowledge:
        for name in names:
            index = KeyIndex(tmp_path / "keys" / name, "us", knowledge._jobs, recent_rows=200)
            knowledge._indexes[name] = index
        for at in range(0, 1900, 20):
            for name in names:
                numbers = np.arange(at, at + 20, dtype=np.uint64)
                staged = StagedFile(name, Path("none"), 20)
                knowledge.remember([Change("s", (staged,), keys={name: Entries.of(numbers << 40, numbers)})])
            knowledge.settle()
            assert sum(each.in_memory for each in knowledge._indexes.values()) <= 200 + 20
        assert [each.rows for each in knowledge._indexes.values()] == [1900] * 5


def test_files_of_keys_that_stay_are_not_taken_for_removed(tmp_path, monkeypatch):
    with closing(Knowledge(lambda sql: None, tmp_path)) as knowledge:
        knowledge.forget()
        state = tmp_path / "keys" / "orders" / "state.json"
        state.parent.mkdir(parents=True)
        state.write_text("{}")
        with monkeypatch.context() as refusing:
            refusing.setattr("shutil.rmtree", lambda *_, **__: None)
            with pytest.raises(LakeError, match="cannot be removed"):
                knowledge.forget()
        knowledge.forget()
        assert not state.exists()
