"""Which schemas speak of one value, and which declare a member."""

from headrace.contracts.spoken import Beside, beside, members_of


def test_what_speaks_of_a_value_does_so_always_sometimes_or_only_asks():
    root = {"$defs": {"d": {"title": "referred to"}}}
    part = {
        "allOf": [{"title": "all"}], "anyOf": [{"title": "any"}], "oneOf": [{"title": "one"}],
        "if": {"title": "if"}, "then": {"title": "then"}, "else": {"title": "else"}, "not": {"title": "not"},
        "dependentSchemas": {"a": {"title": "depends"}}, "dependencies": {"b": ["a"]}, "$ref": "#/$defs/d",
        "properties": {"a": {"title": "of a member"}}, "items": {"title": "of an element"},
    }  # fmt: skip
    found = list(beside(part, root))
    assert [each.schema["title"] for each in found if each.always] == ["all", "referred to"]
    assert [each.schema["title"] for each in found if each.asking] == ["if", "not"]
    sometimes = [each.schema for each in found if not each.always and not each.asking]
    assert [each["title"] for each in sometimes if isinstance(each, dict)] == ["any", "one", "then", "else", "depends"]
    assert Beside(root["$defs"]["d"], always=True) in found
    assert list(beside({}, root)) == []


def test_a_member_is_declared_by_its_name_by_patterns_or_as_one_of_the_others():
    part = {"properties": {"ab": {"title": "name"}}, "patternProperties": {"^a": {"title": "pattern"}}}
    others = {"additionalProperties": {"title": "other"}, "unevaluatedProperties": False}
    assert [each["title"] for each in members_of(part | others, "ab")] == ["name", "pattern"]
    assert [each["title"] for each in members_of(part | others, "b")] == ["other"]
    assert members_of(part, "b") == []
