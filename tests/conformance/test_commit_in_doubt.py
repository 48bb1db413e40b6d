"""A commit whose end is told wrongly: what the catalog has is what happened, whoever raised what about it."""

from __future__ import annotations

import pytest

from headrace.errors import InDoubtError, SpaceError
from headrace.runtime.verify import verify
from living import messages, orders, project_of, rows, run_out, silver, sqlite_bus, ticking, totals
from striking import failing_at


def told(problem):
    def fail():
        raise problem

    return fail


def no_file_is_lost(project):
    """Every file that the catalog names is there, and every row of every table can be read."""
    assert verify(project, scan=True).holds
    for table in ("ops.ledger", "ops.positions", "ops.batches", "bronze.messages"):
        rows(project, f"SELECT * FROM lake.{table}")


@pytest.mark.parametrize(
    "problem",
    [OSError(28, "No space left on device"), SpaceError("the disk is full"), ValueError("a bug")],
    ids=["system", "disk", "bug"],
)
def test_what_is_committed_stays_so_whatever_is_raised_about_it(tmp_path, problem):
    project = project_of(tmp_path, "orders", "visits")
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, _):
        for source in ("orders", "visits"):
            bus.publish(source, messages(orders(0, 5)))
        both = [tick.prepare(source) for source in ("orders", "visits")]
        with failing_at("lake.commit.after", told(problem)):
            assert not tick.commit(both), "it took place"
        for source in ("orders", "visits"):  # ... and nothing is taken, or put in, twice
            bus.publish(source, messages(orders(3, 8)))
        run_out(tick, ["orders", "visits"])
    no_file_is_lost(project)
    assert totals(project) == {name: {"accepted": 10, "silver": 8, "duplicate": 2} for name in ("orders", "visits")}
    assert len(silver(project)) == len(silver(project, "visits")) == 8


def test_where_nobody_can_say_nothing_is_removed_and_the_next_start_finds_out(tmp_path):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus:
        with ticking(project, bus) as (tick, lake):
            bus.publish("orders", messages(orders(0, 5)))
            prepared = tick.prepare("orders")

            def cut_off():
                lake._connection.close()
                raise OSError(5, "Input/output error")

            with failing_at("lake.commit.after", cut_off):
                failed = tick.commit([prepared])
            assert isinstance(failed["orders"], InDoubtError)
            assert all(file.path.exists() for file in prepared.files)
        no_file_is_lost(project)
        with ticking(project, bus) as (tick, _):
            bus.publish("orders", messages(orders(3, 8)))
            run_out(tick, ["orders"])
    no_file_is_lost(project)
    assert totals(project) == {"orders": {"accepted": 10, "silver": 8, "duplicate": 2}}


class GoneError(BaseException):
    """The process is about to end: nothing may catch this."""


@pytest.mark.parametrize(
    ("point", "taken"), [("lake.commit.before", 0), ("lake.commit.after", 5)], ids=["before", "after"]
)
def test_who_is_told_to_end_amid_a_commit_leaves_what_there_is(tmp_path, point, taken):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus:
        with ticking(project, bus) as (tick, _):
            bus.publish("orders", messages(orders(0, 5)))
            with pytest.raises(GoneError), failing_at(point, told(GoneError())):
                tick.commit([tick.prepare("orders")])
        assert len(silver(project)) == taken
        with ticking(project, bus) as (tick, _):
            run_out(tick, ["orders"])
    no_file_is_lost(project)
    assert totals(project) == {"orders": {"accepted": 5, "silver": 5}}


def test_a_commit_that_did_not_take_place_leaves_no_file_of_its_own(tmp_path):
    project = project_of(tmp_path)
    data = project.state / "lake" / "data"
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, _):
        bus.publish("orders", messages(orders(0, 5)))
        before = set(data.rglob("*.parquet"))
        prepared = tick.prepare("orders")
        with failing_at("lake.commit.before", told(OSError(5, "Input/output error"))):
            assert tick.commit([prepared])
        assert set(data.rglob("*.parquet")) == before
        tick.start(["orders"])
        run_out(tick, ["orders"])
    assert totals(project) == {"orders": {"accepted": 5, "silver": 5}}
