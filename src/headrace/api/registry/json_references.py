"""JSON Schemas that refer to others by name, made whole: each is put where a local reference reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
_VALUES = frozenset({"const", "default", "enum", "examples"})  # what stands in them is no schema


def whole(schema: Any, others: Mapping[str, Any]) -> Any:
    """Return a schema with what it refers to under `$defs`; `others` are whole by themselves, by their names.

    Raises:
        ContractError: it refers to something that is neither in it nor among the others: nothing is ever fetched.
    """
    if not isinstance(schema, dict):
        return schema
    places = {name: f"#/$defs/referenced-{number}" for number, name in enumerate(others, 1)}
    found: dict[str, Any] = _moved(schema, "#", places)
    if others:
        parts = {place.rpartition("/")[2]: _moved(_unnamed(others[name]), place, {}) for name, place in places.items()}
        found["$defs"] = {**parts, **found.get("$defs", {})}
    return found


def _unnamed(part: Any) -> Any:
    """A part has no address and no draft of its own: references in it are those of the whole."""
    return {word: value for word, value in part.items() if word not in {"$id", "$schema", "id"}} if isinstance(
        part, dict
    ) else part  # fmt: skip


def _moved(part: Any, root: str, places: Mapping[str, str]) -> Any:
    if isinstance(part, list):
        return [_moved(each, root, places) for each in part]
    if not isinstance(part, dict):
        return part
    found = {}
    for word, value in part.items():
        if word in _REFERENCES and isinstance(value, str):
            found[word] = _target(value, root, places)
        else:
            found[word] = value if word in _VALUES else _moved(value, root, places)
    return found


def _target(reference: str, root: str, places: Mapping[str, str]) -> str:
    if reference in places:
        return places[reference]
    document, mark, pointer = reference.partition("#")
    if not document:
        return f"{root}{pointer}" if pointer.startswith("/") or not pointer else reference
    if document in places:
        return f"{places[document]}{pointer}" if mark and pointer.startswith("/") else places[document]
    raise ContractError(
        f"$ref {reference!r} points outside of the schema, and is none of its references",
        fix="register what it names, and send it among `references`; nothing is fetched",
    )
