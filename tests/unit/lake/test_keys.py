"""The index of keys never says "new" of a key that is there, and says where its rows may be."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.lake.keys import KeyIndex, Runs, spans

# Few distinct values, ends of the range among them, so that equal ones and neighbours meet often.
hashes = st.one_of(st.integers(0, 20), st.integers(2**64 - 20, 2**64 - 1), st.integers(0, 2**64 - 1))
seqs = st.one_of(st.integers(0, 200_000), st.integers(0, 2**63 - 1), st.sampled_from([2**38 - 1, 2**38, 2**63 - 1]))
batches = st.lists(st.lists(st.tuples(seqs, hashes), max_size=30), max_size=12)


def array(numbers):
    return np.array(numbers, dtype=np.uint64)


def columns(batch):
    return array([seq for seq, _ in batch]), array([number for _, number in batch])


@given(batches, batches, st.lists(hashes, max_size=30))
def test_every_key_that_was_added_is_found_with_its_place(scanned, added, asked):
    index = KeyIndex(lambda: [columns(batch) for batch in scanned])
    for batch in added:
        index.add(*columns(batch))
    known = {}
    for seq, number in (row for batch in scanned + added for row in batch):
        known.setdefault(number, set()).add(seq)
    probes = [*asked, *known]
    maybe, where = index.probe(array(probes))
    assert len(where) <= 4
    for number, found in zip(probes, maybe.tolist(), strict=True):
        assert found or number not in known, "a key in silver was taken for new"
        for seq in known.get(number, ()):
            assert any(span.first <= seq <= span.last for span in where)


def test_an_old_key_among_new_ones_does_not_make_all_between_them_read():
    index = KeyIndex(list)
    index.add(np.arange(10_000_000, step=1000), np.arange(10_000_000, step=1000).astype(np.uint64) << np.uint64(24))
    _, where = index.probe(array([5000 << 24, 9_998_000 << 24, 9_999_000 << 24]))
    assert [(span.first >> 16, span.last >> 16) for span in where] == [(0, 0), (152, 152)]


@given(st.lists(st.one_of(st.integers(0, 100), st.integers(0, 2**62)), min_size=1))
def test_spans_hold_all_numbers_and_few_others(numbers):
    numbers.sort()
    found = spans(np.array(numbers), 10)
    assert 1 <= len(found) <= 4
    assert all(any(span.first <= number <= span.last for span in found) for number in numbers)
    assert {number for span in found for number in span} <= set(numbers)
    assert all(one.last + 10 <= other.first for one, other in itertools.pairwise(found))


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
    index.add(array([7]), array([1 << 40]))
    maybe, where = index.probe(array([1 << 50]))
    assert maybe.tolist() == [False]
    assert where == []
