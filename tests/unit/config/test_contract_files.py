import gzip
import json

import pytest

from headrace.config.contract_files import changes_between
from headrace.errors import ContractError, InputError

SCHEMA = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "string"}}}
PROTO = """\
syntax = "proto3";
package shop;
import "money.proto";

message Order {
  string id = 1;
  int64 amount = 2;
  Money paid = 3;
  enum State { NEW = 0; PAID = 1; }
}
message Other { int64 n = 1; }
"""
RECORD = {
    "type": "record",
    "name": "Order",
    "fields": [{"name": "id", "type": "string"}, {"name": "n", "type": "long"}],
}


@pytest.fixture
def written(tmp_path):
    def write(name, document):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document, indent=2))
        return str(path)

    return write


def told(found):
    return [(change.rule, change.backward.value, line) for change, line in zip(found.changes, found.lines, strict=True)]


def test_two_json_schemas(written):
    new = json.loads(json.dumps(SCHEMA))
    new["properties"]["a"]["type"] = "integer"
    found = changes_between(written("old.json", SCHEMA), written("new.json", new))
    assert told(found) == [("type-narrowed", "breaking", 4)]
    assert found.changes[0].backward_example["a"] != int(found.changes[0].backward_example["a"])
    assert [change.rule for change in found.breaking] == ["type-narrowed"]
    assert changes_between(found.old, found.new, "forward").breaking == ()
    assert changes_between(found.old, found.old).changes == ()


def test_two_avro_schemas(written):
    fields = [{"name": "n", "type": "int"}, {"name": "x", "type": "string"}]
    found = changes_between(written("1.avsc", RECORD), written("2.avsc", RECORD | {"fields": fields}))
    assert told(found) == [
        ("field-removed", "compatible", 4),
        ("type-changed", "breaking", 7),
        ("field-added", "breaking", 9),
    ]
    assert found.form == "avsc"
    assert found.changes[1].backward_example == {"id": "", "n": 0}
    with pytest.raises(InputError, match="compared whole"):
        changes_between(f"{found.old}#Order", found.new)


def test_two_protobuf_texts_each_with_its_imports(written):
    money = 'syntax = "proto3";\npackage shop;\nmessage Money { int64 units = 1; }\n'
    written("1/money.proto", money)
    written("2/money.proto", money.replace("int64", "int32"))
    old = written("1/shop.proto", PROTO)
    new = written("2/shop.proto", PROTO.replace("int64", "sint32").replace("PAID", "PAYED"))
    found = changes_between(old, new)
    assert sorted(zip([change.pointer for change in found.changes], told(found), strict=True)) == [
        ("#/shop.Money/units", ("type-changed", "breaking", None)),
        ("#/shop.Order.State/PAYED", ("value-renamed", "undecided", 9)),
        ("#/shop.Order/amount", ("type-changed", "breaking", 7)),
        ("#/shop.Other/n", ("type-changed", "breaking", 11)),
    ]
    only = changes_between(f"{old}#Other", f"{new}#Other")
    assert {change.pointer for change in only.changes} == {"#/shop.Other/n"}
    with pytest.raises(InputError, match="two messages"):
        changes_between(f"{old}#Other", f"{new}#Order")


def test_a_part_of_an_api_and_what_lies_beside_a_schema(written):
    api = {"openapi": "3.1.0", "info": {}, "components": {"schemas": {"A": SCHEMA, "B": {"type": "object"}}}}
    one = written("api.json", api)
    api["components"]["schemas"]["A"] = SCHEMA | {"required": ["a"]}
    found = changes_between(f"{one}#A", written("new.json", api) + "#A")
    assert told(found) == [("required-added", "breaking", None)]
    written("money.json", {"type": "number"})
    beside = written("beside.json", {"properties": {"a": {"$ref": "money.json"}}})
    alone = written("alone.json", {"properties": {"a": {"type": "number"}}})
    assert changes_between(beside, alone).breaking == ()


def test_a_large_real_file_may_be_packed(written, tmp_path):
    old = written("old.json", SCHEMA)
    (tmp_path / "new.json.gz").write_bytes(gzip.compress(json.dumps(SCHEMA | {"required": ["b"]}).encode()))
    assert told(changes_between(old, str(tmp_path / "new.json.gz"))) == [("required-added", "breaking", 1)]
    whole = (tmp_path / "new.json.gz").read_bytes()
    for broken in (whole[:30], whole[:10] + b"\xff" * 20, whole[:2] + b"\0" * 20):
        (tmp_path / "new.json.gz").write_bytes(broken)
        with pytest.raises(InputError, match="cannot be unpacked"):
            changes_between(old, str(tmp_path / "new.json.gz"))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.proto", PROTO, "is JSON Schema and .* is Protobuf"),
        ("a.avsc", json.dumps(RECORD), "is JSON Schema and .* is Avro"),
        ("b.avsc", '{"type": "record"}', "without a name"),
        ("a.json", "{", "not valid JSON"),
        ("b.json", '{"$ref": "#/nope"}', "points at nothing"),
        ("c.json", '{"type": "strin"}', "not valid"),
        ("i.json", '{"allOf": [{}], "$ref": "#/allOf/²"}', "points at nothing"),
        ("d.json", '{"$ref": "https://example.com/a.json"}', "another machine"),
        ("e.txt", "[1, 2]", "no form that is known"),
        ("nope.json", None, "cannot be read"),
    ],
)
def test_what_cannot_be_compared_is_said(written, tmp_path, name, text, said):
    new = str(tmp_path / name) if text is None else written(name, text)
    old = written("old.avsc", RECORD) if name == "b.avsc" else written("old.json", SCHEMA)
    with pytest.raises((InputError, ContractError), match=said) as wrong:
        changes_between(old, new)
    assert wrong.value.at
    assert wrong.value.fix


def test_the_file_of_a_source_is_no_schema(written):
    """It would be one that allows anything."""
    source = written("orders.yaml", "source_id: orders\npattern: event_streaming\nschema_file: schemas/orders.json\n")
    with pytest.raises(InputError, match="not a schema") as problem:
        changes_between(source, written("new.json", "{}"), "backward")
    assert problem.value.fix == "give its schema: schemas/orders.json"


def test_what_is_never_fetched_is_told_to_be_copied(written):
    remote = written("d.json", '{"$ref": "https://example.com/a.json"}')
    with pytest.raises(ContractError) as wrong:
        changes_between(remote, remote)
    assert wrong.value.fix == "copy the schema that it names into '$defs'"


def test_nothing_is_fetched(written):
    with pytest.raises(InputError, match="nothing is fetched"):
        changes_between(written("old.json", SCHEMA), "https://example.com/a.json")
