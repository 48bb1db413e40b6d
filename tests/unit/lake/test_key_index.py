"""The index of keys: all that it was told of is found, whatever is in memory, in files, or under way between them."""

from __future__ import annotations

import errno
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Timer

import numpy as np
import pytest

from headrace.lake import key_index
from headrace.lake.key_index import Coverage, Jobs, KeyIndex
from headrace.lake.keys import Entries, write_run

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


@pytest.mark.parametrize("damage", ["made_by", "state", "cut", "gone", "format", "zeros"])
def test_files_that_are_damaged_or_made_otherwise_are_begun_anew(tmp_path, damage):
    folder = tmp_path / "t"
    with indexed(folder) as index:
        tell(index, 0, 500)
    state, keys = folder / "state.json", folder / files(folder)[0]
    words = np.fromfile(keys, np.uint64)
    if damage == "state":
        state.write_text("{")
    elif damage == "format":
        state.write_text(state.read_text().replace('"format": 2', '"format": 1'))
    elif damage == "cut":
        keys.write_bytes(keys.read_bytes()[:-8])
    elif damage == "zeros":
        words[5:60] = 0
        words.tofile(keys)
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


def test_versions_that_lost_do_not_make_it_grow(tmp_path):
    keys = 40
    hashes = np.arange(keys, dtype=np.uint64) << np.uint64(57)
    with indexed(tmp_path / "t") as index:
        for version in range(500):
            seqs = np.arange(version * keys, (version + 1) * keys, dtype=np.uint64)
            index.lose((seqs - np.uint64(keys)).tolist() if version else [])
            index.add(Entries.of(hashes, seqs, (seqs, seqs)))
            tell(index, 10**6 + version, 10**6 + version + 1)  # others are added all the time
            _, found = index.find(hashes)
            assert found.rows < 50 * keys, "each look-up finds all that lost"
            assert set(seqs.tolist()) <= set(found.seqs.tolist())
        index.settle()
        assert index.rows < 500 + 20 * keys
        assert index._lost.count < 20 * keys
        maybe, _ = index.find(entries(10**6, 10**6 + 500).hashes)
        assert maybe.all()


def test_a_merge_that_the_disk_refuses_waits_for_the_next_file(tmp_path, monkeypatch):
    tries = []

    def refusing(path, parts, room):
        if room > 4 * RECENT:
            tries.append(path)
            raise OSError(errno.ENOSPC, "No space left on device")
        write_run(path, parts, room)

    monkeypatch.setattr(key_index, "write_run", refusing)
    with indexed(tmp_path / "t") as index:
        for at in range(0, 20 * RECENT, 8):
            tell(index, at, at + 8)
            index.settle()
        assert 0 < len(tries) < 20
        assert_holds(index, 20 * RECENT)
        monkeypatch.undo()
        tell(index, 20 * RECENT, 22 * RECENT)
        index.settle()
        assert_holds(index, 22 * RECENT)
        assert len(files(tmp_path / "t")) < 8, "it is done once there is room"


def test_what_is_cleared_leaves_nothing_under_way_to_who_begins_anew(tmp_path, monkeypatch):
    begun, goes_on = Event(), Event()

    def slow(path, parts, room):
        begun.set()
        goes_on.wait(60)
        write_run(path, parts, room)

    monkeypatch.setattr(key_index, "write_run", slow)
    with indexed(tmp_path / "t", keep=False) as index:
        tell(index, 0, RECENT, RECENT)
        assert begun.wait(60)
        ended = Timer(0.05, goes_on.set)
        ended.start()
        index.clear()
        assert not (tmp_path / "t").exists()
        assert index.rows == 0
        assert index._spilling is None
        with indexed(tmp_path / "t") as another:
            tell(another, 0, 3 * RECENT)
        ended.join()
    with indexed(tmp_path / "t") as index:
        assert_holds(index, 3 * RECENT)


def test_a_disk_that_refuses_leaves_all_in_memory_and_is_told_of_once(tmp_path, caplog):
    (tmp_path / "t").write_text("no folder can be made here")
    with indexed(tmp_path / "t" / "below", keep=False) as index:
        tell(index, 0, 1000)
        assert_holds(index, 1000)
    assert len([each for each in caplog.messages if "cannot be written" in each]) == 1


def test_files_that_nobody_names_are_removed_at_the_next_start(tmp_path):
    with indexed(tmp_path / "t") as index:
        tell(index, 0, 500)
    (tmp_path / "t" / "99999999.keys").write_bytes(b"of a merge that a crash cut off")
    with indexed(tmp_path / "t") as index:
        assert_holds(index, 500)
    assert "99999999.keys" not in files(tmp_path / "t")
