"""Pairs that a document contradicts: whatever is said of them, it is not `compatible`. And none of them takes long."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.contracts.compatibility import OPEN, STRICT, Verdict, compare
from headrace.contracts.compatibility.budget import EXAMPLES, PROOF
from headrace.contracts.compatibility.document import document_of
from headrace.contracts.compatibility.holding import holds
from headrace.contracts.load import DRAFTS, compiled

D4, D6, D7, D19, D20 = DRAFTS.values()
GOOD, BAD, UNSURE = Verdict.COMPATIBLE, Verdict.BREAKING, Verdict.UNDECIDED


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def a(schema: Any, draft: str = D20, **more: Any) -> dict[str, Any]:
    return {"$schema": draft} | of(a=schema) | more


TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
B_TEXT, B_WHOLE = {"b": TEXT}, {"b": WHOLE}
TAKES_B = of(a={}, b=WHOLE)
BOTH = {"$schema": D7} | of(a={}, b={})
UUID, BASE64 = TEXT | {"format": "uuid"}, TEXT | {"contentEncoding": "base64"}
IF = {"if": TEXT, "then": {"const": "b"}}
NESTED = a({"$id": "http://x/y", "$ref": "#/$defs/q", "$defs": {"q": TEXT}}) | {"$defs": {"q": WHOLE}}
NESTED_7 = a({"$id": "http://x/y", "allOf": [{"$ref": "#/definitions/q"}], "definitions": {"q": TEXT}}, D7)
FIVE = {"enum": [5]}
PLACES = {"prefixItems": [dict(TEXT) for _ in range(210)]}

CONTRADICTED = [
    ("a reader's if declares nothing", {"type": "object"}, {"if": of(a={"const": 1}), "then": of(b=WHOLE)}, {"b": "x"}),
    ("what a closed writer is denied", of(b={}) | {"not": {"properties": {"a": TEXT} | B_WHOLE}}, of(b={}) | {"not": {"properties": {"a": TEXT}}}, {"b": "x"}),  # noqa: E501
    ("declared by what depends", of(a={}) | {"dependentSchemas": {"a": {"properties": B_TEXT}}}, TAKES_B, {"a": 1, "b": "s"}),  # noqa: E501
    ("named by what depends", of(a={}) | {"dependentRequired": {"a": ["b"]}}, TAKES_B, {"a": 1, "b": "s"}),
    ("open by unevaluatedProperties", of(a={}) | {"unevaluatedProperties": TEXT}, TAKES_B, {"b": "s"}),
    ("named by propertyNames", of(a={}) | {"propertyNames": {"enum": ["a", "b"]}}, TAKES_B, {"b": "s"}),
    ("named by if", of(a={}) | {"if": {"properties": {"b": {"const": 1}}}, "then": {}, "else": {"required": ["a"]}}, TAKES_B, {"a": 1, "b": "s"}),  # noqa: E501
    ("two branches of true", a(TEXT), a({"oneOf": [True, True]}), {"a": "x"}),
    ("a format of a later draft", a(UUID, D7), a(UUID), {"a": "x"}),
    ("a host name of before draft 7", a(TEXT | {"format": "hostname"}, D6), a(TEXT | {"format": "hostname"}, D7), {"a": "xn--X"}),  # noqa: E501
    ("contents bind in draft 7", a(BASE64), a(BASE64, D7), {"a": "%%"}),
    ("if is of draft 7", a(IF, D6), a(IF, D7), {"a": "zz"}),
    ("dependentRequired is of 2019", BOTH | {"dependentRequired": {"a": ["b"]}}, BOTH | {"$schema": D20, "dependentRequired": {"a": ["b"]}}, {"a": 1}),  # noqa: E501
    ("1.0 is no integer of draft 4", a(WHOLE, D7), a(WHOLE, D4), {"a": 1.0}),
    ("nor one of values", a({"enum": [1.0, 2]}, D4), a(WHOLE, D4), {"a": 1.0}),
    ("nor a multiple", a({"type": "number", "multipleOf": 1}, D4), a(WHOLE, D4), {"a": 1.0}),
    ("nor deep within a value", a({"enum": [[1]]}, D4), a({"items": WHOLE}, D4), {"a": [1.0]}),
    ("a value that draft 4 takes spelled otherwise", a(WHOLE | {"enum": [1.0]}, D4), a({"enum": [2]}, D4), {"a": 1}),
    ("a resource of its own", NESTED, of(a=WHOLE), {"a": "s"}),
    ("a resource of its own in draft 7", NESTED_7 | {"definitions": {"q": WHOLE}}, a(WHOLE, D7), {"a": "s"}),
    ("the last places of a long tuple", PLACES, {"prefixItems": [*PLACES["prefixItems"][:205], *[dict(WHOLE) for _ in range(5)]]}, ["x"] * 210),  # noqa: E501
    ("counted by another schema", {"allOf": [{"contains": TEXT}, {"contains": WHOLE, "maxContains": 1}]}, {"contains": TEXT, "maxContains": 1}, ["a", "b", 1]),  # noqa: E501
    ("one text of two definitions", {"not": {"$ref": "#/$defs/x"}, "$defs": {"x": TEXT}}, {"if": {"$ref": "#/$defs/x"}, "then": False, "$defs": {"x": WHOLE}}, 5),  # noqa: E501
    ("unevaluatedProperties is of 2019", a({}, D7, unevaluatedProperties=False), a({}, unevaluatedProperties=False), {"b": 1}),  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "document"), [pair[1:] for pair in CONTRADICTED], ids=[p[0] for p in CONTRADICTED]
)
@pytest.mark.parametrize("model", [OPEN, STRICT])
def test_what_a_document_contradicts_is_not_compatible(old: Any, new: Any, document: Any, model: Any):
    assert compiled(old).is_valid(document)
    assert not compiled(new).is_valid(document)
    if model is STRICT or document != {"b": 1}:  # which a writer that declares `a` alone does not write
        assert any(change.backward is not GOOD for change in compare(old, new, model=model))


KEPT = [
    ("a format that both drafts know", a(TEXT | {"format": "date"}, D7), a(TEXT | {"format": "date"})),
    ("integers of draft 4 in a later draft", a(WHOLE, D4), a(WHOLE)),
    ("values that draft 4 knows to be integers", a(WHOLE | {"enum": [1]}, D4), a(WHOLE | {"enum": [1, 2]}, D4)),
    ("an optional property beside if", of(a={}), of(a={}, b=WHOLE) | {"if": of(a={"const": 1}), "then": of(b={"minimum": 0})}),  # noqa: E501
    ("required is not a name that not excludes", of(a={}) | {"not": {"required": ["c"]}}, of(a={}, c=TEXT)),
    ("narrower than what is excluded", {"not": {"type": ["string", "null"]}}, {"not": TEXT}),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), [pair[1:] for pair in KEPT], ids=[pair[0] for pair in KEPT])
def test_what_stays_proven(old: Any, new: Any):
    assert all(change.backward is GOOD for change in compare(old, new))


def test_a_schema_that_refers_to_itself_for_the_same_value_is_undecided():
    for knot in ({"not": {"$ref": "#"}}, {"anyOf": [{"$ref": "#"}, TEXT]}, {"allOf": [{"$ref": "#"}]}):
        assert {change.backward for change in compare({}, knot)} & {UNSURE, BAD}
        assert compare(knot, dict(knot)) == ()
    assert not document_of({"properties": {"a": {"$ref": "#"}}, "items": {"$ref": "#"}}).tangled()


def nested(width: int, depth: int, name: str = "x") -> dict[str, Any]:
    """Return alternatives of alternatives, each another one."""
    if depth == 0:
        return {"minLength": 1, "title": name}
    return {
        "allOf": [{"anyOf": [nested(width, depth - 1, f"{name}{at}"), {"maxLength": at + 5}]} for at in range(width)]
    }


def doubled(levels: int) -> dict[str, Any]:
    twice = {f"x{at}": {"allOf": [{"$ref": f"#/definitions/x{at + 1}"}] * 2} for at in range(levels)}
    return a({"$ref": "#/definitions/x0"}, D7, definitions=twice | {f"x{levels}": WHOLE})


def kinds(count: int, longest: int) -> dict[str, Any]:
    return {
        "oneOf": [of(k={"const": at}, v=TEXT | {"maxLength": longest}) | {"required": ["k"]} for at in range(count)]
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (a(TEXT | nested(6, 3)), a(TEXT | {"minLength": 3})),
        (a({"enum": [1, 2]}), doubled(30)),
        (a({"enum": [1, 2]}), a({"anyOf": [{"$ref": "#/properties/a"}] * 2})),
        (a(kinds(150, 9)), a(kinds(150, 10))),
        (a({"enum": [f"v{at}" for at in range(2000)]}), a({"enum": [f"v{at}" for at in range(1, 2001)]})),
    ],
    ids=["alternatives", "doubled", "knot", "branches", "values"],
)
def test_what_is_tangled_ends_within_its_steps(old: Any, new: Any, monkeypatch: pytest.MonkeyPatch):
    from headrace.contracts.compatibility.budget import Budget

    asked = []
    spend = Budget.spend
    monkeypatch.setattr(Budget, "spend", lambda self, steps=1: asked.append(steps) or spend(self, steps))
    compare(old, new)
    assert sum(asked) < 3 * (PROOF + EXAMPLES)


def test_the_texts_of_values_are_made_once(monkeypatch: pytest.MonkeyPatch):
    from headrace.contracts.compatibility import gather, holding

    made = []
    for module in (gather, holding):
        monkeypatch.setattr(module, "text", lambda value: made.append(value) or repr(value))
    count = 400
    compare(*(a({"enum": [f"v{at}" for at in range(first, first + count)]}) for first in (0, 1)))
    assert len(made) < 20 * count


VALUES = [f"v{at}" for at in range(6_000)]
LISTED, LONGER = {"enum": VALUES}, {"enum": [*reversed(VALUES), "more"]}


@pytest.mark.parametrize(
    ("old", "new", "backward", "forward"),
    [
        (LISTED, {"type": "string", "maxLength": 6}, GOOD, BAD),
        ({"anyOf": [LISTED, {"type": "null"}]}, {"anyOf": [{"type": "null"}, LONGER]}, GOOD, BAD),
        ({"oneOf": [{"enum": VALUES[:3_000]}, {"enum": VALUES[3_000:]}]}, LONGER, GOOD, BAD),
        ({"items": LISTED | TEXT}, {"items": LISTED | TEXT | {"pattern": "^v"}}, GOOD, GOOD),
    ],
    ids=["a text", "or null", "of two lists", "a pattern"],
)
def test_lists_of_many_values_are_decided(old: Any, new: Any, backward: Verdict, forward: Verdict):
    changes = compare(a(old), a(new))
    for side, wanted in (("backward", backward), ("forward", forward)):
        assert {getattr(each, side) for each in changes} - {GOOD} == {wanted} - {GOOD}


def test_what_is_no_finite_number_is_no_integer():
    asked = holds(float("inf"), (document_of(WHOLE).root(),))
    assert asked is False
    changes = compare(a({"enum": [float("inf")]}), a(WHOLE | {"minimum": 5}))
    assert any(change.backward is not GOOD for change in changes)


def test_a_reference_with_something_beside_it_is_a_question_of_its_own():
    draft = "https://json-schema.org/draft/2020-12/schema"
    plain, bound = {"$ref": "#/$defs/x"}, {"$ref": "#/$defs/x", "maxLength": 1}
    old, new = (
        {
            "$schema": draft,
            "$defs": {"x": {"type": "string", "minLength": least}},
            "properties": {"a": plain, "b": part},
        }
        for least, part in ((1, plain), (0, bound))
    )
    changes = compare(old, new)
    assert [change.rule for change in changes if change.backward is Verdict.BREAKING] == ["max-length-added"]


@pytest.mark.parametrize(
    "twice",
    [
        lambda below: {"allOf": [below, below]},
        lambda below: {"type": "object", "required": ["a", "b"], "properties": {"a": below, "b": below}},
    ],
)
def test_references_that_double_thirty_times_are_no_milliard(twice):
    old, new = (
        {"$defs": {f"d{at}": twice({"$ref": f"#/$defs/d{at + 1}"}) for at in range(30)} | {"d30": {"type": kind}}}
        | {"$ref": "#/$defs/d0"}
        for kind in ("string", "integer")
    )
    assert any(change.backward is not GOOD for change in compare(old, new))


@pytest.mark.parametrize("word", ["minItems", "minContains"])
def test_no_array_of_milliards_is_made_for_an_example(word):
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    many = {"type": "array", "contains": {"type": ["string", "integer"]}, word: 10**12}
    old, new = (draft | a(many | {"items": {"type": kind}}) for kind in ("string", "integer"))
    assert any(change.backward is not GOOD for change in compare(old, new))


def test_a_bound_that_no_float_reaches_is_a_bound():
    old, new = (a(WHOLE | {"maximum": 10**size, "multipleOf": 10**350}) for size in (4000, 3999))
    assert [change.backward is GOOD for change in compare(old, new)] == [False]
