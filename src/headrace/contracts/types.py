"""One type in four languages: Arrow, DuckDB SQL, BigQuery and JSON Schema."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from headrace.contracts.contract import JSON_MARK
from headrace.contracts.flat import TYPE_WORD
from headrace.errors import ContractError

INSTANT = pa.timestamp("us", "UTC")
DATETIME = pa.timestamp("us")
TIME = pa.time64("us")

_DUCKDB = {
    pa.string(): "VARCHAR",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    INSTANT: "TIMESTAMPTZ",
    DATETIME: "TIMESTAMP",
    pa.date32(): "DATE",
    TIME: "TIME",
    pa.binary(): "BLOB",
}
_BIGQUERY = {
    "VARCHAR": "STRING",
    "BIGINT": "INT64",
    "DOUBLE": "FLOAT64",
    "BOOLEAN": "BOOL",
    "TIMESTAMPTZ": "TIMESTAMP",
    "TIMESTAMP": "DATETIME",
    "DATE": "DATE",
    "TIME": "TIME",
    "BLOB": "BYTES",
}


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def duckdb_type(type_: pa.DataType) -> str:
    """Return the DuckDB SQL type of a contract's Arrow type."""
    if pa.types.is_struct(type_):
        return "STRUCT(" + ", ".join(f"{quoted(field.name)} {duckdb_type(field.type)}" for field in type_) + ")"
    if pa.types.is_list(type_):
        return duckdb_type(type_.value_type) + "[]"
    if pa.types.is_decimal128(type_):
        return f"DECIMAL({type_.precision},{type_.scale})"
    if type_ not in _DUCKDB:
        raise ContractError(f"Arrow type {type_} is no type of a contract")
    return _DUCKDB[type_]


def bigquery_field(field: pa.Field, description: str = "") -> dict[str, Any]:
    """Return a field as BigQuery's table schema writes it; a list of lists, which BigQuery lacks, is JSON."""
    type_, mode = field.type, "NULLABLE" if field.nullable else "REQUIRED"
    item = field
    if pa.types.is_list(type_) and not pa.types.is_list(type_.value_type):
        item, mode = type_.value_field, "REPEATED"
        type_ = item.type
    found: dict[str, Any] = {"name": field.name, "mode": mode}
    if pa.types.is_list(type_) or (item.metadata or {}).items() >= JSON_MARK.items():
        found["type"] = "JSON"
    elif pa.types.is_struct(type_):
        found |= {"type": "RECORD", "fields": [bigquery_field(child) for child in type_]}
    elif pa.types.is_decimal128(type_):
        fits = type_.scale <= 9 and type_.precision - type_.scale <= 29
        found["type"] = "NUMERIC" if fits else "BIGNUMERIC"
        if (type_.precision, type_.scale) != (38, 9):
            found |= {"precision": str(type_.precision), "scale": str(type_.scale)}
    else:
        found["type"] = _BIGQUERY[duckdb_type(type_)]
    return found | ({"description": description} if description else {})


def json_schema_of(schema: pa.Schema) -> dict[str, Any]:
    """Return a JSON Schema (2020-12) whose columns are those of an Arrow schema of contract types."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | _object(list(schema), root=True)


def _object(fields: list[pa.Field], *, root: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": {field.name: _schema_of(field) for field in fields}}
    required = [field.name for field in fields if not field.nullable]
    return found | ({"required": required} if root and required else {})


def _schema_of(field: pa.Field) -> dict[str, Any]:
    if (field.metadata or {}).items() >= JSON_MARK.items():
        return {} if field.nullable else {"type": ["string", "number", "boolean", "object", "array"]}
    type_ = field.type
    if pa.types.is_struct(type_):
        found = _object(list(type_))
    elif pa.types.is_list(type_):
        found = {"type": "array", "items": _schema_of(type_.value_field)}
    elif pa.types.is_decimal128(type_):
        found = {"type": "number", "format": "decimal", "precision": type_.precision, "scale": type_.scale}
    else:
        word = duckdb_type(type_)
        found = {
            "BIGINT": {"type": "integer"},
            "DOUBLE": {"type": "number"},
            "BOOLEAN": {"type": "boolean"},
            "TIMESTAMPTZ": {"type": "string", "format": "date-time"},
            "DATE": {"type": "string", "format": "date"},
            "TIMESTAMP": {"type": "string", TYPE_WORD: "datetime"},
            "TIME": {"type": "string", TYPE_WORD: "time"},
            "BLOB": {"type": "string", TYPE_WORD: "bytes"},
        }.get(word, {"type": "string"})
    return found | ({"type": [found["type"], "null"]} if field.nullable else {})
