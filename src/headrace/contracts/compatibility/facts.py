"""What is known of every value that a schema allows: its alternatives, each as plain facts per JSON type.

Facts may say less than the schema does, never more: each holds for all values that the alternative allows. So what is
proven of facts is proven of the schema.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.contracts.compatibility.document import Document, Part, key
from headrace.contracts.compatibility.patterns import Texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from fractions import Fraction

    from headrace.contracts.compatibility.document import Node

TYPES = frozenset({"null", "boolean", "number", "string", "object", "array"})
MOST_ALTERNATIVES = 512
_DEEPEST = 12
_CHOOSING = frozenset({"anyOf", "oneOf", "if"})


class Bound(NamedTuple):
    """An end of a range of numbers."""

    value: Any
    exclusive: bool


class Row(NamedTuple):
    """The items of arrays, as one schema of a conjunction has them; `rest` is None where anything may follow."""

    prefix: tuple[Part, ...]
    rest: Part | None


class Shape(NamedTuple):
    """The properties of objects, as one schema of a conjunction has them; `extra` is None where it says nothing."""

    properties: dict[str, Part]
    patterns: dict[str, Part]
    extra: Part | None
    owner: Document | None = None


class Mention(NamedTuple):
    """The properties that a schema speaks of without declaring them; `open` where it leaves their names open."""

    owner: Document
    names: frozenset[str]
    open: bool


@dataclass
class Facts:
    """What holds for every value of one alternative of a node. `parts` are the schemas that it must meet."""

    parts: tuple[Part, ...]
    types: frozenset[str] = TYPES
    integral: bool = False
    literal: bool = False
    """Whether every number is written as an integer, as draft 4 asks: 1, never 1.0."""
    values: list[Any] | None = None
    low: Bound | None = None
    high: Bound | None = None
    multiples: frozenset[Fraction] = frozenset()
    min_length: int = 0
    max_length: float = math.inf
    patterns: frozenset[str] = frozenset()
    formats: frozenset[str] = frozenset()
    contents: frozenset[tuple[str, str, bool]] = frozenset()
    rows: tuple[Row, ...] = ()
    min_items: int = 0
    max_items: float = math.inf
    unique: bool = False
    contains: tuple[tuple[Part, int], ...] = ()
    shapes: tuple[Shape, ...] = ()
    required: frozenset[str] = frozenset()
    min_properties: int = 0
    max_properties: float = math.inf
    names: tuple[Part, ...] = ()
    dependents: dict[str, frozenset[str]] = field(default_factory=dict)
    nots: tuple[Part, ...] = ()
    mentions: tuple[Mention, ...] = ()
    partial: bool = False
    """Whether some alternatives were too many to be told apart: then what is declared is not known."""

    def only(self, kind: str) -> Facts:
        """Return the facts of the values of one type."""
        if self.types == {kind} and (self.values is not None or kind not in {"null", "boolean"}):
            return self
        values = self.values
        if values is None and kind in {"null", "boolean"}:
            values = [None] if kind == "null" else [False, True]
        elif values is not None:
            values = [value for value in values if type_of(value) == kind]
        return replace(self, types=frozenset({kind}), values=values)

    @property
    def whole(self) -> bool:
        """Whether every number is an integer."""
        return self.integral or any(step.denominator == 1 for step in self.multiples)

    def lowest(self) -> Bound | None:
        """Return the lower end of the numbers, moved to an integer where they are integers."""
        if self.low is None or not self.whole:
            return self.low
        least = math.ceil(self.low.value)
        return Bound(least + (1 if self.low.exclusive and least == self.low.value else 0), exclusive=False)

    def highest(self) -> Bound | None:
        """Return the upper end of the numbers, moved to an integer where they are integers."""
        if self.high is None or not self.whole:
            return self.high
        most = math.floor(self.high.value)
        return Bound(most - (1 if self.high.exclusive and most == self.high.value else 0), exclusive=False)

    def most_items(self) -> float:
        """Return how many items there are at most."""
        closed = [len(row.prefix) for row in self.rows if row.rest is not None and row.rest.schema is False]
        return min([self.max_items, *closed])

    def item(self, index: int) -> Node:
        """Return what the item at an index must meet."""
        found = [row.prefix[index] if index < len(row.prefix) else row.rest for row in self.rows]
        return tuple(part for part in found if part is not None)

    @cached_property
    def declared(self) -> dict[str, None]:
        """The properties that are named, in order."""
        named = [name for shape in self.shapes for name in shape.properties]
        return dict.fromkeys([*named, *sorted(self.required.union(*(each.names for each in self.mentions)))])

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each of the declared properties comes in their order."""
        return {name: at for at, name in enumerate(self.declared)}

    def ordered(self, names: Iterable[str]) -> list[str]:
        """Return names in the order of the declared properties; others follow by name."""
        return sorted(names, key=lambda name: (self.places.get(name, len(self.places)), name))

    @cached_property
    def asked(self) -> list[str]:
        """The required properties, in order."""
        return self.ordered(self.required)

    def names_of(self, writer: Document | None, name: str) -> bool:
        """Whether what a writer's own schema says names a property; with no writer, whether anything does."""
        if writer is None:
            return name in self.declared
        return (
            name in self.required
            or any(shape.owner is writer and name in shape.properties for shape in self.shapes)
            or any(each.owner is writer and name in each.names for each in self.mentions)
        )

    @property
    def full(self) -> bool:
        """Whether what is required is all that there is room for."""
        return self.max_properties <= len(self.required)

    def is_open(self, *, closed: Document | None) -> bool:
        """Whether there may be properties that are neither declared nor match a pattern.

        `closed` is the document whose writers write only what it declares; None where writers write what they like.
        What a reader's condition adds to the facts declares nothing.
        """
        if self.full or any(shape.extra is not None and shape.extra.schema is False for shape in self.shapes):
            return False
        if closed is None or self.partial or self.min_properties > len(self.declared):
            return True
        own = [shape for shape in self.shapes if shape.owner is closed]
        silent = all(shape.extra is None or shape.extra.schema in (True, {}) for shape in own)
        silent = silent and not any(each.open for each in self.mentions if each.owner is closed)
        return not (silent and any(shape.properties or shape.patterns for shape in own))


def type_of(value: Any) -> str:
    """Return the JSON type of a value; all numbers are `number`."""
    found = _NAMES.get(type(value))
    return found or next((name for kind, name in _NAMES.items() if isinstance(value, kind)), "number")


_NAMES = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null", dict: "object",
          list: "array"}  # fmt: skip


class Alternatives:
    """Takes nodes apart into alternatives, each once."""

    def __init__(self) -> None:
        self._known: dict[frozenset[tuple[int, int]], list[Facts]] = {}
        self._beside: dict[int, list[Facts]] = {}
        self.texts = Texts()
        """What this comparison has found out about patterns."""

    def of(self, node: Node) -> list[Facts]:
        """Return facts such that every value of the node is described by at least one of them."""
        known = key(node)
        if known not in self._known:
            found = [facts for facts in self._expanded(node, frozenset(), 0) if facts.types]
            if node and node[0].document.budget.spent:
                return found  # what is known too little is not to be kept for when there is time again
            self._known[known] = found
            if len(found) > 1:
                self._beside.update((id(facts.parts), found) for facts in found)
        return self._known[known]

    def beside(self, facts: Facts) -> list[Facts]:
        """Return the alternatives that some facts are one of, these facts first."""
        others = self._beside.get(id(facts.parts), [])
        return [facts, *(each for each in others if each.parts is not facts.parts)]

    def _expanded(self, node: Node, above: frozenset[tuple[int, int]], depth: int) -> list[Facts]:
        from headrace.contracts.compatibility.gather import gathered

        parts = tuple(part for part in conjunction(node) if part.key not in above)
        groups = [group for part in parts for group in choices(part)]
        budget = parts[0].document.budget if parts else None
        if not groups or depth > _DEEPEST or (budget is not None and budget.spent):
            return [gathered(parts, self.texts, partial=bool(groups))]
        partial = False
        combined: list[tuple[Part, ...]] = [()]
        for group in sorted(groups, key=len):
            if len(combined) * len(group) > MOST_ALTERNATIVES:
                partial = True
            else:
                combined = [(*chosen, *option) for chosen in combined for option in group]
        above |= {part.key for part in parts}
        found: list[Facts] = []
        for chosen in combined:
            for each in self._expanded(chosen, above, depth + 1):
                found.append(gathered((*parts, *each.parts), self.texts, partial=partial or each.partial))
                if budget is not None and budget.spent:
                    break
            if len(found) > MOST_ALTERNATIVES or (budget is not None and budget.spent):
                return [gathered(parts, self.texts, partial=True)]
        return found


def conjunction(node: Node) -> tuple[Part, ...]:
    """Return the schemas that a value must meet at once, references and `allOf` followed."""
    found: dict[tuple[int, int], Part] = {}
    waiting = list(reversed(node))
    while waiting:
        part = waiting.pop()
        if part.schema is True or part.key in found:
            continue
        found[part.key] = part
        if isinstance(part.schema, dict):
            waiting += reversed(list(_followed(part)))
    return tuple(found.values())


def alone(part: Part) -> bool:
    """Whether a reference stands there, and nothing beside it counts (drafts 4 to 7)."""
    return part.document.draft <= 7 and isinstance(part.schema, dict) and "$ref" in part.schema


def _followed(part: Part) -> Iterator[Part]:
    schema = part.schema
    if "$ref" in schema:
        there = part.document.followed(schema["$ref"])
        if there is not None:
            yield there
        if part.document.draft <= 7:
            return
    for index, item in enumerate(schema.get("allOf", ())):
        yield part.below(item, "allOf", index)


def choices(part: Part) -> list[list[tuple[Part, ...]]]:
    """Return the choices that a schema leaves: for each, the branches of which a value meets at least one."""
    schema = part.schema
    if not isinstance(schema, dict) or _CHOOSING.isdisjoint(schema) or alone(part):
        return []
    found: list[list[tuple[Part, ...]]] = [
        [(part.below(item, word, index),) for index, item in enumerate(schema[word])]
        for word in ("anyOf", "oneOf")
        if isinstance(schema.get(word), list)
    ]
    if "if" in schema and ("then" in schema or "else" in schema) and part.document.draft >= 7:
        condition = part.below(schema["if"], "if")
        otherwise = part.document.negated(schema["if"], condition.at)
        then = part.below(schema.get("then", True), "then")
        found.append([(condition, then), (otherwise, part.below(schema.get("else", True), "else"))])
    return found
