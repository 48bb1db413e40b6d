"""A canary in fields that a contract tags as personal, through every kind of failure: nobody is shown it."""

from __future__ import annotations

import datetime as dt
import json
from contextlib import closing

import pytest

from headrace.cli import tap
from headrace.config.project import load_project
from headrace.contracts.pii import MASK
from headrace.lake.ducklake import DuckLake
from headrace.runtime.pipeline import Pipeline, stages_of
from headrace.runtime.tick import Tick
from headrace.runtime.views import quarantine
from headrace.runtime.views.explain import explain
from headrace.runtime.views.recent import START, Kind, recent
from headrace.runtime.views.status import as_json, status
from living import codes, lived, messages, rows, run_out, sqlite_bus, write_source

NOW = dt.datetime.now(dt.UTC)  # the bus stamps messages with it
BORN = NOW.isoformat()
CANARY = "canary"
TEXT = {"type": "string", "x-pii": True}
PEOPLE = {
    "type": "object",
    "required": ["id", "n"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string"},
        "n": {"type": "integer"},
        "mail": {"type": ["string", "null"], "format": "email", "pii": "email"},
        "tier": {"enum": ["gold", "tin"], "x-pii": True},
        "card": {"type": "string", "pattern": "^[0-9a-z-]+$", "x-pii": True},
        "who": {"type": "object", "properties": {"name": {**TEXT, "maxLength": 20}, "city": {"type": "string"}}},
        "phones": {"type": "array", "items": {"type": "object", "properties": {"number": TEXT}}, "uniqueItems": True},
        "tags": {"type": "object", "x-pii": True, "additionalProperties": {"type": "integer"}},
        "money": {"type": "number", "format": "decimal", "precision": 8, "scale": 2, "x-pii": True},
        "born": {"type": ["string", "null"], "format": "date-time", "x-pii": True},
        "boss": {"type": "string", "x-pii": True},
    },
}
STEPS = """  bronze_to_silver:
  - deduplication: {key: [id], version_by: n}
  - enrich: {lookup: bosses, on: {boss: mail}, as: chief, miss: quarantine, refresh: 0s}
  - late: {window: 7d, too_late: quarantine}
  - data_quality:
      rules:
      - {field: mail, check: regex, pattern: "^[^!]*$"}
      - {check: "card not like '%-rule' or n > 99"}
      - {check: "length(who.name) < 15", severity: warn}
"""
KEYED_BY_MAIL = "  bronze_to_silver:\n  - deduplication: {key: [mail]}\n"
MAILS = {"type": "object", "properties": {"mail": TEXT, "title": TEXT, "floor": {"type": "integer"}}}
RECORDS = {"fields": [{"name": "mail", "type": "STRING", "pii": True}, {"name": "n", "type": "INT64"}]}

GOOD = {"id": "g", "n": 1, "mail": "canary@x.org", "tier": "gold", "card": "canary-1", "money": 31337.42,
        "who": {"name": "canary the 1st", "city": "Ghent"}, "phones": [{"number": "canary-2"}], "tags": {"canary": 1},
        "boss": "canary-boss"}  # fmt: skip
SENT = {
    "good": GOOD,
    "superseded": GOOD | {"n": 0},
    "duplicate": GOOD,
    "wrong type": {"id": "a", "n": 1, "mail": ["canary"]},
    "enum": {"id": "a", "n": 1, "tier": "canary"},
    "pattern": {"id": "a", "n": 1, "card": "CANARY canary"},
    "format": {"id": "a", "n": 1, "mail": "canary at x"},
    "too long": {"id": "a", "n": 1, "who": {"name": "canary" * 9, "city": "Ghent"}},
    "no object": {"id": "a", "n": 1, "who": "canary"},
    "names": {"id": "a", "n": 1, "tags": {"canary": "x"}},
    "not unique": {"id": "a", "n": 1, "phones": [{"number": "canary"}, {"number": "canary"}]},
    "out of range": {"id": "a", "n": 1, "money": 313373133731337.5},
    "missing": {"n": 1, "mail": "canary@x.org"},
    "wrong at the root": ["canary"],
    "misspelt": {"id": "a", "n": 1, "emial": "canary@x.org"},
    "late": {"id": "a", "n": 1, "born": "1971-03-09T12:00:00Z", "boss": "canary-boss"},
    "no time": {"id": "a", "n": 1, "born": None, "mail": "canary@x.org"},
    "rule": GOOD | {"id": "a", "mail": '"canary!"@x.org'},
    "expression": GOOD | {"id": "a", "card": "canary-rule"},
    "warned": GOOD | {"id": "w", "who": {"name": "canary the second", "city": "Ghent"}},
    "unknown boss": {"id": "a", "n": 1, "boss": "canary-nobody"},
    "bug": {"id": "bug", "n": 1, "mail": "canary@x.org"},
    "no JSON": b'{"id": "a", "mail": "canary@x.org',
    "two": b'{"id": "a", "n": 1} {"mail": "canary@x.org"}',
    "doubled": b'{"id": "a", "n": 1, "tags": {"canary": 1, "canary": 2}}',
    "no text": b'{"mail": "canary\xff"}',
    "too deep": b'{"mail":' + b'["canary",' * 200,
    "empty": b"",
}
SECRETS = (CANARY, "31337", "1971")
"""What no one may see: in each personal value is one of these."""


class Buggy:
    """A stage that fails on one message, and quotes it."""

    def __init__(self, stage):
        self._stage = stage

    def __call__(self, batch):
        if "bug" in batch.column("id").to_pylist():
            raise ValueError(f"cannot cope with {batch.column('mail').to_pylist()}")
        return self._stage(batch)


def stages(source, dataset):
    made = stages_of(source, dataset)
    if source.id == "people":
        made[2] = Buggy(made[2])
    return made


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A project that took all of it, and the ids of what was sent, by source."""
    root = tmp_path_factory.mktemp("world")
    write_source(root, "bosses", schema=MAILS, more=KEYED_BY_MAIL)
    write_source(root, "people", schema=PEOPLE, more=STEPS)
    write_source(root, "cards", schema=RECORDS, more=None)
    late = root / "connectors/people.yaml"
    late.write_text(late.read_text() + "event_time: born\n")
    cards = root / "connectors/cards.yaml"
    cards.write_text(
        cards.read_text().replace("message_format: json", "message_format: csv, csv: {columns: [mail, n]}")
    )
    project = load_project(root)
    sent = {name: {"born": BORN, **each} if isinstance(each, dict) else each for name, each in SENT.items()}
    with sqlite_bus(project) as bus, closing(DuckLake(project.state / "lake")) as lake:
        bus.publish("bosses", messages([{"mail": "canary-boss", "title": "canary-title", "floor": 3}, {"mail": None}]))
        bus.publish("cards", messages([b"canary@x.org,1", b"canary,1,2", b'"canary', b"canary,x"]))
        bus.publish("people", messages(sent.values()))
        lake.deploy([dataset for source in project.sources.values() for dataset in source.datasets])
        tick = Tick(bus, lake, project.sources, project.digest, lambda: NOW, pipeline=lambda it: Pipeline(it, stages))
        tick.start()
        run_out(tick, project.sources)
    return project


def test_what_was_sent_failed_in_every_way_and_is_in_bronze_as_it_came(world):
    assert codes(world) == {
        "contract/additionalProperties": 1, "contract/enum": 1, "contract/format": 1, "contract/maxLength": 1,
        "contract/out_of_range": 1, "contract/pattern": 1, "contract/required": 1, "contract/type": 6,
        "contract/uniqueItems": 1, "decode/duplicate_key": 1, "decode/empty_message": 1, "decode/invalid_csv": 1,
        "decode/invalid_json": 1, "decode/invalid_utf8": 1, "decode/multiple_documents": 1, "decode/not_an_object": 1,
        "decode/ragged_row": 1, "decode/too_deep": 1, "enrich/lookup_miss": 1, "internal/ValueError": 1,
        "late/too_late": 1, "quality/expression": 1, "quality/regex": 1,
    }  # fmt: skip
    kept = rows(world, "SELECT payload FROM lake.bronze.messages WHERE source = 'people' ORDER BY seq")
    assert bytes(kept[22]["payload"]) == SENT["no JSON"]


def of_each_kind(told):
    """Return a message of each stage and of each fate: to explain one takes long."""
    events = [each for source in ("people", "cards") for each in told[source, Kind.ALL][0]]
    return {(each["fate"], each["stage"]): each for each in events}.values()


def test_nobody_is_shown_the_canary(world):
    told = {
        "quarantine": rows(world, "SELECT * FROM lake.ops.quarantine"),
        "batches": rows(world, "SELECT * FROM lake.ops.batches"),
    }
    for source in world.sources:
        events = recent(world, source, Kind.ALL, 100, START)["events"]
        told[source, Kind.ALL] = [events, [tap.line(each, 1_000) for each in events]]
    told["explain"] = [explain(world, each["message_id"]) for each in of_each_kind(told)]
    told["list"] = quarantine.listed(world, limit=100)
    told["show"] = [quarantine.shown(world, each["message_id"]) for each in of_each_kind(told) if each["stage"]]
    told["status"] = as_json(status(world))
    assert len(told["list"]["messages"]) == sum(codes(world).values())
    for view, said in told.items():
        text = json.dumps(said, default=str)
        assert not [secret for secret in SECRETS if secret in text.lower()], (view, text)


def test_what_is_not_personal_is_shown(world):
    (first, *_) = recent(world, "people", Kind.GOOD, 100)["events"]
    assert (first["key"], first["event"]["n"], first["event"]["who"]) == (
        {"id": "g"},
        1,
        {"name": MASK, "city": "Ghent"},
    )
    assert first["event"]["chief"] == {"title": MASK, "floor": 3}
    assert json.loads(first["payload"])["phones"] == [{"number": MASK}]
    assert [
        each["seq"] for each in recent(world, "people", Kind.ALL, 5, where={"payload.boss": "canary-nobody"})["events"]
    ] == [20]
    bad = {each["seq"]: each for each in recent(world, "people", Kind.BAD, 100)["events"]}
    assert bad[5]["reason"] == 'the value (masked) does not meet pattern: "^[0-9a-z-]+$"'
    assert (bad[9]["path"], bad[10]["value"]) == ("$.tags", json.dumps([{"number": MASK}] * 2))
    assert (bad[18]["reason"], bad[18]["value"]) == (
        "not true: card not like '%-rule' or n > 99",
        '{"card": "***", "n": 1}',
    )
    assert bad[21]["reason"] == "headrace failed on this message: ValueError; what it said is masked"
    assert bad[22]["payload"] == f"{MASK} ({len(SENT['no JSON'])} bytes)"


def test_a_field_that_is_tagged_later_is_masked_in_what_was_set_aside_before(tmp_path):
    write_source(tmp_path, "people", schema={"properties": {"mail": {"type": "string", "maxLength": 3}}}, more="")
    project = load_project(tmp_path)
    with sqlite_bus(project) as bus:
        bus.publish("people", messages([{"mail": "canary"}]))
    lived(project)
    assert "canary" in recent(project, "people", Kind.BAD)["events"][0]["reason"]
    write_source(tmp_path, "people", schema={"properties": {"mail": {"type": "string", "pii": True}}}, more="")
    project = load_project(tmp_path)
    (event,) = recent(project, "people", Kind.BAD)["events"]
    told = [event, quarantine.listed(project), quarantine.shown(project, event["message_id"])]
    told.append(explain(project, event["message_id"]))
    assert "canary" not in json.dumps(told, default=str)


def test_who_tags_nothing_sees_all(tmp_path):
    write_source(tmp_path, "people", schema={"properties": {"mail": {"type": "string", "maxLength": 3}}}, more="")
    project = load_project(tmp_path)
    with sqlite_bus(project) as bus:
        bus.publish("people", messages([b'{"mail" : "canary"}', b"\xff"]))
    lived(project)
    long, undecodable = recent(project, "people", Kind.ALL)["events"]
    assert (long["payload"], long["value"]) == ('{"mail" : "canary"}', '"canary"')
    assert (undecodable["payload"], undecodable["payload_base64"]) == ("\\xff", "/w==")
