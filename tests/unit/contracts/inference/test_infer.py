"""What is inferred from rows, and from what evidence."""

import json
import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.inference.infer import FIELDS, Inference
from headrace.contracts.load import compiled, load_contract
from headrace.contracts.types import duckdb_type
from headrace.errors import InputError

T = "2026-01-02T03:04:05Z"


def infer(rows, source="orders", pieces=1):
    inference = Inference()
    rows = [json.loads(json.dumps(row), parse_float=Decimal) for row in rows]
    step = -(-len(rows) // pieces) or 1
    for start in range(0, len(rows), step):
        inference.documents(rows[start : start + step])
    return inference.finish(source)


def csv(header, *records, source="orders"):
    inference = Inference()
    inference.records(header, [list(record) for record in records])
    return inference.finish(source)


def prop(rows, name="x"):
    return infer(rows).schema["properties"][name]


def column(inferred, name):
    contract = load_contract("orders", inferred.schema, validation="lenient")
    return duckdb_type(next(each.type for each in contract.columns if each.name == name))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2], {"type": "integer"}),
        ([1, 2.5], {"type": "number"}),
        ([1, None], {"type": ["integer", "null"]}),
        ([True, False], {"type": "boolean"}),
        ([0, 1], {"type": "integer"}),
        ([2**63], {"type": "integer", "minimum": -(10**38) + 1, "maximum": 10**38 - 1}),
        ([10**40], {}),
        ([T, "2026-01-02T03:04:05.123+02:00"], {"type": "string", "format": "date-time"}),
        ([T, ""], {"type": "string"}),
        ([T, "2026-01-02"], {"type": "string"}),
        (["2026-01-02", "2024-02-29"], {"type": "string", "format": "date"}),
        (["2026-01-02", "2026-02-30"], {"type": "string"}),
        (["20260102"], {"type": "string"}),
        (["a7e0a3c0-9a2b-4c55-8a55-8f8a6f2b1c11"], {"type": "string", "format": "uuid"}),
        (["10.0.0.1"], {"type": "string", "format": "ipv4", "x-pii": "ip"}),
        (["::1", "2001:db8::2"], {"type": "string", "format": "ipv6", "x-pii": "ip"}),
        (["a@b.example"], {"type": "string", "format": "email", "x-pii": "email"}),
        (["https://a.example/b"], {"type": "string", "format": "uri"}),
        (["https://a.example/{b}"], {"type": "string"}),
        ([[]], {"type": "array"}),
        ([[], [1], [None]], {"type": "array", "items": {"type": ["integer", "null"]}}),
        ([{}], {"type": "object"}),
        ([None], {}),
        (["a", 1, None], {"type": ["string", "integer", "null"]}),
        ([["a"], "a"], {"type": ["array", "string"]}),
    ],
)
def test_what_values_are(values, expected):
    assert prop([{"x": value} for value in values]) == expected


def test_naive_times_have_a_column_of_their_own_type():
    fine = infer([{"x": "2026-01-02T03:04:05.123456789"}, {"x": "2026-01-02 03:04:05"}])
    assert (column(fine, "x"), fine.fields[0].notes) == ("TIMESTAMP", ("no zone",))
    found = infer([{"x": "2026-01-02 03:04:05", "y": "03:04:05"}])
    assert (column(found, "x"), column(found, "y")) == ("TIMESTAMP", "TIME")


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (["2026-01-01 10:00:00+02:00", "2026-01-01 10:00:01.123456+0000", T], "a zone, though"),
        ([T, "2026-01-02T03:04:05"], "some rows have no zone"),
        (["2026-01-01 10:00:00+02:00", "2026-01-02 03:04:05"], "some rows have no zone"),
    ],
)
def test_times_that_no_format_has_are_times_for_all_that(values, note):
    found = infer([{"at": value} for value in values])
    assert found.schema["properties"]["at"] == {"type": "string", "x-type": "datetime"}
    assert found.fields[0].type == "datetime"
    assert found.fields[0].notes[0].startswith(note)
    assert (column(found, "at"), found.event_time.field) == ("TIMESTAMP", "at")
    as_cells = csv(["at"], *([value] for value in [*values, ""]))
    assert as_cells.schema["properties"] == found.schema["properties"]


@pytest.mark.parametrize(
    "value", ["2026-02-30 10:00:00+02:00", "2026-01-01 25:00:00Z", "2026-01-01 10:00", "9999-12-31 23:00:00-05:00"]
)
def test_what_the_columns_cannot_read_as_a_time_stays_text(value):
    assert prop([{"x": value}, {"x": T}]) == {"type": "string"}


@pytest.mark.parametrize(
    ("values", "kind", "note"),
    [
        (["x"] * 60 + [1, 2], "JSON text", 'if the 2 are mistakes, write "type": "string"'),
        ([Decimal("1234567890.123456789012"), 0.5], "number", "up to 22 digits, and a double keeps 17"),
        (["1.000,5", "0,50", "-12345,6"], "string", "a decimal comma"),
        (["1.50", "-2", "10"], "string", "numbers, as they look, that are written as texts"),
        (["2026-01-02 10:30", "2026-01-02T10:30Z"], "string", "a time in a form that columns do not read"),
        (["2022-05-24 21:53:30+00", "2022-05-24 21:53:30,5+05:30"], "string", "a time in a form that columns do not"),
    ],
)
def test_what_a_column_cannot_say_is_hinted_at(values, kind, note):
    inference = Inference()
    inference.documents([{"x": value} for value in values])
    (found,) = inference.finish("orders").fields
    assert found.type == kind
    assert note in found.notes[0]


@pytest.mark.parametrize("values", [["x", 1], [0.30000000000000004, 12345678901.5], ["a, b"], ["1,234,567"]])
def test_no_hint_without_a_reason(values):
    assert not any(hint in note for note in infer([{"x": each} for each in values]).fields[0].notes
                   for hint in ("mistakes", "rounded", "comma"))  # fmt: skip


def test_one_row_makes_no_key():
    one = infer([{"order_id": "a", "x": 1}])
    assert one.key is None
    assert one.notes == ("order_id is named as the key, and one row cannot bear that out: give more rows",)
    assert infer([{"order_id": "a"}, {"order_id": "b"}]).key.field == "order_id"


def test_optional_and_nullable_are_kept_apart():
    found = infer([{"a": 1, "b": None, "c": 1}, {"a": 1, "b": 2}])
    assert found.schema["required"] == ["a", "b"]
    assert found.schema["properties"]["b"] == {"type": ["integer", "null"]}
    assert found.schema["properties"]["c"] == {"type": "integer"}
    by_path = {each.path: each for each in found.fields}
    assert (by_path["c"].present, by_path["c"].rows, by_path["b"].nulls) == (1, 2, 1)


def test_objects_and_elements_are_merged_over_all_rows():
    found = infer([{"items": [{"a": 1}, {"a": 2, "b": "x"}]}, {"items": []}, {"items": [{"a": None}]}])
    items = found.schema["properties"]["items"]["items"]
    assert items["properties"] == {"a": {"type": ["integer", "null"]}, "b": {"type": "string"}}
    assert items["required"] == ["a"]


def test_money_is_decimal_by_name_and_digits():
    rows = [{"amount": 12.5, "ratio": 12.5, "price": 1 / 3, "total": 12, "fee": 1.2345, "cost": 1e5}]
    found = infer(rows).schema["properties"]
    assert found["amount"] == {"type": "number", "format": "decimal", "precision": 18, "scale": 2}
    assert found["fee"]["scale"] == 4
    assert found["ratio"] == found["price"] == {"type": "number"}
    assert found["total"] == {"type": "integer"}
    assert found["cost"] in ({"type": "number"}, {"type": "number", "format": "decimal", "precision": 18, "scale": 2})


@pytest.mark.parametrize(
    ("name", "values", "is_enum"),
    [
        ("status", ["placed", "paid"], True),
        ("status", [f"s{number}" for number in range(20)], False),
        ("customer_id", ["anna", "bert"], False),
        ("country", ["Norway", "France"], False),
        ("code", ["A", "B"], False),
        ("level", ["1", "2"], False),
        ("kind", ["a1", "a2"], False),
        ("status", ["placed"], False),
    ],
)
def test_an_enum_needs_strong_evidence(name, values, is_enum):
    rows = [{name: value} for value in values * 120]
    assert ("enum" in prop(rows, name)) == is_enum
    assert "enum" not in prop(rows[: len(values) * 3], name)
    rare = [*rows, {name: "seen once"}]
    assert "enum" not in prop(rare, name)


def test_names_that_are_data_make_a_map():
    ids = infer([{"by_id": {"101": {"n": 1}, "102": {"n": 2}}}, {"by_id": {"103": {"n": None}}}])
    inner = ids.schema["properties"]["by_id"]
    assert inner["additionalProperties"]["properties"]["n"] == {"type": ["integer", "null"]}
    many = infer([{"m": {f"name{number}": number}} for number in range(5000)])
    assert many.schema["properties"]["m"] == {"type": "object", "additionalProperties": {"type": "integer"}}


def test_the_key_needs_a_name_and_values_that_bear_it_out():
    rows = [{"order_id": f"o{n}", "customer_id": n % 7, "email": f"{n}@x.example", "price": n} for n in range(50)]
    key = infer(rows).key
    assert key.field == "order_id"
    assert "50 different values in 50 rows" in key.why
    assert infer([{**row, "order_id": "o"} for row in rows]).key is None
    versions = [{**row, "updated_at": T} for row in rows] * 2
    found = infer(versions)
    assert (found.key.field, found.version_by.field) == ("order_id", "updated_at")
    assert infer([{"price": n} for n in range(50)]).key is None
    people = [{"customer_id": n, "name": "x", "address_id": n} for n in range(9)]
    assert (infer(people, "crm").key.field, infer(people, "crm").key.others) == ("customer_id", ("address_id",))


def test_the_event_time_is_the_likeliest_time_that_is_always_there():
    rows = [{"updated_at": T, "created_at": T, "shipped_at": None, "day": "2026-01-01"}]
    found = infer(rows).event_time
    assert (found.field, found.others) == ("created_at", ("updated_at", "day"))
    assert infer([{"ts": 1767323045, "n": 1767323045}]).event_time.field == "ts"
    assert "milliseconds" in infer([{"ts": 1767323045000}]).event_time.why
    assert infer([{"ts": 12}]).event_time is None
    assert infer([{"at": "2026-01-02 10:30", "day": "2026-01-02"}] * 2).event_time.field == "at"
    assert "milliseconds" in infer([{"ts_ms": 1767323045000, "tsUpdated": 1}]).event_time.why
    assert infer([{"updated_at_utc": T, "created_at_utc": T}]).event_time.field == "created_at_utc"
    assert infer([{"_fivetran_synced": T, "updated": T, "etl_tstamp": T}]).event_time.field == "updated"
    fractions = [{"time": 1767323045 + n / 4} for n in range(8)]
    assert "counts seconds since 1970" in infer(fractions).event_time.why
    assert infer([*fractions, {"time": 12.5}]).event_time is None
    assert infer([{"birth_date": "1970-01-01"}]).event_time is None


def test_personal_data_is_tagged_and_not_shown():
    found = infer([{"email": "a@b.example", "first_name": "Ada", "customer": {"phone": "1", "name": "A"}, "name": "x"}])
    assert {each.path: each.personal for each in found.fields if each.personal} == {
        "email": "email", "first_name": "name", "customer.phone": "phone", "customer.name": "name"}  # fmt: skip
    assert next(each for each in found.fields if each.path == "email").examples == ("***",)
    load_contract("orders", found.schema)


def test_what_is_about_personal_data_is_none_and_what_hides_some_is():
    rows = [
        {"email_verified": True, "email_sent_at": T, "birth_date": "1990-01-01", "phones": ["1"], "ssn": None,
         "who": {"email": "a@b.example", "id": n}, "what": {"size": 1}} | ({"who": "a", "what": "b"} if n % 2 else {})
        for n in range(8)
    ]  # fmt: skip
    found = infer(rows)
    assert {each.path: each.personal for each in found.fields if each.personal} == {
        "birth_date": "birth", "phones": "phone", "ssn": "government_id", "who": "email"}  # fmt: skip
    load_contract("orders", found.schema)
    cut = infer([{"who": {f"a{n}": {f"b{m}": {"email": ["a@b.example"]} for m in range(9)} for n in range(40)}}])
    assert next((each.path, each.personal) for each in cut.fields if each.personal) == ("who.a0", "email")


def test_names_that_cannot_be_columns_are_left_to_extra():
    rows = [{"Id": 1, "id": 2, "_seq": 3, "": 4, "select": 5, "_mine": 6, "x" * 500: 7}, {"id": 1}]
    found = infer(rows)
    assert set(found.left_out) == {"Id", "_seq", ""}
    assert "'id' only in case" in found.left_out["Id"]
    contract = load_contract("orders", found.schema, validation="lenient")
    assert contract.columns[0].name == "id"
    assert all(compiled(contract.schema).is_valid(row) for row in rows)
    nested = prop([{"x": {"Id": 1, "id": 2}}])
    assert column(infer([{"x": {"Id": 1, "id": 2}}]), "x") == "VARCHAR"
    assert set(nested["properties"]) == {"Id", "id"}
    with pytest.raises(InputError, match="_seq"):
        infer([{"_seq": 1}])


def test_no_rows_and_too_many_fields_are_said():
    with pytest.raises(InputError, match="no rows"):
        infer([])
    with pytest.raises(InputError, match="2,000"):
        infer([{f"c{number}": 1 for number in range(2001)}])


def test_what_has_too_many_fields_keeps_the_outer_ones():
    found = infer([{"a": 1, "deep": {f"f{n}": {f"g{m}": 1 for m in range(30)} for n in range(20)}}])
    assert len(found.fields) <= FIELDS
    assert found.schema["properties"]["deep"]["properties"]["f0"] == {"type": "object"}


def test_cells_are_what_all_of_them_are():
    found = csv(
        ["id", "n", "price", "zip", "when", "flag", "is_new", "gap", "code", "yes"],
        ["1", "5", "1.50", "10115", "2026-01-02 03:04:05", "TRUE", "1", "", "007", "yes"],
        ["2", "NA", "2", "", "2026-01-02 03:04:06", "false", "0", "x", "008", "no"],
    )
    properties = found.schema["properties"]
    kinds = {name: part["type"] for name, part in properties.items()}
    assert kinds == {
        "id": "integer", "n": "integer", "price": "number", "zip": "string", "when": "string", "flag": "boolean",
        "is_new": "boolean", "gap": "string", "code": "string", "yes": "boolean"}  # fmt: skip
    assert properties["price"]["format"] == "decimal"
    assert found.schema["required"] == ["id", "price", "zip", "when", "flag", "is_new", "gap", "code", "yes"]
    assert found.dialect.null_values == ("NA",)
    assert found.dialect.true_values == ("1", "true", "yes")
    assert found.event_time.field == "when"
    assert csv(["n"], ["1"], ["0"]).schema["properties"]["n"] == {"type": "integer"}
    assert csv(["n"], ["NA"], ["NA"]).schema["properties"]["n"] == {"type": "string"}


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(max_size=3)
    | st.just(T)
    | st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-1000, max_value=1000).map(float)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcA1"), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def test_cells_are_trimmed_where_that_gives_them_a_type():
    found = csv(
        ["id", "paid", "at", "name"], ["1", "2.50", T, "a"], ["2", " 3.25", f" {T}", " b "], ["3", " ", f"{T} ", ""]
    )
    assert found.dialect.trim
    assert "csv.trim" in found.notes[0]
    types = {name: part.get("format", part["type"]) for name, part in found.schema["properties"].items()}
    assert types == {"id": "integer", "paid": "decimal", "at": "date-time", "name": "string"}
    assert found.event_time.field == "at"
    assert not csv(["id", "name"], ["1", " a"], ["2", "b "]).dialect.trim
    two = Inference()
    two.records(["id"], [["1"], [" 2"]])
    two.records(["name", "id"], [[" a ", " 3"]])
    assert {each.path: each.examples for each in two.finish("orders").fields} == {"name": ("a",), "id": (1, 2, 3)}


documents = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "A", "_seq", "amount", "", "select"]), values, min_size=1, max_size=4),
    min_size=1,
    max_size=8,
)


@given(documents, st.randoms(use_true_random=False), st.integers(1, 4))
def test_every_row_meets_the_contract_and_their_order_does_not_matter(rows, shuffler, pieces):
    rows.append({"sure": 1})
    found = infer(rows)
    contract = load_contract("orders", found.schema, validation="lenient")
    validator = compiled(contract.schema)
    assert all(validator.is_valid(row) for row in rows)
    shuffled = random.Random(shuffler.random()).sample(rows, len(rows))
    assert json.dumps(infer(shuffled, pieces=pieces).schema) == json.dumps(found.schema)


def test_what_is_nearly_a_key_or_not_yet_events_is_said():
    rows = [{"order_id": n} for n in range(20)]
    found = infer([*rows, {"amount": 1}])
    assert found.key is None
    assert "order_id is named as the key, and 1 rows have none: it is not taken as the key" in found.notes
    (note,) = infer([*rows, rows[3]]).notes
    assert note.startswith("order_id is named as the key, and 1 of 21 rows have the order_id of another")
    assert infer(rows * 2).notes == ()
    (note,) = infer([{"Records": [{"a": 1}, {"a": 2}]}]).notes
    assert "jq -c '.Records[]'" in note
    (note,) = infer([{"data": [{"a": 1}, {"a": 2}], "next": "x", "count": 2}]).notes
    assert "jq -c '.data[]'" in note
    assert infer([{"at": T, "items": [{"a": 1}, {"a": 2}]}]).notes == ()
    with pytest.raises(InputError, match="have no fields"):
        infer([{}, {}])
