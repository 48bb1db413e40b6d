"""Which fields a schema marks as deprecated, wherever it says so."""

from __future__ import annotations

from headrace.contracts.deprecated import deprecated_fields
from headrace.contracts.load import load_contract

OLD = {"type": "string", "deprecated": True}


def fields(properties, **more):
    return deprecated_fields({"type": "object", "properties": properties} | more)


def test_fields_are_found_at_any_depth_and_once():
    customer = {"properties": {"phone": OLD, "mail": {"type": "string"}}}
    assert fields({"a": {"type": "string"}}) == ()
    assert fields({"deprecated": {"type": "boolean"}, "b": {"deprecated": False}, "c": {"deprecated": "true"}}) == ()
    assert fields({"a": OLD, "customer": customer, "lines": {"items": customer}, "gone": customer | OLD}) == (
        "a", "customer.phone", "lines.phone", "gone",
    )  # fmt: skip


def test_references_are_followed_and_circles_end():
    node = {"properties": {"next": {"$ref": "#/$defs/node"}, "old": OLD}}
    more = {"$defs": {"node": node, "old": OLD}}
    assert fields({"a": {"$ref": "#/$defs/old"}, "n": {"$ref": "#/$defs/node"}}, **more) == ("a", "n.old")
    assert fields({"a": {"allOf": [{"type": "string"}, OLD]}}) == ("a",)
    assert fields({"a": {"anyOf": [OLD, {"type": "integer"}]}}) == (), "one of its forms"


def test_what_several_objects_are_made_of_is_no_circle():
    parts = {"$defs": {"audited": {"properties": {"by": OLD}}}}
    audited = {"allOf": [{"$ref": "#/$defs/audited"}]}
    customer = {**audited, "properties": {"phone": OLD}}
    found = fields({"customer": customer}, **audited, **parts)
    assert set(found) == {"by", "customer.by", "customer.phone"}


def test_the_short_form_takes_the_mark_and_its_word_stays():
    short = {"source_id": "orders", "fields": [{"name": "id", "type": "STRING"}, {"name": "at", "type": "DATE"}]}
    marked = {**short, "fields": [short["fields"][0], {**short["fields"][1], "deprecated": True}]}
    assert deprecated_fields(load_contract("orders", marked).schema) == ("at",)
    assert deprecated_fields(load_contract("orders", short).schema) == ()
