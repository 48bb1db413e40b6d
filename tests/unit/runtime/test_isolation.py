"""A bad neighbour costs the others nothing that can be counted: a loop under load, with a source that does its worst.

How far a source is behind is counted in commits: of what was published while so many were done, all is committed a few
commits later, however long these take.
"""

from __future__ import annotations

import threading
from collections import Counter, deque

import pytest

from headrace.bus.sqlite import SqliteBus
from headrace.errors import LakeError
from headrace.lake.ducklake import DuckLake
from headrace.runtime import due
from headrace.runtime.deployment import deploy, now
from headrace.runtime.loop import MOST_AT_ONCE, Loop
from headrace.runtime.pipeline import Pipeline, stages_of
from headrace.runtime.tick import Tick
from living import codes, messages, orders, project_of, totals

ROUNDS = 12
EACH = 20  # messages a round for a source that does well
WELL = ("alpha", "beta", "gamma")
BEHIND = 4  # commits: one is under way, one is ready, one is being prepared, and one more for what joined a step late
STEPS = 400


class Rounds:
    """Publishes to all sources and steps, and notes after how many commits each publish was committed."""

    def __init__(self, loop, bus, bad):
        self.loop, self.bus, self.bad = loop, bus, bad
        self.behind = Counter()
        self.number = 0
        self.waiting = {name: deque() for name in WELL}

    def publish(self):
        for name in WELL:
            self.bus.publish(name, messages(orders(self.number * EACH, (self.number + 1) * EACH)))
            self.waiting[name].append(((self.number + 1) * EACH, self.loop.progress.commits))
        for payload in self.bad(self.number):
            self.bus.publish("bad", payload)
        self.number += 1

    def step(self):
        self.loop.step(set(self.loop._sources))
        for name, waiting in self.waiting.items():
            while waiting and waiting[0][0] <= self.loop._committed[name]:
                _, commits = waiting.popleft()
                self.behind[name] = max(self.behind[name], self.loop.progress.commits - commits)

    def run(self, rounds):
        for _ in range(rounds):
            self.publish()
            self.step()
        for _ in range(STEPS):
            if not any(self.waiting.values()):
                return
            self.step()
        pytest.fail(f"not committed after {STEPS} steps: {self.waiting}")


def lived_beside(tmp_path, bad, *, bus=SqliteBus, lake=DuckLake, pipeline=Pipeline, rounds=ROUNDS):
    """Run rounds beside a bad source; return the project and the loop once the good ones have come to silver."""
    project = project_of(tmp_path, "bad", *WELL)
    opened = bus(project.state / "bus")

    def start(writer, on):
        deploy(project, writer, on)
        return Tick(on, writer, project.sources, project.digest, now, pipeline=pipeline)

    loop = Loop(opened, lambda: lake(project.state / "lake"), project.sources, start)
    each = Rounds(loop, opened, bad)
    try:
        each.run(rounds)
        assert max(each.behind.values()) <= BEHIND, each.behind
        assert bus is not Blocked or not loop._committed["bad"]
    finally:
        if isinstance(opened, Blocked):
            opened.go.set()
        loop.drain()
        loop.close()
        opened.close()
    ledgers = totals(project)
    for name in WELL:
        assert ledgers[name] == {"accepted": rounds * EACH, "silver": rounds * EACH}
    return project, loop, ledgers


class Blocked(SqliteBus):
    """A bus that keeps a thread busy for as long as the test likes, for each topic that is called bad."""

    go = threading.Event()

    def pull(self, topic, name, max_rows, max_bytes):
        if topic.startswith("bad"):
            self.go.wait(200)
        return super().pull(topic, name, max_rows, max_bytes)


def test_a_source_of_which_every_message_is_wrong(tmp_path):
    project, _, ledgers = lived_beside(
        tmp_path, lambda number: [messages([b"{not json", b'{"id": %d}' % number] * 500)]
    )
    assert ledgers["bad"] == {"accepted": ROUNDS * 1000, "quarantined": ROUNDS * 1000}
    assert sum(codes(project).values()) == ROUNDS * 1000


def test_a_source_with_messages_that_a_stage_raises_on(tmp_path):
    def stages(source, dataset):
        first, *rest = stages_of(source, dataset)

        def raising(batch):
            if any(b"boom" in each for each in batch.column("payload").to_pylist()):
                raise ZeroDivisionError("boom")
            return first(batch)

        return [raising, *rest]

    poison = [*orders(0, 100), {"id": "boom"}, *orders(100, 200)]
    project, _, _ = lived_beside(
        tmp_path, lambda _: [messages(poison)], pipeline=lambda source: Pipeline(source, stages)
    )
    assert codes(project)["internal/ZeroDivisionError"] == ROUNDS


def test_a_source_whose_commit_always_fails(tmp_path):
    class Refusing(DuckLake):
        def commit(self, changes):
            if "bad" in {change.source for change in changes}:
                raise LakeError("no", at="bad")
            return super().commit(changes)

    _, loop, _ = lived_beside(tmp_path, lambda _: [messages(orders(0, 50))], lake=Refusing)
    assert loop.progress.failing.keys() == {"bad"}


def test_a_source_that_is_never_done_being_prepared(tmp_path):
    Blocked.go.clear()
    _, _, ledgers = lived_beside(tmp_path, lambda _: [messages(orders(0, 50))], bus=Blocked)
    assert ledgers["bad"]["accepted"] == ROUNDS * 50, "and once it is, nothing of it is lost"


def test_a_source_with_fifty_times_the_load(tmp_path):
    def load(number):
        return [messages(orders(number * 1000, (number + 1) * 1000))]

    _, _, ledgers = lived_beside(tmp_path, load)
    assert ledgers["bad"]["accepted"] == ROUNDS * 1000


def test_slow_sources_as_many_as_there_are_threads_but_two_leave_those_to_the_others(tmp_path):
    slow = [f"bad{number}" for number in range(MOST_AT_ONCE - 2)]
    project = project_of(tmp_path, *slow, *WELL)
    Blocked.go.clear()
    bus = Blocked(project.state / "bus")
    for name in (*slow, *WELL):
        bus.publish(name, messages(orders(0, 5)))
    loop = Loop(
        bus, lambda: DuckLake(project.state / "lake"), project.sources, lambda lake, on: deploy(project, lake, on)
    )
    steps = 0
    while any(loop._committed[name] < 5 for name in WELL) and steps < 100:
        loop.step(set(loop._sources))
        steps += 1
    assert all(loop._committed[name] == 5 for name in WELL)
    assert not any(loop._committed[name] for name in slow)
    Blocked.go.set()
    loop.drain()
    loop.close()
    bus.close()
    assert {name: each["silver"] for name, each in totals(project).items()} == dict.fromkeys((*slow, *WELL), 5)


def test_a_batch_that_takes_long_is_followed_by_smaller_ones_until_they_are_quick():
    assert due.paced(due.BATCH_SECS * 4, 100_000, 0, 100_000) == 25_000
    assert due.paced(due.BATCH_SECS * 2, 25_000, 25_000, 100_000) == 12_500
    assert due.paced(due.BATCH_SECS * 1000, 1000, 1000, 100_000) == due.LEAST_ROWS
    assert due.paced(due.BATCH_SECS * 0.7, 12_500, 12_500, 100_000) == 12_500
    assert due.paced(due.BATCH_SECS * 0.1, 12_500, 10_000, 100_000) == 80_000
    assert due.paced(due.BATCH_SECS * 0.1, 12_500, 12_500, 100_000) == 0
    assert due.paced(0.0, 5, 0, 100_000) == 0


@pytest.mark.parametrize(("rows", "expected"), [
    ([], 0), ([1], 1), ([10**6], 1), ([1, 2, 3], 3), ([1, due.ROWS_PER_COMMIT, 5], 1),
    ([100_000, 100_000, 100_000], 2), ([1] * 50, 20),
])  # fmt: skip
def test_a_commit_takes_no_more_rows_than_others_can_wait_for(rows, expected):
    assert due.together(rows, 20) == expected
