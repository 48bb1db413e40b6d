"""What enrichment adds, what it refuses, and what it only counts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from headrace import words
from headrace.errors import InternalError
from headrace.stages import lookup
from headrace.stages.enrich import Enrich, Enrichment, EnrichSpec
from headrace.stages.lookup import Lookup, comparable

TEXT, WHOLE = pa.string(), pa.int64()
EVENTS = pa.schema(
    [("country", TEXT), ("ship", pa.struct([("zone", WHOLE)])), ("price", pa.float64()), (words.ROW, pa.int32())]
)
COUNTRIES = pa.table(
    {
        "code": ["NL", "DE", "XX"],
        "name": ["Netherlands", "Germany", None],
        "people": [18, 84, 0],
        "tags": pa.array([["sea"], None, []], pa.list_(TEXT)),
    }
)


def enrichment(**more):
    fields = tuple(field for field in COUNTRIES.schema if field.name != "code")
    return Enrichment("countries", **{"on": (("country", "code", TEXT),), "added": fields, **more})


def events(*countries, **columns):
    rows = {"country": list(countries), words.ROW: list(range(7, 7 + len(countries))), **columns}
    rows = {field.name: rows.get(field.name, [None] * len(countries)) for field in EVENTS}
    return pa.RecordBatch.from_pydict(rows, schema=EVENTS)


def enriched(step, batch, table=COUNTRIES):
    return Enrich(step, EVENTS, table)(batch)


def test_columns_are_added_after_all_others_and_nothing_else_changes():
    batch = events("DE", "NL", "DE")
    outcome = enriched(enrichment(), batch)
    assert outcome.kept.schema.names == [*EVENTS.names, "name", "people", "tags"]
    assert outcome.kept.select(EVENTS.names).equals(batch)
    assert outcome.kept["name"].to_pylist() == ["Germany", "Netherlands", "Germany"]
    assert outcome.kept["tags"].to_pylist() == [None, ["sea"], None]
    assert (len(outcome.rejected), len(outcome.warned)) == (0, 0)
    assert [field.name for field in enrichment(prefix="c_").fields()] == ["c_name", "c_people", "c_tags"]


def test_a_miss_is_null_and_counted_and_a_null_is_no_miss():
    outcome = enriched(enrichment(), events("FR", None, "XX", "nl"))
    assert outcome.kept["name"].to_pylist() == [None] * 4
    assert outcome.kept["people"].to_pylist() == [None, None, 0, None]
    assert outcome.warned["row"].to_pylist() == [7, 10]
    assert set(outcome.warned["code"].to_pylist()) == {"lookup_miss"}
    assert set(outcome.warned["reason"].to_pylist()) == {"country: countries has no such row"}
    assert len(outcome.rejected) == 0


def test_a_miss_is_quarantined_with_its_value_and_a_null_is_let_by():
    outcome = enriched(enrichment(miss="quarantine"), events("FR", None, "NL", 'a"b'))
    assert outcome.kept[words.ROW].to_pylist() == [8, 9]
    assert outcome.kept["name"].to_pylist() == [None, "Netherlands"]
    found = outcome.rejected.to_pylist()
    assert [(each["row"], each["stage"], each["path"], each["value"]) for each in found] == [
        (7, "enrich", "$.country", '"FR"'),
        (10, "enrich", "$.country", r'"a\"b"'),
    ]
    assert len(outcome.warned) == 0


def test_defaults_stand_for_a_miss_and_for_nothing_to_look_up_but_not_for_a_null_in_the_lookup():
    step = enrichment(miss="default", defaults={"name": pa.scalar("unknown"), "tags": pa.scalar(["?"], pa.list_(TEXT))})
    outcome = enriched(step, events("FR", None, "XX"))
    assert outcome.kept["name"].to_pylist() == ["unknown", "unknown", None]
    assert outcome.kept["people"].to_pylist() == [None, None, 0]
    assert outcome.kept["tags"].to_pylist() == [["?"], ["?"], []]
    assert len(outcome.warned) == 1


def test_one_struct_holds_what_is_added():
    outcome = enriched(enrichment(struct="c"), events("DE", "FR"))
    assert outcome.kept["c"].to_pylist() == [{"name": "Germany", "people": 84, "tags": None}, None]
    step = enrichment(struct="c", miss="default", defaults={"people": pa.scalar(-1)})
    assert enriched(step, events("FR")).kept["c"].to_pylist() == [{"name": None, "people": -1, "tags": None}]


def test_several_fields_and_nested_ones_are_looked_up_together():
    table = pa.table({"code": ["NL", "NL", "DE"], "zone": [1, 2, 1], "rate": [0.1, 0.2, 0.3]})
    step = Enrichment(
        "rates",
        on=(("country", "code", TEXT), ("ship.zone", "zone", WHOLE)),
        added=(table.schema.field("rate"),),
        miss="quarantine",
    )
    zones = [{"zone": 2}, {"zone": 1}, {"zone": 2}, None, {"zone": None}]
    outcome = enriched(step, events("NL", "DE", "DE", "NL", "NL", ship=zones), table)
    assert outcome.kept["rate"].to_pylist() == [0.2, 0.3, None, None]
    (missed,) = outcome.rejected.to_pylist()
    assert (missed["row"], missed["path"], missed["value"]) == (9, "$", '["DE",2]')
    assert missed["reason"] == "country, ship.zone: rates has no such row"


def test_numbers_are_compared_as_numbers_and_nothing_else_is_taken_for_another():
    assert comparable(pa.float64(), WHOLE) == pa.float64()
    assert comparable(TEXT, WHOLE) is None
    assert comparable(pa.list_(WHOLE), pa.list_(WHOLE)) is None
    assert comparable(pa.date32(), pa.timestamp("us", "UTC")) is None
    table = pa.table({"n": [1, 2], "name": ["one", "two"]})
    step = Enrichment("numbers", on=(("price", "n", pa.float64()),), added=(table.schema.field("name"),))
    outcome = enriched(step, events(None, None, None, price=[1.0, 1.5, 2.0]), table)
    assert outcome.kept["name"].to_pylist() == ["one", None, "two"]


def test_a_lookup_knows_what_nobody_could_find_in_it():
    key = (("a", TEXT), ("b", WHOLE))
    assert Lookup(pa.table({"a": ["x", "y", "x"], "b": [1, 1, 2]}), key).repeated is None
    assert Lookup(pa.table({"a": ["x", "y", "x", "x"], "b": [1, 1, 2, 1]}), key).repeated == (0, 3)
    assert Lookup(pa.table({"a": ["x", None, None], "b": [1, 1, 1]}), key).repeated is None
    assert Lookup(pa.table({"a": ["x", "y", None], "b": [1, None, 1]}), key).without_key == 1
    empty = Lookup(pa.table({"a": pa.array([], TEXT), "b": pa.array([], WHOLE)}), key)
    assert (empty.repeated, empty.without_key) == (None, None)
    assert empty.find([pa.array(["x"]), pa.array([1])]).to_pylist() == [None]


def test_keys_of_one_hash_are_told_apart_by_what_they_are(monkeypatch):
    key = (("a", TEXT), ("b", pa.float64()))
    table = pa.table({"a": ["x", "y", None, "x", "z"], "b": [1.0, 1.0, 1.0, 2.0, float("nan")]})
    asked = [pa.array(["x", "x", "y", None, "q", "z", "x"]), pa.array([2.0, 1.0, 1.0, 1.0, 1.0, float("nan"), None])]
    expected = [3, 0, 1, None, None, 4, None]
    assert Lookup(table, key).find(asked).to_pylist() == expected
    monkeypatch.setattr(lookup, "_hashes", lambda keys: np.zeros(len(keys[0]), np.uint64))
    assert Lookup(table, key).find(asked).to_pylist() == expected


def test_an_empty_lookup_and_an_empty_batch_are_like_any_other():
    assert enriched(enrichment(), events("NL"), COUNTRIES.slice(0, 0)).kept["name"].to_pylist() == [None]
    outcome = enriched(enrichment(miss="quarantine", struct="c"), events())
    assert outcome.kept.schema.names == [*EVENTS.names, "c"]


def test_another_version_is_another_stage_and_without_one_there_is_no_answer():
    before = Enrich(enrichment(), EVENTS, COUNTRIES)
    after = before.seeing(COUNTRIES.slice(0, 1))
    assert before.seeing(COUNTRIES) is before
    assert before(events("DE")).kept["people"].to_pylist() == [84]
    assert after(events("DE")).kept["people"].to_pylist() == [None]
    with pytest.raises(InternalError, match="no version of countries"):
        Enrich(enrichment(), EVENTS)(events("DE"))


def test_how_a_step_is_written():
    short = EnrichSpec(lookup="countries", on="address.country_code")
    assert short.pairs == (("address.country_code", "country_code"),)
    assert (short.miss, short.columns, short.refresh.total_seconds()) == ("null", None, 300)
    assert EnrichSpec.model_validate({"lookup": "c", "on": "a", "miss": None}).miss == "null"
    assert EnrichSpec(lookup="c", on={"a": "x", "b.c": "y"}).pairs == (("a", "x"), ("b.c", "y"))
    for wrong in ({"prefix": "a_", "as": "b"}, {"miss": "drop"}, {"columns": []}, {"on": {}}, {"as": "_seq"}):
        with pytest.raises(ValidationError):
            EnrichSpec.model_validate({"lookup": "c", "on": "a", **wrong})
