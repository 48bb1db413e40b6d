"""Whether every value that one schema allows is allowed by another: proven, or doubted at a place and for a reason.

A proof is sound: where there is no doubt, no value contradicts it. A doubt is only that; whether a value bears it out
is for `counterexample` to find. What repeats, as in schemas that refer to themselves, is assumed while it is proven.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import reduce
from typing import TYPE_CHECKING, Any

from headrace.contracts.compatibility.arrays import array_doubts
from headrace.contracts.compatibility.document import Node, Part, Sameness, key
from headrace.contracts.compatibility.doubt import Doubt, Step
from headrace.contracts.compatibility.facts import Alternatives, Facts, alone, choices, conjunction
from headrace.contracts.compatibility.gather import bounds_of, contents_of, format_of, is_number, step_of, types_of
from headrace.contracts.compatibility.holding import each_holds
from headrace.contracts.compatibility.objects import object_doubts, objects_apart
from headrace.contracts.compatibility.patterns import NOTHING, languages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.contracts.compatibility.budget import Budget
    from headrace.contracts.compatibility.document import Document

_FEW = 12
_BELOW_ALL = 1_000_000
_TOLD_FIRST = (
    "enum", "const", "type", "oneOf", "anyOf", "not", "if", "format", "pattern", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "required", "properties",
    "additionalProperties", "items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains",
)  # fmt: skip
_NEVER_DECIDED = {
    "$dynamicRef": "where a $dynamicRef leads is not followed",
    "$recursiveRef": "where a $recursiveRef leads is not followed",
    "unevaluatedItems": "which items are evaluated elsewhere is not followed",
}


class Inclusion:
    """Proves one direction: what the writer's document allows, the reader's does."""

    def __init__(
        self, budget: Budget, *, closed: Document | None = None, alternatives: Alternatives | None = None,
        same: Sameness | None = None,
    ) -> None:  # fmt: skip
        self.alternatives = alternatives or Alternatives()
        self.same = same or Sameness()
        self.closed = closed
        """The document whose writers write only what it declares; None where they write what is not forbidden."""
        self._budget = budget
        self._denials: Inclusion | None = None
        self._proven: dict[tuple[Any, Any], list[Doubt]] = {}
        self._current: dict[tuple[Any, Any], tuple[int, Step | None]] = {}
        self._deciding: set[tuple[int, tuple[int, int]]] = set()
        self._lowest = _BELOW_ALL

    @property
    def exhausted(self) -> bool:
        """Whether so much was compared that the rest is left undecided."""
        return self._budget.spent

    @property
    def denials(self) -> Inclusion:
        """The proof for what is denied: whom one `not` excludes, another does. Nobody wrote those values."""
        if self._denials is None:
            self._denials = Inclusion(self._budget, alternatives=self.alternatives, same=self.same)
            self._denials._denials = self._denials
        return self._denials

    def doubts(self, a: Node, b: Node, step: Step | None = None) -> list[Doubt]:
        """Return why a value of `a` may be refused by `b`: nothing where it surely is not."""
        b = tuple(part for part in b if part.schema is not True and part.schema != {})
        if not b:
            return []
        left = [part for part in b if not any(part.key == each.key or self.same.parts(each, part) for each in a)]
        if not left:
            return []
        pair = _pair(a, b)
        if pair in self._proven:
            return self._proven[pair]
        if pair in self._current and step is not None and step is not self._current[pair][1]:
            # By induction over the size of documents: a smaller one within this one is held against the same pair.
            self._lowest = min(self._lowest, self._current[pair][0])
            return []
        self._budget.spend()
        if self.exhausted or len(self._current) > 150 or pair in self._current:
            return [Doubt(left[0], "size", "the schemas are too large or too deep to be compared here", Facts(a), step)]
        depth = len(self._current)
        self._current[pair] = (depth, step)
        outer, self._lowest = self._lowest, _BELOW_ALL
        found = self._decided(a, tuple(left), step)
        del self._current[pair]
        if self._lowest >= depth or found:
            self._proven[pair] = found
            self._lowest = outer
        else:
            self._lowest = min(outer, self._lowest)
        return found

    def _decided(self, a: Node, b: Node, step: Step | None) -> list[Doubt]:
        found: dict[tuple[Any, str, Any], Doubt] = {}
        wanted = conjunction(b)
        for facts in self.alternatives.of(a):
            left = [part for part in wanted if not self._among(part, facts)]
            for kind in sorted(facts.types) if left else ():
                only = facts.only(kind)
                for part in left:
                    for doubt in self._part(only, kind, part, step):
                        found.setdefault((doubt.part.key, doubt.aspect, str(doubt.detail)), doubt)
        return list(found.values())

    def _among(self, part: Part, facts: Facts) -> bool:
        return any(part.key == each.key or self.same.parts(each, part) for each in facts.parts)

    def _part(self, facts: Facts, kind: str, part: Part, step: Step | None) -> Iterator[Doubt]:
        schema = part.schema
        if schema is False:
            yield Doubt(part, "false", "nothing is allowed here", facts, step)
        if not isinstance(schema, dict):
            return
        if alone(part):
            if part.document.followed(schema["$ref"]) is None:
                yield Doubt(part, "$ref", f"where {schema['$ref']!r} leads is not in the schema", facts, step)
            return
        if facts.values is not None:
            yield from self._values(facts, part, step)
            return
        named = types_of(schema)
        if named is not None and kind not in named[0]:
            yield Doubt(part, "type", f"{_article(kind)} is not of type {_words(schema['type'])}", facts, step)
            return
        if named is not None and kind == "number" and named[1] and not facts.whole:
            yield Doubt(part, "type", "a number need not be an integer", facts, step)
        elif named is not None and kind == "number" and named[1] and part.document.draft == 4 and not facts.literal:
            yield Doubt(
                part, "type", "an integer may be written as 1.0, which draft 4 does not take for one", facts, step
            )
        if "enum" in schema or "const" in schema:
            word = "enum" if "enum" in schema else "const"
            yield Doubt(part, word, f"{_article(kind)} need not be one of the values of {word}", facts, step)
        if kind == "number":
            yield from self._number(facts, part, step)
        elif kind == "string":
            yield from self._string(facts, part, step)
        elif kind == "array":
            yield from array_doubts(self, facts, part, step)
        elif kind == "object":
            yield from object_doubts(self, facts, part, step)
        yield from self._combined(facts, part, step)

    def _values(self, facts: Facts, part: Part, step: Step | None) -> Iterator[Doubt]:
        if part.schema.keys() == {"$ref"} and part.document.followed(part.schema["$ref"]) is not None:
            return  # what is refused is told where the reference leads
        values = facts.values or []
        said = list(zip(values, each_holds(values, (part,), literal=facts.literal), strict=True))
        refused = [value for value, found in said if found is False]
        unsure = [value for value, found in said if found is None]
        if refused or unsure:
            word = next((word for word in _TOLD_FIRST if word in part.schema), "schema")
            for value in (refused or unsure)[:8]:
                why = f"{_short(value)} is refused" if refused else f"whether {_short(value)} is allowed is not decided"
                yield Doubt(part, word, why, facts, step, spellings(value), _short(value))

    def _number(self, facts: Facts, part: Part, step: Step | None) -> Iterator[Doubt]:
        low, high = bounds_of(part)
        mine = facts.lowest()
        if low is not None and (mine is None or (mine.value, mine.exclusive) < (low.value, low.exclusive)):
            least = f"greater than {low.value}" if low.exclusive else f"at least {low.value}"
            yield Doubt(part, "minimum", f"a number need not be {least}", facts, step)
        top = facts.highest()
        if high is not None and (top is None or (top.value, not top.exclusive) > (high.value, not high.exclusive)):
            most = f"less than {high.value}" if high.exclusive else f"at most {high.value}"
            yield Doubt(part, "maximum", f"a number need not be {most}", facts, step)
        size = part.schema.get("multipleOf")
        if is_number(size) and size > 0:
            wanted = step_of(size)
            own = [*facts.multiples, *([step_of(1)] if facts.integral else [])]
            if not own or (reduce(_both, own) / wanted).denominator != 1:
                yield Doubt(part, "multipleOf", f"a number need not be a multiple of {size}", facts, step)

    def _string(self, facts: Facts, part: Part, step: Step | None) -> Iterator[Doubt]:
        schema = part.schema
        if schema.get("minLength", 0) > facts.min_length:
            yield Doubt(part, "minLength", f"a text may be shorter than {schema['minLength']}", facts, step)
        if "maxLength" in schema and schema["maxLength"] < facts.max_length:
            yield Doubt(part, "maxLength", f"a text may be longer than {schema['maxLength']}", facts, step)
        pattern = schema.get("pattern")
        if isinstance(pattern, str):
            beyond = self.alternatives.texts.beyond(
                languages(facts.patterns, facts.formats), pattern, self._budget, facts.min_length, facts.max_length
            )
            if not beyond.none:
                why = f"a text need not match {pattern}"
                hard = f"whether each text matches {pattern} takes too long to find out"
                yield Doubt(part, "pattern", hard if beyond.spent else why, facts, step)
        name = format_of(part)
        if name is not None and name not in facts.formats:
            yield Doubt(part, "format", f"a text need not be a {name}", facts, step)
        for word, content, binds in sorted(contents_of(part)):
            if word != "x-type" and not {(word, content, binds), (word, content, True)} & facts.contents:
                yield Doubt(part, word, f"a text need not be {content}", facts, step)

    def _combined(self, facts: Facts, part: Part, step: Step | None) -> Iterator[Doubt]:
        schema = part.schema
        if "$ref" in schema and part.document.followed(schema["$ref"]) is None:
            yield Doubt(part, "$ref", f"where {schema['$ref']!r} leads is not in the schema", facts, step)
        for word, why in _NEVER_DECIDED.items():
            if word in schema:
                yield Doubt(part, word, why, facts, step)
        if "not" in schema and not self.says(facts, part, "not"):
            denied = part.below(schema["not"], "not")
            if not self.disjoint(facts, (denied,)) and not any(
                not self.denials.doubts((denied,), (mine,)) for mine in facts.nots
            ):
                yield Doubt(part, "not", "a value may be what `not` excludes", facts, step)
        for word in ("anyOf", "oneOf"):
            if word in schema and not self.says(facts, part, word):
                yield from self._branches(facts, part, word, step)
        if "if" in schema:
            yield from self._conditional(facts, part, step)

    def _branches(self, facts: Facts, part: Part, word: str, step: Step | None) -> Iterator[Doubt]:
        branches = [part.below(item, word, index) for index, item in enumerate(part.schema[word])]
        nearest: list[Doubt] | None = None
        names = {name for each in facts.parts if (name := _named(each))}
        few = len(branches) <= _FEW
        branches.sort(key=lambda branch: (_named(branch) not in names, few and not self._among(branch, facts)))
        for branch in branches:
            if self.exhausted:
                yield Doubt(part, "size", "the schemas are too large or too deep to be compared here", facts, step)
                return
            twin = _named(branch) in names
            if not twin and self.disjoint(facts, (branch,)):
                continue
            found = self._branch(facts, branch, step)
            if not found:
                others = [other for other in branches if other is not branch]
                if word == "anyOf" or all(self.disjoint(facts, (other,)) for other in others):
                    return
                found = [Doubt(part, word, "a value may be valid under two branches of oneOf", facts, step)]
            elif not twin and any(doubt.aspect in {"type", "false"} and doubt.step is step for doubt in found):
                continue
            if nearest is None or len(found) < len(nearest):
                nearest = found
            if twin:
                break  # the branch that is meant: what it refuses is worth telling, whatever the others do
        if nearest is not None:
            yield from nearest
        else:
            why = f"a value may be valid under no branch of {word}"
            yield Doubt(part, word, why, facts, step, detail=min(names, default=None))

    def _branch(self, facts: Facts, branch: Part, step: Step | None) -> list[Doubt]:
        """Return why a value of facts, all of one type, may be refused by a branch."""
        deciding = (id(facts), branch.key)
        self._budget.spend()
        if self.exhausted or deciding in self._deciding or len(self._deciding) > 60:
            return [Doubt(branch, "size", "the schemas are too large or too deep to be compared here", facts, step)]
        self._deciding.add(deciding)
        kind = next(iter(facts.types))
        found = [
            doubt
            for part in conjunction((branch,))
            if not self._among(part, facts)
            for doubt in self._part(facts, kind, part, step)
        ]
        self._deciding.discard(deciding)
        return found

    def _conditional(self, facts: Facts, part: Part, step: Step | None) -> Iterator[Doubt]:
        for condition, then in choices(part)[-1] if "then" in part.schema or "else" in part.schema else ():
            if then.schema is True or then.schema == {}:
                continue
            # The type is part of the facts, not of their parts; a narrower writer would be one schema more.
            yield from self.doubts((*facts.parts, condition), (then,), step)

    def says(self, facts: Facts, part: Part, word: str) -> bool:
        """Whether the writer says the very same under a keyword."""
        return any(
            self.alike(each, part, word)
            for each in facts.parts
            if isinstance(each.schema, dict) and word in each.schema and not alone(each)
        )

    def alike(self, one: Part, other: Part, word: str) -> bool:
        """Whether two schemas say the same under a keyword."""
        was, now = one.schema[word], other.schema[word]
        if self.same.schemas(was, one.document, now, other.document):
            return True
        if not isinstance(was, list) or not isinstance(now, list) or len(was) != len(now) or len(was) > 64:
            return False
        left = list(now)
        for item in was:
            twin = next((at for at, each in enumerate(left)
                         if self.same.schemas(item, one.document, each, other.document)), None)  # fmt: skip
            if twin is None:
                return False
            del left[twin]
        return True

    def disjoint(self, facts: Facts, node: Node, depth: int = 0) -> bool:
        """Whether surely no value of the facts meets a node."""
        self._budget.spend()
        if self.exhausted:
            return False
        return all(self._apart(facts, other, depth) for other in self.alternatives.of(node))

    def _apart(self, mine: Facts, other: Facts, depth: int) -> bool:
        if not self._budget.spend():
            return False
        for facts, against in ((mine, other), (other, mine)):
            if facts.values is not None and all(
                held is False for held in each_holds(facts.values, against.parts, literal=facts.literal)
            ):
                return True
            denied = {part.document.text(part.schema): part for part in facts.nots}
            if denied and any(part.document.text(part.schema) in denied and self.same.parts(
                    part, denied[part.document.text(part.schema)]) for part in against.parts):  # fmt: skip
                return True
        kinds = mine.types & other.types
        return all(self._apart_as(kind, mine, other, depth) for kind in kinds)

    def _apart_as(self, kind: str, mine: Facts, other: Facts, depth: int) -> bool:
        if kind == "number":
            pairs = ((mine.lowest(), other.highest()), (other.lowest(), mine.highest()))
            return any(
                low
                and high
                and (low.value > high.value or (low.value == high.value and (low.exclusive or high.exclusive)))
                for low, high in pairs
            )
        if kind == "string":
            if mine.min_length > other.max_length or other.min_length > mine.max_length:
                return True
            own, others = (languages(each.patterns, each.formats) for each in (mine, other))
            return bool(own and others) and self.alternatives.texts.within(own | others, NOTHING, self._budget)
        if kind == "array":
            return mine.min_items > other.most_items() or other.min_items > mine.most_items()
        return kind == "object" and objects_apart(self, mine, other, depth)


def _pair(a: Node, b: Node) -> tuple[frozenset[tuple[int, int]], frozenset[tuple[int, int]]]:
    """Return what tells a question from all others; two references are the question of what they lead to."""
    if len(a) == len(b) == 1:
        there = _led(a[0]), _led(b[0])
        if there[0] is not None and there[1] is not None:
            return frozenset({there[0].key}), frozenset({there[1].key})
    return key(a), key(b)


def _led(part: Part) -> Part | None:
    """Return where a reference leads that nothing counts beside; None for any other schema."""
    if not isinstance(part.schema, dict) or "$ref" not in part.schema or (len(part.schema) > 1 and not alone(part)):
        return None
    return part.document.followed(part.schema["$ref"])


def spellings(value: Any) -> tuple[Any, ...]:
    """Return a value, and it again as the other way to write the same number: 1 and 1.0."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return value, float(value)
    if isinstance(value, float) and value.is_integer():
        return value, int(value)
    return (value,)


def _both(one: Fraction, other: Fraction) -> Fraction:
    """Return the least of which all multiples of both are multiples: of 2.5 and 1 it is 5."""
    return Fraction(math.lcm(one.numerator, other.numerator), math.gcd(one.denominator, other.denominator))


def _named(part: Part) -> str | None:
    """Return what a branch is known by: where it refers to, or its title."""
    schema = part.schema
    found = schema.get("$ref", schema.get("title")) if isinstance(schema, dict) else None
    return found if isinstance(found, str) else None


def _article(kind: str) -> str:
    return {"array": "an array", "object": "an object", "null": "null"}.get(kind, f"a {kind}")


def _words(value: Any) -> str:
    return value if isinstance(value, str) else " or ".join(map(str, value))


def _short(value: Any) -> str:
    from headrace.contracts.compatibility.document import text

    found = text(value)
    return found if len(found) <= 60 else found[:57] + "..."
