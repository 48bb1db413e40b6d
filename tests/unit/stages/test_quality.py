"""Quality rules: each word, each type, each mistake."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from headrace import words
from headrace.errors import ConfigError
from headrace.stages.quality import Quality, RuleSpec, check_rules

ITEM = pa.struct({"sku": pa.string(), "amount": pa.float64(), "tags": pa.list_(pa.string())})
SCHEMA = pa.schema(
    {
        "amount": pa.float64(),
        "count": pa.int64(),
        "price": pa.decimal128(38, 2),
        "email": pa.string(),
        "ok": pa.bool_(),
        "at": pa.timestamp("us", "UTC"),
        "day": pa.date32(),
        "address": pa.struct({"city": pa.string()}),
        "items": pa.list_(ITEM),
        "total_amount": pa.float64(),
        "a.b": pa.string(),
    }
)


def batch(rows: list[dict[str, Any]], first: int = 0) -> pa.RecordBatch:
    made = pa.RecordBatch.from_pylist([{name: row.get(name) for name in SCHEMA.names} for row in rows], schema=SCHEMA)
    return made.append_column(words.ROW, pa.array(range(first, first + len(rows)), pa.int32()))


def failing(rule: dict[str, Any], field: str, values: list[Any]) -> list[Any]:
    outcome = Quality([RuleSpec.model_validate(rule)], SCHEMA)(batch([{field: value} for value in values]))
    rows = outcome.rejected.column("row").to_pylist()
    assert outcome.kept.column(words.ROW).to_pylist() == [i for i in range(len(values)) if i not in rows]
    return [values[row] for row in rows]


def bad(field: str, check: str, came: list[Any], /, **options: Any) -> list[Any]:
    return failing({"field": field, "check": check, **options}, field, came)


@pytest.mark.parametrize(("precision", "scale"), [(18, 2), (2, 2), (38, 0), (1, 0)])
def test_positive_number_of_any_decimal(precision, scale):
    schema = pa.schema({"price": pa.decimal128(precision, scale)})
    rows = pa.array([Decimal(0), Decimal(1).scaleb(-scale)], schema.field("price").type)
    given = pa.RecordBatch.from_arrays([rows, pa.array([0, 1], pa.int32())], names=["price", words.ROW])
    outcome = Quality([RuleSpec(field="price", check="positive_number")], schema)(given)
    assert outcome.kept.column(words.ROW).to_pylist() == [1]


def test_positive_number():
    nan, inf = float("nan"), float("inf")
    assert str(bad("amount", "positive_number", [1.0, 0.0, -0.0, -1.0, None, nan, inf, 5e-324])) == str(
        [0.0, -0.0, -1.0, nan, inf]
    )
    assert bad("count", "positive_number", [1, 0, -1, None, 2**63 - 1]) == [0, -1]
    assert bad("price", "positive_number", [Decimal("0.01"), Decimal("0.00"), Decimal(-1)]) == [Decimal(0), Decimal(-1)]


def test_not_null():
    assert bad("email", "not_null", ["", None, "x"]) == [None]
    assert bad("amount", "not_null", [float("nan"), None]) == [None]
    assert failing(
        {"field": "address.city", "check": "not_null"}, "address", [None, {"city": None}, {"city": "B"}]
    ) == [
        None,
        {"city": None},
    ]


GOOD_ADDRESSES = [
    "a@b.co", "first.last+tag@sub.example.com", "x_y-z@example-host.org", "1@2.de", "o'hara@example.ie",
    "user@xn--bcher-kva.example", "a" * 64 + "@example.com",
]  # fmt: skip
BAD_ADDRESSES = [
    "", "a", "@b.co", "a@", "a@b", "a b@c.de", "a@b..co", "a@-b.co", "a@b-.co", "a@b.co ", " a@b.co", "a@b.co\n",
    "a@@b.co", "a@b.co\x00", "bücher@example.com", "a,b@c.de", "a" * 65 + "@example.com", "a@" + "b" * 64 + ".com",
    "a@" + ".".join(["b" * 60] * 5),
]  # fmt: skip


def test_valid_email():
    assert bad("email", "valid_email", [*GOOD_ADDRESSES, None]) == []
    assert bad("email", "valid_email", BAD_ADDRESSES) == BAD_ADDRESSES


def test_accepted_values():
    assert bad("email", "accepted_values", ["a", "A", None, "b", ""], values=["a", "b"]) == ["A", ""]
    assert bad("count", "accepted_values", [1, 2, 3, None], values=[1, 3.0]) == [2]
    assert bad("price", "accepted_values", [Decimal("0.10"), Decimal("0.11")], values=[0.1]) == [Decimal("0.11")]
    assert bad("ok", "accepted_values", [True, False, None], values=[True]) == [False]
    assert bad("day", "accepted_values", [date(2024, 1, 1), date(2024, 1, 2)], values=["2024-01-01"]) == [
        date(2024, 1, 2)
    ]


@pytest.mark.parametrize(
    ("field", "options", "values", "expected"),
    [
        ("amount", {"min": 0, "max": 1}, [0.0, 1.0, -0.1, 1.1, None], [-0.1, 1.1]),
        ("amount", {"min": 0, "max": 1, "inclusive": False}, [0.0, 0.5, 1.0], [0.0, 1.0]),
        ("amount", {"max": 1}, [float("-inf"), 2.0], [2.0]),
        ("count", {"min": 0.5, "max": 2.5}, [0, 1, 2, 3], [0, 3]),
        ("count", {"min": 0.5, "max": 2.5, "inclusive": False}, [0, 1, 2, 3], [0, 3]),
        ("count", {"min": 1, "max": 3, "inclusive": False}, [1, 2, 3], [1, 3]),
        ("count", {"min": 2**53 + 1}, [2**53, 2**53 + 1], [2**53]),
        ("price", {"min": 0.005}, [Decimal("0.00"), Decimal("0.01")], [Decimal("0.00")]),
        ("price", {"max": Decimal("1" * 36)}, [Decimal("1" * 36), Decimal("1" * 35 + "2")], [Decimal("1" * 35 + "2")]),
        ("email", {"min": "b"}, ["a", "b", "ä"], ["a"]),
        ("day", {"min": "2024-01-02"}, [date(2024, 1, 1), date(2024, 1, 2)], [date(2024, 1, 1)]),
        (
            "at",
            {"max": "2024-01-01T01:00:00+01:00"},
            [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 0, 0, 1, tzinfo=UTC)],
            [datetime(2024, 1, 1, 0, 0, 1, tzinfo=UTC)],
        ),
    ],
)
def test_between(field: str, options: dict[str, Any], values: list[Any], expected: list[Any]):
    assert bad(field, "between", values, **options) == expected


def test_nan_is_between_nothing():
    assert len(bad("amount", "between", [float("nan")], max=1)) == 1
    assert len(bad("amount", "between", [float("nan")], min=1)) == 1


def test_regex():
    assert bad("email", "regex", ["ab", "xab", "", None], pattern="^a") == ["xab", ""]
    assert bad("a.b", "regex", ["1", "x"], pattern=r"^\d$") == ["x"]


def test_elements_of_lists_are_named_by_their_place():
    rows = [
        {"items": [{"sku": "a"}, {"sku": None}, {"sku": None}]},
        {"items": None},
        {"items": []},
        {"items": [None]},
        {"items": [{"sku": "b", "tags": ["x", None]}, {"sku": "c", "tags": None}, {"sku": "d", "tags": ["y", "x"]}]},
    ]
    rejected = Quality([RuleSpec(field="items[].sku", check="not_null")], SCHEMA)(batch(rows)).rejected.to_pylist()
    assert [(row["row"], row["path"]) for row in rejected] == [(0, "$.items[1].sku"), (3, "$.items[0].sku")]
    rule = RuleSpec(field="items[].tags[]", check="accepted_values", values=["x"])
    rejected = Quality([rule], SCHEMA)(batch(rows)).rejected.to_pylist()
    assert [(row["row"], row["path"], row["value"]) for row in rejected] == [(4, "$.items[2].tags[0]", '"y"')]


def test_a_row_is_rejected_once_by_its_first_rule_and_warned_of_by_each():
    rules = [
        RuleSpec(field="count", check="not_null", severity="warn"),
        RuleSpec(field="amount", check="positive_number"),
        RuleSpec(field="email", check="valid_email"),
        RuleSpec(check="count > 0", severity="warn"),
        RuleSpec(field="email", check="regex", pattern="^a", severity="warn"),
    ]
    came = batch(
        [
            {"amount": -1.0, "email": "x"},
            {"amount": 1.0, "email": 'x"\x00é'},
            {"amount": 1.0, "email": "b@c.de", "count": -5},
            {"amount": 1.0, "email": "b@c.de"},
        ],
        first=70,
    )
    kept, rejected, warned = Quality(rules, SCHEMA)(came)
    assert kept.schema == came.schema
    assert kept.column(words.ROW).to_pylist() == [72, 73]
    first, second = rejected.to_pylist()
    assert first == {
        "row": 70,
        "stage": "quality",
        "code": "positive_number",
        "reason": "amount is not a positive number",
        "path": "$.amount",
        "value": "-1.0",
    }
    assert (second["code"], json.loads(second["value"])) == ("valid_email", 'x"\x00é')
    assert [(row["row"], row["code"], row["value"]) for row in warned.to_pylist()] == [
        (72, "expression", '{"count":-5}'),
        (72, "regex", '"b@c.de"'),
        (73, "not_null", None),
        (73, "regex", '"b@c.de"'),
    ]


def test_long_values_are_cut():
    rejected = Quality([RuleSpec(field="email", check="valid_email")], SCHEMA)(batch([{"email": "é" * 1000}])).rejected
    assert len(rejected.column("value")[0].as_py()) == 200


def test_an_expression_that_cannot_be_computed_fails_its_own_row_only():
    rules = [RuleSpec(check="total_amount / amount > 2"), RuleSpec(field="count", check="count + 1 > 0")]
    rows = [
        {"total_amount": 6.0, "amount": 2.0},
        {"total_amount": 6.0, "amount": 0.0},
        {"count": 2**63 - 1},
        {"count": -5},
    ]
    rejected = Quality(rules, SCHEMA)(batch(rows)).rejected.to_pylist()
    assert [(row["row"], row["code"], row["path"]) for row in rejected] == [
        (1, "expression_error", "$"),
        (3, "expression", "$.count"),
    ]
    assert rejected[0]["reason"] == "cannot be computed for this row: total_amount / amount > 2"
    assert json.loads(rejected[0]["value"]) == {"total_amount": 6.0, "amount": 0.0}


def test_a_rule_on_a_field_that_is_not_there_is_skipped():
    # As in the seeds' example_source: a rule on `email`, and no such column in the schema.
    schema = pa.schema({"amount": pa.float64(), words.ROW: pa.int32()})
    rules = [RuleSpec(field="email", check="valid_email"), RuleSpec(field="amount", check="positive_number")]
    came = pa.RecordBatch.from_pydict({"amount": [1.0, -1.0], words.ROW: [0, 1]}, schema=schema)
    assert Quality(rules, schema)(came).rejected.column("row").to_pylist() == [1]
    assert [(fault.rule, fault.message) for fault in check_rules(rules, schema)] == [
        (0, "the contract has no field 'email'")
    ]


def test_an_empty_batch_has_the_same_columns():
    rules = [
        RuleSpec(field="items[].sku", check="not_null"),
        RuleSpec(check="sum(items[].amount) = total_amount", severity="warn"),
        RuleSpec(field="email", check="valid_email"),
    ]
    stage = Quality(rules, SCHEMA)
    kept, rejected, warned = stage(batch([]))
    assert kept.schema == stage(batch([{"items": [{}]}])).kept.schema == batch([]).schema
    assert rejected.schema == warned.schema == words.rejection_schema()


@pytest.mark.parametrize(
    ("rule", "message", "fix"),
    [
        ({"field": "emial", "check": "valid_email"}, "no field 'emial'", "did you mean 'email'?"),
        ({"field": "items[].skuu", "check": "not_null"}, "items[] has no field 'skuu'", "did you mean 'sku'?"),
        ({"field": "items.sku", "check": "not_null"}, "items is a list", "items[].sku"),
        ({"field": "amount[]", "check": "not_null"}, "not a list", "without []"),
        ({"field": "items[", "check": "not_null"}, "no field", "items"),
        ({"field": "email", "check": "positive_number"}, "needs a number", "contract"),
        ({"field": "amount", "check": "valid_email"}, "needs a string", "contract"),
        ({"field": "items", "check": "valid_email"}, "single values", "field[]"),
        ({"field": "email", "check": "regex", "pattern": "("}, "does not compile", "RE2"),
        ({"field": "email", "check": "regex", "pattern": "(?=a)"}, "does not compile", "RE2"),
        ({"field": "email", "check": "accepted_values", "values": ["a", 1]}, "1 is no string", "'1'"),
        ({"field": "count", "check": "accepted_values", "values": [1.5]}, "1.5 is no value", "int64"),
        ({"field": "count", "check": "accepted_values", "values": [True]}, "True is no value", "int64"),
        ({"field": "count", "check": "between", "max": 1e30}, "no value of the field", "int64"),
        ({"field": "amount", "check": "between", "max": float("nan")}, "no value of the field", "double"),
        ({"field": "price", "check": "accepted_values", "values": [0.001]}, "no value of the field", "decimal"),
        ({"field": "day", "check": "between", "min": "soon"}, "no value of the field", "date32"),
        ({"field": "ok", "check": "between", "min": True}, "between needs", "contract"),
        ({"field": "email", "check": "valid_emial"}, "no check named 'valid_emial'", "'valid_email'"),
        ({"check": "amunt > 0"}, "no field 'amunt'", "did you mean 'amount'?"),
        ({"check": "now() > at"}, "now is not allowed", "late"),
    ],
)
def test_mistakes_are_found_at_load(rule: dict[str, Any], message: str, fix: str):
    good = RuleSpec(field="amount", check="positive_number")
    (fault,) = check_rules([good, RuleSpec.model_validate(rule), good], SCHEMA)
    assert fault.rule == 1
    assert message in fault.message
    assert fix in fault.fix


def test_a_faulty_rule_stops_the_stage_from_being_made():
    with pytest.raises(ConfigError, match="needs a number"):
        Quality([RuleSpec(field="email", check="positive_number")], SCHEMA)


@pytest.mark.parametrize(
    "rule",
    [
        {"check": "not_null"},
        {"field": "a"},
        {"field": "a", "check": "regex"},
        {"field": "a", "check": "between"},
        {"field": "a", "check": "accepted_values"},
        {"field": "a", "check": "accepted_values", "values": []},
        {"field": "a", "check": "not_null", "pattern": "x"},
        {"field": "a", "check": "not_null", "inclusive": False},
        {"check": "a > 1", "min": 3},
        {"field": "a", "check": "not_null", "severity": "fatal"},
        {"field": "a", "check": "not_null", "colour": "red"},
    ],
)
def test_a_spec_refuses_what_makes_no_sense(rule: dict[str, Any]):
    with pytest.raises(ValidationError):
        RuleSpec.model_validate(rule)
