"""Good and bad: every message is in one of the two, with what it became, once, from whatever cursor."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.config.project import load_project
from headrace.errors import ConfigError
from headrace.runtime.views import recent
from headrace.runtime.views.follow import follow
from headrace.runtime.views.recent import START, Kind, matches
from living import ORDERS, lived, messages, orders, project_of, rows, run_out, sqlite_bus, ticking, write_source
from machine import wait_until


def good(project, source, *asked, **more):
    return recent.recent(project, source, Kind.GOOD, *asked, **more)


def bad(project, source, *asked, **more):
    return recent.recent(project, source, Kind.BAD, *asked, **more)


def fed(project, *payloads, source="orders", **attributes):
    with sqlite_bus(project) as bus:
        bus.publish(source, messages(payloads, **attributes))
    lived(project)


def test_each_accepted_message_says_what_it_became(tmp_path):
    project = project_of(tmp_path)
    first, second = {"id": "a", "version": 1, "amount": 1.5}, {"id": "a", "version": 2, "amount": 2.5}
    fed(project, first, {"id": 7}, second, second)
    fed(project, first)
    told = good(project, "orders")
    assert [(each["seq"], each["fate"], each["dataset"]) for each in told["events"]] == [
        (0, "superseded", "orders"),
        (2, "silver", "orders"),
        (3, "duplicate", "orders"),
        (4, "duplicate", "orders"),
    ]
    assert [each["event"] for each in told["events"]] == [None, second, None, None]
    assert [json.loads(each["payload"]) for each in told["events"]] == [first, second, second, first]
    assert told["cursor"] == 4
    stored = rows(project, "SELECT * FROM lake.silver.orders")[0]
    assert told["events"][1]["event_id"] == stored["_event_id"]
    assert told["events"][1]["event_time"] == stored["_event_time"].isoformat()
    assert told["events"][1]["contract_version"] == stored["_schema_version"]


def test_each_rejected_message_says_why_and_has_its_own_bytes(tmp_path):
    project = project_of(tmp_path)
    fed(project, {"id": "a"}, b'{"id": 7}', b'\xff{"id": "b"', b"\\xff", request="r1")
    told = bad(project, "orders")
    assert [each["seq"] for each in told["events"]] == [1, 2, 3]
    assert all(each["attributes"] == {"request": "r1"} for each in told["events"])
    typed, undecodable, looks_escaped = told["events"]
    assert (typed["stage"], typed["path"], typed["value"]) == ("contract", "$.id", "7")
    assert (typed["payload"], typed["payload_base64"]) == ('{"id": 7}', None)
    assert undecodable["payload"] == '\\xff{"id": "b"'
    assert base64.b64decode(undecodable["payload_base64"]) == b'\xff{"id": "b"'
    assert (looks_escaped["payload"], looks_escaped["payload_base64"]) == ("\\xff", None)
    listed = rows(project, "SELECT seq, reason, code FROM lake.ops.quarantine ORDER BY seq")
    assert [{name: each[name] for name in ("seq", "reason", "code")} for each in told["events"]] == listed


def test_what_python_cannot_read_as_json_is_told_all_the_same(tmp_path):
    # A number of 5,000 digits, one past every double, brackets without end: good JSON for others, or quarantined.
    schema = {**ORDERS, "properties": {**ORDERS["properties"], "any": {}}}
    project = project_of(tmp_path, schema=schema)
    huge, deep = "1" * 5000, b'{"id": ' + b"[" * 5000
    fed(project, f'{{"id": "a", "any": [{huge}, 7, 0.5]}}'.encode(), b'{"id": "b", "any": 1e400}', deep, b"[" * 5000)
    assert [each["event"]["any"] for each in good(project, "orders")["events"]] == [[huge, 7, 0.5], "1E+400"]
    assert len(good(project, "orders", where={"payload.any.1": "7"})["events"]) == 1
    assert len(bad(project, "orders")["events"]) == 2
    assert bad(project, "orders", where={"payload.id": "a"})["events"] == []


def test_a_source_without_a_contract_is_told_too(tmp_path):
    project = project_of(tmp_path)
    file = tmp_path / "connectors/orders.yaml"
    file.write_text("source_id: orders\ningestion: {pattern: event_streaming, message_format: json}\n")
    project = load_project(tmp_path)
    fed(project, b"anything")
    (event,) = good(project, "orders")["events"]
    assert (event["fate"], event["dataset"], event["event"], event["payload"]) == ("filtered", None, None, "anything")
    assert bad(project, "orders")["events"] == []


def test_a_source_of_several_tables_says_which_dataset(tmp_path):
    write_source(tmp_path, "shop")
    for name in ("customers", "items"):
        (tmp_path / f"schemas/{name}.json").write_text(json.dumps(ORDERS))
    (tmp_path / "connectors/shop.yaml").write_text(
        "source_id: shop\ningestion:\n  pattern: database_cdc\n  tables:\n"
        "  - {name: customers, key: [id], schema_file: schemas/customers.json}\n"
        "  - {name: items, key: [id], schema_file: schemas/items.json}\n"
    )
    project = load_project(tmp_path)
    fed(project, {"id": "c"}, source="shop", dataset="customers")
    fed(project, {"id": "i"}, {"id": "i"}, source="shop", dataset="items")
    fed(project, {"id": "x"}, source="shop", dataset="nobody")
    told = [(each["dataset"], each["fate"]) for each in good(project, "shop")["events"]]
    assert told == [("shop__customers", "silver"), ("shop__items", "silver"), ("shop__items", "duplicate")]
    assert [(each["dataset"], each["code"]) for each in bad(project, "shop")["events"]] == [(None, "unknown_dataset")]


def test_a_trace_reaches_what_is_told(tmp_path):
    project = project_of(tmp_path)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    fed(project, {"id": "a"}, traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    assert good(project, "orders")["events"][0]["trace_id"] == trace


def test_nothing_yet_is_an_empty_document(tmp_path):
    project = project_of(tmp_path)
    for read in (good, bad):
        assert read(project, "orders") == {"source": "orders", "cursor": START, "events": []}
    with sqlite_bus(project) as bus, ticking(project, bus):
        assert good(project, "orders", after=START) == {"source": "orders", "cursor": START, "events": []}
    with pytest.raises(ConfigError, match="no source 'ordres'"):
        good(project, "ordres")


COUNT = 2_500


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Return a project with messages over several windows, every third one bad, in many commits."""
    project = project_of(tmp_path_factory.mktemp("mixed"))
    payloads = [{"id": f"o{seq}", "version": 1} if seq % 3 else {"id": seq} for seq in range(COUNT)]
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, _):
        bus.publish("orders", messages(payloads))
        while (batch := tick.prepare("orders", 337)) is not None:
            assert not tick.commit([batch])
    return project


@settings(max_examples=25)
@given(limit=st.integers(0, 1_200), after=st.none() | st.integers(START, COUNT - 1), kind=st.sampled_from([good, bad]))
def test_any_page_is_the_right_one(mixed, limit, after, kind):
    right = [seq for seq in range(COUNT) if (seq % 3 == 0) == (kind is bad)]
    told = kind(mixed, "orders", limit, after)
    seqs = [each["seq"] for each in told["events"]]
    if after is None:
        assert seqs == (right[-limit:] if limit else [])
        assert told["cursor"] == COUNT - 1
        return
    assert seqs == [seq for seq in right if seq > after][:limit]
    # What is left after the cursor is what was not told.
    assert [seq for seq in right if seq > told["cursor"]] == [seq for seq in right if seq > after][limit:]


def test_large_messages_are_looked_at_few_at_once_and_none_is_missed(mixed, monkeypatch):
    asked = [(kind, after) for kind in (good, bad) for after in (None, 3)]
    before = [kind(mixed, "orders", 5, after) for kind, after in asked]
    monkeypatch.setattr(recent, "FIRST_WINDOW", 2)
    monkeypatch.setattr(recent, "WINDOW_BYTES", 1)
    assert [kind(mixed, "orders", 5, after) for kind, after in asked] == before


def test_conditions_are_met_before_the_limit_counts(mixed):
    told = good(mixed, "orders", 2, where={"event.version": "1", "event.id": "o4"})
    assert [each["seq"] for each in told["events"]] == [4]
    assert bad(mixed, "orders", 1, where={"payload.id": "0"})["events"][0]["seq"] == 0
    assert good(mixed, "orders", 5, START, {"fate": "duplicate"}) == {
        "source": "orders",
        "cursor": COUNT - 1,
        "events": [],
    }


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("code", "required", True),
        ("code", "Required", False),
        ("event.items.1.sku", "b", True),
        ("event.items.9.sku", "b", False),
        ("event.paid", "true", True),
        ("event.note", "null", True),
        ("event.amount", "1.5", True),
        ("event.items.0", '{"sku":"a"}', True),
        ("payload.nested.deep", "7", True),
        ("payload.nested.deep.deeper", "null", True),
        ("text.a", "null", True),
    ],
)
def test_a_condition_is_a_path_and_a_text(path, value, expected):
    event = {
        "code": "required",
        "event": {"items": [{"sku": "a"}, {"sku": "b"}], "paid": True, "note": None, "amount": 1.5},
        "payload": '{"nested": {"deep": 7}}',
        "text": "{not json",
    }
    assert matches(event, {path: value}) is expected


def test_what_is_followed_comes_once_over_any_number_of_commits_and_lakes(tmp_path):
    project = project_of(tmp_path)
    told, over = [], threading.Event()
    starting = threading.Lock()  # what follows is a process of its own, and no lake is opened in it: see one_sqlite

    def feed(*payloads):
        with sqlite_bus(project) as bus, ExitStack() as held:
            bus.publish("orders", messages(payloads))
            with starting:
                tick, _ = held.enter_context(ticking(project, bus))
            run_out(tick, ["orders"])

    def listen():
        def read(cursor, page):
            with starting:
                return good(project, "orders", page, cursor)

        for events in follow(project.state / "lake", read, START, over.is_set):
            told.extend(each["event"]["id"] for each in events)

    listener = threading.Thread(target=listen)
    listener.start()  # before there is a lake
    for first in range(0, 60, 20):  # each block opens the lake and closes it again, as `up` does
        feed(*orders(first, first + 20))
    wait_until(lambda: len(told) == 60)
    (project.state / "lake").rename(tmp_path / "gone")
    feed(*orders(100, 150))
    wait_until(lambda: len(told) >= 110 + 60)  # a new lake takes the bus from its start: what it says is new
    over.set()
    listener.join()
    assert told[:60] == [f"o{number}" for number in range(60)]
    assert told[60:] == [f"o{number}" for number in (*range(60), *range(100, 150))]


def test_a_full_page_is_not_taken_for_the_end(tmp_path):
    project = project_of(tmp_path)
    fed(project, *orders(0, 50))
    told = []

    def read(cursor, page):
        return good(project, "orders", page, cursor)

    for events in follow(project.state / "lake", read, START, lambda: len(told) >= 50, page=7):
        assert events, "it waited for a commit though not all was told"
        told.extend(each["seq"] for each in events)
    assert told == list(range(50))


def test_a_lake_that_took_the_place_of_another_is_read_from_its_start(tmp_path):
    catalog, asked = tmp_path / "catalog.db", []
    catalog.write_bytes(b"one")

    def read(cursor, page):
        asked.append(cursor)
        if len(asked) == 1:
            (tmp_path / "other").write_bytes(b"other")
            (tmp_path / "other").replace(catalog)
        return {"cursor": 10, "events": []}

    for _ in follow(tmp_path, read, 5, lambda: len(asked) == 2):
        pass
    assert asked == [5, START]
