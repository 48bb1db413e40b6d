"""What a schema says of one value, its references and `allOf` merged in, and the keyword that is ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.refs import target

if TYPE_CHECKING:
    from collections.abc import Mapping

DEEPEST = 64
"""How many schemas are followed from one to the next."""
TYPE_WORD = "x-type"
"""Our extension keyword: what a string stands for (`datetime`, `time`, `bytes`). Validators ignore it."""


def flattened(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a schema with its `$ref` and `allOf` merged in, as far as types are concerned; None where they recurse."""
    return _flat(schema, root, (), {})


def _flat(
    schema: Mapping[str, Any], root: Mapping[str, Any], seen: tuple[int, ...], known: dict[int, dict[str, Any]]
) -> dict[str, Any] | None:  # fmt: skip
    if id(schema) in known:  # it came to an end, so it is on no circle, from wherever it is reached
        return known[id(schema)]
    if id(schema) in seen or len(seen) > DEEPEST:
        return None
    seen = (*seen, id(schema))
    merged = {word: value for word, value in schema.items() if word not in {"$ref", "allOf"}}
    parts: list[Any] = list(schema.get("allOf", ()))
    if "$ref" in schema:
        parts.insert(0, target(schema["$ref"], root))
    for part in parts:
        if not isinstance(part, dict):
            continue
        flat = _flat(part, root, seen, known)
        if flat is None:
            return None
        _merge(merged, flat)
    known[id(schema)] = merged
    return merged


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for word, value in other.items():
        if word not in into:
            into[word] = value
        elif word == "properties":
            both = dict(into[word])
            for name, sub in value.items():
                both[name] = {"allOf": [both[name], sub]} if name in both and both[name] != sub else sub
            into[word] = both
        elif word == "required":
            into[word] = [*into[word], *(name for name in value if name not in into[word])]
        elif word == "type" and into[word] != value:
            mine, theirs = words_of(into[word]), words_of(value)
            into[word] = [name for name in mine if name in theirs or (name == "integer" and "number" in theirs)]


def words_of(value: Any) -> list[str]:
    """Return the types that a `type` names."""
    return [value] if isinstance(value, str) else list(value)
