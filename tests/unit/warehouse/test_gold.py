import re

import duckdb
import pytest
from pydantic import ValidationError

from headrace.warehouse.gold import GoldStep, model_sql, parse_column

COLUMNS = ("order_id", "customer_id", "amount")


def run(*steps, columns=COLUMNS):
    """Make the model of the steps and run it over four orders, refs replaced by tables."""
    sql = model_sql(
        "orders", columns, [GoldStep.model_validate(step) for step in steps], lambda name: name.split(".")[-1]
    )
    sql = re.sub(r"{{ ref\('(\w+)'\) }}", r"\1", sql)
    with duckdb.connect() as db:
        db.execute(
            "CREATE TABLE stg_orders AS SELECT order_id, customer_id, amount, date '2024-01-01' + day AS _event_date "
            "FROM (VALUES (1, 'a', 10.0, 0), (2, 'a', 5.0, 0), (3, 'b', 7.0, 1), (4, 'c', 1.0, 1)) "
            "t(order_id, customer_id, amount, day)"
        )
        db.execute(
            "CREATE TABLE customers AS SELECT * FROM (VALUES ('a', 'Ann', 99.0), ('b', 'Bob', 98.0)) "
            "t(customer_id, name, amount)"
        )
        result = db.execute(sql)
        names = [column[0] for column in result.description]
        return names, sorted(result.fetchall(), key=str)


def test_the_seeds_own_example():
    names, rows = run(
        {"join": {"table": "gold.customers", "on": "customer_id"}},
        {
            "aggregate": {
                "group_by": ["customer_id", "date"],
                "metrics": ["sum(amount) as total_amount", "count(*) as transaction_count"],
            }
        },
    )
    assert names == ["customer_id", "date", "total_amount", "transaction_count"]
    assert [(row[0], row[1].isoformat(), float(row[2]), row[3]) for row in rows] == [
        ("a", "2024-01-01", 15.0, 2),
        ("b", "2024-01-02", 7.0, 1),
        ("c", "2024-01-02", 1.0, 1),
    ]


def test_a_join_keeps_rows_without_a_partner_unless_it_is_inner():
    join = {"join": {"table": "customers", "on": ["customer_id"]}}
    assert len(run(join)[1]) == 4
    join["join"]["how"] = "inner"
    assert len(run(join)[1]) == 3


def test_date_is_a_column_where_there_is_one():
    _, rows = run(
        {"select": ["customer_id", "amount as date"]}, {"aggregate": {"group_by": "date", "metrics": ["count(*) as n"]}}
    )
    assert [float(row[0]) for row in rows] == [1.0, 10.0, 5.0, 7.0]


def test_steps_follow_each_other():
    names, rows = run(
        {"filter": "amount > 2"},
        {"select": ["customer_id", "amount * 2 as doubled"]},
        {"sql": "select customer_id, max(doubled) as top from input group by all"},
        {"filter": "top > 15"},
    )
    assert names == ["customer_id", "top"]
    assert [(row[0], float(row[1])) for row in rows] == [("a", 20.0)]


def test_an_aggregate_without_groups_is_one_row():
    assert run({"aggregate": {"metrics": "count(*) as n"}}) == (["n"], [(4,)])


@pytest.mark.parametrize(
    "step",
    [
        {},
        {"filter": "a > 1", "select": ["a"]},
        {"aggregate": {"group_by": ["a"], "metrics": []}},
        {"aggregate": {"metrics": ["sum(amount)"]}},
        {"aggregate": {"metrics": ["sum(amount) as a from t"]}},
        {"aggregate": {"metrics": ["(select 1) as a"]}},
        {"aggregate": {"metrics": ["sum(amount) as a, 1 as b"]}},
        {"filter": "{{ config() }}"},
        {"filter": "a >"},
        {"filter": "a > 1; drop table x"},
        {"select": []},
        {"sql": "drop table x"},
        {"sql": "select * from other"},
        {"sql": "select * from input, 'file.csv'"},
        {"join": {"table": "a.b.c", "on": "x"}},
        {"join": {"table": "customers", "on": []}},
        {"pivot": {}},
    ],
)
def test_what_is_not_a_step_is_refused(step):
    with pytest.raises(ValidationError):
        GoldStep.model_validate(step)


def test_the_name_of_a_column():
    assert parse_column("sum(amount) as total") == "total"
    assert parse_column("amount") == "amount"
