"""What a reader asks of objects, held against what a writer's objects are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.compatibility import strings
from headrace.contracts.compatibility.doubt import Doubt, Step
from headrace.contracts.compatibility.facts import choices, conjunction
from headrace.contracts.compatibility.gather import dependents_of, shape_of
from headrace.contracts.compatibility.holding import holds, shape_parts
from headrace.contracts.refs import unescaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.contracts.compatibility.document import Node, Part
    from headrace.contracts.compatibility.facts import Facts, Shape
    from headrace.contracts.compatibility.inclusion import Inclusion


def object_doubts(proof: Inclusion, facts: Facts, part: Part, step: Step | None) -> Iterator[Doubt]:
    """Yield why an object of the facts may be refused by a schema."""
    schema = part.schema
    for name in schema["required"] if isinstance(schema.get("required"), list) else ():
        if name not in facts.required:
            yield Doubt(part, "required", f"{name!r} need not be there", facts, step, detail=name)
    if schema.get("minProperties", 0) > max(facts.min_properties, len(facts.required)):
        yield Doubt(
            part, "minProperties", f"an object may have fewer than {schema['minProperties']} properties", facts, step
        )
    if "maxProperties" in schema and schema["maxProperties"] < _most_properties(proof, facts):
        yield Doubt(
            part, "maxProperties", f"an object may have more than {schema['maxProperties']} properties", facts, step
        )
    shape = shape_of(part)
    if shape is not None:
        yield from _shape(proof, facts, shape, part, step)
    yield from _names(proof, facts, part, step)
    for name, others in dependents_of(schema).items():
        missing = others - facts.required - facts.dependents.get(name, frozenset())
        if missing and may_have(proof, facts, name):
            word = "dependencies" if name in schema.get("dependencies", {}) else "dependentRequired"
            what = ", ".join(sorted(missing))
            yield Doubt(part, word, f"{what} need not be there where {name!r} is", facts, step, detail=name)
    for word in ("dependentSchemas", "dependencies"):
        for name, item in schema.get(word, {}).items():
            wanted = part.below(item, word, name)
            if isinstance(item, dict | bool) and may_have(proof, facts, name) and not _asks(proof, facts, word, wanted):
                there = part.document.asking(name)
                yield from proof.doubts((*facts.parts, there), (wanted,), step)
    if "unevaluatedProperties" in schema:
        yield from _unevaluated(proof, facts, part, step)


def _asks(proof: Inclusion, facts: Facts, word: str, wanted: Part) -> bool:
    """Whether the writer asks for the same schema where the same property is."""
    name = unescaped(wanted.at.rpartition("/")[2])
    return any(
        isinstance(each.schema, dict)
        and name in each.schema.get(word, {})
        and proof.same.parts(each.below(each.schema[word][name], word, name), wanted)
        for each in facts.parts
    )


def may_have(proof: Inclusion, facts: Facts, name: str) -> bool:
    """Whether an object of the facts may have a property of this name."""
    return bool(proof.alternatives.of(value_of(proof, facts, name)))


def value_of(proof: Inclusion, facts: Facts, name: str) -> Node:
    """Return what the value of a property is known to meet; what is never there meets `false`."""
    found = tuple(part for shape in facts.shapes for part in shape_parts(shape, name))
    if any(holds(name, (part,)) is False for part in facts.names):
        return (facts.parts[0].document.never,)
    if facts.full and name not in facts.required:
        return (facts.parts[0].document.never,)
    named = facts.names_of(proof.closed, name) or any(
        strings.matches(pattern, name) is not False for shape in facts.shapes for pattern in shape.patterns
    )
    if not named and not facts.is_open(closed=proof.closed):
        return (facts.parts[0].document.never,)
    return found


def _most_properties(proof: Inclusion, facts: Facts) -> float:
    closed = not facts.is_open(closed=proof.closed)
    if closed and not any(shape.patterns for shape in facts.shapes):
        return min(facts.max_properties, sum(may_have(proof, facts, name) for name in facts.declared))
    return facts.max_properties


def _shape(proof: Inclusion, facts: Facts, shape: Shape, part: Part, step: Step | None) -> Iterator[Doubt]:

    extra = shape.extra
    plain = not shape.patterns
    for name in dict.fromkeys([*shape.properties, *facts.declared]):
        said = shape.properties.get(name) if plain else None
        if said is not None and _says(proof, facts, name, said):
            continue
        wanted = shape_parts(shape, name)
        if not wanted:
            continue
        value = value_of(proof, facts, name)
        if extra is not None and wanted == [extra] and extra.schema is False:
            if proof.alternatives.of(value):
                why = f"{name!r} may be there, and no property is allowed that is not declared"
                at = Step(step, facts, name)
                place = part.below(False, "properties", name)
                yield Doubt(place, "additionalProperties", why, facts, at, detail=name)
            continue
        yield from proof.doubts(value, tuple(wanted), Step(step, facts, name))
    if not facts.is_open(closed=proof.closed):
        others: Node | None = None
    else:
        others = tuple(each.extra for each in facts.shapes if each.extra is not None)
    mine = {pattern: tuple(each.patterns[pattern] for each in facts.shapes if pattern in each.patterns)
            for each in facts.shapes for pattern in each.patterns}  # fmt: skip
    for pattern, asked in shape.patterns.items():
        yield from _pattern(proof, facts, pattern, asked, mine, others, step)
    if extra is None:
        return
    for pattern, node in mine.items():
        if pattern not in shape.patterns:
            yield from _others(proof, facts, node, extra, _matching(pattern, shape), step)
    if others is not None:
        yield from _others(proof, facts, others, extra, _unnamed(facts, shape), step)


def _says(proof: Inclusion, facts: Facts, name: str, said: Part) -> bool:
    """Whether the writer says the very same of a property."""
    for each in facts.shapes:
        mine = each.properties.get(name)
        if mine is not None and proof.same.parts(mine, said):
            return True
    return False


def _pattern(
    proof: Inclusion, facts: Facts, pattern: str, wanted: Part, mine: dict[str, Node], others: Node | None,
    step: Step | None,
) -> Iterator[Doubt]:  # fmt: skip

    if pattern in mine:
        name = next(strings.like(pattern), "")
        yield from proof.doubts(mine[pattern], (wanted,), Step(step, facts, name))
        return
    names = [name for name in strings.like(pattern) if strings.matches(pattern, name)]
    name = next((name for name in names if name not in facts.declared), "")
    for node in [*mine.values(), *([others] if others is not None else [])]:
        yield from proof.doubts(node, (wanted,), Step(step, facts, name))


def _others(proof: Inclusion, facts: Facts, node: Node, extra: Part, name: str, step: Step | None) -> Iterator[Doubt]:

    at = Step(step, facts, name)
    if extra.schema is False:
        if proof.alternatives.of(node):
            why = "there may be a property that is not declared, and none is allowed"
            yield Doubt(extra, "additionalProperties", why, facts, at, detail="")
        return
    yield from proof.doubts(node, (extra,), at)


def _matching(pattern: str, shape: Shape) -> str:
    found = (name for name in strings.like(pattern) if strings.matches(pattern, name))
    return next((name for name in found if not _covers(shape, name)), "")


def _unnamed(facts: Facts, shape: Shape) -> str:
    candidates = ["another", "other_one", "x9", "Another One", "_0"]
    taken = facts.declared
    free = [name for name in candidates if name not in taken and not any(_covers(each, name) for each in facts.shapes)]
    allowed = [name for name in free if not any(holds(name, (part,)) is False for part in facts.names)]
    return next((name for name in allowed if not _covers(shape, name)), "another")


def _covers(shape: Shape, name: str) -> bool:
    return name in shape.properties or any(strings.matches(pattern, name) for pattern in shape.patterns)


def _names(proof: Inclusion, facts: Facts, part: Part, step: Step | None) -> Iterator[Doubt]:

    if "propertyNames" not in part.schema:
        return
    wanted = part.below(part.schema["propertyNames"], "propertyNames")
    closed = not facts.is_open(closed=proof.closed)
    if closed and not any(shape.patterns for shape in facts.shapes):
        for name in facts.declared:
            if may_have(proof, facts, name) and holds(name, (wanted,)) is not True:
                yield Doubt(part, "propertyNames", f"the name {name!r} is not allowed", facts, step, detail=name)
        return
    text = part.document.texts()
    if not any(not proof.doubts((mine, text), (wanted,)) for mine in (*facts.names, text)):
        yield Doubt(part, "propertyNames", "a property may have a name that is not allowed", facts, step)


def _unevaluated(proof: Inclusion, facts: Facts, part: Part, step: Step | None) -> Iterator[Doubt]:
    """Hold `unevaluatedProperties` against the names that the schema itself surely evaluates."""
    wanted = part.below(part.schema["unevaluatedProperties"], "unevaluatedProperties")
    if wanted.schema is True or wanted.schema == {}:
        return
    own = _surely_evaluated(part)
    if own is None:
        return
    patterns = {pattern: wanted for shape in own for pattern in shape.patterns}
    for name in facts.declared:
        if not any(_covers(shape, name) for shape in own) and may_have(proof, facts, name):
            yield Doubt(
                wanted,
                "unevaluatedProperties",
                f"{name!r} may be there unevaluated",
                facts,
                Step(step, facts, name),
                detail=name,
            )
    mine = {pattern for shape in facts.shapes for pattern in shape.patterns}
    is_open = facts.is_open(closed=proof.closed)
    if (is_open or mine - patterns.keys()) and not _says_whole(facts, part):
        why = "there may be a property that nothing evaluates"
        yield Doubt(wanted, "unevaluatedProperties", why, facts, Step(step, facts, "another"))


def _says_whole(facts: Facts, part: Part) -> bool:
    """Whether the writer forbids unevaluated properties too, and evaluates nothing that the reader does not."""
    for each in facts.parts:
        if isinstance(each.schema, dict) and each.schema.get("unevaluatedProperties") is False:
            theirs, own = _surely_evaluated(each, every=True), _surely_evaluated(part)
            if theirs is None or own is None:
                continue
            patterns = {pattern for shape in own for pattern in shape.patterns}
            if all(set(shape.patterns) <= patterns for shape in theirs) and all(
                _covers_any(own, name) for shape in theirs for name in shape.properties
            ):
                return True
    return False


def _covers_any(shapes: list[Shape], name: str) -> bool:
    return any(_covers(shape, name) for shape in shapes)


def _surely_evaluated(part: Part, *, every: bool = False) -> list[Shape] | None:
    """Return the shapes that evaluate beside a schema's `unevaluatedProperties`; None where all is evaluated.

    With `every`, those of its branches too; without, only what holds in each case.
    """
    found: list[Shape] = []
    waiting, seen = [part], set[Any]()
    while waiting:
        for each in conjunction((waiting.pop(),)):
            if each.key in seen or not isinstance(each.schema, dict):
                continue
            seen.add(each.key)
            shape = shape_of(each)
            if shape is not None:
                if shape.extra is not None:
                    return None
                found.append(shape)
            if every:
                waiting += [branch for group in choices(each) for option in group for branch in option]
                waiting += [each.below(item, "dependentSchemas", name)
                            for name, item in each.schema.get("dependentSchemas", {}).items()]  # fmt: skip
    return found


def objects_apart(proof: Inclusion, mine: Facts, other: Facts, depth: int) -> bool:
    """Whether surely no object is of both facts."""
    if max(mine.min_properties, len(mine.required)) > other.max_properties:
        return True
    if max(other.min_properties, len(other.required)) > mine.max_properties or depth > 2:
        return depth <= 2
    closed = not mine.is_open(closed=proof.closed)
    if closed and not any(shape.patterns for shape in mine.shapes) and not other.required <= mine.declared.keys():
        return True
    for name in sorted(mine.required | other.required):
        a = value_of(proof, mine, name)
        b = tuple(part for shape in other.shapes for part in shape_parts(shape, name))
        found = proof.alternatives.of(a)
        if not found or (b and all(proof.disjoint(facts, b, depth + 1) for facts in found)):
            return True
    return False
