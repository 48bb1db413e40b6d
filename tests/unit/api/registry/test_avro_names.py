"""Avro schemas, made whole."""

import pytest

from headrace.api.registry.avro_names import whole
from headrace.errors import ContractError

MONEY = {"type": "fixed", "name": "Money", "namespace": "shop", "size": 8}


def test_a_type_of_another_schema_stands_where_it_is_first_used():
    price = {"name": "price", "type": "Money"}
    tax = {"name": "tax", "type": ["null", "shop.Money"]}
    record = {"type": "record", "name": "shop.Order", "fields": [price, tax]}
    fields = whole(record, {"shop.Money": MONEY})["fields"]
    assert [each["type"] for each in fields] == [
        {"type": "fixed", "name": "shop.Money", "size": 8}, ["null", "shop.Money"]
    ]  # fmt: skip


def test_a_type_may_hold_itself():
    tree = {"type": "record", "name": "Tree", "fields": [{"name": "kids", "type": {"type": "array", "items": "Tree"}}]}
    assert whole(tree, {})["fields"][0]["type"]["items"] == "Tree"


@pytest.mark.parametrize(
    "schema",
    [
        5,
        {},
        "Order",
        ["int", ["null"]],
        ["int", {"type": "int"}],
        {"type": "array"},
        {"type": "enum", "name": "E", "symbols": ["a", "a"]},
        {"type": "enum", "name": "E", "symbols": ["a"], "default": "b"},
        {"type": "fixed", "name": "F"},
        {"type": "record", "name": "R"},
        {"type": "record", "name": "1R", "fields": []},
        {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]},
    ],
)
def test_what_is_no_avro_schema_is_told_where(schema):
    with pytest.raises(ContractError, match=r"^#"):
        whole(schema, {})
