"""A sample of history is some of its keys, whole: what is made of it is what the whole makes of the same messages."""

import dataclasses
import json

import pyarrow as pa
import pytest

from headrace.config.project import load_project
from headrace.errors import InputError
from headrace.lake.reader import open_reader
from headrace.runtime.plan import history
from headrace.runtime.plan.applying import apply, check
from headrace.runtime.plan.making import Ask, plan, planned
from headrace.runtime.plan.sampling import MessageKeys, Sampling, fields_of, is_sampled
from living import ORDERS, changed_behind_its_back, messages, project_of, rows, write_source
from planning import change, publish, with_amount
from wrapping import framed

NUMBERED = {
    "type": "object",
    "required": ["at"],
    "properties": {
        "at": {"type": "object", "properties": {"n": {"type": "integer"}, "shop": {"type": "string"}}},
        "version": {"type": "integer"},
        "amount": {"type": "number"},
    },
}
BY_PLACE = "  bronze_to_silver:\n  - deduplication: {key: [at.n, at.shop], version_by: version}\n"
FATES = {
    "silver": 'SELECT _seq AS seq, _schema_version, amount FROM lake.silver."orders" ORDER BY seq',
    "quarantine": "SELECT seq, stage, code, path FROM lake.ops.quarantine WHERE source = 'orders' ORDER BY seq",
    "superseded": "SELECT seq FROM lake.ops.superseded ORDER BY seq",
}


def spelt(n, place, shop=None):
    """Return an event of one of 40 keys, as any of those spells it who may."""
    number = [f"{n}", f"{n}.0", f"{n}e0", f"{n * 10}e-1"][place % 4]
    name = ["n", "\\u006e"][place % 2]
    mark = "\ufeff" if place % 5 == 0 else ""
    said = f'"shop": "{shop or "a/b~c"}", "{name}": {number}'
    return f'{mark}{{"version": {place % 3}, "amount": {place / 2}, "at": {{{said}}}}}'.encode()


def fates(project, windows, share=None):
    """Return what a replay makes, and, of a sample, which messages it says that it took."""
    with open_reader(project.state / "lake") as lake:
        lake.pin()
        sampling = None if share is None else Sampling(share, lake, windows)
        with history.replayed(project, lake, windows, sampling) as made:
            found = {name: made.lake.rows(sql) for name, sql in FATES.items()}
    return found, set(sampling.taken["orders"].table()["seq"].to_pylist()) if sampling is not None else set()


@pytest.fixture(scope="module")
def spelt_in_many_ways(tmp_path_factory):
    """Forty keys, each in ten messages that spell it in several ways; then ten keys more; what is broken between."""
    project = project_of(tmp_path_factory.mktemp("spelt"), "orders", schema=NUMBERED, more=BY_PLACE)
    events = [spelt(place % 40, place // 3) for place in range(300)]
    few = [spelt(place % 10 + 35, place // 3 + 90) for place in range(60)]
    broken = [b"no json", b"\xff", b"{}", b'{"at": {"n": 1, "n": 2}}', b'{"at": 1}', b'{"at": {"n": "x"}}', b""]
    publish(project, *events, *broken, limit=64)
    publish(project, *few, *broken, limit=64)
    amounts = {**NUMBERED["properties"], "amount": {"type": "number", "maximum": 50}}
    return change(project, {**NUMBERED, "properties": amounts}, BY_PLACE)


@pytest.mark.parametrize("first", [0, 307])
def test_a_sample_becomes_what_the_whole_makes_of_it(spelt_in_many_ways, first):
    """Whatever way a key is spelt, all versions and redeliveries of it are in, or none; before a window, too."""
    windows = {"orders": range(first, 374)}
    found, taken = fates(spelt_in_many_ways, windows, 0.4)
    whole, _ = fates(spelt_in_many_ways, windows)
    assert 20 < len(taken) < (300 if first == 0 else 100)
    assert found == {name: [row for row in each if row["seq"] in taken] for name, each in whole.items()}
    assert len(found["silver"]) > 1
    assert found["quarantine"]
    assert found["superseded"]


def test_a_window_says_the_same_as_if_all_before_it_were_replayed(spelt_in_many_ways):
    since = rows(spelt_in_many_ways, "SELECT min(ingest_time) AS t FROM lake.bronze.messages WHERE seq = 307")
    found = plan(spelt_in_many_ways, Ask(history=True, since=since[0]["t"]))
    (orders,) = found["history"]["sources"]
    assert (orders["first"], orders["sample"]) == (307, None)
    assert orders["datasets"][0]["left"] > 0
    assert orders["datasets"][0]["entered"] > 0, "what lost to a message of the window wins again"
    with planned(spelt_in_many_ways, Ask(history=True), {"orders": range(307, 374)}) as made:
        assert made.document["history"]["sources"] == [orders]
        assert made.document["partitions"] == found["partitions"]


def test_a_window_of_framed_messages_looks_at_their_keys(tmp_path):
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in ("id", "version")}}
    write_source(tmp_path, "orders", schema=schema)
    source = tmp_path / "connectors/orders.yaml"
    said = "schema: {file: schemas/orders.json"
    ids = ", version_from: {confluent: {v1: [3]}}, versions: {v1: {status: draft}}}"
    source.write_text(source.read_text().replace(f"{said}}}", said + ids))
    project = load_project(tmp_path)
    publish(project, *(framed(3, {"id": f"{n}", "version": "a"}) for n in range(9)))
    publish(project, framed(3, {"id": "1", "version": "later"}))
    schema["properties"]["version"]["maxLength"] = 3
    (tmp_path / "schemas/orders.json").write_text(json.dumps(schema))
    changed = load_project(tmp_path)
    since = rows(changed, "SELECT max(ingest_time) AS t FROM lake.bronze.messages")[0]["t"]
    (orders,) = plan(changed, Ask(history=True, since=since))["history"]["sources"]
    (dataset,) = orders["datasets"]
    assert (orders["messages"], dataset["left"], dataset["entered"]) == (1, 1, 1), "what had lost to it wins again"
    bare = dataclasses.replace(changed.source("orders").datasets[0], version_from=None)
    assert "opened at one time" in fields_of([dataclasses.replace(changed.source("orders"), datasets=(bare,)),
                                              changed.source("orders")])  # fmt: skip


def test_the_plan_of_a_sample_says_so_and_is_not_applied(project, integer_plan):
    changed = change(project, with_amount(type="integer"))
    found = plan(changed, Ask(history=True, examples=2, sample=0.5))
    (orders,), (all_of_it,) = found["history"]["sources"], integer_plan["history"]["sources"]
    sample = orders["sample"]
    assert (sample["by"], all_of_it["sample"], found["history"]["sample"]) == (["id"], None, 0.5)
    assert (orders["messages"], sample["messages"] + sample["left_out"]) == (16, 16)
    assert 0 < sample["messages"] < 16
    accepted = sum(each["now"]["accepted"] for each in orders["versions"] if each["now"])
    assert accepted == sample["messages"], "what is left out is nowhere"
    fail = orders["now_fail"]
    assert 0 < fail["messages"] < all_of_it["now_fail"]["messages"] <= fail["whole"]["high"]
    assert fail["messages"] <= fail["whole"]["low"] <= fail["whole"]["estimate"] <= fail["whole"]["high"] <= 16
    assert {each["id"] for each in fail["examples"]} <= {
        row["message_id"] for row in rows(project, "SELECT message_id FROM lake.bronze.messages")
    }
    assert any("by a sample" in sentence for sentence in found["breaking"])
    for act in (apply, check):
        with pytest.raises(InputError, match="of a sample"):
            act(changed, found)


@pytest.mark.parametrize("first", [0, 9])
def test_a_sample_says_which_fates_its_messages_had(project, first):
    """Those that the lake has rows of, by version; under the same rules they are what the replay makes."""
    changed_behind_its_back(project, "UPDATE lake.ops.batches SET code_version = '0.0.9' WHERE source = 'orders'")
    since = rows(project, f"SELECT min(ingest_time) AS t FROM lake.bronze.messages WHERE seq >= {first}")[0]["t"]
    found = plan(project, Ask(history=True, since=since if first else None, sample=0.7))
    (orders,) = found["history"]["sources"]
    (version,) = orders["versions"]
    known = {name: count for name, count in version["was"].items() if count is not None}
    assert known.keys() == {"silver", "superseded", "quarantined"}
    assert known == {name: version["now"][name] for name in known}
    assert known["silver"] > 1
    assert known["superseded"]


def test_where_no_key_can_be_read_off_the_message_all_is_replayed(tmp_path):
    schema = with_amount(type="number")
    schema["properties"]["at"] = {"type": "string", "format": "date-time"}
    by_time = "  bronze_to_silver:\n  - deduplication: {key: [at]}\n"
    project = project_of(tmp_path, "orders", schema=schema, more=by_time)
    publish(project, *({"id": f"o{n}", "at": f"2026-11-0{n + 1}T00:00:00Z"} for n in range(9)))
    schema["properties"]["amount"] = {"type": "number", "maximum": 9}
    found = plan(change(project, schema, more=by_time), Ask(history=True, sample=0.5))
    (orders,) = found["history"]["sources"]
    assert (orders["sample"], orders["now_fail"]["whole"]) == (None, None)
    assert "no field in common" in orders["unsampled"]
    assert sum(each["now"]["accepted"] for each in orders["versions"] if each["now"]) == 9
    assert not is_sampled(found)


def test_each_table_of_a_source_has_its_own_key(tmp_path):
    for folder in ("connectors", "schemas"):
        (tmp_path / folder).mkdir()
    (tmp_path / "headrace.yaml").write_text("name: lab\n")
    for table in ("a", "b"):
        (tmp_path / f"schemas/db__{table}.json").write_text(json.dumps(ORDERS))
    (tmp_path / "connectors/db.yaml").write_text(
        "source_id: db\ningestion: {pattern: database_cdc, tables: [{name: a, key: [id]}, {name: b, key: [version]}]}\n"
    )
    source = load_project(tmp_path).source("db")
    fields = fields_of([source])
    assert [each.name for mine in sorted(fields.items()) for each in mine[1]] == ["id", "version"]
    sent = [(table, {"id": of, "version": 1}) for table in ("a", "b", "c", None) for of in ("x", "y", "x")]
    batch = pa.concat_batches(
        messages([event], **({} if table is None else {"dataset": table})).select(["payload"]) for table, event in sent
    )
    attributes = pa.array(
        [None if table is None else [("dataset", table)] for table, _ in sent], pa.map_(pa.string(), pa.string())
    )
    ids = pa.array([f"m{at}" for at in range(len(sent))])
    batch = batch.append_column("attributes", attributes).append_column("message_id", ids)
    keys = MessageKeys(source, fields)(batch).tolist()
    assert keys[0] == keys[2] != keys[1], "by its id"
    assert keys[3] == keys[4] == keys[5], "by its version"
    assert len(set(keys[6:])) == 6, "of no table: each by itself"
