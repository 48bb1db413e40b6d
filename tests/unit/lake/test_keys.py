"""Runs of keys find every row of a hash, in memory and in a file, and nothing else."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.lake.keys import Asked, Entries, Run, RunFile, Runs, digests_of, merged, write_run

# Few distinct values, ends of the range among them, so that equal ones and neighbours meet often.
numbers = st.one_of(st.integers(0, 20), st.integers(2**64 - 20, 2**64 - 1), st.integers(0, 2**64 - 1))
runs_of = st.lists(st.lists(st.tuples(numbers, st.integers(0, 2**63 - 1)), max_size=30), min_size=1, max_size=5)


def array(values):
    return np.array(list(values), dtype=np.uint64)


def run_of(rows):
    hashes, seqs = array(each for each, _ in rows), array(seq for _, seq in rows)
    return Run(Entries.of(hashes, seqs, (seqs, ~seqs)).in_order())


def listed(entries):
    return sorted(zip(*(column.tolist() for column in entries), strict=True))


@given(runs_of, st.lists(numbers, max_size=20), st.integers(0, 3))
def test_a_file_of_runs_holds_what_they_held_but_what_is_gone(parts, others, forgotten):
    runs = [run_of(rows) for rows in parts]
    rows = list(itertools.chain(*parts))
    gone = array(sorted({seq for _, seq in rows[:forgotten]}))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "1.keys")
        write_run(path, merged(runs, gone), len(rows))
        file = RunFile(path)
        asked = np.unique(array([*others, *(each for each, _ in rows)]))
        found, entries = file.find(Asked.of(asked))
        kept = [(each, seq) for each, seq in rows if seq not in set(gone.tolist())]
        assert [each for each in asked.tolist() if each in {one for one, _ in kept}] == asked[found].tolist()
        assert listed(entries) == sorted((each, seq, seq, ~np.uint64(seq)) for each, seq in kept)


def test_rows_of_one_hash_are_found_across_the_pages_and_the_parts_of_a_file(tmp_path):
    many = np.sort(
        np.concatenate([np.arange(300_000, dtype=np.uint64) << np.uint64(45), np.full(3000, 7 << 45, np.uint64)])
    )
    runs = [Run(Entries.of(part, np.arange(len(part)))) for part in (many[::2], many[1::2])]
    write_run(tmp_path / "1.keys", merged(runs, array([])), len(many))
    file = RunFile(tmp_path / "1.keys")
    asked = array([0, 6 << 45, 7 << 45, (7 << 45) + 1, 8 << 45, int(many[-1]), 2**64 - 1])
    found, entries = file.find(Asked.of(asked))
    assert found.tolist() == [True, True, True, False, True, True, False]
    assert entries.rows == 3005
    assert np.array_equal(file.entries.hashes, many)


SMAPS = Path("/proc/self/smaps")


@pytest.mark.skipif(not SMAPS.exists(), reason="only Linux says which pages of a file are resident")
def test_rows_that_a_look_up_reads_do_not_stay_resident(tmp_path):
    many = np.arange(300_000, dtype=np.uint64) << np.uint64(45)
    write_run(tmp_path / "1.keys", [Entries.of(many, many)], len(many))
    file = RunFile(tmp_path / "1.keys")
    found, entries = file.find(Asked.of(many))
    assert found.all()
    assert entries.rows == len(many)
    _, mapped = SMAPS.read_text().split(str(file.path), 1)
    resident = int(mapped.split("Rss:", 1)[1].split()[0]) << 10
    assert resident < 1 << 20 < many.nbytes, "its filter and its fences, and no rows"


def test_the_filter_passes_few_that_are_not_there(tmp_path):
    drawn = np.random.default_rng(1).integers(0, 2**63, 120_000).astype(np.uint64) * np.uint64(2)
    stored, others = np.sort(drawn[:100_000]), drawn[100_000:]
    write_run(tmp_path / "1.keys", [Entries.of(stored, stored)], len(stored))
    file = RunFile(tmp_path / "1.keys")
    assert len(file._worth_asking(Asked.of(stored))) == len(stored)
    assert len(file._worth_asking(Asked.of(np.sort(others)))) < 0.01 * len(others)


def test_a_file_that_is_cut_off_or_another_is_refused(tmp_path):
    path = tmp_path / "1.keys"
    write_run(path, [run_of([(1, 2)]).entries], 1)
    whole = path.read_bytes()
    for bad in (whole[:-8], b"\0" * len(whole), whole[:8]):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"1\.keys"):
            RunFile(path)


def test_a_file_whose_keys_rows_filter_or_fences_are_damaged_is_refused(tmp_path):
    path, rows = tmp_path / "1.keys", 1000
    write_run(path, [Run(Entries.of(np.arange(rows) << 50, np.arange(rows))).entries], rows)
    assert RunFile(path).rows == rows
    whole = np.fromfile(path, np.uint64)
    by_rows, digests = range(5, 5 + 2 * rows), range(5 + 2 * rows, 5 + 4 * rows)
    for at in (1, 4, *by_rows[:: rows // 2], by_rows[-1], digests[-1] + 1, len(whole) - 1):
        bad = whole.copy()
        bad[at] ^= np.uint64(1 << 9)
        bad.tofile(path)
        with pytest.raises(ValueError, match=r"1\.keys"):
            RunFile(path)
    whole[5 : 5 + 512] = 0  # a page that was never written
    whole.tofile(path)
    with pytest.raises(ValueError, match=r"1\.keys"):
        RunFile(path)


def test_a_file_that_is_there_is_not_written_over_nor_removed(tmp_path):
    path = tmp_path / "1.keys"
    write_run(path, [run_of([(1, 2)]).entries], 1)
    with pytest.raises(FileExistsError):
        write_run(path, [run_of([(3, 4)]).entries], 1)
    assert RunFile(path).entries.seqs.tolist() == [2]


def test_a_row_that_is_known_by_its_digest_is_not_kept_without(tmp_path):
    blank = Run(Entries.of(array([5, 5, 7, 9]), array([1, 2, 3, 3])))
    known = Run(Entries.of(array([5, 7]), array([1, 3]), (array([11, 13]), array([0, 0]))))
    (found,) = merged([blank, known], array([]))
    assert listed(found) == [(5, 1, 11, 0), (5, 2, 0, 0), (7, 3, 13, 0), (9, 3, 0, 0)]


@given(st.lists(st.lists(numbers, max_size=20), max_size=12), st.lists(numbers, max_size=20))
def test_runs_find_exactly_what_they_hold(parts, asked):
    runs = Runs()
    for part in parts:
        runs.add(array(part))
    known = set(itertools.chain(*parts))
    assert runs.holds(array(asked)).tolist() == [number in known for number in asked]


def test_digests_are_told_apart_by_both_halves():
    assert len({each.as_py() for each in digests_of(array([1, 1, 2]), array([1, 2, 1]))}) == 3
