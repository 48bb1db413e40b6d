"""One type in four languages: JSON Schema, Arrow, DuckDB SQL and BigQuery.

What a schema leaves open (mixed types, an object without properties, `true`) becomes JSON text, never a guess. Integers
are int64 unless their bounds go beyond, then DECIMAL(38,0): HUGEINT would turn into a double in Parquet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from headrace.contracts.contract import JSON_MARK
from headrace.contracts.flat import DEEPEST, TYPE_WORD, flattened, words_of
from headrace.contracts.refs import target
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

INSTANT = pa.timestamp("us", "UTC")
DATETIME = pa.timestamp("us")
TIME = pa.time64("us")

_INT64 = range(-(2**63), 2**63)
_STRINGS = {"datetime": DATETIME, "time": TIME, "bytes": pa.binary()}
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


class Typed(NamedTuple):
    """An Arrow type, whether null is allowed, and whether it is a string of JSON text."""

    type: pa.DataType
    nullable: bool = False
    json: bool = False


JSON_TEXT = Typed(pa.string(), nullable=True, json=True)


def arrow_of(schema: object, root: Mapping[str, Any] | None = None) -> Typed:
    """Return the Arrow type of the values that a JSON Schema allows; `root` is where its references lead."""
    base = root if root is not None else schema if isinstance(schema, dict) else {}
    return _typed(schema, base, ())


def _typed(schema: object, root: Mapping[str, Any], seen: tuple[int, ...]) -> Typed:
    if not isinstance(schema, dict) or len(seen) > DEEPEST or _dynamic(schema):
        return JSON_TEXT
    trail = _trail(schema, root)
    if set(trail) & set(seen):
        return JSON_TEXT
    flat = flattened(schema, root)
    if flat is None or _dynamic(flat):
        return JSON_TEXT
    seen = (*seen, *trail)
    words = words_of(flat["type"]) if "type" in flat else None
    for word in ("anyOf", "oneOf"):
        if word in flat and words is None:
            return _choice(flat[word], root, seen)
    if words is None:
        words = _kinds(flat)
        if words is None:
            return JSON_TEXT
    nullable = ("null" in words or flat.get("nullable") is True) and _admits_null(flat)
    if "null" not in words:
        nullable = False
    kinds = {word for word in words if word != "null"}
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    if len(kinds) != 1:
        return JSON_TEXT._replace(nullable=nullable)
    found = _plain(kinds.pop(), flat, root, seen)
    return found._replace(nullable=nullable)


def _trail(schema: Mapping[str, Any], root: Mapping[str, Any]) -> list[int]:
    """Return the identities of a schema and of what its references lead to, so that recursion is seen."""
    trail, node = [id(schema)], schema
    while isinstance(node, dict) and "$ref" in node and len(trail) < DEEPEST:
        node = target(node["$ref"], root)
        trail.append(id(node))
    return trail


def _dynamic(schema: Mapping[str, Any]) -> bool:
    return "$dynamicRef" in schema or "$recursiveRef" in schema


def _admits_null(flat: Mapping[str, Any]) -> bool:
    return None in flat.get("enum", (None,)) and flat.get("const") is None


def _choice(branches: list[Any], root: Mapping[str, Any], seen: tuple[int, ...]) -> Typed:
    found = [_typed(branch, root, seen) for branch in branches if not _is_null(branch)]
    nullable = len(found) < len(branches) or any(each.nullable for each in found)
    if not found or any(each.json or each.type != found[0].type for each in found):
        return JSON_TEXT._replace(nullable=nullable or not found)
    return found[0]._replace(nullable=nullable)


def _is_null(branch: object) -> bool:
    return isinstance(branch, dict) and (
        branch.get("type") in ("null", ["null"]) or branch.get("enum") == [None] or ("const", None) in branch.items()
    )


def _kinds(flat: Mapping[str, Any]) -> list[str] | None:
    """Return the JSON types of `const` or `enum`, where a schema without `type` has them."""
    values = [flat["const"]] if "const" in flat else flat.get("enum")
    if not values:
        return None
    names = {str: "string", bool: "boolean", int: "integer", type(None): "null"}
    words = [names.get(type(value), "other") for value in values]
    return None if "other" in words else list(dict.fromkeys(words))


def _plain(word: str, flat: Mapping[str, Any], root: Mapping[str, Any], seen: tuple[int, ...]) -> Typed:
    if word == "string":
        return Typed(_string(flat))
    if word in {"integer", "number"} and flat.get("format") == "decimal":
        return Typed(_decimal(flat))
    if word == "integer":
        bounds = [flat[bound] for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
                  if isinstance(flat.get(bound), int | float) and not isinstance(flat[bound], bool)]  # fmt: skip
        wide = any(int(bound) not in _INT64 for bound in bounds)
        return Typed(pa.decimal128(38, 0) if wide else pa.int64())
    if word == "number":
        return Typed(pa.float64())
    if word == "boolean":
        return Typed(pa.bool_())
    if word == "array" and isinstance(flat.get("items"), dict) and "prefixItems" not in flat:
        item = _typed(flat["items"], root, seen)
        return Typed(pa.list_(pa.field("item", item.type, metadata=dict(JSON_MARK) if item.json else None)))
    if word == "object" and flat.get("properties"):
        names = list(flat["properties"])
        # A struct cannot tell such names apart; its text can.
        if "" in names or len({name.lower() for name in names}) < len(names):
            return JSON_TEXT
        found = {name: _typed(sub, root, seen) for name, sub in flat["properties"].items()}
        marks = {name: dict(JSON_MARK) if each.json else None for name, each in found.items()}
        return Typed(pa.struct([pa.field(name, each.type, metadata=marks[name]) for name, each in found.items()]))
    return JSON_TEXT


def _string(flat: Mapping[str, Any]) -> pa.DataType:
    if flat.get(TYPE_WORD) in _STRINGS:
        return _STRINGS[flat[TYPE_WORD]]
    return {"date-time": INSTANT, "date": pa.date32()}.get(str(flat.get("format")), pa.string())


def _decimal(flat: Mapping[str, Any]) -> pa.DataType:
    precision, scale = flat.get("precision", 38), flat.get("scale", 9)
    if type(precision) is not int or type(scale) is not int or not 0 <= scale <= precision <= 38 or precision < 1:
        raise ContractError(
            f"a decimal of precision {precision} and scale {scale} cannot be stored",
            fix="precision is 1 to 38, and scale 0 to precision",
        )
    return pa.decimal128(precision, scale)


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
