"""Messages, fields and enums read out of a Protobuf text: proto2, proto3 and editions.

Services, options and extensions are read over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.contracts.formats.protobuf_model import (
    MAX_NUMBER,
    SCALARS,
    Enum,
    Field,
    Label,
    Message,
    json_name_of,
)
from headrace.contracts.formats.protobuf_tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 64


class Reader:
    """Reads one text: what it declares, with the types of fields as they are spelt."""

    def __init__(self, text: str, at: str) -> None:
        self._words = Tokens(text, at)
        self.syntax = "proto2"
        self._is_said = False
        self.package = ""
        self.imports: list[str] = []
        self.messages: dict[str, Message] = {}
        self.enums: dict[str, Enum] = {}
        self._explicit = True
        self._closed = True
        self._delimited = False

    def file(self) -> None:
        """Read the whole text."""
        while self._words.now.kind != "end":
            comment = self._words.now.comment
            if self._words.at("syntax", "edition"):
                word = self._words.take()
                self._words.take("=")
                said = self._words.text()
                self.syntax = said if word == "syntax" else f"edition {said}"
                self._is_said = True
                if word == "syntax" and said not in {"proto2", "proto3"}:
                    raise self._words.fault(f"the syntax {said!r} is unknown", 'write syntax = "proto3";')
                self._explicit = said != "proto3"
                self._closed = self.syntax == "proto2"
                self._words.take(";")
            elif self._words.at("package"):
                self._words.take()
                self.package = self._words.take(kind="word")
                self._words.take(";")
            elif self._words.at("import"):
                self._words.take()
                if self._words.at("public", "weak", "option"):
                    self._words.take()
                self.imports.append(self._words.text())
                self._words.take(";")
            elif self._words.at("option"):
                name, value = self._option_line()
                if name == "features.field_presence":
                    self._explicit = value != "IMPLICIT"
                elif name == "features.enum_type":
                    self._closed = value == "CLOSED"
                elif name == "features.message_encoding":
                    self._delimited = value == "DELIMITED"
            elif self._words.at("message"):
                self._message(self.package, comment, 0)
            elif self._words.at("enum"):
                self._enum(self.package, comment)
            elif self._words.at("extend"):
                self._words.take()
                self._words.take(kind="word")
                self._message_body("", "", 0)
            elif self._words.at("service"):
                self._words.take()
                self._words.take(kind="word")
                self._over_block()
            elif self._words.at(";"):
                self._words.take()
            else:
                raise self._words.wrong("a message, enum, import, package, option or service")

    def _over_block(self) -> None:
        self._words.take("{")
        depth = 1
        while depth:
            depth += self._words.at("{") - self._words.at("}")
            self._words.take()

    def _option_line(self) -> tuple[str, str]:
        self._words.take("option")
        found = self._option()
        self._words.take(";")
        return found

    def _option(self) -> tuple[str, str]:
        name = ""
        while not self._words.at("="):
            name += self._words.take()
        self._words.take("=")
        if self._words.at("{"):
            self._over_block()
            return name, ""
        if self._words.now.kind == "string":
            return name, self._words.text()
        sign = self._words.take() if self._words.at("-", "+") else ""
        return name, sign + self._words.take()

    def _options(self) -> dict[str, str]:
        found: dict[str, str] = {}
        if self._words.at("["):
            self._words.take()
            while not self._words.at("]"):
                name, value = self._option()
                found[name] = value
                if not self._words.at("]"):
                    self._words.take(",")
            self._words.take("]")
        return found

    def _message(self, scope: str, comment: str, depth: int) -> None:
        line = self._words.now.line
        self._words.take("message")
        name = self._words.take(kind="word")
        self._message_body(f"{scope}.{name}" if scope else name, comment, depth, line)

    def _message_body(self, name: str, comment: str, depth: int, line: int = 0) -> None:
        """Read `{…}`; what extends a message (an empty name) is read over."""
        if depth > MAX_DEPTH:
            raise self._words.fault(f"messages are nested more than {MAX_DEPTH} deep", "flatten them")
        if name in self.messages or name in self.enums:
            raise self._words.fault(f"{name} is declared twice", "rename or remove one of them")
        if name:
            self.messages[name] = Message(name, ())  # before what is within it, as in the text
        fields: list[Field] = []
        oneofs: list[str] = []
        reserved: list[tuple[int, int]] = []
        extensions: list[tuple[int, int]] = []
        names: set[str] = set()
        self._words.take("{")
        while not self._words.at("}"):
            said = self._words.now.comment
            if self._words.at(";"):
                self._words.take()
            elif self._words.at("message"):
                self._message(name, said, depth + 1)
            elif self._words.at("enum"):
                self._enum(name, said)
            elif self._words.at("extend"):
                self._words.take()
                self._words.take(kind="word")
                self._message_body("", "", depth + 1)
            elif self._words.at("oneof"):
                self._words.take()
                oneofs.append(self._words.take(kind="word"))
                fields += self._oneof(name, oneofs[-1], depth)
            elif self._words.at("option"):
                self._option_line()
            elif self._words.at("extensions"):
                extensions += self._ranges(set())
            elif self._words.at("reserved"):
                reserved += self._ranges(names)
            else:
                fields.append(self._field(name, "", said, depth))
        self._words.take("}")
        if name:
            self._check(name, fields, reserved, names)
            found = Message(
                name, tuple(fields), tuple(oneofs), tuple(reserved), frozenset(names), tuple(extensions), comment, line
            )
            self.messages[name] = found

    def _oneof(self, message: str, name: str, depth: int) -> list[Field]:
        return [self._field(message, name, self._words.now.comment, depth) for _ in self._statements()]

    def _statements(self, options: dict[str, str] | None = None) -> Iterator[None]:
        """Read a block, and yield where each statement of it begins that is neither empty nor an option.

        `options` gets those that the block says.
        """
        self._words.take("{")
        while not self._words.at("}"):
            if self._words.at(";"):
                self._words.take()
            elif self._words.at("option"):
                name, value = self._option_line()
                if options is not None:
                    options[name] = value
            else:
                yield
        self._words.take("}")

    def _field(self, message: str, oneof: str, comment: str, depth: int) -> Field:
        line = self._words.now.line
        label: Label = ""
        for word in ("optional", "required", "repeated"):
            if self._words.at(word):
                self._words.take()
                label = word
                break
        if self._words.at("group"):
            return self._group(message, oneof, label, comment, depth)
        type_, key = self._words.take(kind="word"), ""
        if type_ == "map" and self._words.at("<"):
            self._words.take("<")
            key = self._words.take(kind="word")
            self._words.take(",")
            type_ = self._words.take(kind="word")
            self._words.take(">")
        name = self._words.take(kind="word")
        self._check_label(name, label, is_map=bool(key), oneof=oneof)
        self._words.take("=")
        number = self._words.number()
        options = self._options()
        self._words.take(";")
        said = options.get("features.field_presence")
        explicit = self._explicit if said is None else said != "IMPLICIT"
        if said == "LEGACY_REQUIRED":
            label = "required"
        presence = bool(oneof) or (label != "repeated" and not key and (explicit or label in {"optional", "required"}))
        json_name = options.get("json_name") or json_name_of(name)
        encoding = options.get("features.message_encoding")
        delimited = self._delimited if encoding is None else encoding == "DELIMITED"
        delimited = delimited and not key and type_ not in SCALARS
        return Field(name, number, type_, label, key, oneof, json_name, presence, delimited, options, comment, line)

    def _check_label(self, name: str, label: Label, *, is_map: bool, oneof: str) -> None:
        """Refuse what protoc refuses: who takes it here could not compile it anywhere."""
        if oneof and (label or is_map):
            what = "a map" if is_map else label
            raise self._words.fault(f"{name} is {what} within the oneof {oneof}", "write it beside the oneof")
        if is_map and label:
            raise self._words.fault(f"{name} is a map that is {label}", f"remove {label}")
        if label == "required" and self.syntax != "proto2":
            raise self._words.fault(f"{name} is required, which {self.syntax} does not know", "remove required")
        if self._is_said and self.syntax == "proto2" and not (label or is_map or oneof):
            raise self._words.fault(
                f"{name} is neither optional, required nor repeated, as proto2 asks", 'write it, or syntax = "proto3";'
            )

    def _group(self, message: str, oneof: str, label: Label, comment: str, depth: int) -> Field:
        line = self._words.now.line
        self._words.take("group")
        name = self._words.take(kind="word")
        self._words.take("=")
        number = self._words.number()
        options = self._options()
        full = f"{message}.{name}" if message else name
        self._message_body(full, comment, depth + 1, line)
        low = name.lower()
        json_name = json_name_of(low)
        presence = label != "repeated"
        return Field(low, number, f".{full}", label, "", oneof, json_name, presence, True, options, comment, line)

    def _enum(self, scope: str, comment: str) -> None:
        self._words.take("enum")
        line = self._words.now.line
        name = self._words.take(kind="word")
        full = f"{scope}.{name}" if scope else name
        if full in self.messages or full in self.enums:
            raise self._words.fault(f"{full} is declared twice", "rename or remove one of them", line)
        values: dict[str, int] = {}
        reserved: list[tuple[int, int]] = []
        names: set[str] = set()
        options: dict[str, str] = {}
        for _ in self._statements(options):
            if self._words.at("reserved"):
                reserved += self._ranges(names)
            else:
                value = self._words.take(kind="word")
                self._words.take("=")
                if value in values:
                    raise self._words.fault(f"{full} has the value {value} twice", "rename or remove one of them")
                values[value] = self._words.number()
                self._options()
                self._words.take(";")
        if not values:
            raise self._words.fault(f"the enum {full} has no values", "give it one", line)
        said = options.get("features.enum_type")
        closed = self._closed if said is None else said == "CLOSED"
        first, number = next(iter(values.items()))
        if number and not closed:
            raise self._words.fault(
                f"the first value of {full} is {first} = {number}", "begin with one that is 0", line
            )
        if len(set(values.values())) < len(values) and options.get("allow_alias") != "true":
            message = f"two values of {full} have one number"
            raise self._words.fault(message, "number them apart, or write option allow_alias = true;", line)
        self.enums[full] = Enum(full, values, tuple(reserved), frozenset(names), comment, closed, line)

    def _ranges(self, names: set[str]) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        self._words.take()
        while True:
            if self._words.now.kind == "string":
                names.add(self._words.text())
            elif self._words.now.kind == "word":
                names.add(self._words.take())  # editions write names bare
            else:
                first = last = self._words.number()
                if self._words.at("to"):
                    self._words.take()
                    last = MAX_NUMBER if self._words.at("max") and self._words.take() else self._words.number()
                found.append((first, last))
            if self._words.at("["):
                self._options()
            if not self._words.at(","):
                break
            self._words.take(",")
        self._words.take(";")
        return found

    def _check(self, name: str, fields: list[Field], reserved: list[tuple[int, int]], names: set[str]) -> None:
        numbers: dict[int, str] = {}
        known: set[str] = set()
        for each in fields:
            if not 1 <= each.number <= MAX_NUMBER:
                raise self._words.fault(
                    f"{name}.{each.name} has the number {each.number}", f"use 1 to {MAX_NUMBER}", each.line
                )
            if each.number in numbers:
                message = f"{name}.{each.name} has the number {each.number} of {numbers[each.number]}"
                raise self._words.fault(message, "give each field a number of its own", each.line)
            if each.name in known:
                raise self._words.fault(f"{name} has two fields named {each.name}", "rename one of them", each.line)
            if each.name in names or any(first <= each.number <= last for first, last in reserved):
                raise self._words.fault(
                    f"{name}.{each.name} uses what is reserved", "use another name or number", each.line
                )
            numbers[each.number] = each.name
            known.add(each.name)
