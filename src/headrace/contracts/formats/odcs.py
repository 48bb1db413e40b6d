"""Open Data Contract Standard v3, in and out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from headrace.contracts import fields
from headrace.contracts.flat import flattened
from headrace.contracts.formats.form import Exported, Imported, chosen, nullable, unwrapped
from headrace.contracts.load import DRAFTS
from headrace.contracts.pii import WORD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.contracts.formats.bundle import Loader

VERSION = "v3.1.0"
_EVENT_TIME = "eventTime"
"""A property of our own: the standard has no word for the field that says when an event happened."""
_DECIMAL = re.compile(r"(?:decimal|numeric|number)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", re.IGNORECASE)
_LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_OF_STRINGS = ("minLength", "maxLength", "pattern")
_OF_ARRAYS = ("minItems", "maxItems", "uniqueItems")
_FORMATS = {"email", "uuid", "uri", "hostname", "ipv4", "ipv6"}
_SAID = {"enum", "format", "x-type", "precision", "scale", WORD, *_LIMITS, *_OF_STRINGS, *_OF_ARRAYS}


def is_one(document: Any) -> bool:
    """Say whether a document is a data contract of the standard."""
    return isinstance(document, dict) and document.get("kind") == "DataContract" and "apiVersion" in document


def read(document: Mapping[str, Any], choice: str | None, place: str, load: Loader) -> Imported:  # noqa: ARG001 - one form
    """Return one of the objects of a contract's `schema`, with its key and the contract's owner."""
    objects = {str(each.get("name")): each for each in document.get("schema") or () if isinstance(each, dict)}
    whole = objects[chosen(objects, choice, "schema object")]
    notes: list[str] = []
    found = _object(whole, "#", notes)
    keys = [each for each in whole.get("properties") or () if each.get("primaryKey")]
    keys.sort(key=lambda each: each.get("primaryKeyPosition", -1))
    team = document.get("team")
    owner = team.get("name") if isinstance(team, dict) else None
    if whole.get("quality"):
        notes.append("quality rules of the contract are not taken over: write them as data_quality")
    schema = {"$schema": DRAFTS["draft/2020-12"], **found}
    own = {each.get("property"): each.get("value") for each in whole.get("customProperties") or ()}
    time = own.get(_EVENT_TIME)
    time = time if isinstance(time, str) and time in found.get("properties", {}) else None
    return Imported(schema, tuple(str(each["name"]) for each in keys), owner, tuple(notes), time)


def _object(part: Mapping[str, Any], at: str, notes: list[str]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required = []
    for each in part.get("properties") or ():
        name = str(each["name"])
        if each.get("quality"):
            notes.append(f"{at}/{name}: quality rules are not taken over: write them as data_quality")
        below = _property(each, f"{at}/{name}", notes)
        if each.get("required") or each.get("primaryKey"):
            required.append(name)
        else:
            below = nullable(below)
        properties[name] = below
    found: dict[str, Any] = {"type": "object"}
    if properties:
        found["properties"] = properties
    if part.get("description"):
        found["description"] = str(part["description"])
    return found | ({"required": required} if required else {})


def _property(part: Mapping[str, Any], at: str, notes: list[str]) -> dict[str, Any]:
    options = part.get("logicalTypeOptions") or {}
    logical = part.get("logicalType")
    physical = str(part.get("physicalType") or "")
    found: dict[str, Any]
    match logical:
        case "string":
            found = {"type": "string"} | {word: options[word] for word in _OF_STRINGS if word in options}
            if options.get("format") in _FORMATS:
                found["format"] = options["format"]
            if options.get("format") in {"byte", "binary"} or physical.upper() in {"BLOB", "BYTES"}:
                found = dict(fields.TYPES["BYTES"])
        case "integer" | "number":
            found = {"type": logical} | {word: options[word] for word in _LIMITS if word in options}
            decimal = _DECIMAL.search(physical)
            if logical == "number" and decimal and int(decimal[1]) <= 38:
                found |= {"format": "decimal", "precision": int(decimal[1]), "scale": int(decimal[2] or 0)}
        case "boolean":
            found = {"type": "boolean"}
        case "date":
            clock = "HH" in str(options.get("format", ""))
            found = {"type": "string", "format": "date-time" if clock else "date"}
        case "timestamp":
            naive = options.get("timezone") is False or physical.upper() in {"TIMESTAMP WITHOUT TIME ZONE", "DATETIME"}
            found = dict(fields.TYPES["DATETIME"]) if naive else {"type": "string", "format": "date-time"}
        case "time":
            found = dict(fields.TYPES["TIME"])
        case "object":
            found = _object(part, at, notes)
        case "array":
            found = {"type": "array"} | {word: options[word] for word in _OF_ARRAYS if word in options}
            if isinstance(part.get("items"), dict):
                found["items"] = _property(part["items"], f"{at}[]", notes)
        case _:
            notes.append(f"{at}: no logicalType: anything is allowed, and kept as JSON text")
            found = {}
    if part.get("description") and logical != "object":
        found["description"] = str(part["description"])
    if any(str(tag).lower() == "pii" for tag in part.get("tags") or ()) or part.get("classification") == "pii":
        found[WORD] = True
    return found


def write(
    schema: Mapping[str, Any], name: str, *, version: str, identifier: str, key: Sequence[str] = (),
    owner: str | None = None, event_time: str | None = None, description: str | None = None,
) -> Exported:  # fmt: skip
    """Return a contract as a data contract with one schema object."""
    found = Exported()
    flat = flattened(schema, schema) or dict(schema)
    whole: dict[str, Any] = {"name": name, "logicalType": "object", "physicalType": "table"}
    if flat.get("description"):
        whole["description"] = flat["description"]
    whole["properties"] = _Writer(schema, found, key).properties(flat, "#", top=True)
    document: dict[str, Any] = {
        "apiVersion": VERSION,
        "kind": "DataContract",
        "id": identifier,
        "name": name,
        "version": version,
        "status": "active",
    }
    if description:
        document["description"] = {"purpose": description}
    if owner:
        document["team"] = {"name": owner}
    if event_time:
        whole["customProperties"] = [{"property": _EVENT_TIME, "value": event_time}]
    found.document = {**document, "schema": [whole]}
    return found


class _Writer:
    def __init__(self, root: Mapping[str, Any], found: Exported, key: Sequence[str]) -> None:
        self._root = root
        self._found = found
        self._key = list(key)
        self._open: list[Any] = ["#", root.get("$ref")]

    def properties(self, schema: Mapping[str, Any], at: str, *, top: bool = False) -> list[dict[str, Any]]:
        from headrace.contracts.unfolding import arrow_of

        made = []
        for name, part in schema.get("properties", {}).items():
            here = f"{at}/properties/{name}"
            own = part if isinstance(part, dict) else {}
            said: dict[str, Any] = {"name": name, **self._said(own, here)}
            required, null = name in schema.get("required", ()), arrow_of(own, self._root).nullable
            if required and not null:
                said["required"] = True
            elif required or not null:
                self._found.drop(
                    here, "that it may be " + ("null and not absent" if required else "absent and not null")
                )
            if top and name in self._key:
                said |= {"primaryKey": True, "primaryKeyPosition": self._key.index(name) + 1}
            made.append(said)
        return made

    def _said(self, part: Mapping[str, Any], at: str) -> dict[str, Any]:
        import pyarrow as pa

        from headrace.contracts.types import duckdb_type
        from headrace.contracts.unfolding import arrow_of

        typed = arrow_of(part, self._root)
        part = unwrapped(part)
        reference = part.get("$ref")
        if reference is not None and reference in self._open:
            self._found.drop(at, "its shape, which holds itself: anything")
            return {"physicalType": "JSON"}
        flat = flattened(part, self._root) or {}
        self._found.drop_words(flat, at, _SAID)
        said: dict[str, Any] = {"description": flat["description"]} if flat.get("description") else {}
        if flat.get(WORD):
            said["tags"] = ["pii"]
            if flat[WORD] is not True:
                self._found.drop(at, f"{WORD}: {flat[WORD]}, as the tag pii")
        if "enum" in flat:
            self._found.drop(at, "enum")
        options: dict[str, Any] = {}
        if typed.json:
            self._found.drop(at, "its shape: anything")
            return said | {"physicalType": "JSON"}
        kind = typed.type
        if pa.types.is_struct(kind):
            self._open.append(reference)
            inner = self.properties(flat, at)
            self._open.pop()
            return said | {"logicalType": "object", "properties": inner}
        said["physicalType"] = duckdb_type(kind)
        if pa.types.is_list(kind):
            options = {word: flat[word] for word in _OF_ARRAYS if word in flat}
            items = flat.get("items", {})
            if arrow_of(items, self._root).nullable:
                self._found.drop(f"{at}/items", "null")
            said |= {"logicalType": "array", "physicalType": "ARRAY", "items": self._said(items, f"{at}/items")}
        elif pa.types.is_int64(kind) or (pa.types.is_decimal(kind) and flat.get("type") == "integer"):
            options = {word: flat[word] for word in _LIMITS if word in flat}
            said["logicalType"] = "integer"
        elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            options = {word: flat[word] for word in _LIMITS if word in flat}
            said["logicalType"] = "number"
        elif pa.types.is_timestamp(kind):
            said["logicalType"] = "timestamp"
            options = {} if kind.tz else {"timezone": False}
        elif pa.types.is_date(kind):
            said["logicalType"] = "date"
        elif pa.types.is_time(kind):
            said["logicalType"] = "time"
        elif pa.types.is_boolean(kind):
            said["logicalType"] = "boolean"
        else:
            said["logicalType"] = "string"
            if not pa.types.is_binary(kind):
                options = {word: flat[word] for word in _OF_STRINGS if word in flat}
                if flat.get("format") in _FORMATS:
                    options["format"] = flat["format"]
                elif "format" in flat:
                    self._found.drop(at, f"format: {flat['format']}")
        return said | ({"logicalTypeOptions": options} if options else {})
