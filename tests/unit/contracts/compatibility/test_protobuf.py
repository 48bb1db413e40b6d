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
    ("a value more, closed", text("optional E a = 1;", "proto2", "enum E { X = 0; }"), text("optional E a = 1;", "proto2", "enum E { X = 0; Y = 1; }"), "value-added", GOOD, BAD, {"a": "Y"}),  # noqa: E501
    ("values swapped", text("E a = 1;", more="enum E { X = 0; Y = 1; Z = 2; }"), text("E a = 1;", more="enum E { X = 0; Z = 1; Y = 2; }"), "value-renamed", BAD, BAD, {"a": "Z"}),  # noqa: E501
    ("a message less", text("B b = 1;", more="message B { int32 x = 1; }"), text(""), "message-removed", UNSURE, UNSURE, None),  # noqa: E501
    ("a oneof gets another name", text("oneof x { int32 a = 1; int32 b = 2; }"), text("oneof y { int32 a = 1; int32 b = 2; }"), None, GOOD, GOOD, None),  # noqa: E501
    ("out of a oneof", text("oneof x { int32 a = 1; int32 b = 2; }"), text("int32 b = 2; oneof x { int32 a = 1; }"), "oneof-changed", GOOD, BAD, {"a": 1, "b": 1}),  # noqa: E501
    ("a field of a oneof less", text("oneof x { int32 a = 1; int32 b = 2; }"), text("oneof x { int32 a = 1; }"), "field-removed", UNSURE, GOOD, None),  # noqa: E501
    ("an alias in another place", text("E a = 1;", more="enum E { option allow_alias = true; X = 0; Y = 0; }"), text("E a = 1;", more="enum E { option allow_alias = true; Y = 0; X = 0; }"), None, GOOD, GOOD, None),  # noqa: E501
    ("another enum", text("E a = 1;", more="enum E { X = 0; Y = 1; } enum F { S = 0; T = 1; }"), text("F a = 1;", more="enum E { X = 0; Y = 1; } enum F { S = 0; T = 1; }"), "type-changed", UNSURE, UNSURE, None),  # noqa: E501
    ("the enum's own name", text("E a = 1;", more="enum E { X = 0; Y = 1; }"), text("F a = 1;", more="enum F { X = 0; Y = 1; }"), "type-changed", GOOD, GOOD, None),  # noqa: E501
    ("into a closed enum", text("optional int32 a = 1;", "proto2", "enum E { X = 0; }"), text("optional E a = 1;", "proto2", "enum E { X = 0; }"), "type-changed", BAD, GOOD, {"a": -1}),  # noqa: E501
    ("a value below 0", text("E a = 1;", more="enum E { X = 0; Y = -1; }"), text("uint64 a = 1;", more="enum E { X = 0; Y = -1; }"), "type-changed", BAD, BAD, {"a": "Y"}),  # noqa: E501
    ("what a bool can be", text("E a = 1;", more="enum E { X = 0; Y = 1; }"), text("bool a = 1;", more="enum E { X = 0; Y = 1; }"), "type-changed", GOOD, GOOD, None),  # noqa: E501
    ("what a map holds", text("map<string, int32> a = 1;"), text("map<string, int64> a = 1;"), "type-changed", GOOD, BAD, {"a": {"a": 2**31}}),  # noqa: E501
    ("a map's keys", text("map<int64, bool> a = 1;"), text("map<int32, bool> a = 1;"), "type-changed", BAD, GOOD, {"a": {"2147483648": True}}),  # noqa: E501
    ("a list of others", text("repeated int64 a = 1;"), text("repeated int32 a = 1;"), "type-changed", BAD, GOOD, {"a": [2**31]}),  # noqa: E501
    ("a known type", 'syntax="proto3"; import "google/protobuf/timestamp.proto"; message A { google.protobuf.Timestamp a = 1; }', text("int64 a = 1;").replace("package p;", ""), "type-changed", BAD, BAD, {"a": "2020-01-01T00:00:00Z"}),  # noqa: E501
    ("a default", text("optional int32 a = 1 [default = 5];", "proto2"), text("optional int32 a = 1;", "proto2"), "default-changed", UNSURE, UNSURE, None),  # noqa: E501
    ("a zero that is not written", text("int32 a = 1;"), text("optional int32 a = 1 [default = 5];", "proto2"), "default-changed", BAD, UNSURE, {}),  # noqa: E501
    ("an enum that says nothing", text("optional E a = 1;", more="enum E { X = 0; }"), text("optional sint32 a = 1;", more="enum E { X = 0; }"), "type-changed", UNSURE, BAD, {"a": 2}),  # noqa: E501
    ("a group", text("optional group G = 1 { optional int32 x = 1; }", "proto2"), text("optional G g = 1; message G { optional int32 x = 1; }", "proto2"), "type-changed", BAD, BAD, {"g": {}}),  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "rule", "backward", "forward", "example"),
    [pair[1:] for pair in PAIRS],
    ids=[pair[0] for pair in PAIRS],
)
def test_a_pair(old, new, rule, backward, forward, example):
    found = compare_protobuf(old, new)
    if rule is None:
        assert found == ()
    else:
        change = next(each for each in found if each.rule == rule)
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


def test_a_list_of_others_that_becomes_single_says_what_is_lost():
    old, new = text("repeated int32 a = 1;"), text("int64 a = 1;")
    (change,) = compare_protobuf(old, new)
    assert change.why == "a was repeated int32 and is int64: not every value fits, and of several values one is read"
    assert (change.fix, change.backward_example) == ("keep repeated int32, or take a new number", {"a": [1, 1]})
    (change,) = compare_protobuf(text("string a = 1;", "proto3"), text("repeated bytes a = 1;"))
    assert change.why.endswith("not every value fits, and of several values one is read")
    more = "enum E { X = 0; Y = 1; }"
    (change,) = compare_protobuf(text("repeated E a = 1;", more=more), text("bool a = 1;", more=more))
    assert change.why == "a was repeated p.E and is bool: of several values one is read"


def test_the_wire_feels_no_names():
    old = text("int32 a = 1; E e = 2;", more="enum E { X = 0; Y = 1; Z = 2; }")
    new = text("int32 b = 1; E e = 2;", more="enum E { X = 0; W = 1; }")
    assert {change.backward for change in compare_protobuf(old, new)} == {UNSURE}
    assert {change.backward for change in compare_protobuf(old, new, wire_only=True)} == {GOOD}


def test_enums_of_editions_are_closed_where_they_say_so():
    old = 'edition = "2023"; message A { E a = 1; } enum E { option features.enum_type = CLOSED; X = 0; Y = 1; }'
    change = next(each for each in compare_protobuf(old, old.replace(" Y = 1;", "")))
    assert change.backward is BAD
    assert compare_protobuf(old.replace("CLOSED", "OPEN"), old.replace(" Y = 1;", "").replace("CLOSED", "OPEN"))[
        0
    ].backward is UNSURE  # fmt: skip
