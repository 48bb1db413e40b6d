"""The index of keys never says "new" of a key that is there, and names every partition that holds it."""

from __future__ import annotations

import datetime as dt

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.lake.keys import KeyIndex, Runs

# Few distinct values, ends of the range among them, so that equal ones and neighbours meet often.
hashes = st.one_of(st.integers(0, 20), st.integers(2**64 - 20, 2**64 - 1), st.integers(0, 2**64 - 1))
dates = st.sampled_from([dt.date.min, dt.date(1969, 12, 31), dt.date(2026, 11, 1), dt.date(2026, 11, 2), dt.date.max])
batches = st.lists(st.tuples(dates, st.lists(hashes, max_size=30)), max_size=12)


def array(numbers):
    return np.array(numbers, dtype=np.uint64)


@given(batches, batches, st.lists(hashes, max_size=30))
def test_every_key_that_was_added_is_found_with_its_partition(scanned, added, asked):
    index = KeyIndex(lambda: [(date, array(numbers)) for date, numbers in scanned])
    for date, numbers in added:
        index.add(date, array(numbers))
    known = {}
    for date, numbers in scanned + added:
        for number in numbers:
            known.setdefault(number, set()).add(date)
    probes = [*asked, *known]
    maybe, partitions = index.probe(array(probes))
    for number, found in zip(probes, maybe.tolist(), strict=True):
        assert found or number not in known, "a key in silver was taken for new"
        if number in known:
            assert known[number] <= set(partitions)


@given(st.lists(st.lists(hashes, max_size=20), max_size=12), st.lists(hashes, max_size=20))
def test_runs_find_exactly_what_lies_in_a_range(parts, asked):
    runs = Runs()
    for part in parts:
        runs.add(array(part))
    inside, found = runs.between(array(asked), array(asked))
    known = [number for part in parts for number in part]
    assert inside.tolist() == [number in known for number in asked]
    assert set(found.tolist()) == set(known) & set(asked)


def test_an_unknown_key_is_new():
    index = KeyIndex(list)
    index.add(dt.date(2026, 11, 1), array([1 << 40]))
    maybe, partitions = index.probe(array([1 << 50]))
    assert maybe.tolist() == [False]
    assert partitions == []
