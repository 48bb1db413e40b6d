import datetime as dt

import duckdb
import pytest

from headrace.stages.quality import RuleSpec
from headrace.warehouse.rules import rule_tests


def failing(rule, values, kind):
    """Return which values fail a rule's generated test."""
    ((_, test),) = rule_tests("orders", [rule])
    condition = test["headrace_rule"]["arguments"]["condition"]
    with duckdb.connect() as db:
        db.execute(f"CREATE TABLE t (v {kind})")
        db.executemany("INSERT INTO t VALUES (?)", [[value] for value in values])
        return [row[0] for row in db.execute(f"SELECT v FROM t WHERE NOT ({condition})").fetchall()]


@pytest.mark.parametrize(
    ("rule", "kind", "values", "wrong"),
    [
        ({"check": "positive_number"}, "DOUBLE", [1.0, 0.0, -1.0, None], [0.0, -1.0]),
        ({"check": "between", "min": 1, "max": 3}, "INT", [0, 1, 3, 4, None], [0, 4]),
        ({"check": "between", "min": 1, "max": 3, "inclusive": False}, "INT", [1, 2, 3], [1, 3]),
        ({"check": "between", "min": dt.date(2024, 1, 1)}, "DATE", [dt.date(2023, 1, 1), None], [dt.date(2023, 1, 1)]),
        ({"check": "positive_number"}, "DOUBLE", [float("inf"), 1.0], [float("inf")]),
        ({"check": "regex", "pattern": "^it's$"}, "VARCHAR", ["it's", "its", None], ["its"]),
        ({"check": "valid_email"}, "VARCHAR", ["a@b.co", "a@b", "a b@c.de", None], ["a@b", "a b@c.de"]),
        ({"check": "accepted_values", "values": [1, 2]}, "INT", [1, 2, 3, None], [3]),
    ],
)  # fmt: skip
def test_a_rule_finds_the_rows_that_its_stage_would(rule, kind, values, wrong):
    assert failing(RuleSpec(field="v", **rule), values, kind) == wrong


def test_paths_reach_into_structs_and_every_element_of_lists():
    deep = [[{"a": [1, 2]}], [{"a": [1]}, {"a": [-1]}], [], None]
    assert failing(RuleSpec(field="v[].a[]", check="positive_number"), deep, "STRUCT(a INT[])[]") == [deep[1]]
    assert failing(RuleSpec(field="v.a", check="not_null"), [{"a": 1}, {"a": None}], "STRUCT(a INT)") == [{"a": None}]


def test_an_expression_is_tested_as_it_stands():
    assert failing(RuleSpec(check="v * 2 > 3"), [1, 2], "INT") == [1]


def test_dbts_own_tests_are_used_where_they_say_the_same():
    rules = [
        RuleSpec(field="id", check="not_null"),
        RuleSpec(field="kind", check="accepted_values", values=("a", "{{b"), severity="warn"),
        RuleSpec(field="id", check="not_null"),
    ]
    (id_column, not_null), (kind_column, accepted), (_, again) = rule_tests("orders", rules)
    assert (id_column, not_null["not_null"]["name"]) == ("id", "orders_id_not_null")
    assert (kind_column, accepted["accepted_values"]["arguments"]) == ("kind", {"values": ["a", "{ {b"]})
    assert accepted["accepted_values"]["config"] == {"severity": "warn"}
    assert again["not_null"]["name"] != not_null["not_null"]["name"]
