"""Names in a Protobuf message that is written: legal ones, and no two that protoc takes for the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from headrace.contracts.formats.protobuf_model import json_name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STATEMENTS = {"option", "reserved"}
"""What begins a statement in an enum, and so cannot be the name of a value there."""


def camel(name: str) -> str:
    """Return a name as types are called."""
    words = re.findall(r"[A-Za-z0-9]+", name)
    text = "".join(word[:1].upper() + word[1:] for word in words) or "Message"
    return text if text[0].isalpha() else f"M{text}"


def _snake(name: str) -> str:
    text = re.sub(r"[^A-Za-z0-9_]", "_", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)).lower() or "_"
    return text if _NAME.fullmatch(text) else f"f{text}"


def are_values(values: Sequence[object]) -> bool:
    """Say whether these can be the values of an enum: protoc takes `open` and `OPEN` for one, `a_b` and `A_b` too."""
    names = [each for each in values if isinstance(each, str) and _NAME.fullmatch(each) and each not in _STATEMENTS]
    alike = {"".join(part[:1].upper() + part[1:].lower() for part in each.split("_")) for each in names}
    return bool(values) and len(alike) == len(values)


class Scope:
    """The names of one message. Fields, the types within it and the values of its enums share them."""

    def __init__(self, properties: Iterable[str]) -> None:
        self.fields: dict[str, str] = {}
        """The name of the field of each property. Their usual names in JSON differ too: protoc asks for that."""
        in_json: set[str] = set()
        for each in properties:
            first = _snake(each)
            name, number = first, 1
            while name in self.fields.values() or json_name_of(name) in in_json or not json_name_of(name):
                number += 1
                name = f"{first}{number}"
            self.fields[each] = name
            in_json.add(json_name_of(name))
        self._taken = set(self.fields.values())

    def declared(self, name: str) -> str:
        """Return the name that a type called so gets, and keep it."""
        unique, number = name, 1
        while unique in self._taken:
            number += 1
            unique = f"{name}{number}"
        self._taken.add(unique)
        return unique

    def takes(self, values: Sequence[str]) -> bool:
        """Say whether the values of an enum are names that nothing here has; if so, keep them."""
        if self._taken & set(values):
            return False
        self._taken |= set(values)
        return True
