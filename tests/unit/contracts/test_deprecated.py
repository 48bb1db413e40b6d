"""Which fields of a contract its schema marks as deprecated, wherever it says so."""

from __future__ import annotations

import dataclasses

import pytest

from headrace.contracts.deprecated import Deprecated, deprecated_fields
from headrace.contracts.load import load_contract

OLD = {"type": "string", "deprecated": True}
TEXT = {"type": "string"}


def marked(document, validation="strict"):
    return deprecated_fields(load_contract("orders", document, validation=validation))


def fields(properties, validation="strict", **more):
    return tuple(each.path for each in marked({"type": "object", "properties": properties} | more, validation))


def an_object(**properties):
    return {"type": "object", "properties": properties}


def test_fields_are_found_at_any_depth_and_once():
    customer = an_object(phone=OLD, mail=TEXT)
    assert fields({"a": TEXT}) == ()
    assert fields({"deprecated": {"type": "boolean"}, "b": {"deprecated": False}}) == ()
    lines = {"type": "array", "items": customer}
    assert fields({"a": OLD, "customer": customer, "lines": lines, "gone": customer | {"deprecated": True}}) == (
        "a", "customer.phone", "lines.phone", "gone",
    )  # fmt: skip


def test_references_are_followed_and_circles_end():
    node = an_object(next={"$ref": "#/$defs/node"}, old=OLD)
    more = {"$defs": {"node": node, "old": OLD}}
    assert fields({"a": {"$ref": "#/$defs/old"}, "n": {"$ref": "#/$defs/node"}}, **more) == ("a", "n.next.old", "n.old")
    assert fields({"a": {"allOf": [TEXT, OLD]}}) == ("a",)
    assert fields({"a": {"anyOf": [OLD, {"type": "integer"}]}}) == (), "one of its forms"


def test_what_several_objects_are_made_of_is_no_circle():
    parts = {"$defs": {"audited": an_object(by=OLD)}}
    audited = {"allOf": [{"$ref": "#/$defs/audited"}]}
    customer = {**audited, "type": "object", "properties": {"phone": OLD}}
    found = fields({"customer": customer}, **audited, **parts)
    assert set(found) == {"by", "customer.by", "customer.phone"}


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ({"type": "array", "prefixItems": [TEXT, an_object(x=OLD), OLD], "items": OLD}, ("[2]", "[]", "[1].x")),
        ({"type": "object", "additionalProperties": an_object(x=OLD)}, (".*.x",)),
        ({"type": "object", "patternProperties": {"^x_": OLD}}, (".*",)),
        ({"type": ["object", "string"], "properties": {"x": OLD, "y": {"$ref": "#/$defs/old"}}}, (".x", ".y")),
    ],
)
def test_marks_within_json_text_are_named_by_where_they_lie(part, found):
    """Nobody sees which of its fields a reader takes, so what is told is the column."""
    document = an_object(a=part) | {"$defs": {"old": OLD}}
    assert marked(document) == tuple(Deprecated("a", within) for within in found)


def test_tuples_of_older_drafts():
    document = an_object(a={"type": "array", "items": [OLD, TEXT], "additionalItems": an_object(x=OLD)})
    found = marked(document | {"$schema": "http://json-schema.org/draft-07/schema#"})
    assert found == (Deprecated("a", "[0]"), Deprecated("a", "[].x"))


def test_a_pattern_speaks_of_the_fields_that_it_matches():
    assert fields({"x_a": TEXT, "b": TEXT}, patternProperties={"^x_": {"deprecated": True}}) == ("x_a",)


def test_a_mark_in_a_branch_counts_where_nothing_declares_the_field_without():
    when = {"if": {"required": ["kind"]}}
    kinds = {"kind": TEXT, "x": True}
    assert fields({"a": an_object(k=TEXT) | {"then": an_object(x=OLD)} | when}) == (), "silver has no such member"
    assert fields(kinds, **when, then=an_object(x=OLD)) == ()
    assert fields({"a": an_object(**kinds) | {"then": an_object(x=OLD)} | when}) == ()
    either = {"type": "object", "oneOf": [an_object(x=OLD), an_object(y=TEXT)]}
    assert fields({"a": {"type": ["object", "null"], "anyOf": either["oneOf"]}}) == ("a.x",)
    assert fields({"kind": TEXT}, "lenient", **when, then=an_object(x=OLD)) == ("_extra.x",)
    assert fields({"kind": TEXT}, "strict", **when, then=an_object(x=OLD)) == (), "it is not kept"


def test_what_has_a_column_is_not_among_what_has_none():
    contact = {"$ref": "#/$defs/contact"}
    known = {"kind": TEXT, "lines": {"type": "array", "items": an_object(x=OLD)}, "one": contact}
    more = {"if": {"required": ["kind"]}, "then": an_object(other=contact), "$defs": {"contact": an_object(fax=OLD)}}
    assert fields(known, "lenient", **more) == ("lines.x", "one.fax", "_extra.other.fax")
    assert fields({"kind": TEXT}, "lenient", items=OLD, **more) == ("_extra[]", "_extra.other.fax")


def test_definitions_that_all_refer_to_one_another_are_looked_at_once():
    names = range(9)
    parts = {f"d{i}": an_object(old=OLD, **{f"p{j}": {"$ref": f"#/$defs/d{j}"} for j in names}) for i in names}
    known = load_contract("orders", an_object(a={"type": ["object", "array"]}, old=OLD))  # JSON text, as what is cut
    document = an_object(a={"$ref": "#/$defs/d0"}, old=OLD) | {"$defs": parts}
    found = deprecated_fields(dataclasses.replace(known, schema=document))
    assert found[0] == Deprecated("a", ".old")
    assert (found[-1], len(found)) == (Deprecated("old"), 9 + 1), "each mark by one way to it"


def test_the_short_form_takes_the_mark_and_its_word_stays():
    short = {"source_id": "orders", "fields": [{"name": "id", "type": "STRING"}, {"name": "at", "type": "DATE"}]}
    wanted = {**short, "fields": [short["fields"][0], {**short["fields"][1], "deprecated": True}]}
    assert marked(wanted) == (Deprecated("at"),)
    assert marked(short) == ()
