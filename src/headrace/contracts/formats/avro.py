"""Avro record schemas, in and out. The events are what readers of Avro files make of records: plain JSON, untagged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from headrace.contracts import fields
from headrace.contracts.flat import TYPE_WORD, flattened
from headrace.contracts.formats.form import Exported, Imported, chosen, free_name, nullable, unwrapped
from headrace.contracts.load import DRAFTS
from headrace.contracts.pii import WORD
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.contracts.formats.bundle import Loader

_INT = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
_PLAIN: dict[str, dict[str, Any]] = {
    "null": {"type": "null"},
    "boolean": {"type": "boolean"},
    "int": _INT,
    "long": {"type": "integer"},
    "float": {"type": "number"},
    "double": {"type": "number"},
    "bytes": fields.TYPES["BYTES"],
    "string": {"type": "string"},
}
_LOGICAL: dict[str, dict[str, Any]] = {
    "uuid": {"type": "string", "format": "uuid"},
    "date": {"type": "string", "format": "date"},
    "time-millis": fields.TYPES["TIME"],
    "time-micros": fields.TYPES["TIME"],
    **{f"timestamp-{unit}": fields.TYPES["TIMESTAMP"] for unit in ("millis", "micros", "nanos")},
    **{f"local-timestamp-{unit}": fields.TYPES["DATETIME"] for unit in ("millis", "micros", "nanos")},
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEPTH = 64
_SAID = {"enum", "format", TYPE_WORD, "precision", "scale", "minimum", "maximum", "pattern", WORD}


def is_one(document: Any) -> bool:
    """Say whether a document is an Avro schema of records."""
    return isinstance(document, dict) and document.get("type") == "record" and isinstance(document.get("fields"), list)


def read(document: Any, choice: str | None, place: str, load: Loader) -> Imported:  # noqa: ARG001 - one form
    """Return a record schema as JSON Schema; a type that holds itself becomes a reference."""
    if isinstance(document, list):
        records = {each["name"]: each for each in document if is_one(each)}
        name = chosen(records, choice, "record")
        reader = _Reader(place)
        for each in document:
            if isinstance(each, dict) and "name" in each and each.get("name") != name:
                reader.known[reader.full(each, "")] = each
        document = records[name]
    elif not is_one(document):
        raise ContractError("the Avro schema is no record, and an event is one", at=place, fix="give a record schema")
    else:
        reader = _Reader(place)
    found = reader.schema(document, "", 0)
    if "$ref" in found:
        found = {"$ref": found["$ref"]}
    defs = {name: part for name, part in reader.defs.items() if name in reader.wanted}
    return Imported({"$schema": DRAFTS["draft/2020-12"], **found, **({"$defs": defs} if defs else {})})


class _Reader:
    """Reads one schema; named types are known from where they are declared."""

    def __init__(self, place: str) -> None:
        self._place = place
        self.known: dict[str, Any] = {}
        self.defs: dict[str, Any] = {}
        self.wanted: set[str] = set()
        self._open: list[str] = []

    def full(self, document: Mapping[str, Any], space: str) -> str:
        name = str(document.get("name", ""))
        inner = str(document.get("namespace", space))
        return name if "." in name or not inner else f"{inner}.{name}"

    def schema(self, kind: Any, space: str, depth: int) -> dict[str, Any]:
        if depth > _DEPTH:
            raise ContractError(f"the schema is nested more than {_DEPTH} deep", at=self._place, fix="flatten it")
        if isinstance(kind, str):
            return self._named(kind, space, depth)
        if isinstance(kind, list):
            return self._union(kind, space, depth)
        if not isinstance(kind, dict) or "type" not in kind:
            raise ContractError(f"{str(kind)[:80]!r} is no Avro type", at=self._place, fix="correct it")
        what = kind["type"]
        if kind.get("logicalType") == "decimal" and what in {"bytes", "fixed"}:
            self._declare(kind, space)
            scale = kind.get("scale", 0)
            return {
                "type": "number",
                "format": "decimal",
                "precision": min(38, kind.get("precision", 38)),
                "scale": scale,
            }
        if isinstance(kind.get("logicalType"), str) and kind["logicalType"] in _LOGICAL:
            self._declare(kind, space)
            return dict(_LOGICAL[kind["logicalType"]])
        match what:
            case "record" | "error":
                record, full = self._record(kind, space, depth), self.full(kind, space)
                # One that holds itself is read by its name at once, as it is within itself.
                return {"$ref": f"#/$defs/{full}"} if self._open and full in self.wanted else record
            case "enum":
                self._declare(kind, space)
                return {"type": "string", "enum": list(kind.get("symbols", ()))} | _said(kind)
            case "fixed":
                self._declare(kind, space)
                return dict(fields.TYPES["BYTES"]) | _said(kind)
            case "array":
                return {"type": "array", "items": self.schema(kind.get("items"), space, depth + 1)}
            case "map":
                return {"type": "object", "additionalProperties": self.schema(kind.get("values"), space, depth + 1)}
            case _:
                return self.schema(what, space, depth + 1)

    def _declare(self, kind: Mapping[str, Any], space: str) -> None:
        if "name" in kind:
            self.known[self.full(kind, space)] = kind

    def _named(self, name: str, space: str, depth: int) -> dict[str, Any]:
        if name in _PLAIN:
            return dict(_PLAIN[name])
        candidates = [name] if "." in name else [f"{space}.{name}" if space else name, name]
        full = next((each for each in candidates if each in self.known), None)
        if full is None:
            raise ContractError(
                f"the Avro type {name!r} is declared nowhere", at=self._place, fix="declare it, or correct it"
            )
        kind = self.known[full]
        if kind.get("type") not in {"record", "error"}:
            return self.schema(kind, full.rpartition(".")[0], depth + 1)
        if full not in self.defs and full not in self._open:
            self._record(kind, full.rpartition(".")[0], depth)
        self.wanted.add(full)
        return {"$ref": "#" if self._open and full == self._open[0] else f"#/$defs/{full}"}

    def _record(self, kind: Mapping[str, Any], space: str, depth: int) -> dict[str, Any]:
        full = self.full(kind, space)
        self.known[full] = kind
        self._open.append(full)
        properties: dict[str, Any] = {}
        required = []
        for each in kind.get("fields", ()):
            if not isinstance(each, dict) or "name" not in each or "type" not in each:
                raise ContractError(f"a field of {full} has no name or no type", at=self._place, fix="correct it")
            name = str(each.get("x-name", each["name"]))
            part = self.schema(each["type"], full.rpartition(".")[0], depth + 1)
            properties[name] = part | _said(each)
            if "default" not in each:
                required.append(name)
        self._open.pop()
        found: dict[str, Any] = {"type": "object", "properties": properties} | _said(kind)
        if required:
            found["required"] = required
        self.defs[full] = found
        return found

    def _union(self, kinds: list[Any], space: str, depth: int) -> dict[str, Any]:
        others = [each for each in kinds if each != "null"]
        found = [self.schema(each, space, depth + 1) for each in others]
        if not found:
            return {"type": "null"}
        if len(found) == 1:
            return nullable(found[0]) if "null" in kinds else found[0]
        return {"anyOf": [*found, *([{"type": "null"}] if "null" in kinds else [])]}


def _said(kind: Mapping[str, Any]) -> dict[str, Any]:
    found = {"description": kind["doc"]} if isinstance(kind.get("doc"), str) and kind["doc"] else {}
    return found | ({WORD: kind[WORD]} if WORD in kind else {})


def write(schema: Mapping[str, Any], name: str, namespace: str = "") -> Exported:
    """Return a contract as a record schema. What may be absent or null is a union with null."""
    found = Exported()
    writer = _Writer(schema, found)
    record = writer.record(flattened(schema, schema) or dict(schema), _legal(name), "#", ("#", schema.get("$ref")))
    found.document = {"type": "record", "name": record["name"], **({"namespace": namespace} if namespace else {}),
                      **{word: each for word, each in record.items() if word not in {"type", "name"}}}  # fmt: skip
    return found


def _legal(name: str) -> str:
    legal = re.sub(r"[^A-Za-z0-9_]", "_", name) or "_"
    return legal if _NAME.fullmatch(legal) else f"_{legal}"


class _Writer:
    def __init__(self, root: Mapping[str, Any], found: Exported) -> None:
        self._root = root
        self._found = found
        self._names: set[str] = set()
        self._open: dict[Any, str] = {}

    def record(
        self, schema: Mapping[str, Any], name: str, at: str, known_as: Sequence[str | None] = ()
    ) -> dict[str, Any]:
        from headrace.contracts.unfolding import arrow_of

        unique = self._unique(name)
        own = {each: unique for each in known_as if each and each not in self._open}
        self._open |= own
        taken: set[str] = set()
        parts = []
        for each, part in schema.get("properties", {}).items():
            here = f"{at}/properties/{each}"
            part = part if isinstance(part, dict) else {}  # noqa: PLW2901
            legal = _legal(each)
            while legal in taken:
                legal += "_"
            taken.add(legal)
            kind = self._type(part, f"{unique}_{legal}", here)
            optional = each not in schema.get("required", ())
            may_be_null = arrow_of(part, self._root).nullable
            if optional and not may_be_null:
                self._found.drop(here, "that it may be absent and never null: Avro has null for both")
            line: dict[str, Any] = {"name": legal}
            if legal != each:
                line["x-name"] = each
            if part.get("description"):
                line["doc"] = part["description"]
            line["type"] = ["null", kind] if optional or may_be_null else kind
            if optional:
                line["default"] = None
            if part.get(WORD):
                line[WORD] = part[WORD]
            parts.append(line)
        if isinstance(schema.get("additionalProperties"), dict) and parts:
            self._found.drop(at, "additionalProperties")
        for each in own:
            del self._open[each]
        doc = {"doc": schema["description"]} if schema.get("description") else {}
        return {"type": "record", "name": unique, **doc, "fields": parts}

    def _unique(self, name: str) -> str:
        """Return the name that a record or enum called so gets: of one schema, each has its own."""
        unique = free_name(name, self._names.__contains__)
        self._names.add(unique)
        return unique

    def _type(self, part: Mapping[str, Any], name: str, at: str) -> Any:
        import pyarrow as pa

        from headrace.contracts.unfolding import arrow_of

        typed = arrow_of(part, self._root)
        part = unwrapped(part)
        if part.get("$ref") in self._open:
            return self._open[part["$ref"]]
        flat = flattened(part, self._root) or {}
        self._found.drop_words(flat, at, _SAID)
        if typed.json:
            inner = flat.get("additionalProperties")
            if "object" in str(flat.get("type")) and isinstance(inner, dict) and not flat.get("properties"):
                value = self._type(inner, f"{name}_value", f"{at}/additionalProperties")
                null = arrow_of(inner, self._root).nullable
                return {"type": "map", "values": ["null", value] if null and value != "null" else value}
            self._found.drop(at, "its shape: a string that holds JSON")
            return "string"
        kind = typed.type
        if pa.types.is_struct(kind):
            return self.record(flat, name, at, (part.get("$ref"),))
        if pa.types.is_list(kind):
            items = flat.get("items", {})
            inner = self._type(items, f"{name}_item", f"{at}/items")
            return {"type": "array", "items": ["null", inner] if arrow_of(items, self._root).nullable else inner}
        return self._scalar(kind, flat, name, at)

    def _scalar(self, kind: Any, flat: Mapping[str, Any], name: str, at: str) -> Any:
        import pyarrow as pa

        if pa.types.is_decimal(kind):
            return {"type": "bytes", "logicalType": "decimal", "precision": kind.precision, "scale": kind.scale}
        if pa.types.is_timestamp(kind):
            return {"type": "long", "logicalType": "timestamp-micros" if kind.tz else "local-timestamp-micros"}
        if pa.types.is_date(kind):
            return {"type": "int", "logicalType": "date"}
        if pa.types.is_time(kind):
            return {"type": "long", "logicalType": "time-micros"}
        if pa.types.is_int64(kind):
            if (flat.get("minimum"), flat.get("maximum")) == (_INT["minimum"], _INT["maximum"]):
                return "int"
            self._bounds(flat, at)
            return "long"
        if pa.types.is_float64(kind):
            self._bounds(flat, at)
            return "double"
        if pa.types.is_boolean(kind):
            return "boolean"
        if pa.types.is_binary(kind):
            return "bytes"
        if flat.get("format") == "uuid":
            return {"type": "string", "logicalType": "uuid"}
        values = [value for value in flat.get("enum", ()) if value is not None]
        if values and all(isinstance(value, str) and _NAME.fullmatch(value) for value in values):
            return {"type": "enum", "name": self._unique(name), "symbols": values}
        for word in ("enum", "pattern", "format"):
            if word in flat:
                self._found.drop(at, word)
        return "string"

    def _bounds(self, flat: Mapping[str, Any], at: str) -> None:
        for word in ("minimum", "maximum", "enum"):
            if word in flat:
                self._found.drop(at, word)
