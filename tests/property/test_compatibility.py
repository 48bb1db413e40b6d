"""For any two schemas: no document contradicts `compatible`, and every counter-example does what it says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from headrace.contracts.compatibility import STRICT, Verdict, compare
from headrace.contracts.load import DRAFTS, compiled
from headrace.errors import ContractError

SCALARS = st.sampled_from([None, True, False, 0, 1, 2, 5, 1.5, -3, "", "a", "ab", "abc", "7", "2024-02-29"])
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("abc"), below, max_size=3),
    max_leaves=6,
)
COUNTS = st.integers(0, 4)
NUMBERS = st.sampled_from([0, 1, 2, 5, 1.5, -3])
NAMES = st.sampled_from("abc")
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])


def keywords(below: st.SearchStrategy[Any], year: int) -> st.SearchStrategy[dict[str, Any]]:
    """Return schemas of a few keywords each; `below` are the schemas within."""
    words: dict[str, st.SearchStrategy[Any]] = {
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
        "enum": st.lists(SCALARS, min_size=1, max_size=3),
        "minimum": NUMBERS, "maximum": NUMBERS, "multipleOf": st.sampled_from([1, 2, 0.5, 3]),
        "minLength": COUNTS, "maxLength": COUNTS,
        "pattern": st.sampled_from(["^a", "[a-z]*", "^[a-b]{1,2}$", "^[a-z]{0,3}$", "b$"]),
        "format": st.sampled_from(["date", "date-time", "ours"]),
        "minItems": COUNTS, "maxItems": COUNTS, "uniqueItems": st.booleans(),
        "minProperties": COUNTS, "maxProperties": COUNTS,
        "required": st.lists(NAMES, min_size=1, max_size=2, unique=True),
        "properties": st.dictionaries(NAMES, below, max_size=2),
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "b|c"]), below, max_size=1),
        "additionalProperties": below,
        "allOf": st.lists(below, min_size=1, max_size=2),
        "anyOf": st.lists(below, min_size=1, max_size=2),
        "oneOf": st.lists(below, min_size=1, max_size=2),
        "not": below,
        "$ref": st.sampled_from(["#", "#/definitions/x"]),
    }  # fmt: skip
    if year == 2020:
        words |= {"items": below, "prefixItems": st.lists(below, min_size=1, max_size=2), "minContains": COUNTS}
        words |= {"dependentRequired": st.just({"a": ["b"]}), "unevaluatedProperties": below, "maxContains": COUNTS}
        words |= {"dependentSchemas": st.dictionaries(NAMES, below, max_size=1)}
    else:
        words |= {"items": below | st.lists(below, min_size=1, max_size=2), "additionalItems": below}
        words |= {"dependencies": st.dictionaries(NAMES, below | st.just(["b"]), max_size=1)}
    if year == 4:
        words |= {"exclusiveMinimum": st.just(True), "exclusiveMaximum": st.just(True)}
    else:
        words |= {
            "const": SCALARS,
            "contains": below,
            "propertyNames": below,
            "if": below,
            "then": below,
            "else": below,
        }
        words |= {"exclusiveMinimum": NUMBERS, "exclusiveMaximum": NUMBERS}
    return st.lists(st.sampled_from(sorted(words)), min_size=1, max_size=3, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({word: words[word] for word in chosen})
    )


def schemas(year: int) -> st.SearchStrategy[dict[str, Any]]:
    """Return whole schemas of a draft, with a definition that may refer to itself or to the root."""
    leaf = st.sampled_from([{}, {"type": "string"}, {"type": "integer"}, {"type": "object"}, {"enum": ["a", 1]}])
    below = st.recursive(leaf if year == 4 else leaf | st.booleans(), lambda each: keywords(each, year), max_leaves=4)
    draft = {4: "draft-04", 7: "draft-07", 2020: "draft/2020-12"}[year]
    return st.builds(
        lambda schema, definition: schema | {"$schema": DRAFTS[draft], "definitions": {"x": definition}},
        keywords(below, year),
        below,
    )


def mutated(data: st.DataObject, schema: dict[str, Any], year: int) -> dict[str, Any]:
    """Return a schema that differs in a keyword or two: pairs of strangers are rarely compatible."""
    other = data.draw(schemas(year), label="other")
    kept = {word: value for word, value in schema.items() if data.draw(st.booleans()) or word.startswith(("$s", "d"))}
    return kept | {word: value for word, value in other.items() if word in kept or data.draw(st.booleans())}


@pytest.mark.parametrize("year", [4, 7, 2020])
@given(data=st.data())
@settings(deadline=None)
def test_no_document_contradicts_a_verdict(year: int, data: st.DataObject):
    old = data.draw(schemas(year), label="old")
    new = mutated(data, old, year)
    try:
        changes = compare(old, new, model=STRICT)
        writes, reads = compiled(old), compiled(new)
    except (ContractError, RecursionError):
        assume(False)
    for change in changes:
        if change.backward is Verdict.BREAKING:
            assert writes.is_valid(change.backward_example)
            assert not reads.is_valid(change.backward_example)
        if change.forward is Verdict.BREAKING:
            assert reads.is_valid(change.forward_example)
            assert not writes.is_valid(change.forward_example)
    backward = all(change.backward is Verdict.COMPATIBLE for change in changes)
    forward = all(change.forward is Verdict.COMPATIBLE for change in changes)
    event(f"backward {backward}, forward {forward}")
    for value in data.draw(st.lists(VALUES, min_size=15, max_size=15), label="documents"):
        was, now = writes.is_valid(value), reads.is_valid(value)
        assert not (backward and was and not now), value
        assert not (forward and now and not was), value
