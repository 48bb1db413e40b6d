"""Properties that a schema speaks of without declaring them: by what depends on them, by `if`, `not` or their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.compatibility.facts import Mention, choices, conjunction

if TYPE_CHECKING:
    from headrace.contracts.compatibility.document import Part

_SILENT: tuple[Any, ...] = (True, {})
_SPEAKING = frozenset({
    "dependentRequired", "dependentSchemas", "dependencies", "if", "not", "propertyNames", "unevaluatedProperties",
})  # fmt: skip
"""The keywords by which a schema mentions anything."""
_OF_NAMES = ("additionalProperties", "unevaluatedProperties", "propertyNames", "patternProperties")


def mention_of(part: Part) -> Mention | None:
    """Return what a schema mentions; None where that is nothing. Rather too much than too little."""
    if _SPEAKING.isdisjoint(part.schema):
        return None
    known = part.document.mentions
    if id(part.schema) not in known:
        known[id(part.schema)] = _mention_of(part)
    found: Mention | None = known[id(part.schema)]
    return found


def _mention_of(part: Part) -> Mention | None:
    schema = part.schema
    names, is_open = _depending(schema), False
    below: list[tuple[Part, bool]] = [(each, False) for each in _asked_for(part)]
    if "if" in schema:
        below.append((part.below(schema["if"], "if"), False))
    if "not" in schema:
        below.append((part.below(schema["not"], "not"), True))
    for each in conjunction((part.below(schema.get("propertyNames", True), "propertyNames"),)):
        values = [*each.schema.get("enum", ()), each.schema.get("const")] if isinstance(each.schema, dict) else []
        names |= {value for value in values if isinstance(value, str)}
    if schema.get("unevaluatedProperties", True) not in (*_SILENT, False):
        is_open = True
    seen = set[Any]()
    while below:
        top, denied = below.pop()
        for each in conjunction((top,)):
            if not isinstance(each.schema, dict) or (each.key, denied) in seen:
                continue
            seen.add((each.key, denied))
            names |= _depending(each.schema) | set(each.schema.get("properties", ()))
            names |= (
                set() if denied or not isinstance(each.schema.get("required"), list) else {*each.schema["required"]}
            )
            is_open = is_open or _leaves_open(each.schema, denied=denied)
            below += [(branch, denied) for group in choices(each) for option in group for branch in option]
            below += [(other, denied) for other in _asked_for(each)]
            if "not" in each.schema:
                below.append((each.below(each.schema["not"], "not"), not denied))
    return Mention(part.document, frozenset(names), is_open) if names or is_open else None


def _asked_for(part: Part) -> list[Part]:
    return [
        part.below(item, word, name)
        for word in ("dependentSchemas", "dependencies")
        for name, item in part.schema.get(word, {}).items()
        if isinstance(item, dict)
    ]


def _depending(schema: dict[str, Any]) -> set[str]:
    """Return the names by which properties depend on each other, both ends."""
    found: set[str] = set()
    for word in ("dependentRequired", "dependentSchemas", "dependencies"):
        for name, others in schema.get(word, {}).items():
            found |= {name, *(others if isinstance(others, list) else ())}
    return found


def _leaves_open(schema: dict[str, Any], *, denied: bool) -> bool:
    if denied:  # what is denied may be denied by a name of any kind
        return any(word in schema for word in _OF_NAMES)
    return bool(schema.get("patternProperties")) or any(
        schema.get(word, True) not in (*_SILENT, False) for word in ("additionalProperties", "unevaluatedProperties")
    )
