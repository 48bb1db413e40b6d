"""What a Protobuf text declares: messages, fields with their numbers, enums."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

SCALARS = frozenset({
    "double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32",
    "sfixed64", "bool", "string", "bytes",
})  # fmt: skip
WELL_KNOWN = frozenset(
    f"google.protobuf.{name}"
    for name in (
        *("Any", "Duration", "Empty", "FieldMask", "ListValue", "NullValue", "Struct", "Timestamp", "Value"),
        *("BoolValue", "BytesValue", "DoubleValue", "FloatValue", "Int32Value", "Int64Value", "StringValue"),
        *("UInt32Value", "UInt64Value"),
    )
)
MAX_NUMBER = 2**29 - 1

Label = Literal["", "optional", "required", "repeated"]
Numbers = tuple[tuple[int, int], ...]
"""Ranges of field or enum numbers, both ends included."""


@dataclass(frozen=True)
class Field:
    """A field of a message. `type` is a scalar, or the full name of a message or enum; `key` the key type of a map.

    `presence`: whether a reader can tell an absent field from one with the default value. `delimited`: a message that
    is between two marks on the wire, as a group is, and not behind its length.
    """

    name: str
    number: int
    type: str
    label: Label = ""
    key: str = ""
    oneof: str = ""
    json_name: str = ""
    presence: bool = False
    delimited: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    line: int = 0


@dataclass(frozen=True)
class Enum:
    """An enum: its values by name, as they are written; of an alias both names are there."""

    name: str
    values: Mapping[str, int]
    reserved: Numbers = ()
    reserved_names: frozenset[str] = frozenset()
    description: str = ""
    closed: bool = False
    line: int = 0


@dataclass(frozen=True)
class Message:
    """A message, by its full name; nested messages and enums are in the schema, under theirs."""

    name: str
    fields: tuple[Field, ...]
    oneofs: tuple[str, ...] = ()
    reserved: Numbers = ()
    reserved_names: frozenset[str] = frozenset()
    extensions: Numbers = ()
    description: str = ""
    line: int = 0

    @property
    def by_number(self) -> dict[int, Field]:
        """The fields by their numbers: what is on the wire."""
        return {each.number: each for each in self.fields}


@dataclass(frozen=True)
class Schema:
    """A parsed .proto text: every message and enum by its full name, in the order of the text."""

    syntax: str
    package: str
    messages: Mapping[str, Message]
    enums: Mapping[str, Enum]
    imports: tuple[str, ...] = ()

    @property
    def roots(self) -> tuple[str, ...]:
        """The messages that are not within another one."""
        return tuple(name for name in self.messages if name.rpartition(".")[0] not in self.messages)


def json_name_of(name: str) -> str:
    """Return what a field is called in JSON unless it says otherwise: lowerCamelCase, as protoc makes it."""
    return re.sub(r"_+([^_]?)", lambda found: found[1].upper(), name)
