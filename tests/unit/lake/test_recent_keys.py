"""Keys in memory: found however many batches they came in, in few arrays, behind one filter."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.lake.keys import Asked, Entries
from headrace.lake.recent_keys import RecentKeys


def entries(hashes, first=0):
    hashes = np.array(hashes, np.uint64)
    return Entries.of(hashes, np.arange(first, first + len(hashes)))


def everything(rows):
    return rows


numbers = st.integers(0, 2**64 - 1) | st.integers(0, 20)
batches = st.lists(st.lists(numbers, min_size=1, max_size=30), max_size=80)


@given(batches, st.lists(numbers, max_size=20), st.integers(0, 80))
def test_each_row_is_found_by_its_hash_and_nothing_else_is(batches, others, cut):
    early, late, first = RecentKeys(), RecentKeys(), 0
    held = []
    for number, batch in enumerate(batches):
        (early if number < cut else late).add(entries(batch, first), everything)
        held += [(each, first + at) for at, each in enumerate(batch)]
        first += len(batch)
    early.join(late)
    assert early.rows == len(held)
    asked = np.unique(np.array([*others, *(each for each, _ in held)], np.uint64))
    found, rows = early.find(Asked.of(asked))
    assert asked[found].tolist() == sorted({each for each, _ in held})
    assert sorted(zip(rows.hashes.tolist(), rows.seqs.tolist(), strict=True)) == sorted(held)


def test_many_small_batches_leave_few_arrays_and_what_lost_is_dropped_on_the_way():
    keys, drawn = RecentKeys(), np.random.default_rng(1).integers(0, 2**63, 10_000).astype(np.uint64)
    for at in range(0, len(drawn), 10):
        keys.add(entries(drawn[at : at + 10], at), lambda rows: rows.take(rows.seqs % 7 != 0))
    assert len(keys.runs) < 50
    assert keys.rows == sum(run.rows for run in keys.runs) < 0.9 * len(drawn)
    others = np.sort(drawn + np.uint64(2**63))
    assert len(Asked.of(others).among(keys._filter)) < 0.01 * len(others), "the filter grows with what it holds"
