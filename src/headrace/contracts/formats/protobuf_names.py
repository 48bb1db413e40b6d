"""Names in a Protobuf message that is written: legal ones, and no two that protoc takes for the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from headrace.contracts.formats.form import free_name
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
        self._taken: set[str] = set()
        in_json = {""}  # no field has no name
        for each in properties:
            name = free_name(_snake(each), lambda one: one in self._taken or json_name_of(one) in in_json, joint="")
            self.fields[each] = name
            self._taken.add(name)
            in_json.add(json_name_of(name))

    def declared(self, name: str) -> str:
        """Return the name that a type called so gets, and keep it."""
        unique = free_name(name, self._taken.__contains__, joint="")
        self._taken.add(unique)
        return unique

    def takes(self, values: Sequence[str]) -> bool:
        """Say whether the values of an enum are names that nothing here has; if so, keep them."""
        if self._taken & set(values):
            return False
        self._taken |= set(values)
        return True
