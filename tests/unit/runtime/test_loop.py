"""The loop: every source has its turn, what fails rests and comes back, and nothing is ever passed over."""

from __future__ import annotations

import math
import threading
import time

import pyarrow.compute as pc
import pytest

from headrace.bus.memory import MemoryBus
from headrace.bus.sqlite import SqliteBus
from headrace.errors import BusError, BusyError, LakeError, SpaceError
from headrace.lake.ducklake import DuckLake
from headrace.runtime import due
from headrace.runtime.deployment import deploy
from headrace.runtime.loop import Loop
from headrace.runtime.upkeep import WHOLE_SECS
from living import KEYED, messages, orders, project_of, rows, silver, sqlite_bus, totals


def loop_over(project, bus, kind=DuckLake, **options):
    return Loop(
        bus,
        lambda: kind(project.state / "lake"),
        project.sources,
        lambda lake, on: deploy(project, lake, on),
        **options,
    )


def until(loop, done, steps=2000, asked=()):
    """Step until `done()`, all sources or those asked; the number of steps is bounded, and a rest is waited for."""
    rest = threading.Event()
    for _ in range(steps):
        if done():
            return
        if not loop.step(set(asked or loop._sources)):
            rest.wait(0.02)
    pytest.fail(f"not done after {steps} steps: {loop.progress}")


def test_a_hundred_sources_all_come_to_silver_though_one_always_fails(tmp_path):
    names = [f"s{number:02d}" for number in range(100)]
    project = project_of(tmp_path, *names)

    class Refusing(DuckLake):
        def commit(self, changes):
            if "s50" in {change.source for change in changes}:
                raise LakeError("no", at="s50")
            return super().commit(changes)

    with sqlite_bus(project) as bus:
        for name in names:
            bus.publish(name, messages(orders(0, 2)))
        loop = loop_over(project, bus, Refusing)
        loop.drain()
        loop.close()
    assert loop.progress.failing.keys() == {"s50"}
    assert loop.progress.messages == 198
    found = rows(project, "SELECT source, sum(silver)::INT AS n FROM lake.ops.ledger GROUP BY ALL ORDER BY ALL")
    assert found == [{"source": name, "n": 2} for name in names if name != "s50"]


@pytest.mark.parametrize("problem", [BusError("away"), SpaceError("full")])
def test_a_source_that_cannot_be_set_back_takes_nothing_until_it_is(problem, tmp_path):
    # A commit fails, then the bus does not answer to `seek`: taking the next messages would pass over the first ones.
    project = project_of(tmp_path)

    class Away(SqliteBus):
        seeks = 0

        def seek(self, topic, name, positions):
            self.seeks += 1
            if self.seeks in {2, 3}:
                raise problem
            super().seek(topic, name, positions)

    class FailsOnce(DuckLake):
        failed = False

        def commit(self, changes):
            if any(change.files for change in changes) and not self.failed:
                FailsOnce.failed = True
                raise LakeError("no")
            return super().commit(changes)

    bus = Away(project.state / "bus")
    bus.publish("orders", messages(orders(0, 4)))
    loop = loop_over(project, bus, FailsOnce)
    loop.step(set(loop._sources))
    loop.step(set(loop._sources))
    bus.publish("orders", messages(orders(4, 8)))
    until(loop, lambda: loop.progress.messages >= 8)
    loop.close()
    bus.close()
    assert bus.seeks == 4
    assert [row["id"] for row in silver(project)] == [f"o{number}" for number in range(8)]
    assert totals(project) == {"orders": {"accepted": 8, "silver": 8}}


def test_a_bus_that_does_not_answer_for_one_source_keeps_no_other(tmp_path):
    project = project_of(tmp_path, "away", "here")

    class Away(SqliteBus):
        def lag(self, topic, name):
            if topic == "away":
                raise SpaceError("full")
            return super().lag(topic, name)

    bus = Away(project.state / "bus")
    for name in project.sources:
        bus.publish(name, messages(orders(0, 3)))
    loop = loop_over(project, bus)
    loop.drain()
    loop.close()
    bus.close()
    assert loop.progress.failing.keys() == {"away"}
    assert len(silver(project, "here")) == 3


@pytest.mark.parametrize("seeks_too", [False, True])
def test_a_source_that_failed_with_nothing_to_take_is_said_to_be_well_again(seeks_too, tmp_path):
    # A disk is full for a moment while nothing waits: no commit will come to show that all is well.
    project = project_of(tmp_path)

    class Away(SqliteBus):
        away = False

        def lag(self, topic, name):
            if self.away:
                raise SpaceError("full")
            return super().lag(topic, name)

        def seek(self, topic, name, positions):
            if self.away and seeks_too:
                raise SpaceError("full")
            super().seek(topic, name, positions)

    bus = Away(project.state / "bus")
    loop = loop_over(project, bus)
    bus.away = True
    loop.step()
    assert loop.progress.failing == {"orders": "full"}
    bus.away = False
    until(loop, lambda: not loop.progress.failing)
    loop.close()
    bus.close()


def test_a_drain_ends_while_producers_go_on(tmp_path):
    project = project_of(tmp_path)

    class Busy(SqliteBus):
        """Every pull finds that one more message came."""

        pulls = 0

        def pull(self, topic, name, max_rows, max_bytes):
            self.pulls += 1
            assert self.pulls < 50, "the drain never ends"
            pulled = super().pull(topic, name, max_rows, max_bytes)
            self.publish(topic, messages(orders(self.pulls + 100, self.pulls + 101)))
            return pulled

    bus = Busy(project.state / "bus")
    bus.publish("orders", messages(orders(0, 10)))
    loop = loop_over(project, bus)
    loop.drain()
    assert loop.progress.messages >= 10
    loop.close()
    bus.close()


def test_a_bus_without_offsets_is_taken_once(tmp_path):
    project = project_of(tmp_path, "a", "b")
    bus = MemoryBus(3)
    for name in "ab":
        bus.publish(name, messages(orders(0, 30)))
    loop = loop_over(project, bus)
    until(loop, lambda: not any(bus.lag(name, f"lake-{name}").messages for name in "ab"))
    loop.close()
    assert totals(project) == {name: {"accepted": 30, "silver": 30} for name in "ab"}


def test_a_second_loop_on_the_same_lake_is_refused_and_the_first_goes_on(tmp_path):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus:
        loop = loop_over(project, bus)
        with pytest.raises(BusyError, match="another headrace"):
            loop_over(project, bus)
        bus.publish("orders", messages(orders(0, 3)))
        loop.drain()
        loop.close()
        again = loop_over(project, bus)
        again.close()
    assert totals(project) == {"orders": {"accepted": 3, "silver": 3}}


def waiting(source, since=1.0, **more):
    return due.Waiting(
        source, **({"messages": 1, "since_last_secs": since, "freshness_secs": 1.0, "batch_rows": 10} | more)
    )


def test_due_is_a_full_batch_or_a_freshness_budget_used_up():
    assert due.decide([waiting("a", 0.5), waiting("b", 0.5, messages=10), waiting("c", 1.0)]) == ["c", "b"]
    assert due.decide([waiting("a", messages=0)]) == []


def test_every_source_has_its_turn_within_as_few_ticks_as_can_be():
    names = [f"s{number}" for number in range(100)]
    taken_at = dict.fromkeys(names, 0.0)
    turns = dict.fromkeys(names, 0)
    for now in range(1, 26):
        chosen = due.decide([waiting(name, now - taken_at[name], messages=50) for name in names], 20)
        assert len(chosen) == 20
        for name in chosen:
            taken_at[name] = now
            turns[name] += 1
    assert set(turns.values()) == {5}


def test_a_damaged_topic_keeps_no_other_source_from_starting(tmp_path):
    project = project_of(tmp_path, "orders", "refunds")
    with sqlite_bus(project) as bus:
        for topic in ("orders", "refunds"):
            bus.publish(topic, messages(orders(0, 2)))
    (project.state / "bus" / "refunds.db").write_bytes(b"no database at all" * 500)
    with sqlite_bus(project) as bus:
        loop = loop_over(project, bus)
        loop.drain()
        loop.close()
    assert loop.progress.failing.keys() == {"refunds"}
    assert loop.progress.messages == 2


def test_a_source_that_fails_while_its_batch_waits_for_the_writer_is_not_taken_twice(tmp_path):
    # `drain` asks every source's lag; an answer that fails sets the source back, and what was prepared of it is void.
    project = project_of(tmp_path, "first", "second")

    class Slow(DuckLake):
        go_on = threading.Event()

        def commit(self, changes):
            if any(change.source == "first" for change in changes):
                self.go_on.wait(200)
            return super().commit(changes)

    class Away(SqliteBus):
        away = False

        def lag(self, topic, name):
            if topic == "second" and self.away:
                self.away = False
                raise BusError("away")
            return super().lag(topic, name)

    bus = Away(project.state / "bus")
    for name in project.sources:
        bus.publish(name, messages(orders(0, 3)))
    loop = loop_over(project, bus, Slow)
    until(loop, lambda: loop._in_flight, asked={"first"})
    until(loop, lambda: loop._ready, asked={"second"})
    assert [each.source for each in loop._ready] == ["second"]
    bus.away = True
    Slow.go_on.set()
    loop.drain()
    until(loop, lambda: loop.progress.messages >= 6 and not loop.progress.failing)
    loop.drain()
    loop.close()
    bus.close()
    assert totals(project) == {name: {"accepted": 3, "silver": 3} for name in project.sources}
    found = rows(project, "SELECT source, count(*)::INT AS n FROM lake.bronze.messages GROUP BY ALL ORDER BY ALL")
    assert found == [{"source": "first", "n": 3}, {"source": "second", "n": 3}]


def test_a_bug_while_a_source_is_prepared_fails_that_source_alone(tmp_path):
    project = project_of(tmp_path, "broken", "whole")
    with sqlite_bus(project) as bus:
        for name in project.sources:
            bus.publish(name, messages(orders(0, 8)))
        loop = loop_over(project, bus)
        prepare, limits = loop._tick.prepare, []

        def failing(name, limit=0):
            if name == "broken" and len(limits) < 3:
                limits.append(limit)
                raise KeyError("a bug")
            return prepare(name, limit)

        loop._tick.prepare = failing
        loop.drain()
        assert "a bug" in loop.progress.failing["broken"]
        until(loop, lambda: loop.progress.messages >= 16)
        loop.close()
    assert limits[0] == 0
    assert 0 < limits[2] < limits[1]
    assert totals(project) == {name: {"accepted": 8, "silver": 8} for name in project.sources}


def test_a_source_that_cannot_be_set_back_stays_so_though_its_batch_of_before_is_committed(tmp_path):
    # While a batch commits, the next one cannot be staged, and then the bus does not answer to `seek`.
    project = project_of(tmp_path)
    failed = []

    class Away(SqliteBus):
        def seek(self, topic, name, positions):
            if failed == ["stage"]:
                failed.append("seek")
                raise BusError("away")
            super().seek(topic, name, positions)

    class FailsOnce(DuckLake):
        def stage(self, table, rows, batch_id, *more):
            if not failed and table.name == "bronze.messages" and pc.min(rows["seq"]).as_py() > 0:
                failed.append("stage")
                raise SpaceError("full")
            return super().stage(table, rows, batch_id, *more)

    bus = Away(project.state / "bus")
    loop = loop_over(project, bus, FailsOnce)
    for first in (0, 4):
        bus.publish("orders", messages(orders(first, first + 4)))
        loop.step(set(loop._sources))
    bus.publish("orders", messages(orders(8, 12)))
    until(loop, lambda: loop.progress.messages >= 12, steps=200)
    loop.close()
    bus.close()
    assert failed == ["stage", "seek"]
    assert [row["id"] for row in silver(project)] == sorted(f"o{number}" for number in range(12))
    assert totals(project) == {"orders": {"accepted": 12, "silver": 12}}


class Noting(DuckLake):
    """A lake that notes the pace of upkeep, and that commits when it is told to."""

    def __init__(self, folder):
        super().__init__(folder)
        self.paces, self.asked, self.left = [], [], 0
        self.go = threading.Event()
        self.go.set()

    def maintain(self, keep, budget_secs, tasks, pace="at ease"):
        self.paces.append(pace)
        self.asked.append(tasks)
        return {**super().maintain(keep, budget_secs, tasks, pace), "unfinished": self.left}

    def commit(self, changes):
        assert self.go.wait(200)
        super().commit(changes)


def test_the_next_batch_is_made_ready_while_one_is_committed_and_upkeep_is_short_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr("headrace.runtime.upkeep.EASE_SECS", 600.0)  # however slow the machine is
    project = project_of(tmp_path, "orders", more="  batch_rows: 10\n" + KEYED)
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(orders(0, 60)))
        loop = loop_over(project, bus, Noting)
        lake = loop._lake
        try:
            lake.go.clear()
            until(loop, lambda: loop._in_flight)
            until(loop, lambda: loop._ready)
            assert [each.first_seq for each in loop._ready] == [10], "a commit takes one batch of a source"
            assert [each.first_seq for each in loop._in_flight] == [0]
            loop._upkeep._next_at = 0.0
            threading.Timer(0.2, lake.go.set).start()
            until(loop, lambda: loop.progress.messages == 60)
            loop._upkeep._next_at = 0.0
            loop.step()
            assert loop.upkeep({"expiry"}).result() is not None
            assert lake.paces == ["busy"] * 3, "the next commit may be due soon"
            loop._upkeep._ease_at = 0.0
            loop.upkeep({"expiry"}).result()
            assert lake.paces[-1] == "at ease", "there was none for long"
        finally:
            lake.go.set()
            loop.close()
    assert totals(project) == {"orders": {"accepted": 60, "silver": 60}}


def test_upkeep_that_had_too_little_time_goes_on_soon_and_is_whole_in_the_end_though_commits_wait(tmp_path):
    project = project_of(tmp_path, "orders")
    with sqlite_bus(project) as bus:
        loop = loop_over(project, bus, Noting, upkeep_every_secs=None)
        lake = loop._lake
        try:
            lake.go.clear()
            bus.publish("orders", messages(orders(0, 10)))
            until(loop, lambda: loop._in_flight)
            assert loop._upkeep._next_at == math.inf, "only when somebody asks"
            asked = [loop.upkeep({"compaction"}), loop.upkeep({"expiry"})]
            loop._upkeep._whole_at = 0.0
            asked.append(loop.upkeep({"compaction"}))
            lake.left = 1
            lake.go.set()
            for each in asked:
                each.result()
            assert lake.paces == ["busy", "busy", "overdue"]
            soon = loop._upkeep._whole_at - time.monotonic()
            assert soon < WHOLE_SECS / 2, "a load without a gap has large merges as often as their share allows"
            assert loop._upkeep._next_at < math.inf
            lake.left = 0
            until(loop, lambda: loop.progress.messages == 10)
            loop._upkeep._next_at = loop._upkeep._ease_at = 0.0
            loop.step()
            loop.upkeep({"expiry"}).result()
            assert lake.asked[-2:] == [{"compaction"}, {"expiry"}], "what was asked for is gone on with, no more"
            assert loop._upkeep._next_at == math.inf
            assert loop._upkeep._whole_at - time.monotonic() > WHOLE_SECS / 2, "it is done"
        finally:
            lake.go.set()
            loop.close()
