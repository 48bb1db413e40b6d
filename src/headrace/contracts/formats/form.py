"""What every foreign form gives: JSON Schema out of a document, or a document out of JSON Schema, and what was lost."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


@dataclass(frozen=True)
class Imported:
    """A foreign schema as JSON Schema. `key`, `owner` and `event_time` where it says them.

    `notes` are what it said in vain.
    """

    schema: dict[str, Any]
    key: tuple[str, ...] = ()
    owner: str | None = None
    notes: tuple[str, ...] = ()
    event_time: str | None = None


@dataclass
class Exported:
    """A contract in a foreign form. `dropped` says what that form cannot say, a line each, at its JSON pointer."""

    document: Any = None
    dropped: list[str] = field(default_factory=list)

    def drop(self, pointer: str, what: str) -> None:
        """Note something that is not in the document."""
        line = f"{pointer}: {what}"
        if line not in self.dropped:
            self.dropped.append(line)

    def drop_words(self, part: Mapping[str, Any], pointer: str, said: Iterable[str]) -> None:
        """Note the keywords of a schema that are not among those that were said."""
        for word in part:
            if word not in said and word not in SILENT:
                self.drop(pointer, word)


SILENT = frozenset({"$schema", "$id", "id", "$defs", "definitions", "title", "description", "$comment", "examples",
                    "default", "properties", "required", "type", "items", "additionalProperties"})  # fmt: skip
"""Keywords that each form has an own place for, or that say nothing about events."""

Load = "Callable[[str, str], tuple[Any, str]]"
"""Returns the document that a reference names, from the place of the document that it stands in, and its place."""


def free_name(wanted: str, is_taken: Callable[[str], bool], joint: str = "_") -> str:
    """Return a name that is not taken: the wanted one, or it with the first number from 2 on that makes it another."""
    name, number = wanted, 1
    while is_taken(name):
        number += 1
        name = f"{wanted}{joint}{number}"
    return name


def chosen(named: Mapping[str, Any], choice: str | None, what: str, *, likely: str | None = None) -> str:
    """Return the name that is chosen: the one asked for, the only one, or the likely one.

    Raises `ContractError` that lists them where it is not clear.
    """
    if choice:
        if choice in named:
            return choice
        short = [name for name in named if name.rpartition(".")[2] == choice or name.rpartition("/")[2] == choice]
        if len(short) == 1:
            return short[0]
        near = difflib.get_close_matches(choice, [name.rpartition("/")[2] for name in named], n=3)
        hint = f"did you mean {' or '.join(f'#{name}' for name in near)}? " if near else ""
        raise ContractError(f"there is no {what} {choice!r}", fix=hint + _list(named))
    if len(named) == 1:
        return next(iter(named))
    if likely is not None:
        return likely
    if not named:
        raise ContractError(f"there is no {what} in it", fix="give a file that has one")
    raise ContractError(f"there are {len(named):,} of {what}, and none is chosen", fix=_list(named))


_MANY = 12


def _list(names: Mapping[str, Any]) -> str:
    some = ", ".join(f"#{name.rpartition('/')[2] if name.startswith('/') else name}" for name in list(names)[:_MANY])
    more = f" and {len(names) - _MANY:,} more" if len(names) > _MANY else ""
    return f"add one to the file's name, as in --from 'FILE#Name': {some}{more}"


def unwrapped(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the one branch of a choice that is not null, where there is no other; else the schema as it is."""
    for word in ("anyOf", "oneOf"):
        branches = [each for each in part.get(word, ()) if not (isinstance(each, dict) and each.get("type") == "null")]
        if word in part and "type" not in part and len(branches) == 1 and isinstance(branches[0], dict):
            return {**{key: value for key, value in part.items() if key != word}, **branches[0]}
    return part


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that allows null as well."""
    if not schema:
        return schema
    types = schema.get("type")
    if types is None:
        return {"anyOf": [schema, {"type": "null"}]}
    words = [types] if isinstance(types, str) else list(types)
    found = {**schema, "type": words if "null" in words else [*words, "null"]}
    if "enum" in found and None not in found["enum"]:
        found["enum"] = [*found["enum"], None]
    return found
