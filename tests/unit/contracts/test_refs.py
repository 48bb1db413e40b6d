"""Where schemas are within a schema."""

from __future__ import annotations

from headrace.contracts.refs import schemas_in, subschemas

SCHEMA = {
    "properties": {"a": {"items": [{"type": "string"}, True]}, "type": {"not": {"properties": {"b": {}}}}},
    "additionalProperties": {"anyOf": [{"minimum": 1}, {"if": {}, "then": {"$ref": "#"}}]},
    "items": {"enum": [{"properties": {"no": {}}}]},
    "allOf": [{}, {"$defs": {"x/y": {}}}],
}


def test_each_is_told_after_the_one_around_it_in_the_order_of_the_keywords():
    assert [at for at, _ in subschemas(SCHEMA)] == [
        "#", "#/additionalProperties", "#/additionalProperties/anyOf/0", "#/additionalProperties/anyOf/1",
        "#/additionalProperties/anyOf/1/if", "#/additionalProperties/anyOf/1/then", "#/items",
        "#/allOf/0", "#/allOf/1", "#/allOf/1/$defs/x/y", "#/properties/a", "#/properties/a/items/0",
        "#/properties/type", "#/properties/type/not", "#/properties/type/not/properties/b",
    ]  # fmt: skip
    assert sorted(map(id, schemas_in(SCHEMA))) == sorted(id(part) for _, part in subschemas(SCHEMA))


def test_a_part_may_be_mended_when_it_is_told():
    schema = {"properties": {"a": {"nullable": True, "type": "object"}}}
    for _, part in subschemas(schema):
        if part.pop("nullable", False):
            part["anyOf"] = [{"properties": {"b": {"type": "null"}}}]
    assert [at for at, _ in subschemas(schema)][-1] == "#/properties/a/anyOf/0/properties/b"
    assert "nullable" not in str(schema)
