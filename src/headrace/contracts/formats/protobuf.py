"""Protobuf schemas as text: messages, fields with their numbers, enums. The one parser that everything here shares.

It reads proto2, proto3 and editions. Names of types are resolved as protoc does: from the innermost scope outwards, the
well-known types of Google included. Services, options and extensions are read over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
MAX_DEPTH = 64

Label = Literal["", "optional", "required", "repeated"]
Numbers = tuple[tuple[int, int], ...]
"""Ranges of field or enum numbers, both ends included."""


@dataclass(frozen=True)
class Field:
    """A field of a message. `type` is a scalar, or the full name of a message or enum; `key` the key type of a map.

    `presence`: whether a reader can tell an absent field from one with the default value.
    """

    name: str
    number: int
    type: str
    label: Label = ""
    key: str = ""
    oneof: str = ""
    json_name: str = ""
    presence: bool = False
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


class _Token(NamedTuple):
    kind: str
    text: str
    line: int
    comment: str


_TOKEN = re.compile(
    r"""(?P<space>[\s\ufeff]+)|(?P<comment>//[^\n]*|/\*.*?\*/)
    |(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<word>\.?[A-Za-z_][\w.]*)|(?P<sign>[{}\[\]()<>;=,:/+\-])""",
    re.VERBOSE | re.DOTALL,
)
_END = "the end of the text"


def parse(text: str, *, at: str = "", imports: Mapping[str, str] | None = None) -> Schema:
    """Return what a .proto text declares; `imports` has the texts of what it imports, by the paths it names them by.

    Raises:
        ContractError: with the line, for a text that is no Protobuf, or that names a type that it does not declare.
    """
    texts = dict(imports or {})
    reader = _Reader(text, at)
    reader.file()
    taken = {at}
    waiting = [(path, reader) for path in reader.imports]
    messages, enums = dict(reader.messages), dict(reader.enums)
    while waiting:
        path, _ = waiting.pop(0)
        if path in taken or path not in texts:
            continue
        taken.add(path)
        other = _Reader(texts[path], path)
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


class _Reader:
    """Reads one text from its start to its end."""

    def __init__(self, text: str, at: str) -> None:
        self._at = at
        self._tokens = self._split(text)
        self._now = next(self._tokens)
        self.syntax = "proto2"
        self.package = ""
        self.imports: list[str] = []
        self.messages: dict[str, Message] = {}
        self.enums: dict[str, Enum] = {}
        self._explicit = True

    def _split(self, text: str) -> Iterator[_Token]:
        place, line, comment = 0, 1, ""
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                self._now = _Token("sign", text[place], line, "")
                raise self._wrong("a word, a number or a sign")
            kind, word = str(found.lastgroup), found[0]
            if kind == "comment":
                comment = f"{comment}\n{_plain(word)}".strip()
            elif kind != "space":
                yield _Token(kind, word, line, comment)
                comment = ""
            elif word.count("\n") > 1:
                comment = ""  # an empty line: it spoke of something else
            line += word.count("\n")
            place = found.end()
        while True:
            yield _Token("end", _END, line, "")

    def _wrong(self, wanted: str) -> ContractError:
        place = f"{self._at}:{self._now.line}" if self._at else f"line {self._now.line}"
        return ContractError(
            f"this is no Protobuf: {self._now.text!r} where {wanted} should be", at=place, fix="correct it"
        )

    def _fault(self, message: str, fix: str, line: int | None = None) -> ContractError:
        number = self._now.line if line is None else line
        return ContractError(message, at=f"{self._at}:{number}" if self._at else f"line {number}", fix=fix)

    def _take(self, text: str = "", *, kind: str = "") -> str:
        token = self._now
        if (text and token.text != text) or (kind and token.kind != kind):
            raise self._wrong(repr(text) if text else f"a {kind}")
        if token.kind == "end":
            raise self._wrong("more")
        self._now = next(self._tokens)
        return token.text

    def _is(self, *texts: str) -> bool:
        return self._now.kind != "string" and self._now.text in texts

    def _text(self) -> str:
        parts = [_unquoted(self._take(kind="string"))]
        while self._now.kind == "string":
            parts.append(_unquoted(self._take()))
        return "".join(parts)

    def _number(self) -> int:
        sign = -1 if self._is("-") and self._take("-") else 1
        word = self._take(kind="number")
        try:
            octal = len(word) > 1 and word[0] == "0" and word.isdigit()
            return sign * (int(word, 8) if octal else int(word, 0))
        except ValueError:
            raise self._fault(f"{word} is no whole number", "write a whole number") from None

    def file(self) -> None:
        """Read the whole text."""
        while self._now.kind != "end":
            comment = self._now.comment
            if self._is("syntax", "edition"):
                word = self._take()
                self._take("=")
                said = self._text()
                self.syntax = said if word == "syntax" else f"edition {said}"
                if word == "syntax" and said not in {"proto2", "proto3"}:
                    raise self._fault(f"the syntax {said!r} is unknown", 'write syntax = "proto3";')
                self._explicit = said != "proto3"
                self._take(";")
            elif self._is("package"):
                self._take()
                self.package = self._take(kind="word")
                self._take(";")
            elif self._is("import"):
                self._take()
                if self._is("public", "weak", "option"):
                    self._take()
                self.imports.append(self._text())
                self._take(";")
            elif self._is("option"):
                name, value = self._option_line()
                if name == "features.field_presence":
                    self._explicit = value != "IMPLICIT"
            elif self._is("message"):
                self._message(self.package, comment, 0)
            elif self._is("enum"):
                self._enum(self.package, comment)
            elif self._is("extend"):
                self._take()
                self._take(kind="word")
                self._message_body("", "", 0)
            elif self._is("service"):
                self._take()
                self._take(kind="word")
                self._over_block()
            elif self._is(";"):
                self._take()
            else:
                raise self._wrong("a message, enum, import, package, option or service")

    def _over_block(self) -> None:
        self._take("{")
        depth = 1
        while depth:
            depth += self._is("{") - self._is("}")
            self._take()

    def _option_line(self) -> tuple[str, str]:
        self._take("option")
        found = self._option()
        self._take(";")
        return found

    def _option(self) -> tuple[str, str]:
        name = ""
        while not self._is("="):
            name += self._take()
        self._take("=")
        if self._is("{"):
            self._over_block()
            return name, ""
        if self._now.kind == "string":
            return name, self._text()
        sign = self._take() if self._is("-", "+") else ""
        return name, sign + self._take()

    def _options(self) -> dict[str, str]:
        found: dict[str, str] = {}
        if self._is("["):
            self._take()
            while not self._is("]"):
                name, value = self._option()
                found[name] = value
                if not self._is("]"):
                    self._take(",")
            self._take("]")
        return found

    def _message(self, scope: str, comment: str, depth: int) -> None:
        self._take("message")
        name = self._take(kind="word")
        self._message_body(f"{scope}.{name}" if scope else name, comment, depth)

    def _message_body(self, name: str, comment: str, depth: int) -> None:
        """Read `{…}`; what extends a message (an empty name) is read over."""
        if depth > MAX_DEPTH:
            raise self._fault(f"messages are nested more than {MAX_DEPTH} deep", "flatten them")
        if name in self.messages or name in self.enums:
            raise self._fault(f"{name} is declared twice", "rename or remove one of them")
        if name:
            self.messages[name] = Message(name, ())  # before what is within it, as in the text
        fields: list[Field] = []
        oneofs: list[str] = []
        reserved: list[tuple[int, int]] = []
        extensions: list[tuple[int, int]] = []
        names: set[str] = set()
        self._take("{")
        while not self._is("}"):
            said = self._now.comment
            if self._is(";"):
                self._take()
            elif self._is("message"):
                self._message(name, said, depth + 1)
            elif self._is("enum"):
                self._enum(name, said)
            elif self._is("extend"):
                self._take()
                self._take(kind="word")
                self._message_body("", "", depth + 1)
            elif self._is("oneof"):
                self._take()
                oneofs.append(self._take(kind="word"))
                fields += self._oneof(name, oneofs[-1], depth)
            elif self._is("option"):
                self._option_line()
            elif self._is("extensions"):
                extensions += self._ranges(set())
            elif self._is("reserved"):
                reserved += self._ranges(names)
            else:
                fields.append(self._field(name, "", said, depth))
        self._take("}")
        if name:
            self._check(name, fields, reserved, names)
            found = Message(
                name, tuple(fields), tuple(oneofs), tuple(reserved), frozenset(names), tuple(extensions), comment
            )
            self.messages[name] = found

    def _oneof(self, message: str, name: str, depth: int) -> list[Field]:
        found: list[Field] = []
        self._take("{")
        while not self._is("}"):
            if self._is(";"):
                self._take()
            elif self._is("option"):
                self._option_line()
            else:
                found.append(self._field(message, name, self._now.comment, depth))
        self._take("}")
        return found

    def _field(self, message: str, oneof: str, comment: str, depth: int) -> Field:
        line = self._now.line
        label: Label = ""
        for word in ("optional", "required", "repeated"):
            if self._is(word):
                self._take()
                label = word
                break
        if self._is("group"):
            return self._group(message, oneof, label, comment, depth)
        type_, key = self._take(kind="word"), ""
        if type_ == "map" and self._is("<"):
            self._take("<")
            key = self._take(kind="word")
            self._take(",")
            type_ = self._take(kind="word")
            self._take(">")
        name = self._take(kind="word")
        self._take("=")
        number = self._number()
        options = self._options()
        self._take(";")
        said = options.get("features.field_presence")
        explicit = self._explicit if said is None else said != "IMPLICIT"
        if said == "LEGACY_REQUIRED":
            label = "required"
        presence = bool(oneof) or (label != "repeated" and not key and (explicit or label in {"optional", "required"}))
        json_name = options.get("json_name") or json_name_of(name)
        return Field(name, number, type_, label, key, oneof, json_name, presence, options, comment, line)

    def _group(self, message: str, oneof: str, label: Label, comment: str, depth: int) -> Field:
        line = self._now.line
        self._take("group")
        name = self._take(kind="word")
        self._take("=")
        number = self._number()
        options = self._options()
        full = f"{message}.{name}" if message else name
        self._message_body(full, comment, depth + 1)
        low = name.lower()
        json_name = json_name_of(low)
        return Field(low, number, f".{full}", label, "", oneof, json_name, label != "repeated", options, comment, line)

    def _enum(self, scope: str, comment: str) -> None:
        self._take("enum")
        line = self._now.line
        name = self._take(kind="word")
        full = f"{scope}.{name}" if scope else name
        if full in self.messages or full in self.enums:
            raise self._fault(f"{full} is declared twice", "rename or remove one of them", line)
        values: dict[str, int] = {}
        reserved: list[tuple[int, int]] = []
        names: set[str] = set()
        self._take("{")
        while not self._is("}"):
            if self._is(";"):
                self._take()
            elif self._is("option"):
                self._option_line()
            elif self._is("reserved"):
                reserved += self._ranges(names)
            else:
                value = self._take(kind="word")
                self._take("=")
                if value in values:
                    raise self._fault(f"{full} has the value {value} twice", "rename or remove one of them")
                values[value] = self._number()
                self._options()
                self._take(";")
        self._take("}")
        if not values:
            raise self._fault(f"the enum {full} has no values", "give it one", line)
        closed = self.syntax == "proto2"
        self.enums[full] = Enum(full, values, tuple(reserved), frozenset(names), comment, closed)

    def _ranges(self, names: set[str]) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        self._take()
        while True:
            if self._now.kind == "string":
                names.add(self._text())
            elif self._now.kind == "word":
                names.add(self._take())  # editions write names bare
            else:
                first = last = self._number()
                if self._is("to"):
                    self._take()
                    last = MAX_NUMBER if self._is("max") and self._take() else self._number()
                found.append((first, last))
            if self._is("["):
                self._options()
            if not self._is(","):
                break
            self._take(",")
        self._take(";")
        return found

    def _check(self, name: str, fields: list[Field], reserved: list[tuple[int, int]], names: set[str]) -> None:
        numbers: dict[int, str] = {}
        known: set[str] = set()
        for each in fields:
            if not 1 <= each.number <= MAX_NUMBER:
                raise self._fault(
                    f"{name}.{each.name} has the number {each.number}", f"use 1 to {MAX_NUMBER}", each.line
                )
            if each.number in numbers:
                message = f"{name}.{each.name} has the number {each.number} of {numbers[each.number]}"
                raise self._fault(message, "give each field a number of its own", each.line)
            if each.name in known:
                raise self._fault(f"{name} has two fields named {each.name}", "rename one of them", each.line)
            if each.name in names or any(first <= each.number <= last for first, last in reserved):
                raise self._fault(f"{name}.{each.name} uses what is reserved", "use another name or number", each.line)
            numbers[each.number] = each.name
            known.add(each.name)


def json_name_of(name: str) -> str:
    """Return what a field is called in JSON unless it says otherwise: lowerCamelCase, as protoc makes it."""
    return re.sub(r"_(.?)", lambda found: found[1].upper(), name)


def _plain(comment: str) -> str:
    if comment.startswith("//"):
        return comment.lstrip("/").strip()
    lines = (line.strip().removeprefix("*").strip() for line in comment[2:-2].strip("*").splitlines())
    return "\n".join(line for line in lines if line)


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def _unquoted(word: str) -> str:
    def meant(found: re.Match[str]) -> str:
        text = found[1]
        if text[0] in "xX" and len(text) > 1:
            return chr(int(text[1:], 16))
        if text[0] in "uU" and len(text) > 1:
            return chr(int(text[1:], 16))
        if text[0].isdigit():
            return chr(int(text, 8))
        return _ESCAPES.get(text, text)

    return re.sub(r"\\([xX][0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|.)", meant, word[1:-1])
