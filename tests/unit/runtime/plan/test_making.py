"""A plan says what `apply` would do, layer by layer, and changes nothing."""

import datetime as dt
import json
from pathlib import Path

import pytest

from headrace.config.project import load_project
from headrace.errors import InputError
from headrace.runtime.plan.applying import apply
from headrace.runtime.plan.document import read, sealed, write
from headrace.runtime.plan.making import Ask, plan
from headrace.runtime.plan.silver_tables import table_changes
from headrace.runtime.verify import verify
from living import ORDERS, project_of, rows, write_source
from planning import TOTAL, change, dumped, publish, with_amount, write_models

INTEGER = with_amount(type="integer")
BY_ID = "  bronze_to_silver:\n  - deduplication: {key: [id]}\n"


def test_nothing_is_deployed_or_nothing_has_changed(tmp_path, project):
    first = plan(project_of(tmp_path / "new"))
    assert (first["first"], first["nothing"]) == (True, False)
    assert [each["action"] for each in first["tables"]] == ["create"]
    assert {(each["layer"], each["action"]) for each in first["changes"]} >= {("source", "added"), ("topic", "added")}
    again = plan(project)
    assert (again["nothing"], again["changes"], again["breaking"]) == (True, [], [])


def test_every_layer_says_what_becomes_of_it(project):
    change(project, INTEGER)
    (project.root / "connectors/visits.yaml").unlink()
    (project.root / "headrace.yaml").write_text("name: lab\ndefaults: {freshness_secs: 1}\n")
    write_models(project, total=TOTAL.replace("+ 1", "+ 2"), extra="select 1 as one")
    found = plan(load_project(project.root))
    said = {(each["layer"], each["name"]): each for each in found["changes"]}
    assert said["source", "visits"]["action"] == said["topic", "visits"]["action"] == "removed"
    assert said["settings", "headrace.yaml"]["keys"] == [{"key": "defaults.freshness_secs", "was": 0, "now": 1}]
    table = next(each for each in found["tables"] if each["table"] == "silver.orders")
    assert table["action"] == "refused"
    assert "headrace plan --history all" in table["fix"]
    models = {each["model"]: each for each in found["models"]}
    assert (models["gold.extra"]["action"], models["gold.total"]["action"]) == ("added", "changed")
    (revenue,) = models["gold.daily"]["columns"]
    assert (revenue["column"], revenue["change"], revenue["was"]) == ("revenue", "type", "DOUBLE")
    assert any("silver.orders cannot be" in each for each in found["breaking"])
    assert found["contracts"][0]["dataset"] == "orders"
    assert any(each["backward"] == "breaking" for each in found["contracts"][0]["changes"])


def test_one_field_too_many_says_why_the_deepest_become_json_text(tmp_path):
    """All columns are looked into equally deep, within measure: whoever adds a field learns what it does to others."""

    def crowd(members):
        wide = {"type": "object", "properties": {f"f{n}": {"type": "string"} for n in range(990)}}
        few = {"type": "object", "properties": {f"g{n}": {"type": "string"} for n in range(members)}}
        parts = {name: {"$ref": "#/$defs/wide"} for name in ("a", "b")} | {"few": few}
        schema = {**ORDERS, "$defs": {"wide": wide}, "properties": ORDERS["properties"] | parts}
        (tmp_path / f"{members}").mkdir()
        return project_of(tmp_path / f"{members}", schema=schema)

    was, fits, beyond = crowd(19), crowd(20), crowd(21)
    ((added,),) = [each["columns"] for each in table_changes(was, fits, None)]
    assert (added["column"], added["change"]) == ("few", "type")
    (table,) = table_changes(fits, beyond, None)
    assert {each["column"]: each["now"] for each in table["columns"]} == dict.fromkeys(("a", "b", "few"), "VARCHAR")
    assert "hold more than 2,000 fields and elements by now" in table["why"]
    assert "leave out the `properties`" in table["fix"]
    ((_, _, _, _, why, _),) = [each.values() for each in table_changes(was, fits, None)]
    assert why == ""


def test_an_added_column_is_one_exact_statement(project):
    more = {**with_amount(type="number"), "required": ["id"]}
    changed = change(project, {**more, "properties": {**more["properties"], "note": {"type": "string"}}})
    found = plan(changed)
    (table,) = found["tables"]
    assert table["statements"] == ['ALTER TABLE lake.silver."orders" ADD COLUMN "note" VARCHAR']
    assert (table["action"], found["breaking"]) == ("alter", [])
    publish(changed, {"id": "n", "note": "here"})
    assert [row["note"] for row in rows(changed, "SELECT note FROM lake.silver.orders WHERE id = 'n'")] == ["here"]


def test_a_model_that_no_longer_fits_breaks(project):
    write_models(project, total="select revenu from {{ ref('daily') }}")
    (broken,) = plan(project)["models"]
    assert "revenu" in broken["breaks"]


def test_history_is_counted_message_by_message(integer_plan):
    (orders,) = integer_plan["history"]["sources"]
    assert (orders["source"], orders["messages"]) == ("orders", 16)
    assert (orders["now_fail"]["messages"], orders["now_pass"]["messages"], orders["still_fail"]) == (7, 0, 1)
    assert [each["reason"] for each in orders["now_fail"]["examples"]] == [
        '0.5 is not of type "integer"',
        '1.5 is not of type "integer"',
    ]
    (silver,) = orders["datasets"]
    assert (silver["left"], silver["entered"], silver["changed"]) == (5, 0, 0)
    assert len(silver["partitions"]) == 1
    assert integer_plan["partitions"] == {"orders": silver["rewritten"]}
    assert "7 of 16 messages of orders would fail" in integer_plan["breaking"]
    assert {each["model"]: each["rows"] for each in integer_plan["models"]} == {
        "gold.daily": True,
        "gold.total": True,
        "gold.stg_orders": True,
    }


def test_each_source_is_replayed_under_its_own_rules(project):
    change(project, with_amount(type="number", maximum=1000))
    keyed = "  bronze_to_silver:\n  - deduplication: {key: [id, version]}\n"
    found = plan(change(project, more=keyed, source="visits"), Ask(history=True))
    sources = {each["source"]: each for each in found["history"]["sources"]}
    (orders,), (visits,) = (sources[name]["datasets"] for name in ("orders", "visits"))
    assert (sources["orders"]["now_fail"]["messages"], orders["unchanged"]) == (0, 12), "rules that change no message"
    assert orders["partitions"] == []
    assert orders["rewritten"], "their version is another"
    assert (visits["entered"], visits["left"]) == (2, 0), "versions of one visit are visits of their own"


def test_a_field_that_objects_gain_is_no_other_value(tmp_path):
    where = {"type": "object", "properties": {"zip": {"type": "integer"}}}
    schema = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "to": where, "way": {"type": "array", "items": where}},
    }
    project = project_of(tmp_path, schema=schema, more=BY_ID)
    publish(project, *({"id": f"o{n}", "to": {"zip": n}, "way": [{"zip": n}, {"zip": 0}]} for n in range(3)))
    wider = {"type": "object", "properties": {"zip": {"type": "number"}, "street": {"type": "string"}}}
    found = plan(
        change(project, {**schema, "properties": {**schema["properties"], "to": wider}}, BY_ID), Ask(history=True)
    )
    (orders,) = found["history"]["sources"][0]["datasets"]
    assert (orders["changed"], orders["unchanged"], orders["columns"], orders["partitions"]) == (0, 3, [], [])
    both = {**schema, "properties": {**schema["properties"], "way": {"type": "array", "items": wider}}}
    (orders,) = plan(change(project, both, BY_ID), Ask(history=True))["history"]["sources"][0]["datasets"]
    assert (orders["changed"], orders["columns"]) == (0, []), "nor in a list"
    wider["properties"]["zip"] = {"type": "string"}
    whole = {**schema, "properties": {**schema["properties"], "way": {"type": "array", "items": wider}}}
    found = plan(change(project, whole, BY_ID), Ask(history=True))
    assert found["history"]["sources"][0]["now_fail"]["messages"] == 3, "a list of them: 7 is no text"


def test_a_column_in_other_letters_is_planned(project):
    schema = with_amount(type="number")
    schema["properties"]["Amount"] = schema["properties"].pop("amount")
    found = plan(change(project, schema), Ask(history=True))
    (table,) = found["tables"]
    assert table["statements"] == [
        'ALTER TABLE lake.silver."orders" DROP COLUMN "amount"',
        'ALTER TABLE lake.silver."orders" ADD COLUMN "Amount" DOUBLE',
    ]
    apply(load_project(project.root), found)
    assert plan(load_project(project.root))["nothing"]


def test_a_model_of_a_field_that_objects_lose_does_not_break(tmp_path):
    where = {"type": "object", "properties": {"zip": {"type": "integer"}, "street": {"type": "string"}}}
    schema = {"type": "object", "properties": {"id": {"type": "string"}, "to": where}}
    project = project_of(tmp_path, schema=schema, more=BY_ID)
    write_models(project, streets="select \"to\".street as street from {{ source('silver', 'orders') }}")
    publish(project, {"id": "o1", "to": {"zip": 1, "street": "x"}})
    narrow = {"type": "object", "properties": {"zip": {"type": "integer"}}}
    found = plan(change(project, {**schema, "properties": {**schema["properties"], "to": narrow}}, BY_ID))
    assert {each["breaks"] for each in found["models"]} == {""}, "silver keeps the field, and it is null"
    assert found["breaking"] == []


def test_what_was_personal_at_any_time_is_not_shown(tmp_path):
    """Of a column that goes, and of unknown fields."""
    fields = {"id": {"type": "string"}, "mail": {"type": "string", "x-pii": True}, "note": {"type": "string"}}

    def of(*names):
        write_source(tmp_path, "orders", schema={"properties": {name: fields[name] for name in names}}, more=BY_ID)
        (tmp_path / "headrace.yaml").write_text("name: lab\ndefaults: {freshness_secs: 0, validation: lenient}\n")
        return load_project(tmp_path)

    publish(of(*fields), {"id": "o1", "mail": "ada@x.org", "note": "by hand"})
    for gone, left in (("mail", "note"), ("note", "mail")):
        found = plan(of("id", left), Ask(history=True))
        examples = found["history"]["sources"][0]["datasets"][0]["examples"]
        assert [each["column"] for each in examples] == [gone, "_extra"]
        assert "ada@x.org" not in json.dumps(found, default=str)
    assert [each["was"] for each in examples] == ["by hand", None], "what is not personal is shown"


def test_why_messages_fail_shows_nothing_that_was_or_is_personal(tmp_path):
    """Nor a rule that was not the one that they did not meet; what is not personal is shown."""

    def of(since, **fields):
        schema = {"properties": {"id": {"type": "string"}, "mail": since, "n": {}} | fields}
        found = plan(change(project, schema, BY_ID), Ask(history=True))
        assert "x.org" not in json.dumps(found, default=str)
        (source,) = found["history"]["sources"]
        reasons.extend((each["path"], each["messages"]) for each in source["now_fail"]["reasons"])
        return {what: [(each["reason"], each["value"]) for each in source[what]["examples"]]
                for what in ("now_pass", "now_fail")}  # fmt: skip

    reasons = []
    short, long, tag = {"type": "string", "maxLength": 9}, {"type": "string", "maxLength": 99}, {"x-pii": True}
    hidden = "the value (masked) does not meet"
    project = project_of(tmp_path, schema={"properties": {"id": {}, "mail": short | tag}}, more=BY_ID)
    events = [{"id": "o1", "mail": "a@x.org"}, {"id": "o2", "mail": "charles@x.org"}, {"id": "o3", "n": "seven"}]
    publish(project, *events)
    assert of(long | tag)["now_pass"] == [(f"{hidden} maxLength: 9", "***")], "as it failed, not as it is now"
    assert of({"type": "integer"})["now_fail"] == [(f"{hidden} type", "***")], "tagged then, and no more"
    ((why, value),) = of(short | tag, n={"type": "integer"})["now_fail"]
    assert (value, hidden in why) == ('"seven"', False)

    (tmp_path / "names").mkdir()
    names = {"x-pii": True, "additionalProperties": {"type": "string"}}
    project = project_of(tmp_path / "names", schema={"properties": {"id": {}, "to": names}}, more=BY_ID)
    publish(project, *({"id": f"o{n}", "to": {f"p{n}@x.org": "x"}} for n in range(3)))
    found = of(short, to={"additionalProperties": {"type": "integer"}})
    assert len(found["now_fail"]) == 3
    assert reasons[-1] == ("$.to", 3), "nor are names of members shown, or reasons told apart by them"

    (tmp_path / "plain").mkdir()
    project = project_of(tmp_path / "plain", schema={"properties": {"id": {}, "mail": short}}, more=BY_ID)
    publish(project, *events)
    assert of(long | tag)["now_pass"] == [(f"{hidden} maxLength", "***")], "tagged now, and not then"


def test_the_history_of_a_source_that_was_taken_away_and_is_back(project):
    text = (project.root / "connectors/visits.yaml").read_text()
    (project.root / "connectors/visits.yaml").unlink()
    gone = load_project(project.root)
    apply(gone, plan(gone))
    (project.root / "connectors/visits.yaml").write_text(text)
    assert plan(load_project(project.root), Ask(history=True))["history"]["sources"] == [], "by the rules of then"
    back = change(project, with_amount(type="integer"), source="visits")
    found = plan(back, Ask(history=True))
    assert [each["now_fail"]["messages"] for each in found["history"]["sources"]] == [4]
    apply(back, found)
    assert verify(back, from_bronze=True).holds


def test_a_window_begins_with_a_batch(project):
    late = plan(
        change(project, with_amount(type="number", maximum=5)),
        Ask(history=True, since=dt.datetime(2100, 1, 1, tzinfo=dt.UTC)),
    )
    assert late["history"]["sources"] == []
    assert late["history"]["skipped"] == [
        {"source": "orders", "why": "no message of it came since 2100-01-01 00:00 UTC"}
    ]
    batches = [
        row["first_seq"]
        for row in rows(project, "SELECT first_seq FROM lake.ops.batches WHERE source = 'orders' ORDER BY ALL")
    ]
    (since,) = rows(
        project,
        f"SELECT max(ingest_time) AS t FROM lake.bronze.messages WHERE source = 'orders' AND seq = {batches[3] + 1}",
    )
    (orders,) = plan(change(project, with_amount(type="number", maximum=5)), Ask(history=True, since=since["t"]))[
        "history"
    ]["sources"]
    assert orders["first"] == 9, "all of that publish came at once: its first batch"


def test_a_plan_is_a_file_that_nobody_edits(project, tmp_path):
    found = plan(change(project, with_amount(type="number", maximum=5)))
    file = write(project, found, None)
    assert read(file) == dumped(found)
    assert plan(change(project, with_amount(type="number", maximum=5)))["digest"] == found["digest"], (
        "same inputs, same plan"
    )
    document = json.loads(file.read_text())
    document["breaking"] = []
    document["tables"] = [1]
    file.write_text(json.dumps(document))
    with pytest.raises(InputError, match="changed after it was made"):
        read(file)
    for folder in (Path(), Path(".."), tmp_path):
        with pytest.raises(InputError, match="it is a folder"):
            write(project, found, folder)
    for text in ("{}", "no", "[]"):
        file.write_text(text)
        with pytest.raises(InputError, match="not a plan"):
            read(file)
    assert sealed({"inputs": {}})["digest"] != sealed({"inputs": {"a": 1}})["digest"]


def test_secrets_stay_references(project):
    path = project.root / "connectors/orders.yaml"
    push = "serving: {push: [{name: hook, to: 'secret://env/CANARY_URL'}]}\n"
    path.write_text(path.read_text() + push)
    found = plan(load_project(project.root))
    assert "secret://env/CANARY_URL" in json.dumps(dumped(found)["changes"])


def test_models_over_other_rows_are_other_models(project):
    write_models(
        project,
        paid="select id, _event_date as day from {{ source('silver', 'orders') }} where amount > 1",
        counted="select day, count(*) as n from {{ ref('paid') }} group by all",
        top="select max(n) as most from {{ ref('counted') }}",
    )
    deployed = load_project(project.root)
    apply(deployed, plan(deployed))
    found = plan(change(deployed, with_amount(type="integer")))
    said = {each["model"]: ([column["column"] for column in each["columns"]], each["rows"]) for each in found["models"]}
    assert said["gold.paid"] == ([], True)
    assert said["gold.counted"] == (["n"], True)
    assert said["gold.top"] == (["most"], True)
