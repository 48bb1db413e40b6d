"""Protobuf messages as JSON Schema, and back. Events are ProtoJSON: what protobuf libraries write as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts import fields
from headrace.contracts.flat import flattened, words_of
from headrace.contracts.formats.form import Exported, Imported, chosen, unwrapped
from headrace.contracts.formats.protobuf import Schema, json_name_of, parse
from headrace.contracts.formats.protobuf_names import Scope, are_values, camel
from headrace.contracts.load import DRAFTS
from headrace.contracts.pii import WORD
from headrace.contracts.unfolding import arrow_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.contracts.formats.protobuf import Field

NUMBER = "x-protobuf-number"
"""The number that a field has on the wire: kept, so that the schema written from it is the same to readers."""

_INT32 = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
_UINT32 = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
_UINT64 = {"type": "integer", "minimum": 0, "maximum": 2**64 - 1}
_SCALARS: dict[str, dict[str, Any]] = {
    **{name: {"type": "number"} for name in ("double", "float")},
    **dict.fromkeys(("int32", "sint32", "sfixed32"), _INT32),
    **dict.fromkeys(("uint32", "fixed32"), _UINT32),
    **{name: {"type": "integer"} for name in ("int64", "sint64", "sfixed64")},
    **dict.fromkeys(("uint64", "fixed64"), _UINT64),
    "bool": {"type": "boolean"},
    "string": {"type": "string"},
    "bytes": fields.TYPES["BYTES"],
}
_KNOWN: dict[str, dict[str, Any]] = {
    "Timestamp": {"type": "string", "format": "date-time"},
    "Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "FieldMask": {"type": "string"},
    "Struct": {"type": "object"},
    "Any": {"type": "object"},
    "Empty": {"type": "object"},
    "ListValue": {"type": "array"},
    "Value": {},
    "NullValue": {"type": "null"},
    **{f"{name}Value": {"type": [part["type"], "null"]} | {w: v for w, v in part.items() if w != "type"}
       for name, part in (("Double", _SCALARS["double"]), ("Float", _SCALARS["float"]), ("Int64", _SCALARS["int64"]),
                          ("UInt64", _UINT64), ("Int32", _INT32), ("UInt32", _UINT32), ("Bool", _SCALARS["bool"]),
                          ("String", _SCALARS["string"]), ("Bytes", _SCALARS["bytes"]))},
}  # fmt: skip
_LONG = {"int64", "uint64", "sint64", "fixed64", "sfixed64"}
_SAID = {"enum", "format", "x-type", NUMBER, "minimum", "maximum", WORD}


def read(text: str, choice: str | None, place: str, imports: Mapping[str, str] | None = None) -> Imported:
    """Return a message of a .proto text as JSON Schema; one that holds itself becomes a reference."""
    schema = parse(text, at=place, imports=imports)
    likely = [name for name in schema.roots if not _used(schema, name)]
    name = chosen(dict.fromkeys(schema.messages), choice, "message", likely=likely[0] if len(likely) == 1 else None)
    reader = _Reader(schema)
    found = reader.message(name)
    defs = {each: part for each, part in sorted(reader.defs.items()) if part is not None and each != name}
    notes = []
    if reader.long:
        notes.append(
            "64-bit integers: the contract wants numbers, and protobuf libraries write them as strings in JSON"
        )
    whole = {"$schema": DRAFTS["draft/2020-12"], **found, **({"$defs": defs} if defs else {})}
    return Imported(whole, notes=tuple(notes))


def _used(schema: Schema, name: str) -> bool:
    """Say whether another message has a field of this one; it may hold itself."""
    others = (each for each in schema.messages.values() if not f"{each.name}.".startswith(f"{name}."))
    return any(each.type == name for message in others for each in message.fields)


class _Reader:
    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._root = ""
        self.defs: dict[str, dict[str, Any] | None] = {}
        self.long = False

    def message(self, name: str) -> dict[str, Any]:
        message = self._schema.messages[name]
        self._root = self._root or name
        self.defs[name] = None
        properties: dict[str, Any] = {}
        for field in message.fields:
            said: dict[str, Any] = {NUMBER: field.number}
            if field.description:
                said["description"] = field.description
            properties[field.json_name] = self._field(field) | said
        required = [each.json_name for each in message.fields if each.label == "required"]
        found: dict[str, Any] = {"type": "object", "properties": properties}
        if message.description:
            found["description"] = message.description
        if required:
            found["required"] = required
        if message.oneofs:
            real = [
                (name, [each.json_name for each in message.fields if each.oneof == name]) for name in message.oneofs
            ]
            none = [{"not": {"required": list(pair)}} for _, names in real for pair in _pairs(names)]
            if none:
                found["allOf"] = none
        self.defs[name] = found
        return found

    def _field(self, field: Field) -> dict[str, Any]:
        part = self._type(field.type)
        if field.key:
            return {"type": "object", "additionalProperties": part}
        return {"type": "array", "items": part} if field.label == "repeated" else part

    def _type(self, name: str) -> dict[str, Any]:
        if name in _SCALARS:
            self.long |= name in _LONG
            return dict(_SCALARS[name])
        known = name.removeprefix("google.protobuf.")
        if known != name and known in _KNOWN and name not in self._schema.messages:
            return dict(_KNOWN[known])
        if name in self._schema.enums:
            return {"type": "string", "enum": list(self._schema.enums[name].values)}
        if name == self._root:
            return {"$ref": "#"}
        if name not in self.defs:
            self.message(name)
        return {"$ref": f"#/$defs/{name}"}


def _pairs(names: list[str]) -> list[tuple[str, str]]:
    return [(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]


def write(schema: Mapping[str, Any], name: str, package: str = "") -> Exported:
    """Return a contract as a proto3 text. Fields keep the numbers that they have; others get free ones."""
    found = Exported()
    writer = _Writer(schema, found)
    body = writer.message(flattened(schema, schema) or dict(schema), camel(name), "#", 0, ("#", schema.get("$ref")))
    lines = ['syntax = "proto3";', ""]
    if package:
        lines += [f"package {package};", ""]
    if writer.imports:
        lines += [*(f'import "google/protobuf/{each}.proto";' for each in sorted(writer.imports)), ""]
    found.document = "\n".join([*lines, *body]) + "\n"
    return found


class _Writer:
    def __init__(self, root: Mapping[str, Any], found: Exported) -> None:
        self._root = root
        self._found = found
        self._open: dict[Any, str] = {}
        self.imports: set[str] = set()

    def message(
        self, schema: Mapping[str, Any], name: str, at: str, depth: int, known_as: Sequence[str | None] = ()
    ) -> list[str]:
        known = {each: name for each in known_as if each and each not in self._open}
        self._open |= known
        pad = "  " * (depth + 1)
        inner: list[str] = []
        lines: list[str] = []
        properties = schema.get("properties", {})
        numbers = {each: part[NUMBER] for each, part in properties.items() if isinstance(part, dict) and NUMBER in part}
        free = iter(
            number for number in range(1, 2**29) if number not in numbers.values() and not 19000 <= number < 20000
        )
        scope = Scope(properties)
        for each, part in properties.items():
            here = f"{at}/properties/{each}"
            own = part if isinstance(part, dict) else {}
            said = scope.fields[each]
            type_, nested, label = self._type(own, camel(each), here, depth, scope)
            inner += nested
            required = each in schema.get("required", ())
            if required:
                self._found.drop(here, "required")
            if arrow_of(own, self._root).nullable:
                self._found.drop(here, "null: an absent field")
            if own.get(WORD):
                self._found.drop(here, WORD)
            option = "" if json_name_of(said) == each else f' [json_name = "{_escaped(each)}"]'
            lines += [f"{pad}// {line}" for line in str(own.get("description", "")).splitlines()]
            lines.append(f"{pad}{label}{type_} {said} = {numbers.get(each) or next(free)}{option};")
        for each in known:
            del self._open[each]
        doc = [f"{'  ' * depth}// {line}" for line in str(schema.get("description", "")).splitlines()]
        start, end = f"{'  ' * depth}message {name} {{", f"{'  ' * depth}}}"
        return [*doc, start, *lines, *inner, end]

    def _type(
        self, part: Mapping[str, Any], name: str, at: str, depth: int, scope: Scope
    ) -> tuple[str, list[str], str]:
        import pyarrow as pa

        typed = arrow_of(part, self._root)
        part = unwrapped(part)
        if part.get("$ref") in self._open:
            return self._open[part["$ref"]], [], ""
        flat = flattened(part, self._root) or {}
        self._found.drop_words(flat, at, _SAID)
        if typed.json:
            inner = flat.get("additionalProperties")
            kinds = set(words_of(flat["type"])) - {"null"} if "type" in flat else set()
            if kinds == {"object"} and isinstance(inner, dict):
                type_, nested, label = self._type(inner, name, f"{at}/additionalProperties", depth, scope)
                if label != "repeated " and not type_.startswith("map<"):
                    self._tell_null(inner, f"{at}/additionalProperties", "map")
                    return f"map<string, {type_}>", nested, ""
                self._found.drop(at, "what a map holds that is itself a map or a list: google.protobuf.Value")
            self.imports.add("struct")
            if isinstance(inner, dict) and kinds == {"object"}:
                return "map<string, google.protobuf.Value>", [], ""
            whole = "Struct" if kinds == {"object"} else "ListValue" if kinds == {"array"} else "Value"
            return f"google.protobuf.{whole}", [], ""
        if pa.types.is_struct(typed.type):
            own = scope.declared(name)
            return own, self.message(flat, own, at, depth + 1, (part.get("$ref"),)), ""
        if pa.types.is_list(typed.type):
            self._tell_null(flat.get("items", {}), f"{at}/items", "list")
            type_, nested, label = self._type(flat.get("items", {}), name, f"{at}/items", depth, scope)
            if label == "repeated " or type_.startswith("map<"):
                self._found.drop(at, "lists within lists: google.protobuf.ListValue")
                self.imports.add("struct")
                return "google.protobuf.ListValue", [], "repeated "
            return type_, nested, "repeated "
        if typed.type == pa.string() and (values := _values(flat)):
            return *_enum(values, name, depth, scope), "optional "
        return self._scalar(typed.type, flat, at)

    def _tell_null(self, part: Mapping[str, Any], at: str, what: str) -> None:
        typed = arrow_of(part, self._root)
        if typed.nullable and not typed.json:
            self._found.drop(at, f"null: a {what} holds none")

    def _scalar(self, kind: Any, flat: Mapping[str, Any], at: str) -> tuple[str, list[str], str]:
        import pyarrow as pa

        optional = "optional "
        if pa.types.is_timestamp(kind) and kind.tz:
            self.imports.add("timestamp")
            return "google.protobuf.Timestamp", [], ""
        if pa.types.is_int64(kind) or (pa.types.is_decimal(kind) and not kind.scale and flat.get("type") == "integer"):
            for type_, bounds in (("int32", _INT32), ("uint32", _UINT32), ("uint64", _UINT64)):
                if (flat.get("minimum"), flat.get("maximum")) == (bounds["minimum"], bounds["maximum"]):
                    return type_, [], optional
            for word in {"minimum", "maximum", "enum"} & flat.keys():
                self._found.drop(at, word)
            if pa.types.is_decimal(kind):
                self._found.drop(at, "integers beyond 64 bits")
            return "int64", [], optional
        if pa.types.is_decimal(kind):
            self._found.drop(at, f"decimal({kind.precision},{kind.scale}): a string")
            return "string", [], optional
        if pa.types.is_float64(kind):
            for word in {"minimum", "maximum", "enum"} & flat.keys():
                self._found.drop(at, word)
            return "double", [], optional
        if pa.types.is_boolean(kind):
            return "bool", [], optional
        if pa.types.is_binary(kind):
            return "bytes", [], optional
        for word in ("enum", "format", "x-type"):
            if word in flat:
                self._found.drop(at, f"{word}: a string")
        return "string", [], optional


def _values(flat: Mapping[str, Any]) -> list[str]:
    """Return what can be the values of an enum; none where it can be none."""
    values = [value for value in flat.get("enum", ()) if value is not None]
    return values if are_values(values) else []


def _enum(values: list[str], name: str, depth: int, scope: Scope) -> tuple[str, list[str]]:
    """Return the type of an enum, and its lines: within a message of its own where others have the names of values."""
    alone = not scope.takes(values)
    outer = scope.declared(f"{name}Enum")
    inner = outer if not alone else "Value" if "Value" not in values else "Value_"
    pad = "  " * (depth + 1 + alone)
    # The first value of an enum is 0, and what a reader sees where a field is absent.
    lines = [
        f"{pad}enum {inner} {{",
        *(f"{pad}  {value} = {number};" for number, value in enumerate(values)),
        f"{pad}}}",
    ]
    if not alone:
        return outer, lines
    return f"{outer}.{inner}", [f"{pad[2:]}message {outer} {{", *lines, f"{pad[2:]}}}"]


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
