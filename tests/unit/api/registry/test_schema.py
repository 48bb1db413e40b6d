"""What makes two schemas the same."""

import pytest

from headrace.api.registry.refusal import Refusal
from headrace.api.registry.schema import Reference, Schema, read_schema


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("JSON", '{"type": "string", "minLength": 1}', '{ "minLength":1,"type":"string"}'),
        ("AVRO", '"string"', '{"type": "string"}'),
        ("AVRO", "string", '"string"'),
        ("AVRO", '{"type": "array", "items": {"type": "int"}}', '{"items": "int", "type": "array"}'),
        ("PROTOBUF", 'syntax = "proto3"; message A {}', '// a\nsyntax="proto3";\n/* b */ message A { }'),
    ],
)
def test_spelling_makes_no_other_schema(kind, one, other):
    assert Schema(kind, one).digest == Schema(kind, other).digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Schema("JSON", '{"enum": [1, 2]}'), Schema("JSON", '{"enum": [2, 1]}')),
        (Schema("JSON", '{"type": "string"}'), Schema("AVRO", '{"type": "string"}')),
        (Schema("JSON", "{}"), Schema("JSON", "{}", (Reference("a", "a", 1),))),
        (Schema("JSON", "{}"), Schema("JSON", "{}", metadata={"properties": {"a": "b"}})),
        (Schema("AVRO", '{"type": "string", "doc": "a"}'), Schema("AVRO", '{"type": "string", "doc": "b"}')),
        (Schema("PROTOBUF", 'option a = "x y";'), Schema("PROTOBUF", 'option a = "x  y";')),
    ],
)
def test_what_differs_in_meaning_differs(one, other):
    assert one.digest != other.digest


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {"schema": 5},
        {"schema": "{}", "schemaType": 5},
        {"schema": "{}", "references": {}},
        {"schema": "{}", "references": [{"name": "a", "subject": "b"}]},
        {"schema": "{}", "references": [{"name": "a", "subject": "b", "version": "1"}]},
        {"schema": "{}", "metadata": "text"},
    ],
)
def test_a_body_that_is_no_schema_is_refused(body):
    with pytest.raises(Refusal) as caught:
        read_schema(body)
    assert caught.value.status == 422
