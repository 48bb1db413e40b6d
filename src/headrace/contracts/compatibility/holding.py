"""Whether a value meets a node: as a validator would say, or None where this one cannot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from headrace.contracts.compatibility import strings
from headrace.contracts.compatibility.document import Part, text
from headrace.contracts.compatibility.facts import alone, conjunction, type_of
from headrace.contracts.compatibility.gather import (
    CONTENTS,
    bounds_of,
    dependents_of,
    is_number,
    least_contained,
    row_of,
    shape_of,
    step_of,
    texts_of,
    types_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from headrace.contracts.compatibility.document import Node

_UNKNOWN = ("$dynamicRef", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties")
_COMBINING = frozenset({"anyOf", "oneOf", "not", "if", *_UNKNOWN})
_DEEPEST = 48
_AT_ONCE = 16
"""How many plain values are looked at in one step."""


class _Asked:
    """One question: a value that is held twice against a schema is so once, and without end not at all."""

    def __init__(self, *, literal: bool) -> None:
        self.known: dict[tuple[int, tuple[int, int]], bool | None] = {}
        self.literal = literal
        self.depth = 0


def holds(value: Any, node: Node, *, literal: bool = False) -> bool | None:
    """Whether a value meets every part of a node; None where that is not known.

    A value stands for all that are equal to it, so whether draft 4 takes 1 for an integer is not known: 1.0 it does
    not. With `literal` the value itself is known to be written as an integer.
    """
    asked = _Asked(literal=literal)
    return _all(_part(value, part, asked, top=True) for part in node)


def each_holds(values: Iterable[Any], node: Node, *, literal: bool = False) -> Iterator[bool | None]:
    """Say of each of many values whether it meets a node, as `holds` does: many plain ones take few steps."""
    parts = conjunction(node)
    plain, asked = all(_is_plain(part) for part in parts), _Asked(literal=literal)
    for at, value in enumerate(values):
        if not plain or isinstance(value, dict | list):
            yield holds(value, node, literal=literal)
        elif parts and (parts[0].document.budget.spent or not parts[0].document.budget.spend(at % _AT_ONCE == 0)):
            yield None
        else:
            yield _all(found for part in parts if not alone(part) for found in _own(value, part, asked, top=True))


def _is_plain(part: Part) -> bool:
    """Whether what a part says of a value that is no list and no object is all in keywords of its own."""
    schema = part.schema
    if isinstance(schema, bool) or not isinstance(schema, dict):
        return isinstance(schema, bool)
    if "$ref" in schema and (part.document.tangled() or part.document.followed(schema["$ref"]) is None):
        return False
    return alone(part) or _COMBINING.isdisjoint(schema)


def _all(found: Iterable[bool | None]) -> bool | None:
    known: bool | None = True
    for each in found:
        if each is False:
            return False
        known = None if each is None else known
    return known


def _any(found: Iterable[bool | None]) -> bool | None:
    said = list(found)
    return True if True in said else None if None in said else False


def _not(found: bool | None) -> bool | None:
    return None if found is None else not found


def _part(value: Any, part: Part, asked: _Asked, *, top: bool = False) -> bool | None:
    if isinstance(part.schema, bool):
        return part.schema
    if not isinstance(part.schema, dict) or asked.depth > _DEEPEST or not part.document.budget.spend():
        return None
    pair = (id(value), part.key)
    if pair not in asked.known:
        asked.known[pair] = None
        asked.depth += 1
        found = _reference(value, part, asked, top) if alone(part) else _all(_checks(value, part, asked, top))
        asked.known[pair] = found
        asked.depth -= 1
    return asked.known[pair]


def _reference(value: Any, part: Part, asked: _Asked, top: bool) -> bool | None:
    there = part.document.followed(part.schema["$ref"])
    return None if there is None else _part(value, there, asked, top=top)


def _checks(value: Any, part: Part, asked: _Asked, top: bool) -> Iterator[bool | None]:
    yield from _own(value, part, asked, top=top)
    yield from _combined(value, part, asked, top)
    if any(word in part.schema for word in _UNKNOWN):
        yield None


def _own(value: Any, part: Part, asked: _Asked, *, top: bool) -> Iterator[bool | None]:
    """Yield what a schema says by its own keywords: what it asks of the values within is among it."""
    if isinstance(part.schema, bool):
        yield part.schema
        return
    schema, kind = part.schema, type_of(value)
    named = types_of(schema)
    if named is not None:
        yield _typed(value, kind, named, part.document.draft == 4 and not (asked.literal and top))
    if "enum" in schema or "const" in schema:
        yield text(value) in texts_of(part)
    if kind == "number":
        yield from _number(value, part)
    elif kind == "string":
        yield from _string(value, part)
    elif kind == "array":
        yield from _array(value, part, asked)
    elif kind == "object":
        yield from _object(value, part, asked)


def _typed(value: Any, kind: str, named: tuple[frozenset[str], bool], spelled: bool) -> bool | None:
    if kind not in named[0]:
        return False
    if kind != "number" or not named[1]:
        return True
    if not math.isfinite(value) or value != int(value):
        return False
    return None if spelled else True


def _number(value: Any, part: Part) -> Iterator[bool | None]:
    low, high = bounds_of(part)
    if low is not None:
        yield value > low.value if low.exclusive else value >= low.value
    if high is not None:
        yield value < high.value if high.exclusive else value <= high.value
    step = part.schema.get("multipleOf")
    if is_number(step) and step > 0:
        yield (step_of(value) / step_of(step)).denominator == 1


def _string(value: str, part: Part) -> Iterator[bool | None]:
    schema, draft = part.schema, part.document.draft
    yield schema.get("minLength", 0) <= len(value)
    if "maxLength" in schema:
        yield len(value) <= schema["maxLength"]
    if isinstance(schema.get("pattern"), str):
        yield strings.matches(schema["pattern"], value)
    if isinstance(schema.get("format"), str):
        yield strings.has_format(schema["format"], value, draft)
    for word in CONTENTS:
        if isinstance(schema.get(word), str):
            yield strings.has_content(word, schema[word], value, draft)


def _array(value: list[Any], part: Part, asked: _Asked) -> Iterator[bool | None]:
    schema, draft = part.schema, part.document.draft
    yield schema.get("minItems", 0) <= len(value)
    if "maxItems" in schema:
        yield len(value) <= schema["maxItems"]
    if schema.get("uniqueItems") is True:
        yield len({text(item) for item in value}) == len(value)
    row = row_of(part)
    if row is not None:
        for index, item in enumerate(value):
            wanted = row.prefix[index] if index < len(row.prefix) else row.rest
            if wanted is not None:
                yield _part(item, wanted, asked)
    if "contains" in schema:
        wanted = part.below(schema["contains"], "contains")
        said = [_part(item, wanted, asked) for item in value]
        sure, maybe = said.count(True), said.count(None)
        least, most = (
            least_contained(schema, draft),
            schema.get("maxContains", len(value)) if draft >= 2019 else len(value),
        )
        yield False if sure + maybe < least or sure > most else True if least <= sure and sure + maybe <= most else None


def _object(value: dict[str, Any], part: Part, asked: _Asked) -> Iterator[bool | None]:
    schema = part.schema
    yield all(name in value for name in schema.get("required", ()) if isinstance(schema["required"], list))
    yield schema.get("minProperties", 0) <= len(value)
    if "maxProperties" in schema:
        yield len(value) <= schema["maxProperties"]
    shape = shape_of(part)
    if shape is not None:
        for name, item in value.items():
            yield _all(_part(item, each, asked) for each in shape_parts(shape, name))
    if "propertyNames" in schema:
        yield from (_part(name, part.below(schema["propertyNames"], "propertyNames"), asked) for name in value)
    for name, others in dependents_of(schema).items():
        if name in value:
            yield others <= value.keys()
    for wanted in dependent_schemas(part, value):
        yield _part(value, wanted, asked)


def shape_parts(shape: Any, name: str) -> list[Part]:
    """Return what a shape asks of the property of a name."""
    found = [shape.properties[name]] if name in shape.properties else []
    found += [part for pattern, part in shape.patterns.items() if strings.matches(pattern, name)]
    return found if found or shape.extra is None else [shape.extra]


def dependent_schemas(part: Part, names: Iterable[str]) -> Iterator[Part]:
    """Yield the schemas that the presence of properties asks for."""
    here = set(names)
    for word in ("dependentSchemas", "dependencies"):
        for name, item in part.schema.get(word, {}).items():
            if name in here and isinstance(item, dict | bool):
                yield part.below(item, word, name)


def _combined(value: Any, part: Part, asked: _Asked, top: bool) -> Iterator[bool | None]:
    schema = part.schema
    if "$ref" in schema:
        yield _reference(value, part, asked, top)
    for index, item in enumerate(schema.get("allOf", ())):
        yield _part(value, part.below(item, "allOf", index), asked, top=top)
    if "anyOf" in schema:
        yield _any(
            _part(value, part.below(item, "anyOf", at), asked, top=top) for at, item in enumerate(schema["anyOf"])
        )
    if "oneOf" in schema:
        said = [_part(value, part.below(item, "oneOf", at), asked, top=top) for at, item in enumerate(schema["oneOf"])]
        yield False if said.count(True) > 1 else None if None in said else said.count(True) == 1
    if "not" in schema:
        yield _not(_part(value, part.below(schema["not"], "not"), asked, top=top))
    if "if" in schema:
        met = _part(value, part.below(schema["if"], "if"), asked, top=top)
        then = _part(value, part.below(schema.get("then", True), "then"), asked, top=top)
        other = _part(value, part.below(schema.get("else", True), "else"), asked, top=top)
        yield then if met else other if met is False else then if then == other else None
