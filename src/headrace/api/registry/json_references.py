"""JSON Schemas that refer to others by name, made whole: each is put where a local reference reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin

from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
_VALUES = frozenset({"const", "default", "enum", "examples"})  # what stands in them is no schema
_NAMED = frozenset({"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"})


class _Places(NamedTuple):
    """Where references of one document lead to: `base` is its address, `places` has the others by what they are called.

    A name is good as it stands, and reckoned from the base: `a.json` in `http://x/b.json` is `http://x/a.json`.
    """

    root: str
    base: str = ""
    places: Mapping[str, str] = {}


def whole(schema: Any, others: Mapping[str, Any]) -> Any:
    """Return a schema with what it refers to under `$defs`; `others` are whole by themselves, by their names.

    Raises:
        ContractError: it refers to something that is neither in it nor among the others: nothing is ever fetched.
    """
    if not isinstance(schema, dict):
        return schema
    places = {name: f"#/$defs/referenced-{number}" for number, name in enumerate(others, 1)}
    base = _address(schema)
    found: dict[str, Any] = _moved(
        schema, _Places("#", base, {**{_joined(base, name): place for name, place in places.items()}, **places})
    )
    if others:
        parts = {
            place.rpartition("/")[2]: _moved(_unnamed(others[name]), _Places(place)) for name, place in places.items()
        }
        found["$defs"] = {**parts, **found.get("$defs", {})}
    return found


def _address(schema: Any) -> str:
    said = (schema.get("$id") or schema.get("id")) if isinstance(schema, dict) else None
    return said.partition("#")[0] if isinstance(said, str) else ""


def _joined(base: str, name: str) -> str:
    """Return a name reckoned from an address; itself, where either is no address."""
    try:
        return urljoin(base, name)
    except ValueError:
        return name


def _unnamed(part: Any) -> Any:
    """A part has no address and no draft of its own: references in it are those of the whole."""
    return {word: value for word, value in part.items() if word not in {"$id", "$schema", "id"}} if isinstance(
        part, dict
    ) else part  # fmt: skip


def _moved(part: Any, places: _Places) -> Any:
    """Return a part of a schema with its references led to where they are; any part may be a schema, or hold some."""
    if isinstance(part, list):
        return [_moved(each, places) for each in part]
    if not isinstance(part, dict):
        return part
    found: dict[str, Any] = {}
    for word, value in part.items():
        if word in _REFERENCES and isinstance(value, str):
            found[word] = _target(value, places)
        elif word in _NAMED and isinstance(value, dict):
            found[word] = {name: _moved(each, places) for name, each in value.items()}
        else:
            found[word] = value if word in _VALUES else _moved(value, places)
    return found


def _target(reference: str, known: _Places) -> str:
    document, mark, pointer = reference.partition("#")
    if not document or document == known.base:
        return f"{known.root}{pointer}" if pointer.startswith("/") or not pointer else f"#{pointer}"
    for name in (reference, document, _joined(known.base, document)):
        if name in known.places:
            whole_one = name == reference or not (mark and pointer.startswith("/"))
            return known.places[name] if whole_one else f"{known.places[name]}{pointer}"
    raise ContractError(
        f"$ref {reference!r} points outside of the schema, and is none of its references",
        fix="register what it names, and send it among `references`; nothing is fetched",
    )
