"""Avro: our rules against fastavro, which writes each example under one version and reads it under the other."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest

from headrace.contracts.compatibility import Verdict
from headrace.contracts.compatibility.avro import compare_avro, parse_avro
from headrace.errors import ContractError

GOOD, BAD, UNSURE = Verdict.COMPATIBLE, Verdict.BREAKING, Verdict.UNDECIDED


def record(*fields: Any, name: str = "r", **more: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": f"f{at}", **field} for at, field in enumerate(fields)],
        **more,
    }


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": {"type": "enum", "name": "e", "symbols": list(symbols), **more}}


TREE = {
    "type": "record",
    "name": "t",
    "fields": [{"name": "v", "type": "int"}, {"name": "next", "type": ["null", "t"]}],
}
WIDE = {
    "type": "record",
    "name": "t",
    "fields": [{"name": "v", "type": "long"}, {"name": "next", "type": ["null", "t"]}],
}

PAIRS = [
    ("int to long", record({"type": "int"}), record({"type": "long"}), GOOD, BAD),
    ("float to double", record({"type": "float"}), record({"type": "double"}), GOOD, BAD),
    ("text and bytes", record({"type": "string"}), record({"type": "bytes"}), GOOD, GOOD),
    ("int to text", record({"type": "int"}), record({"type": "string"}), BAD, BAD),
    ("a field with a default", record({"type": "int"}), record({"type": "int"}, {"type": "int", "default": 3}), GOOD, GOOD),  # noqa: E501
    ("a field without", record({"type": "int"}), record({"type": "int"}, {"type": "int"}), BAD, GOOD),
    ("a branch more", record({"type": ["null", "int"]}), record({"type": ["null", "int", "string"]}), GOOD, BAD),
    ("into a union", record({"type": "int"}), record({"type": ["null", "long"]}), GOOD, BAD),
    ("a symbol more", record(enum("A")), record(enum("A", "B")), GOOD, BAD),
    ("a symbol more, and a default", record(enum("A", default="A")), record(enum("A", "B", default="A")), GOOD, GOOD),
    ("an alias", record({"name": "old", "type": "int"}), record({"name": "new", "aliases": ["old"], "type": "int"}), GOOD, BAD),  # noqa: E501
    ("items", record({"type": {"type": "array", "items": "int"}}), record({"type": {"type": "array", "items": "string"}}), BAD, BAD),  # noqa: E501
    ("values", record({"type": {"type": "map", "values": "int"}}), record({"type": {"type": "map", "values": "long"}}), GOOD, BAD),  # noqa: E501
    ("items within a union", record({"type": ["null", {"type": "array", "items": "int"}]}), record({"type": ["null", {"type": "array", "items": "string"}]}), BAD, BAD),  # noqa: E501
    ("a long beside an int", record({"type": ["int", "long"]}), record({"type": ["int", "string"]}), BAD, BAD),
    ("a default of a later branch", record({"type": "int"}), record({"type": "int"}, {"type": ["string", "null"], "default": None}), GOOD, GOOD),  # noqa: E501
    ("fixed", record({"type": {"type": "fixed", "name": "x", "size": 2}}), record({"type": {"type": "fixed", "name": "x", "size": 3}}), BAD, BAD),  # noqa: E501
    ("another name", record({"type": "int"}, name="a"), record({"type": "int"}, name="b"), BAD, BAD),
    ("a record that holds itself", TREE, WIDE, GOOD, BAD),
]  # fmt: skip


def refuses(value: Any, writer: Any, reader: Any) -> bool:
    """Whether fastavro refuses to read what it wrote."""
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(writer), bytes_of(value))
    stream.seek(0)
    try:
        fastavro.schemaless_reader(stream, fastavro.parse_schema(writer), fastavro.parse_schema(reader))
    except Exception:  # noqa: BLE001 - it has no one error for this
        return True
    return False


def bytes_of(value: Any) -> Any:
    """Return a plain value with its bytes as such: text of NULs stands for a fixed."""
    if isinstance(value, dict):
        return {name: bytes_of(item) for name, item in value.items()}
    if isinstance(value, list):
        return [bytes_of(item) for item in value]
    return value.encode("latin-1") if isinstance(value, str) and "\0" in value else value


@pytest.mark.parametrize(
    ("old", "new", "backward", "forward"), [pair[1:] for pair in PAIRS], ids=[pair[0] for pair in PAIRS]
)
def test_a_pair(old: Any, new: Any, backward: Verdict, forward: Verdict):
    changes = compare_avro(old, new)
    assert [any(getattr(each, side) is BAD for each in changes) for side in ("backward", "forward")] == [
        backward is BAD,
        forward is BAD,
    ]
    for change in changes:
        if change.backward is BAD:
            assert refuses(change.backward_example, old, new)
        if change.forward is BAD:
            assert refuses(change.forward_example, new, old)


def test_a_logical_type_that_nobody_refuses_is_undecided():
    old, new = (
        record({"type": {"type": "long", "logicalType": word}}) for word in ("timestamp-millis", "timestamp-micros")
    )
    (change,) = compare_avro(old, new)
    assert (change.rule, change.backward, change.forward) == ("logical-type-changed", UNSURE, UNSURE)
    assert change.pointer == "#/fields/0/type"


def deep(leaf: str) -> Any:
    for _ in range(30):
        leaf = {"type": "array", "items": leaf}  # type: ignore[assignment]
    return leaf


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "int", "logicalType": "date"}, {"type": "long", "logicalType": "timestamp-millis"}),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, "string"),
        (deep("int"), deep("string")),
    ],
    ids=["promoted", "decimal to text", "deep"],
)
def test_what_is_not_told_is_undecided(old: Any, new: Any):
    assert UNSURE in {change.backward for change in compare_avro(record({"type": old}), record({"type": new}))}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "record"},
        "unknown",
        {"name": "x"},
        record({"type": "nope"}),
        3,
        record({"type": "int", "default": "x"}),
        record({"type": ["string", "null"], "default": 3}),
        record({"type": "int", "default": True}),
        record({"type": {"type": "array", "items": "long"}, "default": [2**63]}),
        record(enum("A", default="Z")),
        record({"type": {"type": "enum", "name": "e"}}),
        record({"type": {"type": "fixed", "name": "f"}}),
    ],
)
def test_what_is_no_schema_is_refused(schema: Any):
    with pytest.raises(ContractError):
        compare_avro(schema, schema)


def test_a_type_of_another_schema_stands_where_it_is_first_used():
    money = {"type": "fixed", "name": "Money", "namespace": "shop", "size": 8}
    tip = {"type": "record", "name": "shop.Tip", "fields": [{"name": "sum", "type": "Money"}]}  # refers on
    fields = [{"name": "price", "type": "Money"}, {"name": "tax", "type": ["null", "shop.Money"]}]
    record = {"type": "record", "name": "shop.Order", "fields": [*fields, {"name": "tip", "type": "Tip"}]}
    parsed = parse_avro(record, {"shop.Money": money, "shop.Tip": tip})
    assert list(parsed.named) == ["shop.Order", "shop.Money", "shop.Tip"]
    assert parsed.root["fields"][1]["type"][1] is parsed.named["shop.Money"]
    assert parsed.named["shop.Tip"]["fields"][0]["type"] is parsed.named["shop.Money"]
    assert compare_avro(parsed, parsed) == ()


@pytest.mark.parametrize(
    "schema",
    [
        5,
        {},
        "Order",
        {"type": "Order"},
        ["int", ["null"]],
        ["int", {"type": "int"}],
        {"type": "array"},
        {"type": "enum", "name": "E", "symbols": ["a", "a"]},
        {"type": "enum", "name": "E", "symbols": ["a b"]},
        {"type": "fixed", "name": "F"},
        {"type": "record", "name": "R"},
        {"type": "record", "name": "1R", "fields": []},
        {"type": "record", "name": "int", "fields": []},
        {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]},
        {"type": "record", "name": "R", "fields": [{"name": "a-b", "type": "int"}]},
        {"type": "record", "name": "R", "fields": [], "aliases": 5},
        {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "aliases": [1]}]},
    ],
)
def test_what_is_no_avro_schema_is_told_where(schema):
    with pytest.raises(ContractError, match=r"^#"):
        parse_avro(schema)


def doubled(count: int, leaf: str) -> dict[str, Any]:
    """Return a record that holds the next one twice, and so on: few lines, and a milliard places."""
    found = {"type": "record", "name": f"R{count}", "fields": [{"name": "v", "type": leaf}]}
    for at in reversed(range(count)):
        twice = [{"name": "x", "type": found}, {"name": "y", "type": f"R{at + 1}"}]
        found = {"type": "record", "name": f"R{at}", "fields": twice}
    return found


def test_a_type_that_is_used_many_times_is_compared_once():
    """What has no end, or hardly one, is no reason to wait; nor is an example of gigabytes."""
    assert compare_avro(doubled(40, "int"), doubled(40, "int")) == ()
    assert [each.backward for each in compare_avro(doubled(20, "int"), doubled(20, "long"))] == [GOOD] + 20 * [GOOD]
    changes = compare_avro(doubled(8, "int"), doubled(8, "string"))
    assert {each.backward for each in changes} == {BAD}
    assert len(changes) == 9, "where it is, and where its record is used again"
    assert compare_avro(doubled(26, "int"), doubled(26, "string"))[0].backward is UNSURE
    sizes = [{"type": "fixed", "name": "F", "size": size} for size in (10**12, 10**12 + 1)]
    assert [each.rule for each in compare_avro(*sizes)] == ["size-changed"]


def test_an_example_ends_where_a_record_holds_itself_in_a_branch_without_null():
    def tree(kind):
        kids = {"name": "kids", "type": ["n", {"type": "array", "items": "n"}]}
        return {"type": "record", "name": "n", "fields": [kids, {"name": "v", "type": kind}]}

    (change,) = compare_avro(tree("int"), tree("string"))
    assert change.backward_example == {"kids": [], "v": 0}
