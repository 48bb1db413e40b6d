"""Which version an event is held against, what brings it to the newest, and what that costs the newest."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json

import pytest

from headrace import words
from headrace.contracts.load import load_contract
from headrace.contracts.versions import Version, number_of
from headrace.stages.csv_rows import CsvSpec
from headrace.stages.dataset import Dataset
from headrace.stages.masking import Maskings
from headrace.stages.upcast import UpcastStep
from headrace.stages.upcast_way import check_upcasts
from headrace.stages.versioned import Versioned, VersionFrom
from pulling import messages
from wrapping import decided

TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}


def shape(required=(), **properties):
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False}


def dataset(*schemas, version_from=None, statuses=(), validation="strict", **upcasts):
    versions = []
    for number, schema in enumerate(schemas, 1):
        name = f"v{number}"
        contract = load_contract("orders", schema, version=str(number), validation=validation)
        status = dict(enumerate(statuses, 1)).get(number, "stable")
        versions.append(Version(name, number_of(name), contract, schema, lifecycle=status))
    steps = {name: tuple(UpcastStep(**step) for step in said) for name, said in upcasts.items()}
    source = VersionFrom(**version_from) if version_from else None
    newest = versions[-1].contract
    return Dataset("orders", newest, versions=tuple(versions), upcasts=steps, version_from=source)


V1 = shape(["cust"], cust=TEXT, amount=TEXT, note=TEXT)
V2 = shape(["customer"], customer=TEXT, amount=NUMBER)
V3 = shape(["customer", "cents", "currency"], customer=TEXT, cents=WHOLE, currency=TEXT)
THREE = {
    "v1": [{"rename": {"cust": "customer"}}, {"cast": ["amount"]}, {"drop": ["note"]}],
    "v2": [{"set": {"cents": "round(amount * 100)"}}, {"drop": ["amount"]}, {"default": {"currency": "EUR"}}],
}


def test_an_event_has_the_newest_version_that_it_satisfies_and_comes_out_in_the_newest_shape():
    kept, rejected, told = decided(
        dataset(V1, V2, V3, **THREE),
        messages(
            {"customer": "c", "cents": 5, "currency": "USD"},
            {"cust": "a", "amount": "1.25", "note": "x"},
            {"customer": "b", "amount": 2.5},
            {"cust": "d", "amount": "much"},
            {"customer": 7, "cents": 5, "currency": "USD"},
            b"{",
            {"cust": "e"},
        ),
    )
    assert kept == [
        {"customer": "c", "cents": 5, "currency": "USD"},
        {"customer": "a", "cents": 125, "currency": "EUR"},
        {"customer": "b", "cents": 250, "currency": "EUR"},
    ]
    assert told == ["3", "1", "2", "1", "3", "3", "1"]
    assert [(each["row"], each["stage"], each["code"], each["path"], each["value"]) for each in rejected] == [
        (3, "contract", "upcast_failed", "$.amount", '"much"'),
        (4, "contract", "type", "$.customer", "7"),
        (5, "decode", "invalid_json", None, None),
        (6, "contract", "upcast_failed", "$.amount", None),
    ]
    assert rejected[0]["reason"] == "v1 to v2: amount cannot be made DOUBLE"


@pytest.mark.parametrize("where", ["attribute", "field"])
def test_a_named_version_is_the_one_that_counts(where):
    field = {"v": {"type": ["string", "integer"]}} if where == "field" else {}
    schemas = [shape(["id"], id=TEXT, **field), shape(["id"], id=TEXT, more=TEXT, **field)]
    of = dataset(
        *schemas, shape([], id=TEXT, **field), version_from={where: "v"}, statuses=("retired",),
        v2=[{"drop": ["more"]}], v1=[],
    )  # fmt: skip
    names = ["v2", "2.0.0", 1, "v9", None, "3", "odd", "2"]
    events = [{"id": str(row)} for row in range(7)] + [{"more": "no id"}]
    if where == "field":
        batch = messages(
            *(event | ({} if name is None else {"v": name}) for event, name in zip(events, names, strict=True))
        )
    else:
        batch = messages(*events, attributes=[None if name is None else {"v": str(name)} for name in names])
    kept, rejected, told = decided(of, batch)
    assert [row["id"] for row in kept] == ["0", "1", "4", "5"]
    assert told == ["2", "2", "1", "3", "3", "3", "3", "2"]
    assert [(each["row"], each["code"]) for each in rejected] == [
        (2, "version_retired"), (3, "version_unknown"), (6, "version_unknown"), (7, "required"),
    ]  # fmt: skip
    assert rejected[1]["reason"].endswith("these are taken: v2, v3")
    assert rejected[1]["value"] == '"v9"'
    assert rejected[1]["path"] == ("$.v" if where == "field" else None)


@pytest.mark.parametrize("where", ["attribute", "field", None])
def test_what_names_no_version_is_of_the_default(where):
    """Not of the newest, though it meets that as well: an amount of 2 is 200 cents."""
    more = {"v": WHOLE} if where == "field" else {}
    schemas = [shape(["n"], n=NUMBER, **more), shape(["n"], n=NUMBER, m=TEXT, **more), shape(["n"], n=WHOLE, **more)]
    steps = {"v1": [], "v2": [{"set": {"n": "n * 100"}}, {"drop": ["m"]}]}
    source = {"default": "2"} | ({where: "v"} if where else {})
    names = [None, 3, None, 1, None, None] if where else [None] * 6
    events = [{"n": 2}, {"n": 2}, {"n": 2.5, "m": "x"}, {"n": 2}, {"m": "x"}, b"{"]

    def lived(of):
        if where == "field":
            said = zip(events, names, strict=True)
            return decided(of, messages(*(each if name is None else each | {"v": name} for each, name in said)))
        attributes = [None if name is None else {"v": str(name)} for name in names]
        return decided(of, messages(*events, attributes=attributes))

    kept, rejected, told = lived(dataset(*schemas, version_from=source, **steps))
    assert [row["n"] for row in kept] == [200, 2 if where else 200, 250, 200]
    assert told == ["2", "3" if where else "2", "2", "1" if where else "2", "2", "2"]
    assert [(each["row"], each["code"]) for each in rejected] == [(4, "required"), (5, "invalid_json")]

    kept, rejected, told = lived(dataset(*schemas, version_from=source, statuses=("stable", "retired"), **steps))
    silent = [row for row, name in enumerate(names) if name is None]
    assert [each["row"] for each in rejected] == silent
    assert {(each["code"], each["reason"], each["value"]) for each in rejected} == {
        ("version_retired", "it names no version, and so is v2, which is retired; these are taken: v1, v3", None)
    }
    assert len(kept) == 6 - len(silent)


@pytest.mark.parametrize("where", ["attribute", "field"])
def test_a_default_that_is_the_newest_tries_no_older_one(where):
    schemas = [shape(["a"], a=TEXT, v=TEXT), shape(["b"], b=TEXT, v=TEXT)]
    of = dataset(*schemas, version_from={where: "v", "default": "v2"}, v1=[{"rename": {"a": "b"}}])
    batch = messages({"a": "old"}, {"b": "new"}, {"a": "named", "v": "1"}, attributes=[None, None, {"v": "1"}])
    kept, rejected, told = decided(of, batch)
    assert [row["b"] for row in kept] == ["new", "named"]
    assert [each["code"] for each in rejected] == ["additionalProperties"]
    assert told == ["2", "2", "1"]


def test_batches_may_fall_anywhere():
    of = dataset(V1, V2, V3, **THREE)
    events = [{"cust": "a", "amount": "1"}, {"customer": "b", "amount": 1}, {"customer": "c"}, {"cust": "d"}]
    events += [{"customer": "e", "cents": 1, "currency": "x"}, {"customer": 1}]
    whole = decided(of, messages(*events))
    alone = [decided(of, messages(event)) for event in events]
    assert whole[0] == [row for kept, _, _ in alone for row in kept]
    assert whole[2] == [version for _, _, told in alone for version in told]
    assert [each["reason"] for each in whole[1]] == [each["reason"] for _, bad, _ in alone for each in bad]


def test_events_of_the_newest_are_not_looked_at_twice():
    stage = Versioned("json", CsvSpec(), dataset(V1, V2, V3, **THREE))
    assert stage.decide(messages(*[{"customer": "c", "cents": 5, "currency": "USD"}] * 50)).versions is None
    assert stage._reader.cache_info().currsize == 1  # no older version was so much as compiled
    stage.decide(messages({"customer": "c", "amount": 1}))
    assert stage._reader.cache_info().currsize == 2


def test_csv_is_read_with_the_types_of_its_version():
    of = dataset(shape(["id", "n"], id=TEXT, n=WHOLE), shape(["id", "m"], id=TEXT, m=NUMBER),
                 v1=[{"rename": {"n": "m"}}, {"cast": ["m"]}])  # fmt: skip
    batch = messages(b"a,1", b"b,1.5", attributes=[{"csv-header": "id,n"}, {"csv-header": "id,m"}])
    assert decided(of, batch, "csv")[0] == [{"id": "a", "m": 1.0}, {"id": "b", "m": 1.5}]


@pytest.mark.parametrize("where", [None, "attribute", "field"])
def test_a_record_that_the_columns_of_the_newest_do_not_fit_is_tried_on_older_ones(where):
    """Records without a header, of three versions: each had a cell more than the one before."""
    v = {"v": TEXT} if where == "field" else {}
    shapes = [shape(["id"], id=TEXT, **v), shape(["id", "n"], id=TEXT, n=NUMBER, **v)]
    shapes.append(shape(["id", "n", "m"], id=TEXT, n=WHOLE, m=WHOLE, **v))
    of = dataset(
        *shapes, version_from={where: "v"} if where else None,
        v1=[{"default": {"n": 0}}], v2=[{"cast": ["n"]}, {"default": {"m": 7}}],
    )  # fmt: skip
    columns = (("id", *v), ("id", "n", *v), ())
    named = tuple(dataclasses.replace(each, csv_columns=own) for each, own in zip(of.versions, columns, strict=True))
    of = dataclasses.replace(of, versions=named)
    rows, numbers = ["a", "b,2", "c,3,4", "d,2.5", "e,3,x", "f,1,2,3,4"], [1, 2, 3, 2, 3, 3]
    end = [f",{number}" if where == "field" else "" for number in numbers]
    raw = [f"{row}{more}".encode() for row, more in zip(rows, end, strict=True)]
    attributes = [{"v": str(number)} for number in numbers] if where == "attribute" else None
    kept, rejected, told = decided(
        of, messages(*raw, attributes=attributes), "csv", CsvSpec(columns=("id", "n", "m", *v))
    )
    assert [(row["id"], row["n"], row["m"]) for row in kept] == [("a", 0, 7), ("b", 2, 7), ("c", 3, 4)]
    assert told == ["1", "2", "3", "2", "3", "3"]
    assert [(each["row"], each["code"]) for each in rejected] == [
        (3, "upcast_failed"), (4, "type"), (5, "ragged_row"),
    ]  # fmt: skip
    assert f"the header {3 + len(v)}" in rejected[2]["reason"], "the reason of the newest"


def nullable(**more):
    return {"type": ["string", "null"]} | more


WALL = "2026-01-01T23:00:00.1234569"
TIMES = {
    "date": (nullable(format="date"), {"2026-01-01": dt.date(2026, 1, 1), "0001-01-01": dt.date(1, 1, 1)}),
    "instant": (
        nullable(format="date-time"),
        {
            "2026-01-01T23:00:00-05:00": dt.datetime(2026, 1, 2, 4, tzinfo=dt.UTC),
            "2026-01-01t23:00:00z": dt.datetime(2026, 1, 1, 23, tzinfo=dt.UTC),
        },
    ),
    "wall clock": (nullable(**{"x-type": "datetime"}), {WALL: dt.datetime.fromisoformat("2026-01-01T23:00:00.123456")}),
    "time": (nullable(**{"x-type": "time"}), {"10:00:00.5": dt.time(10, 0, 0, 500000)}),
}
ODD = [
    "0000-01-01", "99999-01-01", "1-1-1", "2026-02-30", "2026-01-01 (BC)", "2026-01-01 or so", "epoch", "infinity", "",
    "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "10000-01-01T00:00:00Z", "2026-01-01T00:00:00+99:00",
    "2026-01-01 10:00:00 America/New_York", "24:00:00", "10:00:00+02:00", "10:00:00 or so", "\n2026-01-01",
]  # fmt: skip


@pytest.mark.parametrize("kind", TIMES)
def test_a_text_becomes_a_time_as_a_whole_or_not_at_all(kind):
    """What Python cannot hold would make silver unreadable: dates end with the year 9999."""
    to, good = TIMES[kind]
    of = dataset(shape(["n"], n=nullable()), shape(["m"], m=to), v1=[{"rename": {"n": "m"}}, {"cast": ["m"]}])
    others = [text for name, (_, texts) in TIMES.items() if name != kind for text in texts]
    kept, rejected, _ = decided(of, messages(*({"n": text} for text in [None, *good, *ODD, *others])))
    assert [row["m"] for row in kept] == [None, *good.values()]
    assert [each["value"] for each in rejected] == [json.dumps(text) for text in [*ODD, *others]]
    assert {each["code"] for each in rejected} == {"upcast_failed"}


def test_what_is_set_to_a_time_is_of_the_same_years():
    new = shape(["m", "d"], m={"type": "string", "format": "date-time"}, d={"type": "string", "format": "date"})
    of = dataset(
        shape(["n"], n=TEXT), new,
        v1=[{"set": {"m": "CAST(n AS TIMESTAMPTZ)", "d": "CAST(n AS DATE)"}}, {"drop": ["n"]}],
    )  # fmt: skip
    texts = ["2026-01-01", "99999-01-01", "2026-01-01 (BC)", "infinity"]
    kept, rejected, _ = decided(of, messages(*({"n": text} for text in texts)))
    assert [row["d"] for row in kept] == [dt.date(2026, 1, 1)]
    assert [each["value"] for each in rejected] == [json.dumps(text) for text in texts[1:]]


def test_expressions_of_one_step_are_over_the_fields_before_it():
    """So two fields can change places, and their types."""
    of = dataset(
        shape(["a", "b"], a=TEXT, b=WHOLE), shape(["a", "b", "c"], a=WHOLE, b=TEXT, c=TEXT),
        v1=[{"set": {"a": "b + 1", "b": "substr(a, 1, 2)"}}, {"set": {"c": "b"}}],
    )  # fmt: skip
    most = 2**63 - 1
    kept, rejected, _ = decided(of, messages({"a": "xyz", "b": 1}, {"a": "q", "b": most}, {"a": "r", "b": 2}))
    assert kept == [{"a": 2, "b": "xy", "c": "xy"}, {"a": 3, "b": "r", "c": "r"}]
    assert [(each["row"], each["path"], each["value"]) for each in rejected] == [(1, "$.b", str(most))]


def test_what_is_unknown_stays_beside_an_old_event_that_is_lenient():
    of = dataset(shape(["a"], a=TEXT), shape(["b"], b=TEXT), validation="lenient", v1=[{"rename": {"a": "b"}}])
    (kept, _, _), _ = Versioned("json", CsvSpec(), of).decide(messages({"a": "1", "x": 2}, {"b": "3", "y": 4}))
    assert kept.select(["b", words.EXTRA]).to_pylist() == [
        {"b": "1", "_extra": '{"x":2}'},
        {"b": "3", "_extra": '{"y":4}'},
    ]


def test_members_of_objects_come_and_go_by_themselves_and_can_be_taken_out():
    old = shape(["o"], o=shape(a=TEXT, b=WHOLE), items={"type": "array", "items": shape(n=WHOLE)}, gone=TEXT)
    new = shape([], o=shape(b=WHOLE, c=NUMBER), a=TEXT, items={"type": "array", "items": shape(m=TEXT, n=WHOLE)})
    of = dataset(old, new, v1=[{"rename": {"o.a": "a"}}])
    kept, _, _ = decided(of, messages({"o": {"a": "x", "b": 1}, "items": [{"n": 1}, {}]}, {"o": {"a": "y"}}))
    assert kept == [
        {"o": {"b": 1, "c": None}, "a": "x", "items": [{"m": None, "n": 1}, {"m": None, "n": None}]},
        {"o": {"b": None, "c": None}, "a": "y", "items": None},
    ]
    warnings = check_upcasts(of.versions, of.upcasts)
    assert [(each.message, each.fix) for each in warnings] == [
        ("v2 does not have gone of v1", "add `- drop: [gone]` to `upcast: {v1: […]}`")
    ]


WRONG = {
    "another type": ([shape(a=TEXT), shape(a=NUMBER)], [], "a is VARCHAR in v1 and DOUBLE in v2", "`- cast: [a]`"),
    "no way to cast": ([shape(a=shape(b=TEXT)), shape(a=NUMBER)], [], "a is STRUCT", "`- set: {a: …}`"),
    "required": ([shape(a=TEXT), shape(["b"], a=TEXT, b=TEXT)], [], "v2 requires b", "`- default: {b: …}`"),
    "a default of another type": (
        [shape(a=TEXT), shape(a=TEXT, b=WHOLE)], [{"default": {"b": "x"}}], "which is not a whole number", "correct it",
    ),
    "a default that breaks a rule": (
        [shape(a=TEXT), shape(a=TEXT, b={"enum": ["x", "y"]})], [{"default": {"b": "z"}}], "does not meet v2", "corr",
    ),
    "a default of no field": ([shape(a=TEXT), shape(a=TEXT)], [{"default": {"c": 1}}], "v2 has no field 'c'", ""),
    "a rename of no field": ([shape(ab=TEXT), shape(b=TEXT)], [{"rename": {"aa": "b"}}], "no field 'aa'", "it has ab"),
    "a rename onto a field": ([shape(a=TEXT, b=TEXT), shape(b=TEXT)], [{"rename": {"a": "b"}}], "a b already", "drop"),
    "an expression of the clock": ([shape(a=TEXT), shape(a=TEXT, b=TEXT)], [{"set": {"b": "now()"}}], "no clock", ""),
    "an expression over a field of the same step": (
        [shape(a=TEXT), shape(b=TEXT, c=TEXT)], [{"set": {"b": "a", "c": "b"}}, {"drop": ["a"]}], "b", "",
    ),
    "an expression of another type": (
        [shape(a=TEXT), shape(b={"type": "boolean"})], [{"set": {"b": "1.5"}}], "v2.b is BOOLEAN", "cast it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_way_that_does_not_lead_to_the_newest_is_told_with_the_step_to_add(name):
    schemas, steps, message, fix = WRONG[name]
    of = dataset(*schemas, v1=steps)
    faults = [each for each in check_upcasts(of.versions, of.upcasts) if not each.warning]
    assert len(faults) == 1, faults
    assert message in faults[0].message
    assert fix in faults[0].fix


def test_what_only_an_older_version_calls_personal_is_masked():
    of = dataset(shape(mail=TEXT | {"x-pii": "email"}, id=TEXT), shape(id=TEXT), v1=[{"drop": ["mail"]}])
    assert json.loads(Maskings([of])["orders"].payload(b'{"id": "1", "mail": "a@b"}')) == {"id": "1", "mail": "***"}
