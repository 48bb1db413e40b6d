"""JSON Schemas that refer to others by name, made whole."""

import pytest

from headrace.api.registry.json_references import whole
from headrace.contracts.load import compiled, plain_schema
from headrace.errors import ContractError


def test_what_a_schema_refers_to_is_in_it_with_its_own_references():
    address = {
        "$id": "http://x/a.json",
        "$defs": {"zip": {"minLength": 5}},
        "properties": {"zip": {"$ref": "#/$defs/zip"}},
    }
    person = {
        "$defs": {"zip": {"maxLength": 1}},
        "properties": {
            "home": {"$ref": "a.json"},
            "zip": {"$ref": "a.json#/$defs/zip"},
            "$ref": {"const": {"$ref": "b"}},
        },
    }
    check = compiled(plain_schema(whole(person, {"a.json": address})))
    assert check.is_valid({"home": {"zip": "12345"}, "zip": "12345"})
    assert not check.is_valid({"home": {"zip": "1"}})
    assert not check.is_valid({"zip": "1"})


@pytest.mark.parametrize(
    ("address", "name", "reference"),
    [
        ("", "a.json", "a.json"),
        ("http://x/o.json", "a.json", "a.json"),
        ("http://x/o.json", "a.json", "http://x/a.json"),
        ("http://x/o.json", "http://x/a.json", "a.json"),
        ("http://x/o.json", "http://y/a.json", "http://y/a.json#"),
        ("http://x/o.json", "a.json", "http://x/o.json#/$defs/own"),
    ],
)
def test_what_a_reference_names_is_reckoned_from_the_address_of_its_schema(address, name, reference):
    words = ("default", "const", "enum", "examples", "properties")  # properties may be named as keywords are
    schema = {"properties": {word: {"$ref": reference} for word in words}, "$defs": {"own": {"type": "integer"}}}
    check = compiled(
        plain_schema(whole({"$id": address, **schema} if address else schema, {name: {"type": "integer"}}))
    )
    assert check.is_valid(dict.fromkeys(words, 1))
    assert not any(check.is_valid({word: "x"}) for word in words)


@pytest.mark.parametrize("address", ["", "http://x/o.json", "http://[x"])
@pytest.mark.parametrize(
    "reference", ["b.json", "http://127.0.0.1:1/x", "file:///etc/passwd", "//x/y#/a", "http://[y/a"]
)
def test_nothing_is_fetched(address, reference):
    with pytest.raises(ContractError, match="outside"):
        whole({"$id": address, "x-unknown": {"deep": [{"$ref": reference}]}}, {"a.json": {}})
