from __future__ import annotations

import pyarrow as pa
import pytest

from headrace.contracts.contract import JSON_MARK
from headrace.contracts.types import JSON_TEXT, arrow_of, bigquery_field, duckdb_type

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


@pytest.mark.parametrize(
    ("type_", "sql", "bigquery"),
    [
        (TEXT, "VARCHAR", {"type": "STRING"}),
        (pa.decimal128(38, 9), "DECIMAL(38,9)", {"type": "NUMERIC"}),
        (pa.decimal128(38, 0), "DECIMAL(38,0)", {"type": "BIGNUMERIC", "precision": "38", "scale": "0"}),
        (pa.timestamp("us", "UTC"), "TIMESTAMPTZ", {"type": "TIMESTAMP"}),
        (pa.timestamp("us"), "TIMESTAMP", {"type": "DATETIME"}),
        (pa.list_(INT), "BIGINT[]", {"type": "INT64", "mode": "REPEATED"}),
        (pa.list_(pa.list_(INT)), "BIGINT[][]", {"type": "JSON"}),
        (
            pa.struct([('a"b', pa.bool_())]),
            'STRUCT("a""b" BOOLEAN)',
            {"type": "RECORD", "fields": [{"name": 'a"b', "type": "BOOL", "mode": "NULLABLE"}]},
        ),
    ],
)
def test_sql_and_bigquery(type_: pa.DataType, sql: str, bigquery: dict) -> None:
    assert duckdb_type(type_) == sql
    assert bigquery_field(pa.field("x", type_), "why") == {
        "name": "x", "mode": "NULLABLE", "description": "why", **bigquery
    }  # fmt: skip


def test_bigquery_knows_required_and_json() -> None:
    assert bigquery_field(pa.field("x", TEXT, nullable=False, metadata=JSON_MARK)) == {
        "name": "x", "mode": "REQUIRED", "type": "JSON"
    }  # fmt: skip
