"""What a reader asks of arrays, held against what a writer's arrays are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.contracts.compatibility.doubt import Doubt, Step
from headrace.contracts.compatibility.facts import alone
from headrace.contracts.compatibility.gather import least_contained, row_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.contracts.compatibility.document import Part
    from headrace.contracts.compatibility.facts import Facts
    from headrace.contracts.compatibility.inclusion import Inclusion

_MOST_PLACES = 200


def array_doubts(proof: Inclusion, facts: Facts, part: Part, step: Step | None) -> Iterator[Doubt]:
    """Yield why an array of the facts may be refused by a schema."""
    schema, most = part.schema, facts.most_items()
    if schema.get("minItems", 0) > facts.min_items:
        yield Doubt(part, "minItems", f"an array may have fewer than {schema['minItems']} items", facts, step)
    if "maxItems" in schema and schema["maxItems"] < most:
        yield Doubt(part, "maxItems", f"an array may have more than {schema['maxItems']} items", facts, step)
    if schema.get("uniqueItems") is True and not facts.unique and most > 1:
        yield Doubt(part, "uniqueItems", "the items of an array need not differ", facts, step)
    row = row_of(part)
    if row is not None:
        places = max([len(row.prefix), *(len(each.prefix) for each in facts.rows)])
        if places >= _MOST_PLACES:
            yield Doubt(part, "size", f"no more than {_MOST_PLACES} places of a tuple are compared", facts, step)
        for index in range(min(places + 1, _MOST_PLACES)):
            wanted = row.prefix[index] if index < len(row.prefix) else row.rest
            if wanted is None or index >= most:
                continue
            item = facts.item(index)
            if not proof.alternatives.of(item):
                break  # no such item can be, nor any after it
            yield from proof.doubts(item, (wanted,), Step(step, facts, index))
    if "contains" in schema:
        yield from _contained(proof, facts, part, step)


def _contained(proof: Inclusion, facts: Facts, part: Part, step: Step | None) -> Iterator[Doubt]:

    schema, draft = part.schema, part.document.draft
    wanted = part.below(schema["contains"], "contains")
    least = least_contained(schema, draft)
    most = schema.get("maxContains") if draft >= 2019 else None
    prefix = max((len(row.prefix) for row in facts.rows), default=0)
    every = prefix < _MOST_PLACES and all(not proof.doubts(facts.item(index), (wanted,)) for index in range(prefix + 1))
    enough = any(count >= least and not proof.doubts((mine,), (wanted,)) for mine, count in facts.contains)
    if least > 0 and not enough and not (every and facts.min_items >= least):
        yield Doubt(part, "contains", "an array need not contain such an item", facts, step)
    if most is not None and facts.most_items() > most and not _same_contains(proof, facts, part):
        yield Doubt(part, "maxContains", f"an array may contain more than {most} such items", facts, step)


def _same_contains(proof: Inclusion, facts: Facts, part: Part) -> bool:
    """Whether one and the same schema of the writer counts the same items, and allows no more of them."""
    return any(
        isinstance(each.schema, dict)
        and "contains" in each.schema
        and each.schema.get("maxContains", float("inf")) <= part.schema["maxContains"]
        and not alone(each)
        and proof.alike(each, part, "contains")
        for each in facts.parts
    )
