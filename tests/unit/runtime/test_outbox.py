"""What the outbox holds of a batch: documents as others read them, and nothing that was not chosen."""

import json

import pytest

from headrace.config.lint import lint
from headrace.config.project import load_project
from headrace.contracts.load import compiled
from living import lived, messages, rows, sqlite_bus, write_source

SHOP = {
    "type": "object",
    "required": ["id", "note"],
    "properties": {
        "id": {"type": "string"},
        "note": {"type": ["string", "null"]},
        "status": {"type": "string"},
        "country": {"type": "string"},
        "at": {"type": "string", "format": "date-time"},
        "free": {},
    },
}


def sent(tmp_path, more, events, **options):
    write_source(tmp_path, "orders", schema=SHOP, more=more, **options)
    project = load_project(tmp_path)
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(events, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
        lived(project, bus)
    found = rows(project, "SELECT * FROM lake.ops.outbox ORDER BY push, seq")
    return [each | {"data": json.loads(each["data"])} for each in found]


def test_a_row_says_all_that_a_receiver_is_told(tmp_path):
    events = [
        {"id": "a", "note": None, "status": "suspicious", "at": "2026-11-01T13:00:00+01:00", "free": {"b": [1, None]}},
        {"id": "b", "note": "x", "status": "ok"},
    ]
    more = (
        "  bronze_to_silver:\n  - deduplication: {key: [id]}\nserving:\n  push:\n"
        "  - {name: desk, filter: {status: suspicious}, topic: desk}\n"
    )
    (row,) = sent(tmp_path, more, events)
    assert row["data"] == {
        "id": "a",
        "note": None,
        "status": "suspicious",
        "at": "2026-11-01T12:00:00.000000Z",
        "free": {"b": [1, None]},
    }
    assert (row["source"], row["push"], row["seq"], row["kind"], row["dataset"]) == (
        "orders",
        "desk",
        0,
        "silver",
        "orders",
    )
    assert row["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert json.loads(row["key"]) == ["a"]
    assert row["id"].startswith("orders-")


def test_what_enrichment_adds_is_filtered_by_and_sent(tmp_path):
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds/countries.csv").write_text("country,continent\nDE,Europe\nJP,Asia\n")
    more = (
        "  bronze_to_silver:\n  - deduplication: {key: [id]}\n  - enrich: {lookup: countries, on: country}\n"
        "serving:\n  push:\n  - {name: europe, filter: {continent: Europe}, topic: europe}\n"
        "  - {name: asia, where: \"continent = 'Asia'\", topic: asia}\n"
    )
    events = [{"id": each, "note": None, "country": each} for each in ("DE", "JP", "XX")]
    found = {row["push"]: row["data"] for row in sent(tmp_path, more, events)}
    assert found == {
        "europe": {"id": "DE", "note": None, "country": "DE", "continent": "Europe"},
        "asia": {"id": "JP", "note": None, "country": "JP", "continent": "Asia"},
    }


def test_without_a_key_every_event_is_on_its_own(tmp_path):
    more = "  bronze_to_silver: []\nserving:\n  push:\n  - {name: all, topic: all}\n"
    found = sent(tmp_path, more, [{"id": "a", "note": None}] * 3)
    assert len({row["key"] for row in found}) == 3


def test_failures_are_sent_as_the_quarantine_has_them(tmp_path):
    more = (
        "  bronze_to_silver: []\nserving:\n  push:\n  - {name: bad, on: quarantined, topic: bad}\n"
        "  - {name: decode, on: quarantined, filter: {stage: decode}, topic: bad}\n"
    )
    found = sent(tmp_path, more, [b"{broken", {"id": 1, "note": None}, {"id": "fine", "note": None}])
    assert [(row["push"], row["data"]["stage"]) for row in found] == [
        ("bad", "decode"),
        ("bad", "contract"),
        ("decode", "decode"),
    ]
    assert found[1]["data"]["path"] == "$.id"
    assert "batch_id" not in found[0]["data"]


def test_events_that_a_push_cannot_tell_of_are_warned_of(tmp_path):
    more = (
        "  bronze_to_silver: []\nserving:\n  push:\n"
        "  - {name: large, where: cast(status as integer) > 5, topic: large}\n"
        "  - {name: odd, on: quarantined, where: 1 / (length(stage) - 6) > 0, topic: odd}\n"
    )
    events = [{"id": each, "note": None, "status": each} for each in ("4", "7", "x", "y")]
    found = sent(tmp_path, more, [*events, b"{broken"])
    assert [(row["push"], row["data"]["id"]) for row in found] == [("large", "7")]
    (batch,) = rows(load_project(tmp_path), "SELECT warned FROM lake.ops.batches")
    assert batch["warned"] == {
        "push_undecided: large: not sent, its `where` cannot be computed": 2,
        "push_undecided: odd: not sent, its `where` cannot be computed": 1,
    }


V1 = {
    "type": "object",
    "required": ["ident", "amount"],
    "additionalProperties": False,
    "properties": {"ident": {"type": "string"}, "amount": {"type": "integer"}, "gone": {"type": "string"}},
}
V2 = {
    "type": "object",
    "required": ["id", "amount", "channel"],
    "properties": {"id": {"type": "string"}, "amount": {"type": "number"}, "channel": {"type": "string"}},
}
BACK = (
    "  bronze_to_silver:\n  - deduplication: {key: [id]}\nserving:\n  push:\n  - {name: old, topic: old, version: v1}\n"
)
UP = "{v1: [{rename: {ident: id}}, {cast: [amount]}, {drop: [gone]}, {default: {channel: web}}]}"


def versioned(tmp_path, schema):
    write_source(tmp_path, "orders", schema=V2, more=BACK)
    (tmp_path / "schemas/orders").mkdir()
    (tmp_path / "schemas/orders/v1.json").write_text(json.dumps(V1))
    source = tmp_path / "connectors/orders.yaml"
    source.write_text(source.read_text().replace("schemas/orders.json}", f"schemas/orders.json, {schema}}}"))
    return source


def test_readers_that_have_not_moved_get_every_event_in_the_older_shape(tmp_path):
    versioned(tmp_path, f"upcast: {UP}")
    assert [each for each in lint(tmp_path, environ={}) if each.severity == "error"] == []
    project = load_project(tmp_path)
    events = [
        {"ident": "a", "amount": 5, "gone": "x"},
        {"id": "b", "amount": 7.0, "channel": "app"},
        {"id": "c", "amount": 7.5, "channel": "app"},
        {"ident": "a", "amount": 5, "gone": "y"},
    ]
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(events))
        lived(project, bus)
    found = [json.loads(row["data"]) for row in rows(project, "SELECT data FROM lake.ops.outbox ORDER BY seq")]
    assert found == [{"ident": "a", "amount": 5}, {"ident": "b", "amount": 7}]
    assert all(compiled(V1).is_valid(each) for each in found)
    (batch,) = rows(project, "SELECT warned FROM lake.ops.batches")
    assert batch["warned"] == {"push_undecided: old: not sent, it has no counterpart in that version": 1}


def test_a_way_back_that_cannot_be_derived_is_declared(tmp_path):
    computed = 'upcast: {v1: [{rename: {ident: id}}, {set: {amount: "amount / 2"}}, {drop: [gone]}, ' + (
        "{default: {channel: web}}]}"
    )
    source = versioned(tmp_path, computed)
    (fault,) = [each for each in lint(tmp_path, environ={}) if each.severity == "error"]
    assert fault.message == (
        "the push old: the way from v2 back to v1 cannot be derived: `set: {amount: …}` has no inverse"
    )
    assert fault.fix == "declare it: `downcast: {v1: […]}`"
    written = source.read_text()
    source.write_text(written.replace("web}}]}", "web}}]}, downcast: {v1: [{rename: {id: ident}}]}"))
    (fault,) = [each for each in lint(tmp_path, environ={}) if each.severity == "error"]
    assert (fault.message, fault.fix) == (
        "the push old: amount is DOUBLE in v2 and BIGINT in v1",
        "add `- cast: [amount]` to `downcast: {v1: […]}`",
    )
    both = 'downcast: {v1: [{rename: {id: ident}}, {set: {amount: "amount * 2"}}]}'
    source.write_text(written.replace("web}}]}", "web}}]}, " + both))
    assert [each for each in lint(tmp_path, environ={}) if each.severity == "error"] == []
    project = load_project(tmp_path)
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages([{"ident": "a", "amount": 5}]))
        lived(project, bus)
    (row,) = rows(project, "SELECT data FROM lake.ops.outbox")
    assert json.loads(row["data"]) == {"ident": "a", "amount": 5}


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("version: v1", "version: v7", "the push old: the contract has no version v7"),
        ("topic: old", "on: quarantined, topic: old", "only events of silver have a version of the contract"),
    ],
)
def test_a_shape_that_there_is_not(tmp_path, was, now, message):
    source = versioned(tmp_path, f"upcast: {UP}")
    source.write_text(source.read_text().replace(was, now))
    (fault,) = [each for each in lint(tmp_path, environ={}) if each.severity == "error"]
    assert message in fault.message
