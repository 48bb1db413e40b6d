"""Tables, lookups and locations that a source names."""

import pytest

from headrace.config.lint import lint
from headrace.config.project import load_project
from headrace.config.references import Tables

GOLD = "  silver_to_gold: [{join: {table: TABLE, on: order_id}}]\n"


@pytest.fixture
def marts(shop, orders):
    shop.source(orders + "  silver_to_gold: [{filter: amount > 0}]\n")
    shop.write("models/marts/customers.sql", "select 1 as order_id")
    shop.write("models/marts/customers.yml", "version: 2")
    shop.write("snapshots/prices.sql", "")
    shop.write("seeds/countries.csv", "order_id\n")
    return shop


@pytest.mark.parametrize(
    ("table", "fix"),
    [
        ("gold.customers", None),
        ("customers", None),
        ("gold.prices", None),
        ("gold.countries", None),
        ("gold.orders_gold", None),
        ("silver.orders", None),
        ("orders", None),
        ("gold.orders", "did you mean 'orders_gold'?"),
        ("silver.customers", "one of: orders"),
        ("gold.custmers", "did you mean 'customers'?"),
    ],
)
def test_a_table_is_a_dataset_or_a_model_or_a_seed_or_a_snapshot(marts, table, fix):
    tables = Tables(marts.root, load_project(marts.root).sources.values())
    assert tables.unknown(table) == fix


def test_an_unknown_table_is_a_warning_at_its_line(shop, orders):
    shop.source(orders + GOLD.replace("TABLE", "gold.nowhere"))
    (fault,) = lint(shop.root, environ={})
    assert (fault.severity, fault.file, fault.line) == ("warning", "connectors/orders.yaml", 8)
    assert fault.message == "there is no table 'gold.nowhere' to join"
    assert load_project(shop.root).source("orders").silver_to_gold[0].join.table == "gold.nowhere"


def test_gold_steps_without_a_silver_table_are_not_built(shop):
    shop.source("source_id: raw\npattern: event_streaming\nprocessing:\n  silver_to_gold: [{filter: a > 0}]\n", "raw")
    said = [(fault.line, fault.message) for fault in lint(shop.root, environ={}) if "silver_to_gold" in fault.message]
    assert said == [(4, "silver_to_gold is not built: the source has no schema that loads, so it has no silver")]


def test_a_binding_covers_the_locations_below_it(shop):
    shop.source("source_id: drops\npattern: batch_file\nlocation: gs://landing/drops/\n", "drops")
    unbound = [fault for fault in lint(shop.root, environ={}) if "stands for" in fault.message]
    assert [(fault.line, fault.fix) for fault in unbound] == [
        (3, "add to headrace.yaml: bindings: {gs://landing/: ./landing/}")
    ]
    shop.write("headrace.yaml", "name: shop\nbindings: {gs://landing/: ./landing/}\n")
    (shop.root / "landing").mkdir()
    assert not [fault for fault in lint(shop.root, environ={}) if "stands for" in fault.message]
