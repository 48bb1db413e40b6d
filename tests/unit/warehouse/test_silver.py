import duckdb
import pyarrow as pa

from headrace.contracts.contract import Column, Contract
from headrace.stages.dataset import Dataset
from headrace.stages.quality import RuleSpec
from headrace.warehouse.rules import rule_tests
from headrace.warehouse.silver import duckdb_types, silver_table

ITEMS = pa.list_(pa.struct([("sku", pa.string()), ("amount", pa.float64())]))
ORDERS = Dataset(
    "orders",
    Contract(
        "orders",
        "1",
        {},
        "lenient",
        (
            Column("order_id", pa.int64(), False, "What the shop calls it."),
            Column("total", pa.decimal128(38, 0), True, ""),
            Column("items", ITEMS, True, ""),
        ),
    ),
    key=("order_id",),
    rules=(RuleSpec(check="sum(items[].amount) = total"),),
)


def test_a_table_has_the_contracts_columns_then_the_envelope():
    table = silver_table(ORDERS, source_id="orders", owner="commerce", sla_minutes=5)
    types = {column.name: column.type for column in table.columns}
    assert list(types)[:3] == ["order_id", "total", "items"]
    assert types["items"] == "STRUCT(sku VARCHAR, amount DOUBLE)[]"
    assert types["_event_time"] == "TIMESTAMP WITH TIME ZONE"
    assert list(types)[-2:] == ["_extra", "_event_date"]
    assert table.columns[0].description == "What the shop calls it."
    assert all(column.description for column in table.columns if column.name.startswith("_"))


def test_an_expression_of_the_stages_becomes_sql():
    (rule,) = silver_table(ORDERS, source_id="orders").rules
    ((_, test),) = rule_tests("orders", [rule])
    condition = test["headrace_rule"]["arguments"]["condition"]
    with duckdb.connect() as db:
        rows = "(SELECT [{'amount': 1.5::DOUBLE}, {'amount': 2.5}] AS items, unnest([4, 5, NULL]) AS total)"
        assert db.execute(f"SELECT total FROM {rows} WHERE NOT ({condition})").fetchall() == [(5,)]


def test_duckdb_names_the_types_even_of_columns_that_differ_in_case_only():
    assert duckdb_types([pa.int64(), pa.date32(), pa.binary()]) == ["BIGINT", "DATE", "BLOB"]
