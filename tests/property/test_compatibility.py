"""For any two schemas: no document contradicts `compatible`, and every counter-example does what it says.

Under the strict model any document counts; under the open one only what writers write, which `written` tells of a
document on its own, keyword by keyword, as the specification collects what is evaluated.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from headrace.contracts.compatibility import OPEN, STRICT, Verdict, compare
from headrace.contracts.load import DRAFTS, compiled
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator

YEARS = dict(zip(DRAFTS.values(), (4, 6, 7, 2019, 2020), strict=True))
SCALARS = st.sampled_from([None, True, False, 0, 1, 2, 5, 1.0, 1.5, -3, "", "a", "ab", "abc", "7", "2024-02-29"])
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
        "format": st.sampled_from(["date", "date-time", "uuid", "ours"]),
        "contentEncoding": st.just("base64"),
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
        words |= {"propertyNames": below | st.just({"enum": ["a", "b"]})}
    else:
        words |= {"items": below | st.lists(below, min_size=1, max_size=2), "additionalItems": below}
        words |= {"dependencies": st.dictionaries(NAMES, below | st.just(["b"]), max_size=1)}
    if year == 4:
        words |= {"exclusiveMinimum": st.just(True), "exclusiveMaximum": st.just(True)}
    else:
        words |= {
            "const": SCALARS,
            "contains": below,
            "if": below,
            "then": below,
            "else": below,
        }
        words |= {"exclusiveMinimum": NUMBERS, "exclusiveMaximum": NUMBERS}
        words.setdefault("propertyNames", below)
    return st.lists(st.sampled_from(sorted(words)), min_size=1, max_size=3, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({word: words[word] for word in chosen})
    )


@cache  # a strategy that is made anew for each example takes longer than what is tested
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


def within_itself(schema: dict[str, Any], part: Any) -> Any:
    """Return the validator of a part of a schema."""
    return compiled({"$schema": schema["$schema"], "definitions": schema["definitions"], "allOf": [part]})


def applied(schema: dict[str, Any], part: Any, value: Any) -> Iterator[dict[str, Any]]:
    """Yield the schemas that a value is under: what is referred to, and the branches that it meets."""
    if not isinstance(part, dict):
        return
    year = YEARS[schema["$schema"]]
    below = [schema["definitions"]["x"]] if "$ref" in part else []
    if year > 7 or "$ref" not in part:
        yield part
        below += part.get("allOf", [])
        for word in ("anyOf", "oneOf"):
            below += [each for each in part.get(word, []) if within_itself(schema, each).is_valid(value)]
        if "if" in part and year >= 7:
            met = within_itself(schema, part["if"]).is_valid(value)
            below += [part["if"], part.get("then", True)] if met else [part.get("else", True)]
        for word in ("dependencies", "dependentSchemas") if isinstance(value, dict) else ():
            if word == "dependencies" or year > 7:
                below += [each for name, each in part.get(word, {}).items() if name in value]
    for each in below:
        yield from applied(schema, each, value)


def written(schema: dict[str, Any], parts: list[Any], value: Any) -> bool:
    """Whether a writer who writes only what a schema declares writes a value that is valid under its parts."""
    year = YEARS[schema["$schema"]]
    here = [each for part in parts for each in applied(schema, part, value)]
    if isinstance(value, list):
        for at, item in enumerate(value):
            below = [each.get("items", True) for each in here if not isinstance(each.get("items"), list)]
            rows = [each["items"] for each in here if isinstance(each.get("items"), list)]
            rows += [each["prefixItems"] for each in here if "prefixItems" in each and year == 2020]
            below += [row[at] for row in rows if at < len(row)]
            if not written(schema, below, item):
                return False
        return True
    if not isinstance(value, dict):
        return True
    silent = (True, False, {})
    words = ("additionalProperties", "unevaluatedProperties") if year > 7 else ("additionalProperties",)
    maps = any(each.get(word, True) not in silent for each in here for word in words)
    declares = any(each.get("properties") or each.get("patternProperties") for each in here)
    for name, item in value.items():
        below = []
        named = False
        for each in here:
            mine = [part for pattern, part in each.get("patternProperties", {}).items() if re.search(pattern, name)]
            mine += [each["properties"][name]] if name in each.get("properties", {}) else []
            depends = [other for word in ("dependencies", "dependentRequired") if word == "dependencies" or year > 7
                       for at, others in each.get(word, {}).items() if isinstance(others, list) and at in value
                       for other in others]  # fmt: skip
            names = each.get("propertyNames", {}) if year >= 6 else {}
            listed = names.get("enum", []) if isinstance(names, dict) else []
            named = named or bool(mine) or name in (*each.get("required", ()), *depends, *listed)
            below += mine or [each.get("additionalProperties", True)]
        if (declares and not maps and not named) or not written(schema, below, item):
            return False
    return True


@given(data=st.data())
@settings(deadline=None)
def test_no_document_contradicts_across_drafts_and_under_the_open_model(data: st.DataObject):
    words = data.draw(st.sampled_from([7, 2020]), label="words")
    old = data.draw(schemas(words), label="old")
    new = mutated(data, old, words)
    old, new = (
        json.loads(json.dumps(each).replace('"$ref": "#"', '"$ref": "#/definitions/x"'))
        | {
            "$schema": data.draw(
                st.sampled_from([*YEARS, DRAFTS["draft/2020-12"], DRAFTS["draft/2020-12"]]), label="draft"
            )
        }
        for each in (old, new)
    )
    try:
        changes = compare(old, new, model=OPEN)
        writes, reads = compiled(old), compiled(new)
    except (ContractError, RecursionError):
        assume(False)
    backward = all(change.backward is Verdict.COMPATIBLE for change in changes)
    event(f"backward {backward}")
    for value in data.draw(st.lists(VALUES, min_size=15, max_size=15), label="documents") if backward else ():
        if writes.is_valid(value) and not reads.is_valid(value):
            assert not written(old, [old], value), value


TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
PIECES: list[dict[str, Any]] = [
    *({"properties": each} for each in ({"a": {}}, {"a": TEXT}, {"a": WHOLE}, {"b": TEXT}, {"b": WHOLE})),
    {"properties": {"a": {}, "b": WHOLE}},
    {"properties": {"a": TEXT | {"format": "uuid"}}},
    {"properties": {"a": {"enum": [1]}}},
    {"dependentSchemas": {"a": {"properties": {"b": TEXT}}}},
    {"dependentRequired": {"a": ["b"]}},
    {"unevaluatedProperties": TEXT},
    {"unevaluatedProperties": False},
    {"additionalProperties": False},
    {"propertyNames": {"enum": ["a", "b"]}},
    {"if": {"properties": {"a": {"const": 1}}}, "then": {"properties": {"b": WHOLE}}},
    {"not": {"properties": {"a": TEXT}}},
    {"not": {"properties": {"a": TEXT, "b": WHOLE}}},
    {"required": ["a"]},
    {"oneOf": [True, True]},
]  # fmt: skip
OBJECTS = [
    {name: value for name, value in (("a", a), ("b", b)) if value is not None}
    for a in (None, "x", 1, 1.0)
    for b in (None, "x", 1)
]


@given(
    kept=st.lists(st.sampled_from(PIECES), max_size=2),
    gone=st.lists(st.sampled_from(PIECES), max_size=1),
    come=st.lists(st.sampled_from(PIECES), max_size=1),
    drafts=st.tuples(*2 * [st.sampled_from([*YEARS, *2 * [DRAFTS["draft/2020-12"]]])]),
)
@settings(deadline=None, max_examples=400)
def test_no_small_object_contradicts(kept: list[Any], gone: list[Any], come: list[Any], drafts: tuple[str, str]):
    old, new = (
        {"$schema": draft, "definitions": {"x": {}}}
        | {word: value for piece in pieces for word, value in piece.items()}
        for draft, pieces in zip(drafts, ([*kept, *gone], [*kept, *come]), strict=True)
    )
    try:
        changes = compare(old, new, model=OPEN)
        writes, reads = compiled(old), compiled(new)
    except ContractError:
        assume(False)
    if all(change.backward is Verdict.COMPATIBLE for change in changes):
        for value in OBJECTS:
            if writes.is_valid(value) and not reads.is_valid(value):
                assert not written(old, [old], value), value
