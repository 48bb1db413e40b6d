"""Which fields of a contract are deprecated: those that its schema marks with `deprecated: true`, at any depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.refs import subschemas, target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WORD = "deprecated"

_WHOLE = ("allOf",)
_SOME = ("anyOf", "oneOf")


def deprecated_fields(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths of the deprecated fields (`country`, `customer.phone`), in the order of the schema.

    Elements of an array have the array's path. A field below a deprecated one is not named once more; one of which only
    some forms are deprecated (a branch of `anyOf`) is not.
    """
    if not any(part.get(WORD) is True for _, part in subschemas(schema)):
        return ()
    return tuple(dict.fromkeys(_below(schema, schema, "", frozenset())))


def _below(part: Any, root: Mapping[str, Any], path: str, seen: frozenset[int]) -> Iterator[str]:
    """Yield the deprecated fields of a value; `seen` are the schemas whose members it lies in."""
    if not isinstance(part, dict):
        return
    if path and any(each.get(WORD) is True for each in _same(part, root, _WHOLE)):
        yield path
        return
    for each in _same(part, root, (*_WHOLE, *_SOME)):
        if id(each) in seen:  # it goes round in circles
            continue
        within = seen | {id(each)}
        for name, field in each.get("properties", {}).items():
            yield from _below(field, root, f"{path}.{name}" if path else name, within)
        items = each.get("items")
        for item in items if isinstance(items, list) else [items]:
            yield from _below(item, root, path, within)


def _same(part: Mapping[str, Any], root: Mapping[str, Any], words: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and those that speak of the same value: where it refers to, and what it is made of."""
    found: set[int] = set()
    waiting: list[Any] = [part]
    while waiting:
        each = waiting.pop()
        if not isinstance(each, dict) or id(each) in found:
            continue
        found.add(id(each))
        yield each
        waiting += [branch for word in words for branch in each.get(word, ())]
        if isinstance(each.get("$ref"), str):
            waiting.append(target(each["$ref"], root))
