"""A compiled Protobuf schema (a FileDescriptorProto, as Python's clients send it) as the text that it came of.

The text has all that messages and enums say on the wire. Custom options are not in it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any

from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SCALARS = {
    1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 6: "fixed64", 7: "fixed32", 8: "bool", 9: "string",
    12: "bytes", 13: "uint32", 15: "sfixed32", 16: "sfixed64", 17: "sint32", 18: "sint64",
}  # fmt: skip
_GROUP = 10
_LABELS = {1: "optional ", 2: "required ", 3: "repeated "}
_QUOTED = {9, 12}
_NAME = re.compile(r"\.?[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_MOST_FIELD, _MOST_ENUM = 2**29 - 1, 2**31 - 1


def is_descriptor(text: str) -> bool:
    """Say whether a text is the base64 of something, and so no .proto text: that has a `;`, or a brace, and blanks."""
    try:
        return bool(base64.b64decode(text.strip(), validate=True))
    except (binascii.Error, ValueError):
        return False


def text_of(encoded: str) -> str:
    """Return the .proto text of the base64 of a FileDescriptorProto. Raises `ContractError` where it is none."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto  # dbt brings it
    from google.protobuf.message import DecodeError

    file = FileDescriptorProto()
    try:
        file.ParseFromString(base64.b64decode(encoded.strip(), validate=True))
    except (DecodeError, binascii.Error, ValueError) as error:
        raise ContractError("it is neither .proto text nor the base64 of a FileDescriptorProto") from error
    if not (file.message_type or file.enum_type or file.service):
        raise ContractError("its descriptor declares nothing")
    if file.syntax not in {"", "proto2", "proto3"}:
        raise ContractError(
            f"its descriptor is of syntax {file.syntax!r}, whose features are not read", fix="send it as .proto text"
        )
    try:
        return "\n".join(_file(file)) + "\n"
    except (LookupError, ValueError) as error:
        raise ContractError(f"its descriptor is not valid: {error}") from error


def _word(name: str) -> str:
    """Return a name as text has it. Raises `ValueError` where it is none: what it would read as is another schema."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name")
    return name


def _file(file: Any) -> Iterator[str]:
    yield f'syntax = "{file.syntax or "proto2"}";'
    if file.package:
        yield f"package {_word(file.package)};"
    for index, name in enumerate(file.dependency):
        kind = "public " if index in file.public_dependency else "weak " if index in file.weak_dependency else ""
        yield f"import {kind}{json.dumps(name)};"
    is_new = file.syntax == "proto3"
    for message in file.message_type:
        yield from _message(message, is_new)
    for enum in file.enum_type:
        yield from _enum(enum)
    yield from _extensions(file.extension, is_new)
    for service in file.service:
        yield f"service {service.name} {{"
        for method in service.method:
            sent, answered = ("stream " if each else "" for each in (method.client_streaming, method.server_streaming))
            yield f"  rpc {method.name} ({sent}{method.input_type}) returns ({answered}{method.output_type});"
        yield "}"


def _message(message: Any, is_new: bool) -> Iterator[str]:
    yield f"message {_word(message.name)} {{"
    maps = {each.name: each for each in message.nested_type if each.options.map_entry}
    for inner in message.nested_type:
        if inner.name not in maps:
            yield from _indented(_message(inner, is_new))
    for enum in message.enum_type:
        yield from _indented(_enum(enum))
    last = None
    for field in message.field:
        within = field.oneof_index if field.HasField("oneof_index") and not field.proto3_optional else None
        if within is not None and within < 0:
            raise ValueError(f"{field.name} is in no oneof")
        if within != last and last is not None:
            yield "  }"
        if within != last and within is not None:
            yield f"  oneof {_word(message.oneof_decl[within].name)} {{"
        last = within
        yield f"  {_field(field, maps, is_new=is_new, bare=within is not None)}"
    if last is not None:
        yield "  }"
    yield from _indented(_extensions(message.extension, is_new))
    for word, ranges in (("reserved", message.reserved_range), ("extensions", message.extension_range)):
        for each in ranges:
            yield f"  {word} {_range(each.start, each.end - 1, _MOST_FIELD)};"
    yield from _reserved_names(message.reserved_name)
    yield "}"


def _field(field: Any, maps: dict[str, Any], *, is_new: bool, bare: bool) -> str:
    if field.type == _GROUP:
        raise ContractError(f"{field.name} is a group, which is not read", fix="make it a message")
    entry = maps.get(field.type_name.rpartition(".")[2]) if field.label == 3 else None
    if entry is not None:
        key, value = sorted(entry.field, key=lambda each: each.number)  # ValueError: no map has others
        kind, label = f"map<{_kind(key)}, {_kind(value)}>", ""
    else:
        kind = _kind(field)
        plain = bare or (is_new and field.label == 1 and not field.proto3_optional)
        label = "" if plain else _LABELS[field.label]
    options = []
    if field.HasField("default_value"):
        text = field.default_value
        options.append(f"default = {json.dumps(text) if field.type in _QUOTED else text}")
    if field.HasField("json_name") and field.json_name != _camel(field.name):
        options.append(f"json_name = {json.dumps(field.json_name)}")
    options += [
        f"{name} = {str(getattr(field.options, name)).lower()}"
        for name in ("packed", "deprecated")
        if field.options.HasField(name)
    ]
    said = f" [{', '.join(options)}]" if options else ""
    return f"{label}{kind} {_word(field.name)} = {field.number}{said};"


def _kind(field: Any) -> str:
    # Where a type has a name, `type` need not be there.
    return _word(field.type_name) if field.type_name else _SCALARS[field.type]


def _enum(enum: Any) -> Iterator[str]:
    yield f"enum {_word(enum.name)} {{"
    if enum.options.allow_alias:
        yield "  option allow_alias = true;"
    for value in enum.value:
        yield f"  {_word(value.name)} = {value.number};"
    for each in enum.reserved_range:
        yield f"  reserved {_range(each.start, each.end, _MOST_ENUM)};"
    yield from _reserved_names(enum.reserved_name)
    yield "}"


def _extensions(fields: Sequence[Any], is_new: bool) -> Iterator[str]:
    for field in fields:
        yield f"extend {_word(field.extendee)} {{"
        yield f"  {_field(field, {}, is_new=is_new, bare=False)}"
        yield "}"


def _range(first: int, last: int, most: int) -> str:
    if first == last:
        return str(first)
    return f"{first} to {'max' if last >= most else last}"


def _reserved_names(names: Sequence[str]) -> Iterator[str]:
    if names:
        yield f"  reserved {', '.join(json.dumps(name) for name in names)};"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)
