"""Pairs of schemas, what each direction says, and that every example does what it says."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.contracts.compatibility import LENIENT, OPEN, STRICT, Verdict, compare
from headrace.contracts.compatibility.differences import differences
from headrace.contracts.compatibility.document import document_of
from headrace.contracts.compatibility.facts import Alternatives
from headrace.contracts.compatibility.sampling import Sampler
from headrace.contracts.load import DRAFTS, Validators, compiled, load_contract
from headrace.errors import ContractError

D4, D7 = ({"$schema": DRAFTS[draft]} for draft in ("draft-04", "draft-07"))
GOOD, BAD, UNSURE = Verdict.COMPATIBLE, Verdict.BREAKING, Verdict.UNDECIDED


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def verdicts(old: Any, new: Any, model: Any = OPEN) -> tuple[Verdict, Verdict]:
    """Return the worst verdict of each direction; every example is tried under both versions."""
    changes = compare(old, new, model=model)
    for change in changes:
        assert change.pointer.startswith("#")
        assert change.why
        for verdict, example, writer, reader in (
            (change.backward, change.backward_example, old, new),
            (change.forward, change.forward_example, new, old),
        ):
            if verdict is BAD:
                assert compiled(writer).is_valid(example)
                assert model is LENIENT or not compiled(reader).is_valid(example)
            else:
                assert example is None
        assert bool(change.fix) == change.breaks(backward=True, forward=True)
    worst = [GOOD, UNSURE, BAD]
    return tuple(  # type: ignore[return-value]
        max((getattr(change, side) for change in changes), key=worst.index, default=GOOD)
        for side in ("backward", "forward")
    )


def either(longest: int) -> dict[str, Any]:
    within = {"type": "object", "properties": {"k": {"type": "string", "maxLength": longest}}, "required": ["k"]}
    return of(one={"type": "string"}, other=within) | {"oneOf": [{"required": ["one"]}, {"required": ["other"]}]}


LETTERS = {"type": "string", "pattern": "^[a-z]{1,3}$"}
NESTED = of(customer=of(address=of(zip={"type": "string", "maxLength": 5})))
NARROW = of(customer=of(address=of(zip={"type": "string", "maxLength": 4})))
TREE: dict[str, Any] = {
    "$ref": "#/$defs/t",
    "$defs": {"t": of(v={"type": "number"}, kids={"type": "array", "items": {"$ref": "#/$defs/t"}})},
}
WHOLE: dict[str, Any] = {
    "$ref": "#/$defs/t",
    "$defs": {"t": of(v={"type": "integer"}, kids={"type": "array", "items": {"$ref": "#/$defs/t"}})},
}
CHOICE = of(value={"oneOf": [{"type": "string"}, {"type": "integer"}]})
ONE_OF_KINDS = {"oneOf": [
    of(kind={"const": "a"}, n={"type": "number"}) | {"required": ["kind"]},
    of(kind={"const": "b"}) | {"required": ["kind"]},
]}  # fmt: skip
THREE_KINDS = {"oneOf": [*ONE_OF_KINDS["oneOf"], of(kind={"const": "c"}) | {"required": ["kind"]}]}

PAIRS = [
    ("the same", of(a={"type": "string"}), of(a={"type": "string"}), GOOD, GOOD),
    ("an optional property", of(a={}), of(a={}, b={"type": "string"}), GOOD, GOOD),
    ("a required property", of(a={}), of(a={}, b={}) | {"required": ["b"]}, BAD, GOOD),
    ("integer to number", of(a={"type": "integer"}), of(a={"type": "number"}), GOOD, BAD),
    ("null allowed", of(a={"type": "string"}), of(a={"type": ["string", "null"]}), GOOD, BAD),
    ("a list of types as branches", of(a={"type": ["string", "null"]}), of(a={"anyOf": [{"type": "null"}, {"type": "string"}]}), GOOD, GOOD),  # noqa: E501
    ("deep within", NESTED, NARROW, BAD, GOOD),
    ("closed against a new property", of(a={}) | {"additionalProperties": False}, of(a={}, b={}) | {"additionalProperties": False}, GOOD, BAD),  # noqa: E501
    ("a map stays a map", {"type": "object", "additionalProperties": {"type": "string"}}, {"type": "object", "additionalProperties": {"type": "integer"}}, BAD, BAD),  # noqa: E501
    ("an object of anything gets a property", of(a={"type": "object"}), of(a=of(b={"type": "string"})), BAD, GOOD),
    ("a reference that recurs", TREE, WHOLE, BAD, GOOD),
    ("a reference written out", of(a={"$ref": "#/$defs/x"}) | {"$defs": {"x": {"type": "string"}}}, of(a={"type": "string"}), GOOD, GOOD),  # noqa: E501
    ("siblings of a reference count since 2019", of(a={"$ref": "#/$defs/x", "maxLength": 3}) | {"$defs": {"x": {"type": "string"}}}, of(a={"type": "string", "maxLength": 3}), GOOD, GOOD),  # noqa: E501
    ("and not before", D7 | of(a={"$ref": "#/definitions/x", "maxLength": 3}) | {"definitions": {"x": {"type": "string"}}}, D7 | of(a={"type": "string", "maxLength": 3}), BAD, GOOD),  # noqa: E501
    ("a boolean bound of draft 4 as a number", D4 | of(a={"type": "number", "minimum": 0, "exclusiveMinimum": True}), of(a={"type": "number", "exclusiveMinimum": 0}), GOOD, GOOD),  # noqa: E501
    ("a minimum raised", of(a={"type": "number", "minimum": 5}), of(a={"type": "number", "minimum": 10}), BAD, GOOD),
    ("a maximum lowered", of(a={"type": "number", "maximum": 5}), of(a={"type": "number", "maximum": 3}), BAD, GOOD),
    ("a bound excluded", of(a={"type": "number", "minimum": 5}), of(a={"type": "number", "exclusiveMinimum": 5}), BAD, GOOD),  # noqa: E501
    ("fewer items", of(a={"type": "array", "maxItems": 5}), of(a={"type": "array", "maxItems": 3}), BAD, GOOD),
    ("integers between bounds", of(a={"type": "integer", "exclusiveMinimum": 0}), of(a={"type": "integer", "minimum": 1}), GOOD, GOOD),  # noqa: E501
    ("a multiple of a multiple", of(a={"type": "number", "multipleOf": 0.05}), of(a={"type": "number", "multipleOf": 0.01}), GOOD, BAD),  # noqa: E501
    ("a class within a class", of(a=LETTERS), of(a={"type": "string", "pattern": "^[a-z0-9]{0,8}$"}), GOOD, BAD),
    ("patterns that only a document tells", of(a={"type": "string", "pattern": "^a+b"}), of(a={"type": "string", "pattern": "^a+c"}), BAD, BAD),  # noqa: E501
    ("a format that binds", of(a={"type": "string"}), of(a={"type": "string", "format": "date"}), BAD, GOOD),
    ("a format that nobody knows", of(a={"type": "string"}), of(a={"type": "string", "format": "phone"}), GOOD, GOOD),
    ("an enum extended", of(a={"enum": ["x"]}), of(a={"enum": ["x", "y"]}), GOOD, BAD),
    ("an enum by its values", of(a={"enum": ["x", 1]}), of(a={"type": ["string", "integer"]}), GOOD, BAD),
    ("1 and 1.0 are one value, and true another", of(a={"enum": [1.0, True]}), of(a={"enum": [True, 1]}), GOOD, GOOD),
    ("a tuple and its rest", of(a={"prefixItems": [{"type": "string"}], "items": False}), of(a={"items": {"type": "string"}}), GOOD, BAD),  # noqa: E501
    ("a tuple across drafts", D7 | of(a={"items": [{"type": "string"}], "additionalItems": False}), of(a={"prefixItems": [{"type": "string"}], "items": False}), GOOD, GOOD),  # noqa: E501
    ("contains", of(a={"type": "array", "contains": {"const": 1}}), of(a={"type": "array", "contains": {"type": "integer"}}), GOOD, BAD),  # noqa: E501
    ("items that differ", of(a={"type": "array"}), of(a={"type": "array", "uniqueItems": True}), BAD, GOOD),
    ("one branch more", CHOICE, of(value={"oneOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]}), GOOD, BAD),  # noqa: E501
    ("branches told apart by a constant", ONE_OF_KINDS, THREE_KINDS, GOOD, BAD),
    ("multiples of two numbers at once", of(a={"type": "integer", "multipleOf": 2.5}), of(a={"multipleOf": 5}), GOOD, BAD),  # noqa: E501
    ("multiples that share a factor", of(a={"allOf": [{"multipleOf": 4}, {"multipleOf": 6}]}), of(a={"multipleOf": 24}), BAD, GOOD),  # noqa: E501
    ("multiples of one of two", of(a={"allOf": [{"multipleOf": 2}, {"multipleOf": 0.3}]}), of(a={"multipleOf": 12}), BAD, GOOD),  # noqa: E501
    ("within the second of two choices", of(list={"type": "array", "items": either(9)}), of(list={"type": "array", "items": either(5)}), BAD, GOOD),  # noqa: E501
    ("not", of(a={"type": "string", "minLength": 3}), of(a={"not": {"type": "string", "maxLength": 2}}), GOOD, BAD),
    ("if and then", of(a={}) | {"if": {"required": ["a"]}, "then": {"required": ["b"]}}, of(a={}), GOOD, BAD),
    ("dependencies in both words", D7 | of(a={}) | {"dependencies": {"a": ["b"]}}, of(a={}) | {"dependentRequired": {"a": ["b"]}}, GOOD, GOOD),  # noqa: E501
    ("names of properties", {"type": "object", "propertyNames": {"maxLength": 3}}, {"type": "object", "propertyNames": {"maxLength": 2}}, BAD, GOOD),  # noqa: E501
    ("names by a pattern", {"type": "object", "patternProperties": {"^n_": {"type": "number"}}}, {"type": "object", "patternProperties": {"^n_": {"type": "integer"}}}, BAD, GOOD),  # noqa: E501
    ("unevaluated across allOf", {"allOf": [of(a={})], "unevaluatedProperties": False}, {"allOf": [of(a={}), of(b={})], "unevaluatedProperties": False}, GOOD, BAD),  # noqa: E501
    ("allOf written out", {"allOf": [of(a={"type": "string"}), {"required": ["a"]}]}, of(a={"type": "string"}) | {"required": ["a"]}, GOOD, GOOD),  # noqa: E501
    ("the fields form", {"source_id": "s", "fields": [{"name": "a", "type": "STRING"}]}, {"source_id": "s", "fields": [{"name": "a", "type": "STRING"}, {"name": "b", "type": "INT64"}]}, GOOD, BAD),  # noqa: E501
    ("a dynamic reference", of(a={"$dynamicRef": "#x"}) | {"$defs": {"x": {"$dynamicAnchor": "x", "type": "string"}}}, of(a={"$dynamicRef": "#y"}) | {"$defs": {"y": {"$dynamicAnchor": "y"}}}, UNSURE, None),  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "backward", "forward"), [pair[1:] for pair in PAIRS], ids=[pair[0] for pair in PAIRS]
)
def test_a_pair(old: Any, new: Any, backward: Verdict, forward: Verdict | None):
    if "fields" in old:
        from headrace.contracts import fields

        assert compare(old, new) == compare(*(fields.json_schema(each) for each in (old, new)))
        old, new = (fields.json_schema(each) for each in (old, new))
    found = verdicts(old, new)
    assert found[0] is backward
    assert forward is None or found[1] is forward


def test_the_content_model_decides_over_an_optional_property():
    old, new = of(a={}), of(a={}, coupon={"type": "string"})
    assert verdicts(old, new, OPEN) == (GOOD, GOOD)
    assert verdicts(old, new, STRICT) == (BAD, GOOD)
    closed = [each | {"additionalProperties": False} for each in (old, new)]
    assert verdicts(*closed, OPEN) == (GOOD, BAD)
    assert verdicts(*closed, LENIENT) == (GOOD, GOOD)
    assert verdicts(of(a={"type": "string"}), of(a={"type": "integer"}), LENIENT) == (BAD, BAD)


def test_a_change_names_its_rule_its_place_and_what_to_type():
    old = of(amount={"type": "number"}, status={"enum": ["new", "paid"]})
    new = of(amount={"type": "integer"}, status={"enum": ["new"]}) | {"required": ["amount"]}
    told = {change.rule: change for change in compare(old, new)}
    assert told.keys() == {"type-narrowed", "enum-narrowed", "required-added"}
    assert told["type-narrowed"].pointer == "#/properties/amount"
    assert told["type-narrowed"].backward_example == {"amount": 1.5}
    assert told["type-narrowed"].fix == '"type": "number" again at #/properties/amount'
    assert told["enum-narrowed"].backward_example == {"status": "paid"}
    assert told["required-added"].fix == 'remove "amount" from #/required'


def test_a_change_within_a_definition_is_told_once_and_there():
    old = of(a={"$ref": "#/$defs/m"}, b={"$ref": "#/$defs/m"}) | {"$defs": {"m": {"type": "integer", "minimum": 0}}}
    new = old | {"$defs": {"m": {"type": "integer", "minimum": 5}}}
    (change,) = compare(old, new)
    assert (change.pointer, change.rule) == ("#/$defs/m", "minimum-raised")


def test_a_place_has_one_name_however_references_spell_it():
    old, new = (
        of(a={"$ref": "#/$defs/100%25~1x"}) | {"$defs": {"100%/x": {"type": kind}}} for kind in ("string", "null")
    )
    (change,) = compare(old, new)
    assert (change.pointer, change.rule, change.backward) == ("#/$defs/100%~1x", "type-changed", BAD)


@pytest.mark.parametrize(
    ("old", "new", "rule", "fix"),
    [
        ({"exclusiveMinimum": 1}, {"exclusiveMinimum": 2}, "exclusive-minimum-changed", '"exclusiveMinimum": 1 again'),
        ({"const": "x"}, {"const": "y"}, "const-changed", '"const": "x" again'),
        ({"enum": ["a", "B"]}, {"enum": ["a", "B"], "pattern": "^[a-z]$"}, "pattern-added", 'remove "pattern"'),
        (
            {"oneOf": [{"type": "null"}, {"type": "number"}]},
            {"oneOf": [{"type": "string"}, {"type": "number"}]},
            "type-changed",
            '"type": "null" again',
        ),
        ({"not": {"enum": ["a"]}}, {"not": {"enum": ["a", "b"]}}, "enum-extended", '"enum": ["a"] again'),
    ],
)
def test_a_fix_names_what_was_changed_as_it_is_typed(old, new, rule, fix):
    (change,) = compare(of(a=old), of(a=new))
    assert (change.rule, change.backward) == (rule, BAD)
    assert change.fix.startswith(fix)


@pytest.mark.parametrize(
    ("old", "new", "fix"),
    [
        ({"minimum": 0}, {"minimum": 5, "exclusiveMinimum": 7}, '"minimum": 0 again at #/properties/a, and remove "exclusiveMinimum" from #/properties/a'),  # noqa: E501
        ({"minimum": 0}, {"minimum": -5, "exclusiveMinimum": 0}, '"minimum": 0 again at #/properties/a, and remove "exclusiveMinimum" from #/properties/a'),  # noqa: E501
        ({"exclusiveMaximum": 9}, {"exclusiveMaximum": 12, "maximum": 5}, '"exclusiveMaximum": 9 again at #/properties/a, and remove "maximum" from #/properties/a'),  # noqa: E501
        ({"minimum": 5}, {"minimum": 4, "exclusiveMinimum": 6}, '"minimum": 5 again at #/properties/a, and remove "exclusiveMinimum" from #/properties/a'),  # noqa: E501
        ({"minimum": 5, "exclusiveMinimum": 4}, {"minimum": 6, "exclusiveMinimum": 3}, '"minimum": 5 again at #/properties/a'),  # noqa: E501
        ({"const": "x"}, {"enum": ["y"]}, '"const": "x" again at #/properties/a, and remove "enum" from #/properties/a'),  # noqa: E501
        ({"enum": ["x", "y"]}, {"const": "x", "enum": ["x", "y", "z"]}, '"enum": ["x", "y"] again at #/properties/a, and remove "const" from #/properties/a'),  # noqa: E501
    ],
)  # fmt: skip
def test_words_that_bound_the_same_are_mended_together_where_one_alone_does_not(old, new, fix):
    (change,) = compare(of(a=old), of(a=new))
    assert change.breaks(backward=True, forward=True)
    assert change.fix == fix
    assert all(f"{word} was" in change.why for word in old.keys() | new.keys())


def test_a_word_that_another_draft_reads_otherwise_is_not_put_back():
    old, new = D4 | of(a={"minimum": 1, "exclusiveMinimum": True}), D7 | of(a={"minimum": 2, "exclusiveMinimum": 2})
    (change,) = compare(old, new)
    assert change.fix == "keep what #/properties/a said before, or publish this as a new version"


def test_where_the_draft_alone_is_another_it_is_what_mends():
    text = of(a={"type": "string", "format": "uuid"})
    (change,) = compare(D7 | text, text)
    assert change.backward is BAD
    assert change.fix == '"$schema": "http://json-schema.org/draft-07/schema#" again at #'
    assert [each.fix for each in compare(text, D7 | text)] == ['remove "$schema" from #']


def test_what_only_silver_feels_is_undecided():
    old = of(a={"type": "number", "format": "decimal", "precision": 10, "scale": 2})
    new = of(a={"type": "number", "format": "decimal", "precision": 12, "scale": 4})
    (change,) = [change for change in compare(old, new) if change.rule == "column-type-changed"]
    assert (change.backward, change.forward) == (UNSURE, UNSURE)
    assert "DECIMAL(10,2)" in change.why
    stamp = of(a={"type": "string", "x-type": "datetime"})
    assert "column-type-changed" in {change.rule for change in compare(of(a={"type": "string"}), stamp)}


def test_a_column_is_told_though_one_whose_name_begins_with_its_own_breaks():
    money = {"type": "number", "format": "decimal", "precision": 10, "scale": 2}
    changes = compare(of(a=money, ab={"type": "string"}), of(a=money | {"precision": 12}, ab={"type": "integer"}))
    assert {change.pointer for change in changes if change.rule == "column-type-changed"} == {"#/properties/a"}


class Looked(str):
    """A name that counts how often it is held against another."""

    __slots__ = ()
    times = 0

    def __eq__(self, other: object) -> bool:
        Looked.times += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_names_that_are_required_are_not_each_held_against_all_others():
    many, others = ([Looked(f"{lead}{n}") for n in range(300)] for lead in ("old", "new"))
    found = list(differences({"required": many}, {"required": [*others, *many[:100]]}))
    assert [each.rule for each in found] == ["required-removed"] * 200 + ["required-added"] * 300
    assert Looked.times < 5_000


def test_what_many_required_properties_must_be_is_found_out_once_each():
    """Each change of a property is shown by a whole object; what the others are in it is known by then."""
    looked: list[str] = []

    class Watched(Sampler):
        def least(self, node: Any, depth: int = 0) -> Any:
            looked.extend(part.at for part in node)
            return super().least(node, depth)

    names = [f"f{n}" for n in range(60)]
    document = document_of(of(**{name: {"type": "string"} for name in names}) | {"required": names})
    (facts,) = Alternatives().of((document.root(),))
    sampler = Watched(Alternatives(), document.budget, closed=document)
    made = [sampler.object(facts, {name: 1}, 0) for name in names]
    assert [list(each) for each in made] == [[name, *(other for other in names if other != name)] for name in names]
    assert sorted(looked) == sorted(f"#/properties/{name}" for name in names)


def test_a_document_that_shows_a_change_alone_is_not_written_out(monkeypatch: pytest.MonkeyPatch):
    from headrace.contracts.compatibility import json_schema

    written: list[int] = []
    text = json_schema.text
    monkeypatch.setattr(json_schema, "text", lambda value: written.append(len(str(value))) or text(value))
    names = [f"f{n}" for n in range(40)]
    old, new = (of(**{name: {"maxLength": longest} for name in names}) | {"required": names} for longest in (9, 8))
    assert [change.backward for change in compare(old, new)] == [BAD] * 40
    assert max(written) < 100


def test_a_regular_expression_that_would_run_away_is_nobodys_problem():
    old, new = (of(a={"type": "string", "pattern": pattern}) for pattern in ("^(a+)+$", "^(a|a)*b$"))
    assert verdicts(old, new)[0] is not GOOD


def test_branches_without_end_end():
    knot: dict[str, Any] = {"anyOf": [{"$ref": "#"}, {"type": "object", "properties": {"a": {"$ref": "#"}}}]}
    assert verdicts(knot, {"anyOf": [{"$ref": "#"}, {"type": "object"}]})[0] is not BAD
    wide = of(**{f"p{n}": {"anyOf": [{"type": "string"}, {"type": "integer"}]} for n in range(40)})
    deep = {"allOf": [{"anyOf": [{"required": [f"p{n}"]}, {"required": [f"q{n}"]}]} for n in range(40)]}
    assert verdicts(wide, deep)[0] is BAD


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "https://example.com/other.json"}, "outside of the schema"),
        ({"$ref": "#/nowhere"}, "points at nothing"),
        ({"type": "strin"}, "not valid"),
    ],
)
def test_what_is_no_schema_is_refused(schema: dict[str, Any], said: str):
    with pytest.raises(ContractError, match=said):
        compare(of(a={}), schema)


def test_the_same_schemas_give_the_same_changes():
    assert compare(NESTED, NARROW) == compare(dict(NESTED), dict(NARROW))


def test_who_loaded_two_contracts_compares_them_with_their_validators():
    """A large schema takes long to compile: nobody does it again for one that is known."""

    class Asked(Validators):
        def __init__(self):
            super().__init__()
            self.asked = []

        def of(self, schema):
            self.asked.append(id(schema))
            return super().of(schema)

    asked = Asked()
    old, new = ({"properties": {"a": {"type": kind}}} for kind in ("number", "integer"))
    was, now = (load_contract("orders", each, validators=asked).schema for each in (old, new))
    assert asked.of(was) is asked.of(was)
    asked.asked.clear()
    (change,) = compare(was, now, validators=asked)
    assert change.backward_example["a"] % 1
    assert asked.asked == [id(was), id(now)]
    assert compare(was, now) == (change,)
    assert compare(old, new, validators=asked) == (change,)
