"""What the relay remembers: over restarts, and beside the command line."""

import datetime as dt
import json

import pytest

from headrace.connectors.push import GoldPushSpec, PushesSpec
from headrace.errors import LakeError, SpaceError
from headrace.runtime.relay import builds
from headrace.runtime.relay.rounds import Letter, Row, Settled
from headrace.runtime.relay.store import GOLD, KINDS, Store
from headrace.warehouse.base import BuildReport, Failure
from headrace.warehouse.published import Entry

AT = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)


def row(seq):
    return Row(seq, f"e{seq}", "silver", "orders", f"k{seq}", AT, None, '{"id":"x"}')


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    yield store
    store.close()


def test_a_round_is_there_after_a_restart(store, tmp_path):
    assert store.enrol("orders", "desk").seq == -1
    waits, dead = Letter(row(1), 2, 5.0, 9.0, "answered 500"), Letter(row(2), 1, 5.0, 5.0, "answered 400", dead=True)
    store.settle("orders", "desk", 3, Settled((waits, dead), (), 2, 1, True, "answered 500"), 7.0)
    store.close()
    again = Store(tmp_path)
    progress = again.enrol("orders", "desk")
    assert (progress.seq, progress.delivered, progress.failing_since, progress.problem) == (3, 2, 7.0, "answered 500")
    assert again.held("orders", "desk").letters == {1: waits}
    assert again.letters()["orders", "desk"] == [waits, dead]
    again.settle("orders", "desk", 3, Settled(gone=(1,), delivered=1), None)
    assert again.held("orders", "desk").letters == {}
    assert again.epoch == store.epoch
    again.close()


def test_dead_letters_are_revived_or_discarded_by_another_process(store, tmp_path):
    store.enrol("orders", "desk")
    letters = tuple(Letter(row(seq), 3, 1.0, 2.0, "no", dead=True) for seq in range(3))
    store.settle("orders", "desk", 2, Settled(letters), None)
    before = store.version()
    other = Store(tmp_path)
    assert other.revive("orders", "desk", [0]) == 1
    assert other.discard("orders", "desk", [1]) == 1
    assert other.revive("orders", "desk", [1, 9]) == 0
    other.close()
    assert store.version() != before
    assert store.held("orders", "desk").letters == {0: Letter(row(0), problem="no")}
    assert [each.row.seq for each in store.letters()["orders", "desk"]] == [0, 2]


def test_a_file_that_is_none_is_said(tmp_path):
    (tmp_path / "relay.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises((LakeError, SpaceError)) as problem:
        Store(tmp_path)
    assert "relay.db" in str(problem.value)


class Shop:
    """As much of a project as builds are told of."""

    def __init__(self, state, *pushes):
        self.state = state
        self.push = PushesSpec(gold=pushes)


def entry(number):
    return Entry(f"b{number}", f"b{number}.db", number, number, number, AT.isoformat(), {"marts.orders": "table"})


def report(number, *, published=True):
    failures = () if published else (Failure("test", "unique_id", "2 rows", "models/a.yml", 3),)
    return BuildReport(f"b{number}", published, 5, 1.0, entry(number) if published else None, failures=failures)


def told(store, on="built", after=0):
    return [each.id.split("-2")[0] for each in store.builds(KINDS[on], after, 100)]


def test_builds_are_told_of_once_published_or_failed(store, tmp_path):
    shop = Shop(tmp_path, GoldPushSpec(name="ops", to="https://example.org"))
    builds.note(shop, report(4))
    builds.note(shop, report(5, published=False))
    builds.note(shop, report(5, published=False))
    builds.note(shop, report(5))
    builds.note(shop, report(5))
    assert told(store) == ["b4-published", "b5-failed", "b5-failed", "b5-published"]
    assert told(store, "failed") == ["b5-failed"] * 2
    assert store.enrol(GOLD, "ops").seq == 0, "it is sent what came since it was first seen"
    failed = json.loads(store.builds(("failed",), 0, 1)[0].data)
    assert failed["failures"] == [{"kind": "test", "name": "unique_id", "message": "2 rows", "at": "models/a.yml:3"}]
    builds.note(Shop(tmp_path), report(6))
    assert "b6-published" not in told(store)
    builds.note(shop, BuildReport("b7", True, 5, 1.0))
    assert len(told(store)) == 4, "a build that was only tried is nobody's"


def test_a_build_whose_process_died_before_it_said_so_is_told_of_at_the_next_start(store, tmp_path):
    from headrace.warehouse.embedded import DbtWarehouse
    from headrace.warehouse.published import Ledger, write_ledger

    shop = Shop(tmp_path, GoldPushSpec(name="ops", to="https://example.org"))
    ledger = DbtWarehouse(tmp_path).gold.ledger
    ledger.parent.mkdir(parents=True, exist_ok=True)
    write_ledger(ledger, Ledger((entry(1), entry(2)), (), 2))
    builds.catch_up(shop, store)
    assert told(store) == [], "what was published before anybody wanted to know is not news"
    write_ledger(ledger, Ledger((entry(1), entry(2), entry(3)), (entry(4),), 4))
    builds.catch_up(shop, store)
    builds.catch_up(shop, store)
    assert told(store) == ["b3-published", "b4-published"]
