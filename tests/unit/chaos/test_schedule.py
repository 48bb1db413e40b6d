"""Schedules: a seed says all, and over some hundreds of seeds everything is tried everywhere."""

from collections import Counter
from dataclasses import replace

from headrace.chaos.schedule import Possible, doers, draw
from headrace.fault_points import POINTS

ALL = Possible(sources=("a", "b", "c", "d"), landed=("c",), shim=True)


def faults(seeds, possible=ALL):
    return [fault for seed in seeds for life in draw(seed, possible).lives for fault in life.faults]


def test_the_same_seed_is_the_same_schedule():
    assert draw(7, ALL) == draw(7, ALL)
    assert draw(7, ALL) != draw(8, ALL)


def test_every_point_is_struck_by_some_seed_and_by_a_life_that_passes_it():
    killed = {fault.point for fault in faults(range(3000)) if fault.strike == "kill"}
    assert killed == {point for point in POINTS if doers(point)}
    nobodys = {point.rpartition(".")[0] for point in POINTS if not doers(point)}
    assert nobodys == {"lake.decide", "lake.replace", "lake.restore", "bus.salvage"}
    for seed in range(100):
        for life in draw(seed, ALL).lives:
            assert all(life.does in doers(fault.point) for fault in life.faults)


def test_a_step_that_lasts_is_never_refused_but_for_the_commit_of_which_that_may_be_said():
    refused = {fault.point for fault in faults(range(500)) if fault.strike == "full"}
    assert {point for point in refused if not point.endswith(".before")} == {"lake.commit.after"}


def test_without_the_shim_the_power_never_fails_and_no_write_tears():
    without = replace(ALL, shim=False)
    lives = [life for seed in range(300) for life in draw(seed, without).lives]
    assert not any(life.power_cut or life.disk.torn_write or life.disk.full_after_bytes for life in lives)
    assert any(fault.strike == "full" for life in lives for fault in life.faults)


def test_everything_that_can_be_done_is_done():
    lives = [life for seed in range(200) for life in draw(seed, ALL).lives]
    counts = Counter(life.does for life in lives)
    assert set(counts) == {"publish", "spool", "land", "tick", "upkeep", "build", "relay"}
    for meets in ("beside", "power_cut", "kill_after_secs", "clock_secs", "ticks", "again", "rows"):
        assert any(getattr(life, meets) for life in lives), meets
    assert any(life.disk.full_after_bytes for life in lives)
    assert any(life.disk.torn_write for life in lives)


def test_gold_is_left_out_where_it_is_not_wanted():
    assert not any(draw(seed, replace(ALL, gold=False)).builds for seed in range(100))
