"""One message, its one fate, and why: for every fate that there is."""

import json
from dataclasses import replace

import pytest

from headrace.config.project import load_project
from headrace.errors import InputError
from headrace.runtime.views.explain import explain
from headrace.runtime.views.recent import Kind, recent
from living import KEYED, lived, messages, orders, project_of, rows, sqlite_bus, write_source

RULES = KEYED + "  - data_quality: {rules: [{field: amount, check: positive_number}]}\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A project with a message of each fate, whose rules have changed since; and the ids by what was sent."""
    root = tmp_path_factory.mktemp("world")
    project = project_of(root, "orders", "logs", more=RULES)
    write_source(root, "logs", more="")
    (root / "connectors/logs.yaml").write_text("source_id: logs\npattern: event_streaming\n")
    project = load_project(root)
    sent = {
        "winner": {"id": "a", "version": 2, "amount": 1.0},
        "older": {"id": "a", "version": 1, "amount": 1.0},
        "again": {"id": "a", "version": 2, "amount": 1.0},
        "negative": {"id": "b", "amount": -1.0},
        "broken": b"{",
        "alone": {"id": "c", "amount": 3.0},
    }
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(sent.values(), customer="7"))
        bus.publish("logs", messages([{"any": 1}]))
        lived(project, bus)
    found = rows(project, "SELECT source, message_id FROM lake.bronze.messages ORDER BY source DESC, seq")
    ids = dict(zip([*sent, "log"], [row["message_id"] for row in found], strict=True))
    write_source(root, "orders", more=KEYED)  # no rule any more
    return load_project(root), ids


def verdicts(told):
    return {each["stage"]: each["verdict"] for each in told["stages"]}


def test_what_is_in_silver(world):
    project, ids = world
    told = explain(project, ids["alone"])
    assert (told["fate"], told["source"], told["dataset"]) == ("silver", "orders", "orders")
    assert told["row"] == {"id": "c", "version": None, "amount": 3.0}
    assert told["message"]["attributes"] == {"customer": "7"}
    assert set(verdicts(told).values()) == {"passed"}
    assert all((project.root / file).is_file() for file in told["files"].values())
    assert json.dumps(told)


def test_what_lost_and_what_came_again_name_the_winner(world):
    project, ids = world
    older, again = explain(project, ids["older"]), explain(project, ids["again"])
    assert (older["fate"], again["fate"]) == ("superseded", "duplicate")
    for told in (older, again):
        assert told["winner"]["id"] == ids["winner"]
        assert told["winner"]["key"] == {"id": "a"}
        assert ids["winner"] in told["why"]
        assert told["files"]["silver"] is None
    assert "a greater version" in older["why"]
    assert explain(project, ids["winner"])["fate"] == "silver"


def test_what_failed_says_where_by_the_rules_of_its_time(world):
    project, ids = world
    told = explain(project, ids["negative"])
    assert told["fate"] == "quarantined"
    assert told["why"].startswith("quality/positive_number")
    assert verdicts(told)["validate"] == "passed"
    assert verdicts(told)["quality"] == "refused"
    (finding,) = next(each["findings"] for each in told["stages"] if each["stage"] == "quality")
    assert finding["path"] == "$.amount"
    told = explain(project, ids["broken"])
    assert verdicts(told) | {"decode": "", "validate": ""} != verdicts(told)
    assert (verdicts(told)["decode"], verdicts(told)["validate"]) == ("refused", "not reached")


def test_what_has_no_contract_stays_in_bronze(world):
    project, ids = world
    told = explain(project, ids["log"])
    assert (told["fate"], told["dataset"], told["stages"], told["gold"]) == ("filtered", None, [], [])


def test_what_nobody_took(world, tmp_path):
    project, ids = world
    with pytest.raises(InputError, match="no message 'nope' was committed"):
        explain(project, "nope")
    with pytest.raises(InputError, match="was committed by logs"):
        explain(project, ids["alone"], "logs")
    without = replace(project, sources={"orders": project.source("orders")})
    with pytest.raises(InputError, match="committed by logs, which is no source") as told:
        explain(without, ids["log"])
    assert "connectors/logs.yaml" in told.value.fix
    with pytest.raises(InputError):
        explain(project_of(tmp_path), "any")


def test_a_topic_of_two_sources_has_a_fate_in_each(tmp_path):
    project_of(tmp_path, "orders", "copies")
    (tmp_path / "connectors/copies.yaml").write_text(
        "source_id: copies\ningestion: {pattern: event_streaming, topic: orders}\n"
    )
    project = load_project(tmp_path)
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(orders(0, 1)))
        lived(project, bus)
    (one, _) = rows(project, "SELECT message_id FROM lake.bronze.messages")
    with pytest.raises(InputError, match="copies and orders take the same topic"):
        explain(project, one["message_id"])
    assert explain(project, one["message_id"], "copies")["fate"] == "filtered"


def test_what_was_taken_before_a_table_went_or_a_contract_came_has_the_fate_that_it_has(tmp_path):
    write_source(tmp_path, "shop")
    write_source(tmp_path, "log")
    source, log = (tmp_path / f"connectors/{name}.yaml" for name in ("shop", "log"))
    with_contract = log.read_text()
    log.write_text("source_id: log\ningestion: {pattern: event_streaming, message_format: json}\n")
    secret = {"type": "object", "properties": {"id": {"type": "string"}, "mail": {"type": "string", "pii": True}}}
    (tmp_path / "schemas/y.json").write_text(json.dumps(secret))
    tables = "- {name: x, schema_file: schemas/shop.json}\n", "- {name: y, schema_file: schemas/y.json}\n"
    head = "source_id: shop\ningestion:\n  pattern: event_streaming\n  message_format: json\n  tables:\n  "
    source.write_text(head + "  ".join(tables))
    project = load_project(tmp_path)
    with sqlite_bus(project) as bus:
        bus.publish("shop", messages([{"id": "a", "mail": "ada@example.com"}], dataset="y"))
        bus.publish("log", messages(orders(0, 1)))
        lived(project, bus)
    source.write_text(head + tables[0])
    log.write_text(with_contract)
    project = load_project(tmp_path)
    found = {row["source"]: row["message_id"] for row in rows(project, "SELECT * FROM lake.bronze.messages")}
    told = explain(project, found["shop"])
    assert (told["fate"], told["dataset"], told["row"]["id"]) == ("silver", "shop__y", "a")
    assert "ada" not in json.dumps(told)
    assert explain(project, found["log"])["fate"] == "filtered"
    (shown,) = recent(project, "shop", Kind.GOOD)["events"]
    assert (shown["fate"], shown["dataset"]) == ("silver", "shop__y")
    assert "ada" not in json.dumps(shown)
