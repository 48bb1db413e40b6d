"""`verify` says yes of what the stream made, and no of everything else, with the events that are wrong."""

import pytest

from headrace.config.project import load_project
from headrace.errors import LakeError
from headrace.lake.catalog import CATALOG, DATA, attach_statement, connect
from headrace.runtime.verify import verify
from living import KEYED, ORDERS, lived, messages, orders, project_of, run_out, sqlite_bus, ticking, write_source


@pytest.fixture
def project(tmp_path):
    """Two sources whose events came twice, in versions, broken, in small batches and under two contracts."""
    project = project_of(tmp_path, "orders", "visits")
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages([*orders(0, 9), {"no": "id"}, *orders(3, 5), {"id": "o1", "version": 3}]))
        bus.publish("visits", messages(orders(0, 4)))
        with ticking(project, bus) as (tick, _):
            run_out(tick, project.sources, 4)
    more = {**ORDERS, "properties": {**ORDERS["properties"], "note": {"type": "string"}}}
    write_source(
        tmp_path,
        "orders",
        schema=more,
        more=KEYED + "  - data_quality: {rules: [{field: amount, check: positive_number}]}\n",
    )
    project = load_project(tmp_path)
    with sqlite_bus(project) as bus:
        noted = {"id": "o2", "version": 2, "amount": 7.0, "note": "gift"}
        bus.publish("orders", messages([noted, *orders(8, 12), {"id": "o20", "amount": -1}]))
        lived(project, bus)
    return project


def tampered(project, *statements):
    """Change the lake behind Headrace's back."""
    with connect() as connection:
        folder = project.state / "lake"
        connection.execute(attach_statement("lake", folder / CATALOG, folder / DATA))
        for each in statements:
            connection.execute(each)


def test_what_the_stream_made_is_what_bronze_makes(project):
    plain = verify(project)
    assert (plain.balanced, plain.equal, plain.holds) == (True, None, True)
    found = verify(project, from_bronze=True)
    assert (found.balanced, found.equal, found.differences, found.ledgers) == (True, True, (), {})
    assert found.messages == 13 + 4 + 6
    assert found.silver == plain.silver
    assert set(found.silver) == {"orders", "visits"}
    assert verify(project, "visits", from_bronze=True).messages == 4
    assert not (project.state / "rebuild").exists()


def test_an_event_that_was_changed_or_swapped_is_named(project):
    before = verify(project).silver
    tampered(project, "UPDATE lake.silver.orders SET amount = 5.5 WHERE id = 'o6'")
    found = verify(project, from_bronze=True)
    assert found.balanced, "the numbers still add up"
    assert (found.equal, found.holds) == (False, False)
    (difference,) = found.differences
    assert difference.dataset == "orders"
    assert difference.only_in_silver == difference.only_in_rebuilt
    assert len(difference.only_in_silver) == 1
    assert found.silver["visits"] == before["visits"]
    assert found.silver["orders"] != before["orders"]


def test_an_event_that_is_gone_or_there_twice_is_named(project):
    tampered(
        project,
        "INSERT INTO lake.silver.orders SELECT * FROM lake.silver.orders WHERE id = 'o5'",
        "DELETE FROM lake.silver.visits WHERE id = 'o2'",
    )
    found = verify(project, from_bronze=True)
    assert not found.balanced
    orders_, visits = found.differences
    assert (len(orders_.only_in_silver), len(orders_.only_in_rebuilt)) == (1, 0)
    assert (len(visits.only_in_silver), len(visits.only_in_rebuilt)) == (0, 1)


def test_a_ledger_that_tells_something_else_is_told(project):
    tampered(
        project, "UPDATE lake.ops.ledger SET duplicate = duplicate + 1, accepted = accepted + 1 WHERE source = 'visits'"
    )
    found = verify(project, from_bronze=True)
    assert found.equal is False
    assert [each.partition(": ")[2] for each in found.ledgers["visits"]] == [
        "5 accepted, and 4 in the rebuild",
        "1 duplicate, and 0 in the rebuild",
    ]


def test_a_message_that_bronze_lacks_is_an_error(project):
    tampered(project, "DELETE FROM lake.bronze.messages WHERE source = 'orders' AND seq = 2")
    with pytest.raises(LakeError, match=r"bronze holds 12 of the 13 messages"):
        verify(project, from_bronze=True)
    assert not (project.state / "rebuild").exists()


def test_before_the_first_commit_there_is_nothing_to_verify(tmp_path):
    project = project_of(tmp_path)
    assert verify(project, from_bronze=True).snapshot is None
    with sqlite_bus(project) as bus, ticking(project, bus):
        pass
    assert verify(project, from_bronze=True).equal is True
