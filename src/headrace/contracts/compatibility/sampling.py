"""Values that a node allows: the least one, and a few that try the borders of another node. Always a bounded number."""

from __future__ import annotations

import itertools
import json
import math
from typing import TYPE_CHECKING, Any

from headrace.contracts.compatibility import strings
from headrace.contracts.compatibility.document import key, text
from headrace.contracts.compatibility.holding import holds, shape_parts
from headrace.contracts.compatibility.patterns import NOTHING, languages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from headrace.contracts.compatibility.budget import Budget
    from headrace.contracts.compatibility.document import Document, Node
    from headrace.contracts.compatibility.facts import Alternatives, Facts

NONE = object()
"""What stands for a value where there is none."""

_DEEPEST = 10
_LONGEST = 70_000
_MOST = 60
_MOST_LENGTHS = 24
_MOST_LISTED = 12
_MEMBERS_AT_ONCE = 512
_LONG = 64
"""Longer texts are not looked for in all that a pattern matches."""
_MOST_PARTS = 2_000
_LARGEST = 10**300
"""From here on a number has no neighbours that a float could be."""


class Sampler:
    """Makes values for one comparison. `closed`: the document whose writers write only what it declares."""

    def __init__(self, alternatives: Alternatives, budget: Budget, *, closed: Document | None) -> None:
        self._alternatives = alternatives
        self._budget = budget
        self._closed = closed
        self._left = 20_000
        self._least: dict[frozenset[tuple[int, int]], Any] = {}
        self._members: dict[int, tuple[Facts, dict[str, Any]]] = {}
        """The least values of what objects of some facts must have, by the identity of the facts, which are kept."""

    def least(self, node: Node, depth: int = 0) -> Any:
        """Return a small value that the node allows, as far as is known; NONE where none is found."""
        known = key(node)
        if known not in self._least:
            found = next(self.some(node, (), depth, 1), NONE)
            if found is NONE and depth:
                return NONE  # too deep here may be shallow enough elsewhere
            self._least[known] = found
        return self._least[known]

    def some(self, node: Node, other: Node, depth: int = 0, most: int = _MOST) -> Iterator[Any]:
        """Yield values that the node allows, no more than `most`: small ones, and those at the borders of `other`."""
        if depth > _DEEPEST or self._budget.spent:
            return
        seen: set[str] = set()
        found = self._alternatives.of(node)
        hints = list(self._alternatives.of(other)[:8]) if other else []
        runs = [self._of(facts, hints, depth) for facts in found[:24]]
        for value in itertools.islice(_in_turn(runs), most * 6):
            self._left -= 1
            if self._left < 0 or not self._budget.spend():
                return
            if _is_huge(value):
                continue
            written = _written(value)
            if written not in seen and holds(value, node) is not False:
                seen.add(written)
                yield value
                if len(seen) >= most:
                    return

    def of_facts(self, facts: Facts, other: Node, most: int = _MOST) -> Iterator[Any]:
        """Yield values of some facts, as `some` does for a node."""
        seen: set[str] = set()
        hints = self._alternatives.of(other)[:8]
        for value in itertools.islice(self._of(facts, hints, 0), most * 6):
            if not self._budget.spend():
                return
            if _is_huge(value):
                continue
            written = _written(value)
            if written not in seen and holds(value, facts.parts) is not False:
                seen.add(written)
                yield value
                if len(seen) >= most:
                    return

    def _of(self, facts: Facts, hints: list[Facts], depth: int) -> Iterator[Any]:
        if facts.values is not None:
            yield from facts.values
            return
        makers: dict[str, Callable[[], Iterator[Any]]] = {
            "null": lambda: iter([None]),
            "string": lambda: self._strings(facts, hints),
            "number": lambda: _numbers(facts, hints),
            "boolean": lambda: iter([True, False]),
            "array": lambda: self._arrays(facts, hints, depth),
            "object": lambda: self._objects(facts, hints, depth),
        }
        order = [kind for kind in makers if kind in facts.types]
        wanted = frozenset[str]().union(*(hint.types for hint in hints)) if hints else frozenset()
        if depth < 3:
            order.sort(key=lambda kind: kind in wanted)
        yield from _in_turn([makers[kind]() for kind in order])

    def _strings(self, facts: Facts, hints: list[Facts]) -> Iterator[str]:
        every = [facts, *hints]
        for name in facts.formats:
            yield from strings.FORMATS.get(name.partition(" of ")[0], ())
        for hint in hints:
            yield from itertools.islice((each for each in hint.values or () if isinstance(each, str)), _MOST_LISTED)
        lengths = {
            length
            for each in every
            for end in (each.min_length, each.max_length)
            if end != math.inf
            for length in (int(end), int(end) - 1, int(end) + 1)
            if 0 <= length <= _LONGEST
        }
        texts = self._alternatives.texts
        own = [pattern for pattern in facts.patterns if not texts.matches_all(pattern, self._budget)]
        mine = languages(facts.patterns, facts.formats)
        for hint in hints:
            for pattern in hint.patterns:
                found = texts.beyond(mine, pattern, self._budget, facts.min_length, facts.max_length).found
                yield from () if found is None else (found,)
        for length in sorted(lengths) if own and len(lengths) < _MOST_LENGTHS else ():
            found = texts.beyond(mine, NOTHING, self._budget, length, length).found
            yield from () if found is None else (found,)
        long = [length for length in lengths if max(facts.min_length, _LONG) < length <= facts.max_length]
        for pattern in own:
            for length in sorted(long)[:_MOST_LENGTHS]:
                found = next(
                    (each for each in strings.stretched(pattern, length) if strings.matches(pattern, each)), None
                )
                yield from () if found is None else (found,)
        for name in facts.formats:
            for length in lengths:
                yield from strings.of_format(name, length)
        for pattern in own:
            yield from strings.like(pattern)
        for length in sorted(lengths | {0, 1}, key=lambda length: not facts.min_length <= length <= facts.max_length):
            if not own:
                yield strings.of_length(length)
        for hint in hints:
            for pattern in hint.patterns:
                yield from strings.like(pattern, 2)
            for name in hint.formats:
                yield from strings.FORMATS.get(name.partition(" of ")[0], ())
        yield from ("x", "", " ", "A", "7", "é!", "a b", "not-this one", "0" * 20)
        for pattern in own:
            for sample in strings.like(pattern, 3):
                yield from (f"{sample}{more}" for more in ("x", "0", "-", " "))

    def _arrays(self, facts: Facts, hints: list[Facts], depth: int) -> Iterator[list[Any]]:
        counts = {facts.min_items, 0, 1, 2}
        for each in (facts, *hints):
            ends = (each.min_items, each.max_items, max((len(row.prefix) for row in each.rows), default=0))
            counts |= {int(end) + more for end in ends if end != math.inf for more in (-1, 0, 1)}
        fit = sorted(count for count in counts if max(0, facts.min_items) <= count <= min(facts.most_items(), 300))
        for count in fit:
            made = self.array(facts, {}, count, depth)
            if made is not NONE:
                yield made
                if count > 1 and not facts.unique:
                    yield [made[0]] * count
        if depth < 2 and fit:
            for item in self.some(facts.item(0), (), depth + 1, 6):
                made = self.array(facts, {0: item}, max(1, fit[0]), depth)
                if made is not NONE:
                    yield made

    def array(self, facts: Facts, forced: dict[int, Any], count: int, depth: int) -> Any:
        """Return an array of at least so many items, some of them given; NONE where none is found."""
        made: list[Any] = []
        if self._budget.spent or max(count, sum(least for _, least in facts.contains)) > _LONGEST:
            return NONE
        contained = [part for part, least in facts.contains for _ in range(least)]
        free = [at for at in range(max(count, len(contained), *(at + 1 for at in forced), 0)) if at not in forced]
        asked = dict(zip(reversed(free), contained, strict=False))
        for index in range(max([count, len(contained), *(at + 1 for at in forced)])):
            if index in forced:
                made.append(forced[index])
                continue
            node = (*facts.item(index), *((asked[index],) if index in asked else ()))
            taken = {text(item) for item in [*made, *forced.values()]} if facts.unique else set()
            options = self.some(node, (), depth + 1, len(taken) + 1)
            item = next((each for each in options if text(each) not in taken), NONE)
            if item is NONE and facts.unique:
                item = next((n for n in range(1000) if text(n) not in taken and holds(n, node)), NONE)
            if item is NONE:
                return NONE
            made.append(item)
        return made

    def _objects(self, facts: Facts, hints: list[Facts], depth: int) -> Iterator[dict[str, Any]]:
        least = self.object(facts, {}, depth)
        if least is NONE:
            return
        yield least
        names = facts.declared
        foreign = [name for hint in hints for name in hint.declared if name not in names]
        full: dict[str, Any] = {}
        for name in [*names, *foreign][:40]:
            value = self.least(self.value_node(facts, name), depth + 1) if self.may_have(facts, name) else NONE
            if value is not NONE:
                full[name] = value
        every = self.object(facts, full, depth)
        if every is not NONE:
            yield every
            for name in list(full)[:16]:
                if name not in facts.required:
                    yield {key: value for key, value in every.items() if key != name}
        counts = {int(end) + more for hint in hints for end in (hint.min_properties, hint.max_properties)
                  if end != math.inf for more in (-1, 0, 1)}  # fmt: skip
        for count in sorted(count for count in counts if len(least) < count <= 300):
            made = self.object(facts, {}, depth, count)
            if made is not NONE:
                yield made
        if depth < 2:
            for name in [*names, *foreign][:24]:
                if self.may_have(facts, name):
                    theirs = hints[0] if hints else None
                    wanted = () if theirs is None else self.value_node(theirs, name)
                    for value in self.some(self.value_node(facts, name), wanted, depth + 1, 6):
                        made = self.object(facts, {name: value}, depth)
                        if made is not NONE:
                            yield made
        for hint in hints:
            for shape in hint.shapes:
                for pattern in shape.patterns:
                    for name in strings.like(pattern, 2):
                        if self.may_have(facts, name):
                            for value in self.some(
                                self.value_node(facts, name), (shape.patterns[pattern],), depth + 1, 6
                            ):
                                made = self.object(facts, {name: value}, depth)
                                if made is not NONE:
                                    yield made
        for name in self._foreign_names(facts, hints):
            made = self.object(facts, {name: self.least(self.value_node(facts, name), depth + 1)}, depth)
            if made is not NONE and NONE not in made.values():
                yield made
        if self.may_have(facts, "another"):
            for value in self.some(self.value_node(facts, "another"), (), depth + 1, 8):
                made = self.object(facts, {"another": value}, depth)
                if made is not NONE:
                    yield made

    def _foreign_names(self, facts: Facts, hints: list[Facts]) -> Iterator[str]:
        """Yield names at the borders of what a reader asks of names."""
        for hint in hints:
            for part in hint.names:
                tried = self.some((part.document.texts(), *facts.names), (part,), 1, 12)
                yield from (name for name in tried if self.may_have(facts, name))

    def object(self, facts: Facts, forced: dict[str, Any], depth: int, count: int = 0) -> Any:
        """Return an object with what is required and what is given; NONE where none is found."""
        if not self._budget.spend(1 + len(facts.required) // _MEMBERS_AT_ONCE):
            return NONE
        made = dict(forced)
        more = {each for name in forced for each in facts.dependents.get(name, ())} - facts.required
        _, found = self._members.setdefault(id(facts), (facts, {}))
        for name in facts.ordered({*facts.required, *more}) if more else facts.asked:
            if name in made:
                continue
            if name not in found:
                value = self.least(self.value_node(facts, name), depth + 1)
                if value is NONE:
                    return NONE
                found[name] = value
            made[name] = found[name]
        fillers = itertools.chain(facts.declared, self._fillers(facts))
        while len(made) < max(facts.min_properties, count):
            filler = next(fillers, None)
            if filler is None:
                return NONE
            if filler in made or not self.may_have(facts, filler):
                continue
            value = self.least(self.value_node(facts, filler), depth + 1)
            if value is not NONE:
                made[filler] = value
        return made

    def _fillers(self, facts: Facts) -> Iterator[str]:
        for shape in facts.shapes:
            for pattern in shape.patterns:
                yield from strings.like(pattern)
        for node in facts.names:
            yield from (each for each in self.some((node,), (), 1, 12) if isinstance(each, str))
        yield from (f"{strings.of_length(12)}{number}" for number in range(320))

    def may_have(self, facts: Facts, name: str) -> bool:
        """Whether an object may have a property of this name, as far as writers are taken to write it."""
        if any(holds(name, (part,)) is False for part in facts.names):
            return False
        if any(part.schema is False for part in self.value_node(facts, name)):
            return False
        if facts.full and name not in facts.required:
            return False
        if facts.is_open(closed=self._closed):
            return True
        named = facts.names_of(self._closed, name)
        return named or any(strings.matches(pattern, name) for shape in facts.shapes for pattern in shape.patterns)

    def value_node(self, facts: Facts, name: str) -> Node:
        """Return what the value of a property must meet."""
        return tuple(part for shape in facts.shapes for part in shape_parts(shape, name))


def _numbers(facts: Facts, hints: list[Facts]) -> Iterator[Any]:
    multiples = [step for each in (facts, *hints) for step in each.multiples if step < _LARGEST]
    steps = [float(step) if step.denominator > 1 else int(step) for step in multiples]
    ends = [end.value for each in (facts, *hints) for end in (each.low, each.high) if end is not None]
    ends = [end for end in ends if abs(end) < _LARGEST]
    near = [end + more for end in ends for more in (0, 1, -1, 0.5, -0.5)]
    tried: list[Any] = [0, *near, 1, *(end // step * step for end in ends for step in steps if step), 2, -1, *steps]
    tried += [step * factor for step in steps for factor in (2, 3, -1, 7)]
    for end in ends:
        tried += [end + step for step in steps] + [end - step for step in steps] + [end * 2, end * 10]
    tried += [1.5, 0.25, -0.5, 13, 101, 1000003, 10**19, -(10**19), 0.001]
    for step in facts.multiples:
        low = facts.lowest()
        if low is not None and max(abs(low.value), step) < _LARGEST:
            first = math.ceil(low.value / step) * step
            tried += [
                int(first + n * step) if (first + n * step).denominator == 1 else float(first + n * step)
                for n in range(3)
            ]
    if any(hint.literal for hint in hints) and not facts.literal:
        yield from (float(value) for value in (0, *(end for end in ends if end == int(end) and abs(end) < 2**53)))
    for value in tried:
        if isinstance(value, float) and not math.isfinite(value):
            continue
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            yield int(value)
        elif not facts.whole or not isinstance(value, float):
            yield value


def _is_huge(value: Any) -> bool:
    """Return whether a value has more objects and lists than anybody looks at: a few that share others may be many."""
    waiting, count = [value], 0
    while waiting and count <= _MOST_PARTS:
        each = waiting.pop()
        if isinstance(each, dict | list):
            count += 1
            waiting += each.values() if isinstance(each, dict) else each
    return count > _MOST_PARTS


def _written(value: Any) -> str:
    """Return the text of a value as it is spelled: draft 4 tells 1 from 1.0."""
    return json.dumps(value, sort_keys=True)


def _in_turn(runs: Iterable[Iterator[Any]]) -> Iterator[Any]:
    """Yield one of each in turn, so that no one keeps the others waiting."""
    waiting = list(runs)
    while waiting:
        still = []
        for run in waiting:
            value = next(run, NONE)
            if value is not NONE:
                yield value
                still.append(run)
        waiting = still
