"""A lease keeps a snapshot while its holder lives, and no longer."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest

from headrace.errors import LakeError
from headrace.lake import leases


def test_a_lease_lives_as_long_as_its_block(tmp_path):
    assert leases.live(tmp_path) == frozenset()
    with leases.hold(tmp_path, 7), leases.hold(tmp_path, 9):
        assert leases.live(tmp_path) == {7, 9}
    assert leases.live(tmp_path) == frozenset()


def test_two_holders_of_one_snapshot_are_two_leases(tmp_path):
    with leases.hold(tmp_path, 7):
        with leases.hold(tmp_path, 7):
            pass
        assert leases.live(tmp_path) == {7}


def test_the_lease_of_a_holder_that_died_runs_out(tmp_path):
    with leases.hold(tmp_path, 7):
        assert leases.live(tmp_path, now=time.time() + leases.DEAD_AFTER_SECS - 5) == {7}
        assert leases.live(tmp_path, now=time.time() + leases.DEAD_AFTER_SECS + 5) == frozenset()
        assert leases.live(tmp_path) == frozenset(), "and is forgotten"


def test_the_lease_of_a_clock_that_was_set_back_runs_out_too(tmp_path):
    now = time.time()
    with leases.hold(tmp_path, 7):
        for secs in (0.0, leases.DEAD_AFTER_SECS - 5):
            assert leases.live(tmp_path, now=now - 9_000 + secs) == {7}, "whoever holds it may be alive"
        assert leases.live(tmp_path, now=now - 9_000 + leases.DEAD_AFTER_SECS + 5) == frozenset()


def test_a_block_that_fails_ends_its_lease_too(tmp_path):
    try:
        with leases.hold(tmp_path, 7):
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert leases.live(tmp_path) == frozenset()


def test_a_lease_file_that_breaks_is_a_lake_error_and_ends_no_block(tmp_path):
    with leases.hold(tmp_path, 7):
        (tmp_path / "leases.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(LakeError, match="leases"):
        leases.live(tmp_path)
    with pytest.raises(LakeError, match="leases"), leases.hold(tmp_path, 7):
        raise AssertionError("the block runs without its lease")


def test_a_beat_that_fails_is_not_the_last_one(tmp_path):
    path = tmp_path / "leases.db"
    with leases.hold(tmp_path, 7, every_secs=0.02):
        with sqlite3.connect(path) as broken:
            broken.execute("ALTER TABLE leases RENAME COLUMN beat TO lost")
        time.sleep(0.2)
        with sqlite3.connect(path) as mended:
            mended.execute("ALTER TABLE leases RENAME COLUMN lost TO beat")
            mended.execute("DELETE FROM leases")
        deadline = time.monotonic() + 60
        while not leases.live(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert leases.live(tmp_path) == {7}


def test_a_snapshot_that_is_the_latest_no_more_when_leased_is_chosen_again(tmp_path):
    answers = iter([3, 5, 5, 5])
    with leases.hold_latest(tmp_path, lambda: next(answers)) as snapshot:
        assert snapshot == 5
        assert leases.live(tmp_path) == {5}
    assert leases.live(tmp_path) == frozenset()


def test_where_there_is_no_snapshot_nothing_is_leased(tmp_path):
    with leases.hold_latest(tmp_path, lambda: None) as snapshot:
        assert snapshot is None
        assert leases.live(tmp_path) == frozenset()


def test_a_lease_that_comes_amid_a_compaction_waits_for_its_end_and_the_next_one_waits_for_the_lease(tmp_path):
    begun, ended, told = threading.Event(), threading.Event(), []

    def read():
        with leases.hold(tmp_path, 7):
            begun.set()
            ended.wait()

    reader = threading.Thread(target=read)
    with leases.none_live(tmp_path) as unread:
        assert unread
        reader.start()
        while not leases.live(tmp_path):
            time.sleep(0.005)
        assert not begun.wait(0.1), "it read beside a compaction that could not know of it"
    assert begun.wait(60)
    with leases.none_live(tmp_path) as unread:
        told.append(unread)
    ended.set()
    reader.join()
    assert told == [False]
