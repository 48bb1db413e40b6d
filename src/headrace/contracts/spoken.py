"""Which schemas speak of one value: by references, as parts of one another, in branches, on conditions, by names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.contracts.refs import target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SOMETIMES = ("anyOf", "oneOf")
_CONDITIONS = {"if": True, "then": False, "else": False, "not": True}
"""Whether what is said there only asks."""
_NAMED_CONDITIONS = ("dependentSchemas", "dependencies")
_OTHERS = ("additionalProperties", "unevaluatedProperties")


class Beside(NamedTuple):
    """A schema that speaks of the same value as another.

    `always`: it does so of each, and not only where a branch or a condition holds. `asking`: it does not say what the
    value is, but asks whether it is so.
    """

    schema: Any
    always: bool
    asking: bool = False


def beside(part: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Beside]:
    """Yield what a schema holds the very same value against, one step far."""
    yield from (Beside(each, always=True) for each in part.get("allOf", ()))
    yield from (Beside(each, always=False) for word in _SOMETIMES for each in part.get(word, ()))
    yield from (Beside(part[word], always=False, asking=asks) for word, asks in _CONDITIONS.items() if word in part)
    yield from (Beside(each, always=False) for word in _NAMED_CONDITIONS for each in part.get(word, {}).values())
    if isinstance(part.get("$ref"), str):
        yield Beside(target(part["$ref"], root), always=True)


def members_of(part: Mapping[str, Any], name: str) -> list[Any]:
    """Return the schemas that declare a member of an object: by its name, by patterns, else as one of the others."""
    found = [part["properties"][name]] if name in part.get("properties", {}) else []
    found += [each for pattern, each in part.get("patternProperties", {}).items() if may_match(pattern, name)]
    if not found:
        found = [part[word] for word in _OTHERS if isinstance(part.get(word), dict)]
    return found


def may_match(pattern: str, name: str) -> bool:
    """Return whether a pattern of `patternProperties` matches a name, as the validator says; one it cannot read may."""
    from headrace.contracts.compatibility.strings import matches  # few schemas have patterns of names

    return matches(pattern, name) is not False
