"""Tags of personal data: where they are, in any form of schema, and what is shown there."""

from __future__ import annotations

import pytest

from headrace.contracts.load import load_contract
from headrace.contracts.pii import MASK, Pii
from headrace.errors import ContractError


def masked(schema, value):
    pii = Pii(load_contract("people", {"type": "object", **schema}).schema)
    return pii.masked(value, pii.root())


TREE = {"properties": {"name": {"type": "string", "x-pii": True}, "kids": {"type": "array", "items": {"$ref": "#"}}}}


@pytest.mark.parametrize(
    ("schema", "value", "shown"),
    [
        ({"properties": {"a": {"x-pii": True}, "b": {}}}, {"a": "x", "b": "y"}, {"a": MASK, "b": "y"}),
        ({"properties": {"a": {"pii": "email"}}}, {"a": {"deep": ["x"]}}, {"a": MASK}),
        ({"properties": {"a": {"policyTags": {"names": ["p/1"]}}}}, {"a": 7}, {"a": MASK}),
        ({"properties": {"a": {"policy_tags": []}, "b": {"pii": False}}}, {"a": 7, "b": 8, "c": 9}, None),
        ({"properties": {"a": {"x-pii": True}}}, {"a": None}, {"a": None}),
        # What it does not know may be anything: a misspelt field, say.
        ({"properties": {"email": {"x-pii": True}, "n": True}}, {"emial": "x", "n": 1}, {"emial": MASK, "n": 1}),
        ({"properties": {"who": {"properties": {"name": {"x-pii": True}}}}}, {"who": "x"}, {"who": MASK}),
        ({"properties": {"who": {"properties": {"name": {"x-pii": True}}}}}, {"who": ["x"]}, {"who": [MASK]}),
        ({"properties": {"a": {"items": {"properties": {"b": {"pii": True}, "c": {}}}}}},
         {"a": [{"b": 1, "c": 2}, {"b": 3}]}, {"a": [{"b": MASK, "c": 2}, {"b": MASK}]}),
        ({"$defs": {"mail": {"x-pii": True}}, "properties": {"a": {"$ref": "#/$defs/mail"}}}, {"a": "x"}, {"a": MASK}),
        ({"properties": {"a": {"anyOf": [{"type": "null"}, {"type": "string", "pii": True}]}}}, {"a": "x"},
         {"a": MASK}),
        ({"properties": {"a": {"type": "string"}}, "allOf": [{"properties": {"a": {"x-pii": True}}}]}, {"a": "x"},
         {"a": MASK}),
        ({"patternProperties": {"^m_": {"x-pii": True}}, "additionalProperties": {}}, {"m_1": "x", "n": "y"},
         {"m_1": MASK, "n": "y"}),
        # A pattern matches what the validator says, for which no other letters are of a word.
        ({"patternProperties": {r"^\w+$": {}}, "additionalProperties": {"x-pii": True}}, {"a": "x", "é": "y"},
         {"a": "x", "é": MASK}),
        # In Python this would run away.
        ({"patternProperties": {"^(a+)+$": {}}, "additionalProperties": {"x-pii": True}}, {"a" * 90 + "b": "y"},
         {"a" * 90 + "b": MASK}),
        (TREE, {"name": "x", "kids": [{"name": "y", "kids": []}]},
         {"name": MASK, "kids": [{"name": MASK, "kids": []}]}),
        ({"properties": {"x-pii": {"type": "string"}, "pii": {}}}, {"x-pii": "a field", "pii": 1}, None),
    ],
)  # fmt: skip
def test_what_is_tagged_is_masked_at_any_depth_and_nothing_else(schema, value, shown):
    assert masked(schema, value) == (value if shown is None else shown)


def test_the_fields_form_has_tags_too():
    fields = [
        {"name": "id", "type": "STRING"},
        {"name": "mail", "type": "STRING", "pii": "email"},
        {"name": "who", "type": "RECORD", "fields": [{"name": "born", "type": "DATE", "policyTags": {"names": ["t"]}}]},
    ]
    contract = load_contract("people", {"source_id": "people", "fields": fields})
    pii = Pii(contract.schema)
    assert pii.names() == {"mail", "who"}
    assert pii.masked({"id": "1", "mail": "x", "who": {"born": "d"}}, pii.root()) == {
        "id": "1",
        "mail": MASK,
        "who": {"born": MASK},
    }
    untagged = load_contract("people", {"source_id": "people", "fields": [{"name": "id", "type": "STRING"}]})
    assert (
        load_contract("people", {"fields": [{"name": "id", "type": "STRING", "pii": False}]}).schema == untagged.schema
    )


@pytest.mark.parametrize("tag", ["false", "no", "", 1, None, ["email"], {"names": ["x"]}])
def test_a_tag_that_nobody_can_be_sure_of_is_refused(tag):
    with pytest.raises(ContractError, match="x-pii") as refused:
        load_contract("people", {"type": "object", "properties": {"mail": {"type": "string", "x-pii": tag}}})
    assert refused.value.fix == "write true, or a word such as email"
    with pytest.raises(ContractError, match="is no tag"):
        load_contract("people", {"fields": [{"name": "mail", "type": "STRING", "pii": tag}]})
