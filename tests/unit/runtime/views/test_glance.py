"""What is told of an environment that changes while one looks."""

import pytest

from headrace.bus.sqlite import SqliteBus
from headrace.runtime.views.glance import Glances
from headrace.runtime.views.status import status
from headrace.warehouse.published import Entry, Ledger, write_ledger
from living import lived, messages, orders, project_of, sqlite_bus


def glanced(project):
    with Glances(project) as glances:
        return glances.glance()["sources"]["orders"]


def stated(project):
    each = status(project)["orders"]
    return {"lag": each.lag, "ledger": each.ledger}


@pytest.mark.parametrize("look", [glanced, stated])
def test_no_message_is_missing_from_both_when_a_commit_falls_between(tmp_path, monkeypatch, look):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(orders(0, 3)))
        lived(project, bus)
        bus.publish("orders", messages(orders(3, 10)))
    ask = SqliteBus.lag

    def lag(self, topic, name):
        monkeypatch.setattr(SqliteBus, "lag", ask)
        lived(project)  # all is committed while one looks
        return ask(self, topic, name)

    monkeypatch.setattr(SqliteBus, "lag", lag)
    seen = look(project)
    assert seen["ledger"]["accepted"] + seen["lag"] >= 10
    assert look(project)["ledger"]["accepted"] == 10


def test_the_gold_that_is_shown_is_the_one_that_is_published_whoever_published_it(tmp_path):
    project = project_of(tmp_path)
    (project.state / "gold").mkdir(parents=True)
    with Glances(project) as glances:
        assert glances.glance()["gold"]["gold"] is None
        for number in (1, 2):
            entry = Entry(f"b{number}", f"b{number}.db", 1, 1, 1, "2026-11-20T10:00:00+00:00", {})
            write_ledger(project.state / "gold" / "published.json", Ledger((entry,), (), number))
            assert glances.glance()["gold"]["gold"] == f"b{number}"
