"""Protobuf: what the wire, and what only the JSON form, makes of a change."""

import pytest

from headrace.contracts.compatibility import Verdict
from headrace.contracts.compatibility.protobuf import compare_protobuf

GOOD, BAD, UNSURE = Verdict.COMPATIBLE, Verdict.BREAKING, Verdict.UNDECIDED


def text(body, syntax="proto3", more=""):
    return f'syntax = "{syntax}";\npackage p;\nmessage A {{ {body} }}\n{more}'


PAIRS = [
    ("a field more", text("int32 a = 1;"), text("int32 a = 1; string b = 2;"), "field-added", GOOD, GOOD, None),
    ("a field less", text("int32 a = 1; int32 b = 2;"), text("int32 a = 1;"), "field-removed", GOOD, GOOD, None),
    ("wider", text("int32 a = 1;"), text("int64 a = 1;"), "type-changed", GOOD, BAD, {"a": 2**31}),
    ("narrower", text("int64 a = 1;"), text("int32 a = 1;"), "type-changed", BAD, GOOD, {"a": 2**31}),
    ("signed", text("int32 a = 1;"), text("uint32 a = 1;"), "type-changed", BAD, BAD, {"a": -1}),
    ("zigzag", text("int32 a = 1;"), text("sint32 a = 1;"), "type-changed", BAD, BAD, {"a": 1}),
    ("bytes", text("bytes a = 1;"), text("string a = 1;"), "type-changed", BAD, GOOD, {"a": "/w=="}),
    ("another name", text("int32 a = 1;"), text("int32 b = 1;"), "field-renamed", UNSURE, UNSURE, None),
    ("one of many", text("repeated int32 a = 1;"), text("int32 a = 1;"), "label-changed", BAD, GOOD, {"a": [1, 1]}),
    ("required", text("optional int32 a = 1;", "proto2"), text("required int32 a = 1;", "proto2"), "required-changed", BAD, GOOD, {}),  # noqa: E501
    ("required and new", text("optional int32 a = 1;", "proto2"), text("optional int32 a = 1; required int32 b = 2;", "proto2"), "field-added", BAD, GOOD, {}),  # noqa: E501
    ("a reserved number", text("reserved 2;"), text("int32 b = 2;"), "reserved-number", UNSURE, UNSURE, None),
    ("into a oneof", text("int32 a = 1; int32 b = 2;"), text("oneof x { int32 a = 1; int32 b = 2; }"), "oneof-changed", BAD, GOOD, {"a": 1, "b": 1}),  # noqa: E501
    ("a value more", text("E a = 1;", more="enum E { X = 0; }"), text("E a = 1;", more="enum E { X = 0; Y = 1; }"), "value-added", GOOD, GOOD, None),  # noqa: E501
    ("a value more, closed", text("optional E a = 1;", "proto2", "enum E { X = 0; }"), text("optional E a = 1;", "proto2", "enum E { X = 0; Y = 1; }"), "value-added", GOOD, BAD, "Y"),  # noqa: E501
    ("values swapped", text("E a = 1;", more="enum E { X = 0; Y = 1; Z = 2; }"), text("E a = 1;", more="enum E { X = 0; Z = 1; Y = 2; }"), "value-renamed", BAD, BAD, "Z"),  # noqa: E501
    ("a message less", text("B b = 1;", more="message B { int32 x = 1; }"), text(""), "message-removed", UNSURE, UNSURE, None),  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "rule", "backward", "forward", "example"),
    [pair[1:] for pair in PAIRS],
    ids=[pair[0] for pair in PAIRS],
)
def test_a_pair(old, new, rule, backward, forward, example):
    change = next(each for each in compare_protobuf(old, new) if each.rule == rule)
    assert (change.backward, change.forward) == (backward, forward)
    assert (change.backward_example if backward is BAD else change.forward_example) == example
    assert compare_protobuf(old, old) == ()


def test_a_number_that_is_not_reserved_is_told():
    old, new = text("int32 a = 1; int32 b = 2;"), text("int32 a = 1;")
    (change,) = compare_protobuf(old, new)
    assert "reserved 2;" in change.fix
    (change,) = compare_protobuf(old, text("int32 a = 1; reserved 2;"))
    assert change.fix == ""


def test_only_what_a_message_holds_counts():
    old = text("B b = 1;", more="message B { int64 x = 1; } message C { int64 x = 1; }")
    new = old.replace("int64", "int32")
    assert [change.pointer for change in compare_protobuf(old, new, message="p.A")] == ["#/p.B/x"]
    assert len(compare_protobuf(old, new)) == 2
