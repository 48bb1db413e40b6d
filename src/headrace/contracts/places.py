"""The fields that a schema document names, in either of its forms, each with where it stands in the document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.contracts import fields, pii
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Steps = tuple["str | int", ...]
"""The keys and indexes that lead to a value of the document."""

_INTO = ("items", "additionalProperties", "then", "else", "if")
_INTO_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_INTO_MAPS = ("$defs", "definitions", "patternProperties")


@dataclass(frozen=True)
class Place:
    """A field of a schema document: its names from the outside in, what is said of it, and where that stands.

    `tagged` says that it is personal, or within what is.
    """

    path: str
    name: str
    part: Mapping[str, Any]
    key: Steps
    tagged: bool


def places_of(document: Mapping[str, Any]) -> Iterator[Place]:
    """Yield every field that a schema document names, at any depth, in either of its forms."""
    if fields.is_fields_form(document):
        yield from _listed(document["fields"], "", ("fields",), tagged=False)
    else:
        yield from _properties(document, "", (), tagged=False)


def _listed(said: Sequence[Mapping[str, Any]], above: str, key: Steps, *, tagged: bool) -> Iterator[Place]:
    for index, part in enumerate(said):
        path = f"{above}{part['name']}"
        here = tagged or _is_tagged(part)
        yield Place(path, part["name"], part, (*key, index), here)
        if isinstance(part.get("fields"), list):
            yield from _listed(part["fields"], f"{path}.", (*key, index, "fields"), tagged=here)


def _properties(part: Any, above: str, key: Steps, *, tagged: bool) -> Iterator[Place]:
    if not isinstance(part, dict):
        return
    for name, below in part.get("properties", {}).items():
        here = (*key, "properties", name)
        said = below if isinstance(below, dict) else {}
        is_tagged = tagged or _is_tagged(said)
        yield Place(f"{above}{name}", name, said, here, is_tagged)
        yield from _properties(below, f"{above}{name}.", here, tagged=is_tagged)
    for word in _INTO:
        yield from _properties(part.get(word), above, (*key, word), tagged=tagged)
    for word in _INTO_LISTS:
        for index, below in enumerate(part[word]) if isinstance(part.get(word), list) else ():
            yield from _properties(below, above, (*key, word, index), tagged=tagged)
    for word in _INTO_MAPS:
        for name, below in part[word].items() if isinstance(part.get(word), dict) else ():
            yield from _properties(below, above, (*key, word, name), tagged=tagged)


def _is_tagged(part: Mapping[str, Any]) -> bool:
    try:
        return bool(pii.tag_of(part))
    except ContractError:
        return False
