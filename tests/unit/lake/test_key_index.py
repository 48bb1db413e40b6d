"""The index of keys: all that it was told of is found, whatever is in memory, in files, or under way between them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

from headrace.lake.key_index import Coverage, Jobs, KeyIndex
from headrace.lake.keys import Entries

RECENT = 64


@contextmanager
def indexed(folder, made_by="us", *, keep=True):
    with ThreadPoolExecutor(1) as spill, ThreadPoolExecutor(1) as merge:
        index = KeyIndex(folder, made_by, Jobs(spill, merge), recent_rows=RECENT)
        yield index
        index.close(keep=keep)


def entries(first, last):
    seqs = np.arange(first, last, dtype=np.uint64)
    return Entries.of(seqs * np.uint64(0x9E3779B97F4A7C15), seqs, (seqs, seqs))


def tell(index, first, last, step=10):
    for at in range(first, last, step):
        upto = min(at + step, last)
        index.coverage = Coverage("b", upto, upto, upto)
        index.add(entries(at, upto))


def assert_holds(index, upto):
    maybe, found = index.find(entries(0, upto + 5).hashes)
    assert maybe.tolist() == [True] * upto + [False] * 5
    assert sorted(found.seqs.tolist()) == list(range(upto))
    assert np.array_equal(found.low, found.seqs)


def files(folder):
    return sorted(each.name for each in folder.glob("*.keys"))


def test_what_it_was_told_is_found_at_every_step_and_after_the_next_start(tmp_path):
    folder = tmp_path / "orders"
    for upto in range(0, 8000, 400):
        with indexed(folder) as index:
            assert_holds(index, upto)
            for at in range(upto, upto + 400, 40):
                tell(index, at, at + 40)
                assert_holds(index, at + 40)
        assert json.loads((folder / "state.json").read_text())["coverage"]["next_seq"] == upto + 400
    assert len(files(folder)) < 25, "small files are merged"


def test_what_was_not_saved_is_not_known_and_what_was_is_whole(tmp_path):
    with indexed(tmp_path / "t", keep=False) as index:
        tell(index, 0, 20 * RECENT)
    with indexed(tmp_path / "t") as index:
        covered = index.coverage.next_seq if index.coverage else 0
        assert 0 < covered <= 20 * RECENT
        maybe, _ = index.find(entries(0, covered).hashes)
        assert maybe.all()


def test_a_few_rows_are_not_worth_a_file(tmp_path):
    with indexed(tmp_path / "t") as index:
        tell(index, 0, RECENT // 16 - 1)
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("damage", ["made_by", "state", "cut", "gone", "format"])
def test_files_that_are_damaged_or_made_otherwise_are_begun_anew(tmp_path, damage):
    folder = tmp_path / "t"
    with indexed(folder) as index:
        tell(index, 0, 500)
    state, keys = folder / "state.json", folder / files(folder)[0]
    if damage == "state":
        state.write_text("{")
    elif damage == "format":
        state.write_text(state.read_text().replace('"format": 1', '"format": 2'))
    elif damage == "cut":
        keys.write_bytes(keys.read_bytes()[:-8])
    elif damage == "gone":
        keys.unlink()
    with indexed(folder, "others" if damage == "made_by" else "us") as index:
        assert index.coverage is None
        assert index.rows == 0
        assert not files(folder)


def test_what_is_forgotten_stays_so_across_starts_and_merges(tmp_path):
    folder = tmp_path / "t"
    with indexed(folder) as index:
        tell(index, 0, 200)
        index.forget([3, 150])
        maybe, found = index.find(entries(0, 200).hashes)
        assert np.flatnonzero(~maybe).tolist() == [3, 150]
        assert found.rows == 198
    for turn in range(12):
        with indexed(folder) as index:
            tell(index, 200 + 100 * turn, 300 + 100 * turn)
            assert np.flatnonzero(~index.find(entries(0, 200).hashes)[0]).tolist() == [3, 150]


def test_a_disk_that_refuses_leaves_all_in_memory(tmp_path):
    (tmp_path / "t").write_text("no folder can be made here")
    with indexed(tmp_path / "t" / "below", keep=False) as index:
        tell(index, 0, 1000)
        assert_holds(index, 1000)


def test_files_that_nobody_names_are_removed_at_the_next_start(tmp_path):
    with indexed(tmp_path / "t") as index:
        tell(index, 0, 500)
    (tmp_path / "t" / "99999999.keys").write_bytes(b"of a merge that a crash cut off")
    with indexed(tmp_path / "t") as index:
        assert_holds(index, 500)
    assert "99999999.keys" not in files(tmp_path / "t")
