"""Protobuf schemas as text: the one parser that everything here shares.

It reads proto2, proto3 and editions. Names of types are resolved as protoc does: from the innermost scope outwards, the
well-known types of Google included. Services, options and extensions are read over.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.contracts.formats.protobuf_model import (
    MAX_NUMBER,
    SCALARS,
    WELL_KNOWN,
    Enum,
    Field,
    Message,
    Schema,
    json_name_of,
)
from headrace.contracts.formats.protobuf_reader import Reader
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_NUMBER", "SCALARS", "WELL_KNOWN", "Enum", "Field", "Message", "Schema", "json_name_of", "parse"]


def parse(text: str, *, at: str = "", imports: Mapping[str, str] | None = None) -> Schema:
    """Return what a .proto text declares; `imports` has the texts of what it imports, by the paths it names them by.

    Raises:
        ContractError: with the line, for a text that is no Protobuf, or that names a type that it does not declare.
    """
    texts = dict(imports or {})
    reader = Reader(text, at)
    reader.file()
    taken = {at}
    waiting = [(path, reader) for path in reader.imports]
    messages, enums = dict(reader.messages), dict(reader.enums)
    while waiting:
        path, _ = waiting.pop(0)
        if path in taken or path not in texts:
            continue
        taken.add(path)
        other = Reader(texts[path], path)
        other.file()
        messages |= other.messages
        enums |= other.enums
        waiting += [(each, other) for each in other.imports]
    missing = [path for path in reader.imports if path not in texts and not path.startswith("google/protobuf/")]
    resolved = {name: _resolved(message, messages, enums, missing, at) for name, message in messages.items()}
    return Schema(reader.syntax, reader.package, resolved, enums, tuple(reader.imports))


def _resolved(
    message: Message, messages: Mapping[str, Message], enums: Mapping[str, Enum], missing: list[str], at: str
) -> Message:
    fields = []
    for each in message.fields:
        if each.type in SCALARS:
            fields.append(each)
            continue
        found = _find(each.type, message.name, messages.keys() | enums.keys() | WELL_KNOWN)
        if found is None:
            fix = f"add the text of the import {missing[0]!r} to this file" if missing else "declare it, or correct it"
            where = f"{at}:{each.line}" if at else f"line {each.line}"
            raise ContractError(f"the type {each.type!r} of {message.name}.{each.name} is unknown", at=where, fix=fix)
        message_typed = found not in enums and found != "google.protobuf.NullValue"
        presence = each.presence or (message_typed and each.label != "repeated" and not each.key)
        fields.append(replace(each, type=found, presence=presence))
    return replace(message, fields=tuple(fields))


def _find(name: str, scope: str, known: frozenset[str] | set[str]) -> str | None:
    if name.startswith("."):
        return name[1:] if name[1:] in known else None
    while True:
        candidate = f"{scope}.{name}" if scope else name
        if candidate in known:
            return candidate
        if not scope:
            return None
        scope = scope.rpartition(".")[0]
