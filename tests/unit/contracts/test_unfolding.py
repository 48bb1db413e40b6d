from __future__ import annotations

import pyarrow as pa
import pytest

from headrace.contracts.contract import JSON_MARK
from headrace.contracts.types import duckdb_type
from headrace.contracts.unfolding import JSON_TEXT, MOST_LISTS, MOST_WITHIN, Typed, arrow_of, arrow_of_all

INT, TEXT = pa.int64(), pa.string()


@pytest.mark.parametrize(
    ("schema", "type_", "nullable"),
    [
        ({"type": "string"}, TEXT, False),
        ({"type": ["null", "integer"]}, INT, True),
        ({"type": ["integer", "number"]}, pa.float64(), False),
        ({"type": "integer", "maximum": 2**63 - 1}, INT, False),
        ({"type": "integer", "maximum": 2**63}, pa.decimal128(38, 0), False),
        ({"type": "integer", "minimum": -(2**70)}, pa.decimal128(38, 0), False),
        ({"type": "number", "format": "decimal", "precision": 10, "scale": 2}, pa.decimal128(10, 2), False),
        ({"type": "number", "multipleOf": 0.01}, pa.float64(), False),
        ({"type": "string", "format": "date-time"}, pa.timestamp("us", "UTC"), False),
        ({"type": "string", "format": "date"}, pa.date32(), False),
        ({"type": "string", "format": "time"}, TEXT, False),
        ({"type": "string", "format": "uuid"}, TEXT, False),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, INT, True),
        ({"oneOf": [{"type": "integer"}, {"type": "integer", "minimum": 3}]}, INT, False),
        ({"enum": ["a", "b"]}, TEXT, False),
        ({"enum": ["a", None]}, TEXT, True),
        ({"const": 1}, INT, False),
        ({"type": ["string", "null"], "enum": ["a"]}, TEXT, False),
        ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, INT, False),
        ({"type": "array", "items": {"type": "integer"}}, pa.list_(INT), False),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, pa.struct([("a", INT)]), False),
    ],
)
def test_types(schema: dict, type_: pa.DataType, nullable: bool) -> None:
    assert arrow_of(schema) == (type_, nullable, False)


@pytest.mark.parametrize(
    "schema",
    [
        True, {}, {"type": ["string", "integer"]}, {"type": "object"}, {"type": "array"}, {"enum": ["a", 1]},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"properties": {"a": {}}},
        {"type": "array", "items": [{"type": "string"}]}, {"type": "object", "properties": {"a": {}, "A": {}}},
        {"type": "object", "additionalProperties": {"type": "string"}},
    ],
)  # fmt: skip
def test_what_is_open_is_json_text(schema: object) -> None:
    found = arrow_of(schema)
    assert (found.type, found.json) == (JSON_TEXT.type, True)


def test_recursion_ends_in_json_text() -> None:
    root = {"$defs": {"n": {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"$ref": "#/$defs/n"}}}}}
    found = arrow_of({"$ref": "#/$defs/n"}, root)
    assert found.type == pa.struct([("v", INT), ("next", TEXT)])
    assert found.type.field("next").metadata == JSON_MARK


def test_arrays_within_arrays_end_in_json_text() -> None:
    schema: dict = {"type": "integer"}
    for level in range(MOST_LISTS + 4):
        schema = {"type": "array", "items": {"type": "object", "properties": {"a": schema}} if level % 2 else schema}
    beside = {"type": "array", "items": {"type": "integer"}}
    deep, flat = arrow_of_all([schema, beside], {})
    assert str(deep.type).count("list<") == MOST_LISTS
    assert flat == arrow_of(beside)


def _chain(length: int, link: dict) -> dict:
    """Return schemas of which each holds the next one in two places, as `link` says with the name NEXT."""

    def linked(part: object, name: str) -> object:
        if isinstance(part, dict):
            return {key: linked(each, name) for key, each in part.items()}
        return [linked(each, name) for each in part] if isinstance(part, list) else str(part).replace("NEXT", name)

    last = {f"n{length}": {"type": "integer"}}
    return {"$defs": {f"n{at}": linked(link, f"#/$defs/n{at + 1}") for at in range(length)} | last}


NEXT = {"$ref": "NEXT"}
TWICE = {"type": "object", "properties": {"v": {"type": "string"}, "a": NEXT, "b": {"type": "array", "items": NEXT}}}


def test_references_that_unfold_beyond_measure_end_in_json_text_at_one_depth() -> None:
    root = _chain(15, TWICE)
    parts = [{"$ref": "#/$defs/n0"}, {"type": "integer"}, {"$ref": "#/$defs/n14"}]
    deep, plain, shallow = arrow_of_all(parts, root)
    assert (plain.type, shallow.type) == (INT, pa.struct([("v", TEXT), ("a", INT), ("b", pa.list_(INT))]))
    way, levels = deep.type, 0
    while pa.types.is_struct(way):
        levels, field = levels + 1, way.field("a")
        way = field.type
    assert (levels, field.type, field.metadata) == (12, TEXT, JSON_MARK)
    assert len(duckdb_type(deep.type)) < 20 * MOST_WITHIN
    assert arrow_of(parts[0], root).type == deep.type


def test_what_unfolds_within_measure_is_typed_to_its_end() -> None:
    found = arrow_of({"$ref": "#/$defs/n7"}, _chain(15, TWICE)).type
    assert duckdb_type(found).count("BIGINT") == 2**8


def test_a_column_of_its_own_is_typed_however_many_there_are() -> None:
    parts = [{"oneOf": [{"type": "integer"}, {"type": "null"}]}] * (MOST_WITHIN + 1)
    assert set(arrow_of_all(parts, {})) == {Typed(INT, nullable=True)}
    assert arrow_of_all([*parts, TWICE], {})[-1] == JSON_TEXT._replace(nullable=False)


@pytest.mark.parametrize("link", [{"oneOf": [NEXT, NEXT]}, {"allOf": [NEXT, NEXT]}])
def test_choices_that_unfold_beyond_measure_are_json_text_too(link: dict) -> None:
    looked_at = []

    class Root(dict):
        def __getitem__(self, name: str) -> object:
            looked_at.append(name)
            return super().__getitem__(name)

    root = Root(_chain(16, link))
    found = arrow_of({"$ref": "#/$defs/n0"}, root)
    assert len(looked_at) < 200, "what a schema says is found out once, however often it is reached"
    assert found == (Typed(INT) if "allOf" in link else JSON_TEXT)
