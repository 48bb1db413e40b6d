"""A lease keeps a snapshot while its holder lives, and no longer."""

from __future__ import annotations

import time

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


def test_a_block_that_fails_ends_its_lease_too(tmp_path):
    try:
        with leases.hold(tmp_path, 7):
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert leases.live(tmp_path) == frozenset()
