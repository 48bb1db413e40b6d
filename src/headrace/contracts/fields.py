"""The seeds' form of a schema, `{source_id, version, fields: [{name, type, mode, description}]}`, as JSON Schema."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from headrace.contracts import pii
from headrace.contracts.deprecated import WORD as DEPRECATED
from headrace.contracts.flat import TYPE_WORD
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

_DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
_BASE64 = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"

_INTEGER = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
_NUMERIC = {"type": "number", "format": "decimal", "precision": 38}
TYPES: dict[str, dict[str, Any]] = {
    "STRING": {"type": "string"},
    "INT64": _INTEGER,
    "FLOAT64": {"type": "number"},
    "NUMERIC": _NUMERIC | {"scale": 9},
    "BIGNUMERIC": _NUMERIC | {"scale": 18},  # BigQuery's own 76 digits fit no DuckDB type
    "BOOL": {"type": "boolean"},
    "TIMESTAMP": {"type": "string", "format": "date-time"},
    "DATETIME": {"type": "string", TYPE_WORD: "datetime", "pattern": f"^{_DATE}[T ]{_TIME}$"},
    "DATE": {"type": "string", "format": "date"},
    "TIME": {"type": "string", TYPE_WORD: "time", "pattern": f"^{_TIME}$"},
    "BYTES": {"type": "string", TYPE_WORD: "bytes", "pattern": _BASE64},
    "JSON": {},
    "RECORD": {"type": "object"},
}
_ALIASES = {
    "INTEGER": "INT64", "INT": "INT64", "SMALLINT": "INT64", "BIGINT": "INT64", "TINYINT": "INT64", "BYTEINT": "INT64",
    "FLOAT": "FLOAT64", "DECIMAL": "NUMERIC", "BIGDECIMAL": "BIGNUMERIC", "BOOLEAN": "BOOL", "STRUCT": "RECORD",
}  # fmt: skip
_MODES = ("REQUIRED", "NULLABLE", "REPEATED")
_KEYS = ("name", "type", "mode", "description", "fields", "precision", "scale", DEPRECATED, *pii.WORDS)


def is_fields_form(document: Mapping[str, Any]) -> bool:
    """Say whether a schema document is the `fields` form."""
    return isinstance(document.get("fields"), list) and not {"$schema", "properties"} & document.keys()


def scalar_schema(word: str) -> dict[str, Any]:
    """Return the JSON Schema of one value of a type, by its word. Raises `ContractError` where it is no plain type."""
    upper = word.upper()
    name = _ALIASES.get(upper, upper)
    plain = [each for each in TYPES if each not in {"JSON", "RECORD", "BYTES"}]
    if name not in plain:
        raise ContractError(f"unknown type {word!r}", fix=_nearest(name, (*plain, *_ALIASES)))
    return TYPES[name]


def json_schema(document: Mapping[str, Any], *, at: str = "") -> dict[str, Any]:
    """Return the JSON Schema of a `fields` document; unknown fields are not allowed in it, at any depth.

    A NULLABLE field may be absent or null; a REPEATED one may be absent; a REQUIRED one is there and not null.
    """
    return _object(document["fields"], at=at, where="fields")


def _object(fields: list[Any], *, at: str, where: str) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required = []
    for index, field in enumerate(fields):
        here = f"{where}[{index}]"
        if not isinstance(field, dict) or not isinstance(field.get("name"), str) or not field["name"]:
            raise ContractError(f"{here} has no name", at=at, fix="write {name: ..., type: ..., mode: ...}")
        name = field["name"]
        if name in properties:
            raise ContractError(f"{here}: a second field is named {name!r}", at=at, fix="remove or rename one of them")
        for key in field.keys() - set(_KEYS):
            fix = _nearest(str(key), _KEYS)
            raise ContractError(f"{here} ({name}): unknown key {key!r}", at=at, fix=fix)
        properties[name] = _field(field, at=at, where=f"{here} ({name})")
        if _mode(field, at=at, where=here) == "REQUIRED":
            required.append(name)
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | ({"required": required} if required else {})


def _mode(field: Mapping[str, Any], *, at: str, where: str) -> str:
    mode = str(field.get("mode") or "NULLABLE").upper()
    if mode not in _MODES:
        raise ContractError(f"{where}: unknown mode {field['mode']!r}", at=at, fix=_nearest(mode, _MODES))
    return mode


def _field(field: Mapping[str, Any], *, at: str, where: str) -> dict[str, Any]:
    word = str(field.get("type", "")).upper()
    word = _ALIASES.get(word, word)
    if word not in TYPES:
        known = (*TYPES, *_ALIASES)
        said = f"unknown type {field['type']!r}" if field.get("type") else "no type"
        raise ContractError(f"{where}: {said}", at=at, fix=_nearest(word, known))
    found = dict(TYPES[word])
    if word == "RECORD":
        if not isinstance(field.get("fields"), list) or not field["fields"]:
            raise ContractError(f"{where}: a RECORD without fields", at=at, fix="add 'fields', or use the type JSON")
        found = _object(field["fields"], at=at, where=f"{where}.fields")
    if word in {"NUMERIC", "BIGNUMERIC"} and "precision" in field:
        found |= {"precision": int(field["precision"]), "scale": int(field.get("scale", 0))}
    mode = _mode(field, at=at, where=where)
    if mode == "REPEATED":
        found = {"type": "array", "items": found}
    elif mode == "NULLABLE" and found:
        found = found | {"type": [found["type"], "null"]}
    elif not found:
        found = {"type": ["string", "number", "boolean", "object", "array"]}
    tag = pii.tag_of(field, at=at, where=where)
    found |= {pii.WORD: tag} if tag else {}
    found |= {DEPRECATED: True} if field.get(DEPRECATED) is True else {}
    return found | ({"description": field["description"]} if field.get("description") else {})


def _nearest(word: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else "use one of " + ", ".join(known)
