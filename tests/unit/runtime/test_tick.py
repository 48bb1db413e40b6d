"""Promises 2, 3 and 6: a commit is whole or nothing, and one bad message, batch or source keeps nobody else."""

from __future__ import annotations

import pytest

from headrace.config.project import load_project
from headrace.errors import BusError, LakeError, SpaceError
from headrace.lake import tables
from headrace.lake.ducklake import DuckLake
from headrace.lake.knowledge import Knowledge
from headrace.runtime.deployment import now
from headrace.runtime.outbox import Outbox
from headrace.runtime.pipeline import Pipeline, stages_of
from headrace.runtime.tick import Tick
from headrace.stages.base import Outcome
from headrace.stages.merge import Merge
from living import (
    KEYED,
    ORDERS,
    codes,
    messages,
    orders,
    project_of,
    rows,
    silver,
    sqlite_bus,
    ticking,
    totals,
    write_source,
)


class Poisoned:
    """A stage that raises where a batch holds the event of this id."""

    def __init__(self, bad):
        self.bad = bad

    def __call__(self, batch):
        if self.bad in batch.column("id").to_pylist():
            raise ZeroDivisionError(f"cannot stand {self.bad}")
        return Outcome(batch, *no_rejections())


class PoisonedMerge(Merge):
    """A merge that raises where the events hold the one of this id."""

    def contend(self, batch, *stored):
        if "o5" in batch.column("id").to_pylist():
            raise ZeroDivisionError("cannot stand o5")
        return super().contend(batch, *stored)


class PoisonedOutbox(Outbox):
    """An outbox in which one push fails on some events, and another on all of them."""

    tried = 0

    def _events(self, select, name, downcast, chosen):
        found, undecided = super()._events(select, name, downcast, chosen)
        ids = set(chosen["id"].to_pylist())
        if select is self._pushes[0][1][name] and ids & {"o5", "o700"}:
            raise ZeroDivisionError("cannot stand these")
        if select is self._pushes[1][1][name]:
            PoisonedOutbox.tried += 1
            raise MemoryError
        return found, undecided


def no_rejections():
    from headrace.stages.rejections import none_rejected

    return none_rejected(), none_rejected()


def tick_with(project, lake, bus, **parts):
    lake.deploy([dataset for source in project.sources.values() for dataset in source.datasets])
    tick = Tick(bus, lake, project.sources, project.digest, now, **parts)
    tick.start()
    return tick


def counts(project):
    """Return how many rows each table of messages holds."""
    names = (
        "bronze.messages",
        "silver.orders",
        *(table.name for table in tables.FIXED if table.name.startswith("ops")),
    )
    return {name: rows(project, f"SELECT count(*) AS n FROM lake.{name}")[0]["n"] for name in names}


def ids(project, dataset="orders"):
    return sorted(row["id"] for row in silver(project, dataset))


def test_a_stage_that_fails_on_one_message_quarantines_that_one(tmp_path):
    project = project_of(tmp_path)

    def stages(source, dataset):
        return [*stages_of(source, dataset), Poisoned("o5")]

    with sqlite_bus(project) as bus, ticking(project, bus) as (_, lake):
        bus.publish("orders", messages(orders(0, 20)))
        tick = tick_with(project, lake, bus, pipeline=lambda source: Pipeline(source, stages))
        assert not tick.commit([tick.prepare("orders")])
    assert totals(project) == {"orders": {"accepted": 20, "silver": 19, "quarantined": 1}}
    assert codes(project) == {"internal/ZeroDivisionError": 1}
    (failed,) = rows(project, "SELECT seq, reason FROM lake.ops.quarantine")
    assert failed["seq"] == 5
    assert "cannot stand o5" in failed["reason"]
    assert "o5" not in ids(project)


def test_a_merge_that_fails_on_one_message_quarantines_that_one(tmp_path):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus, ticking(project, bus) as (_, lake):
        bus.publish("orders", messages([*orders(0, 20), *orders(3, 6), b"{"]))
        tick = tick_with(project, lake, bus, merge=PoisonedMerge)
        assert not tick.commit([tick.prepare("orders")])
        assert tick.prepare("orders") is None
    assert totals(project) == {"orders": {"accepted": 24, "silver": 19, "duplicate": 2, "quarantined": 3}}
    assert codes(project) == {"internal/ZeroDivisionError": 2, "decode/invalid_json": 1}
    assert "o5" not in ids(project)


def test_a_push_that_fails_is_warned_of_and_keeps_nobody_from_the_commit(tmp_path):
    pushes = "serving:\n  push:\n" + "".join(f"  - {{name: {name}, topic: x}}\n" for name in ("some", "all", "none"))
    write_source(tmp_path, "orders", more=KEYED + pushes)
    project = load_project(tmp_path)
    with sqlite_bus(project) as bus, ticking(project, bus) as (_, lake):
        bus.publish("orders", messages(orders(0, 1000)))
        tick = tick_with(project, lake, bus, outbox=PoisonedOutbox)
        assert not tick.commit([tick.prepare("orders")])
    assert totals(project) == {"orders": {"accepted": 1000, "silver": 1000}}
    (batch,) = rows(project, "SELECT warned FROM lake.ops.batches")
    assert batch["warned"] == {
        "push_failed: some: not sent, headrace failed on it (ZeroDivisionError)": 2,
        "push_failed: all: not sent, headrace failed on it (MemoryError)": 1000,
    }
    waiting = rows(project, "SELECT push, list(seq ORDER BY seq) AS seqs FROM lake.ops.outbox GROUP BY 1 ORDER BY 1")
    assert {row["push"]: row["seqs"] for row in waiting} == {
        "none": list(range(1000)),
        "some": [seq for seq in range(1000) if seq not in {5, 700}],
    }
    assert PoisonedOutbox.tried < 1000, "a push that fails on all is not tried with each"


@pytest.mark.parametrize("lost", ["bronze.messages", "silver.orders"])
def test_a_commit_that_fails_in_its_middle_leaves_nothing(lost, tmp_path):
    project = project_of(tmp_path)

    class Lossy(DuckLake):
        lossy = False

        def commit(self, changes):
            if self.lossy:
                next(file for file in changes[0].files if file.table == lost).path.unlink()
            return super().commit(changes)

    with sqlite_bus(project) as bus, ticking(project, bus, Lossy) as (tick, lake):
        bus.publish("orders", messages([*orders(0, 5), b"{"]))
        assert not tick.commit([tick.prepare("orders")])
        before, files = counts(project), data_files(project)
        # An update removes a row of silver, adds one, supersedes one: all tables are in the transaction.
        bus.publish("orders", messages([{"id": "o1", "version": 2}, *orders(5, 8), b"}"]))
        lake.lossy = True
        failed = tick.commit([tick.prepare("orders")])
        assert isinstance(failed["orders"], LakeError)
        assert counts(project) == before
        assert data_files(project) == files, "what was staged for it is left behind"
        lake.lossy = False
        tick.start(["orders"])
        assert not tick.commit([tick.prepare("orders")])
    assert totals(project) == {"orders": {"accepted": 11, "silver": 8, "superseded": 1, "quarantined": 2}}


def data_files(project):
    found = (project.state / "lake" / "data").rglob("*.parquet")
    return {each.name for each in found if not each.name.startswith("ducklake-")}


@pytest.mark.parametrize("problem", [LakeError("no"), RuntimeError("a bug")])
def test_one_source_whose_commit_always_fails_keeps_no_other_from_its_commit(problem, tmp_path):
    names = [f"s{number}" for number in range(5)]
    project = project_of(tmp_path, *names)

    class Refusing(DuckLake):
        def commit(self, changes):
            if "s3" in {change.source for change in changes}:
                raise problem
            return super().commit(changes)

    with sqlite_bus(project) as bus, ticking(project, bus, Refusing) as (tick, _):
        for name in names:
            bus.publish(name, messages(orders(0, 3)))
        assert tick.commit([tick.prepare(name) for name in names]).keys() == {"s3"}
    good = {"accepted": 3, "silver": 3}
    assert totals(project) == {name: {} if name == "s3" else good for name in names}


def test_a_commit_that_is_done_is_not_done_again_though_what_follows_it_fails(tmp_path):
    project = project_of(tmp_path)

    class Forgetful(Knowledge):
        def remember(self, changes):
            raise RuntimeError("a bug")

    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, lake):
        for sent in (orders(0, 4), orders(2, 6)):
            bus.publish("orders", messages(sent))
            lake._knowledge = Forgetful(lake._query, lake.folder)
            assert not tick.commit([tick.prepare("orders")])
    assert totals(project) == {"orders": {"accepted": 8, "silver": 6, "duplicate": 2}}


def test_a_disk_that_fills_between_two_commits_of_a_tick_takes_no_file_that_is_committed(tmp_path):
    # The first half of a bisected tick is committed when the second meets the full disk: its files are named by then.
    project = project_of(tmp_path, "a", "b")

    class Filling(DuckLake):
        def commit(self, changes):
            if len(changes) > 1:
                raise LakeError("no")
            if changes[0].source == "b":
                raise SpaceError("full")
            return super().commit(changes)

    with sqlite_bus(project) as bus:
        with ticking(project, bus, Filling) as (tick, _):
            for name in "ab":
                bus.publish(name, messages(orders(0, 3)))
            with pytest.raises(SpaceError):
                tick.commit([tick.prepare("a"), tick.prepare("b")])
        assert len(silver(project, "a")) == 3
        with ticking(project, bus) as (tick, _):
            assert tick.prepare("a") is None
            assert not tick.commit([tick.prepare("b")])
    assert totals(project) == {name: {"accepted": 3, "silver": 3} for name in "ab"}


def test_an_ack_that_fails_after_the_commit_changes_nothing(tmp_path):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus:
        for problem in (BusError("gone"), SpaceError("full")):
            bus.publish("orders", messages(orders(0, 3)))

            class Deaf(type(bus)):
                def ack(self, topic, name, receipt, problem=problem):
                    raise problem

            deaf = Deaf(project.state / "bus")
            with ticking(project, deaf) as (tick, _):
                assert not tick.commit([tick.prepare("orders")])
            deaf.close()
        with ticking(project, bus) as (tick, _):
            assert tick.prepare("orders") is None
    assert totals(project) == {"orders": {"accepted": 6, "silver": 3, "duplicate": 3}}


def test_two_sources_of_one_topic_each_get_every_message(tmp_path):
    project_of(tmp_path, "one", "two")
    for name in ("one", "two"):
        file = tmp_path / f"connectors/{name}.yaml"
        file.write_text(file.read_text().replace("message_format: json", "message_format: json, topic: both"))
    from headrace.config.project import load_project

    project = load_project(tmp_path)
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, _):
        for first in (0, 4):
            bus.publish("both", messages(orders(first, first + 4)))
            assert not tick.commit([tick.prepare("one"), tick.prepare("two")])
    assert totals(project) == {name: {"accepted": 8, "silver": 8} for name in ("one", "two")}


def test_a_source_without_a_contract_keeps_its_messages_in_bronze(tmp_path):
    project_of(tmp_path, more="")
    (tmp_path / "schemas/orders.json").unlink()
    file = tmp_path / "connectors/orders.yaml"
    file.write_text("".join(line for line in file.read_text().splitlines(True) if not line.startswith("schema:")))
    from headrace.config.project import load_project

    project = load_project(tmp_path)
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, _):
        bus.publish("orders", messages([b"anything", b"\xff"]))
        assert not tick.commit([tick.prepare("orders")])
    assert totals(project) == {"orders": {"accepted": 2, "filtered": 2}}
    assert len(rows(project, "SELECT payload FROM lake.bronze.messages")) == 2


def test_a_deployment_is_recorded_once_a_digest_and_named_by_its_batches(tmp_path):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus:
        for _ in range(2):
            with ticking(project, bus) as (tick, _):
                bus.publish("orders", messages(orders(0, 1)))
                tick.commit([tick.prepare("orders")])
        changed = project_of(tmp_path, schema=ORDERS | {"title": "Orders"})
        with ticking(changed, bus) as (tick, _):
            bus.publish("orders", messages(orders(0, 1)))
            tick.commit([tick.prepare("orders")])
    found = rows(project, "SELECT digest FROM lake.ops.deployments ORDER BY deployed_at")
    assert [row["digest"] for row in found] == [project.digest, changed.digest]
    named = rows(project, "SELECT deployment FROM lake.ops.batches ORDER BY first_seq")
    assert [row["deployment"] for row in named] == [project.digest, project.digest, changed.digest]
