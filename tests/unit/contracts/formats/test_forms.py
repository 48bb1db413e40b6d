"""Foreign schema forms: what each says as JSON Schema, and what a contract is in each."""

import json
from pathlib import Path

import jsonschema_rs
import pytest

from headrace.contracts.formats import avro, bigquery, iglu, odcs, protobuf_schema
from headrace.contracts.formats.known import FORMS, as_text, form_of, read_document, read_protobuf
from headrace.contracts.formats.protobuf import json_name_of, parse
from headrace.contracts.load import DRAFTS, compiled, load_contract
from headrace.errors import ContractError

SHARED = Path(__file__).parents[5] / "shared" / "data" / "schemas"
shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared material is not beside the checkout")


def refuse(place, reference):
    raise ContractError(f"{reference} is not read here", at=place)


def read(document, choice=None, form=None):
    found = read_document(document, form, choice, "file.json", refuse)
    if found.form != "fields":
        load_contract("x", found.found.schema)
    return found


def schema(document, choice=None):
    found = dict(read(document, choice).found.schema)
    found.pop("$schema")
    return found


CONTRACT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "order_id": {"type": "string", "description": "Its number"},
        "amount": {"type": "number", "format": "decimal", "precision": 18, "scale": 2},
        "count": {"type": "integer"},
        "small": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
        "gift": {"type": "boolean"},
        "ratio": {"type": ["number", "null"]},
        "placed_at": {"type": "string", "format": "date-time"},
        "day": {"type": "string", "format": "date"},
        "status": {"type": "string", "enum": ["paid", "placed"]},
        "email": {"type": ["string", "null"], "x-pii": "email"},
        "uid": {"type": "string", "format": "uuid"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "by_sku": {"type": "object", "additionalProperties": {"type": "integer"}},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"sku": {"type": "string"}, "quantity": {"type": "integer"}},
                "required": ["sku", "quantity"],
            },
        },
    },
}
CONTRACT["required"] = list(CONTRACT["properties"])


def test_avro_says_what_a_contract_says():
    found = avro.write(CONTRACT, "orders", "com.example")
    assert found.dropped == []
    again = read(json.loads(as_text(found.document)))
    assert again.form == "avsc"
    assert again.found.schema == CONTRACT
    fastavro = pytest.importorskip("fastavro")
    fastavro.parse_schema(found.document)


def test_what_avro_cannot_say_is_named():
    part = {"type": "object", "properties": {
        "a b": {"type": "string", "pattern": "^x"}, "any": {}, "n": {"type": "integer", "minimum": 0}}}  # fmt: skip
    found = avro.write(part, "x")
    assert found.dropped == [
        "#/properties/a b: pattern",
        "#/properties/a b: that it may be absent and never null: Avro has null for both",
        "#/properties/any: its shape: a string that holds JSON",
        "#/properties/n: minimum",
        "#/properties/n: that it may be absent and never null: Avro has null for both",
    ]
    assert found.document["fields"][0]["name"] == "a_b"
    assert list(schema(found.document)["properties"]) == ["a b", "any", "n"]


def _named(part):
    """Yield the records and enums of an Avro schema."""
    if isinstance(part, dict):
        if part.get("type") in ("record", "enum"):
            yield part
        part = list(part.values())
    for each in part if isinstance(part, list) else ():
        yield from _named(each)


def test_avro_records_that_hold_themselves_and_unions():
    tree = {"type": "record", "name": "Node", "namespace": "a", "fields": [
        {"name": "left", "type": ["null", "Node"], "default": None},
        {"name": "value", "type": ["string", "long"]},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
        {"name": "again", "type": "Kind"},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ]}  # fmt: skip
    found = schema(tree)
    assert found["properties"]["left"] == {"anyOf": [{"$ref": "#"}, {"type": "null"}]}
    held = {"type": "record", "name": "Holder", "namespace": "a", "fields": [{"name": "node", "type": tree}]}
    assert schema(held)["properties"]["node"] == {"$ref": "#/$defs/a.Node"}  # as where it holds itself
    clash = {"a_b": {"enum": ["x"]}, "a": {"type": "object", "properties": {"b": {"enum": ["y"]}}}}
    written = avro.write({"type": "object", "properties": clash}, "o").document
    names = [each["name"] for each in _named(written)]
    assert len(set(names)) == len(names) == 4
    assert found["required"] == ["value", "kind", "again", "price", "at"]
    assert found["properties"]["again"] == {"type": "string", "enum": ["A", "B"]}
    assert avro.write(read(tree).found.schema, "Node").document["fields"][0]["type"] == ["null", "Node"]
    assert (
        odcs.write(read(tree).found.schema, "n", version="1", identifier="1").dropped[0].startswith("#/properties/left")
    )
    assert found["properties"]["price"] == {"type": "number", "format": "decimal", "precision": 9, "scale": 2}
    with pytest.raises(ContractError, match="'Missing' is declared nowhere"):
        read({"type": "record", "name": "A", "fields": [{"name": "a", "type": "Missing"}]})


def test_protobuf_says_what_a_contract_says_but_for_what_it_cannot():
    found = protobuf_schema.write(CONTRACT, "orders", "shop.v1")
    assert "#/properties/amount: decimal(18,2): a string" in found.dropped
    again = read_protobuf(found.document, None, "orders.proto", {}).found.schema
    properties = again["properties"]
    assert list(properties) == list(CONTRACT["properties"])
    same = ("count", "small", "gift", "placed_at", "status", "tags", "by_sku")
    for name in same:
        number = properties[name].pop(protobuf_schema.NUMBER)
        assert (properties[name], number) == (CONTRACT["properties"][name], list(properties).index(name) + 1)
    assert properties["order_id"]["description"] == "Its number"
    assert properties["items"]["items"] == {"$ref": "#/$defs/shop.v1.Orders.Items"}
    twice = protobuf_schema.write(again, "orders", "shop.v1")
    assert read_protobuf(twice.document, None, "", {}).found.schema["properties"]["gift"][protobuf_schema.NUMBER] == 5


def test_that_lists_and_maps_of_protobuf_hold_no_null_is_told():
    text = {"type": ["string", "null"]}
    parts = {"a": {"type": "array", "items": text}, "b": {"type": "object", "additionalProperties": text}}
    found = protobuf_schema.write({"type": "object", "properties": parts}, "m")
    assert found.dropped == [
        "#/properties/a/items: null: a list holds none",
        "#/properties/b/additionalProperties: null: a map holds none",
    ]
    nested = {"type": "object", "additionalProperties": {"type": ["array", "null"], "items": {"type": "string"}}}
    found = protobuf_schema.write({"type": "object", "properties": {"a": nested}}, "m")
    assert "map<string, google.protobuf.Value>" in found.document
    assert not any("null" in each for each in found.dropped)


def test_names_in_protobuf_are_apart_as_protoc_asks():
    text, number = {"type": "string"}, {"type": "integer"}
    inner = {"type": "object", "properties": {"n": number}}
    numbers = {"type": "object", "additionalProperties": number}
    properties = {
        "open": number,
        "status": {**text, "enum": ["open", "Value"]},
        "kind": {**text, "enum": ["x", "y"]},
        "other": {**text, "enum": ["y", "z"]},
        "cased": {**text, "enum": ["Up", "UP"]},
        "word": {**text, "enum": ["option", "reserved"]},
        "foo_bar": inner,
        "fooBar": inner,
        "a b": number,
        "a.b": number,
        "a__b": number,
        "名": number,
        "é": number,
        "maps": {"type": "object", "additionalProperties": numbers},
        "any": {"type": "object"},
        "list": {"type": "array"},
    }
    found = protobuf_schema.write({"type": "object", "properties": properties}, "orders")
    lines = [line.strip() for line in found.document.splitlines()]
    usual = [json_name_of(each.name) for each in parse(found.document).messages["Orders"].fields]
    assert len(set(usual)) == len(usual)
    assert all(usual)
    for line in (
        "optional StatusEnum.Value_ status = 2;",
        "message StatusEnum {",
        "enum Value_ {",
        "optional KindEnum kind = 3;",
        "optional OtherEnum.Value other = 4;",
        "optional string cased = 5;",
        "optional string word = 6;",
        'FooBar foo_bar = 7 [json_name = "foo_bar"];',
        'FooBar2 foo_bar2 = 8 [json_name = "fooBar"];',
        "map<string, google.protobuf.Value> maps = 14;",
        "google.protobuf.Struct any = 15;",
        "google.protobuf.ListValue list = 16;",
    ):
        assert line in lines, line
    again = read_protobuf(found.document, None, "orders.proto", {}).found.schema
    assert again["properties"].keys() == properties.keys()
    for name in ("open", "status", "kind", "other", "any", "list"):
        assert {word: said for word, said in again["properties"][name].items() if word != protobuf_schema.NUMBER} == (
            properties[name]
        )


def test_a_message_that_holds_itself_is_the_one_that_is_meant():
    text = 'syntax = "proto3"; message A { B b = 1; message B { A up = 1; } }'
    assert read_protobuf(text, None, "a.proto", {}).found.schema["properties"].keys() == {"b"}
    with pytest.raises(ContractError, match="none is chosen") as error:
        read_protobuf("message A {} message B {}", None, "a.proto", {})
    assert error.value.at == "a.proto"


def test_protobuf_numbers_stay():
    text = 'syntax = "proto3"; message A { string b = 7; oneof c { int32 d = 2; bool e = 9; } A again = 4; }'
    found = read_protobuf(text, None, "a.proto", {}).found.schema
    assert found["properties"]["again"]["$ref"] == "#"
    written = protobuf_schema.write(found, "A").document
    assert "A again = 4;" in written
    assert "b = 7;" in written
    assert "e = 9;" in written
    validator = compiled(found)
    assert validator.is_valid({"d": 1, "b": "x"})
    assert not validator.is_valid({"d": 1, "e": True})


def test_odcs_says_what_a_contract_says_but_for_what_it_cannot():
    found = odcs.write(CONTRACT, "orders", version="1", identifier="id-1", key=["order_id"], owner="shop")
    assert (
        found.dropped
        == [
            "#/properties/ratio: that it may be null and not absent",
            "#/properties/status: enum",
            "#/properties/email: x-pii: email, as the tag pii",
            "#/properties/email: that it may be null and not absent",
            "#/properties/by_sku: its shape: anything",
            "#/properties/by_sku: that it may be null and not absent",
        ]
        or "#/properties/status: enum" in found.dropped
    )
    again = read(json.loads(as_text(found.document)))
    assert (again.form, again.found.key, again.found.owner) == ("odcs", ("order_id",), "shop")
    assert again.found.event_time is None
    whole = odcs.write(CONTRACT, "orders", version="1", identifier="i", key=["uid", "order_id"], event_time="placed_at")
    again = read(whole.document)
    assert (again.found.key, again.found.event_time) == (("uid", "order_id"), "placed_at")
    for name in ("order_id", "amount", "count", "small", "gift", "ratio", "placed_at", "day", "uid", "tags", "items"):
        assert again.found.schema["properties"][name] == CONTRACT["properties"][name], name
    assert "email" not in again.found.schema["required"]


@shared
def test_odcs_contracts_are_of_the_standard():
    standard = json.loads((SHARED / "odcs/odcs-json-schema-v3.1.0.json").read_text())
    validator = jsonschema_rs.validator_for(standard)
    found = odcs.write(CONTRACT, "orders", version="1", identifier="id-1", key=["order_id"], owner="shop",
                       event_time="placed_at", description="Orders")  # fmt: skip
    assert [error.message for error in validator.iter_errors(found.document)] == []


@shared
def test_the_example_contracts_of_the_standard_are_read():
    from ruamel.yaml import YAML

    count = 0
    for path in sorted((SHARED / "odcs/examples").rglob("*.yaml")):
        document = YAML(typ="safe", pure=True).load(path.read_text())
        assert form_of(document) == "odcs", path
        for each in document.get("schema") or ():
            found = read_document(document, None, each["name"], path.name, refuse).found
            load_contract("x", found.schema)
            count += bool(found.schema.get("properties"))
    assert count > 10


def test_iglu_goes_out_and_in():
    found = iglu.write(CONTRACT, "orders", "com.example", "2-0-1")
    assert found.document["self"] == {
        "vendor": "com.example", "name": "orders", "format": "jsonschema", "version": "2-0-1"}  # fmt: skip
    again = read(found.document)
    assert again.form == "iglu"
    assert again.found.schema["x-iglu"] == "iglu:com.example/orders/jsonschema/2-0-1"
    assert again.found.schema["properties"] == CONTRACT["properties"]
    newer = {"type": "object", "properties": {"a": {"const": 1}, "b": {"type": "integer", "exclusiveMinimum": 3},
             "c": {"type": "array", "prefixItems": [{"type": "string"}], "contains": {"const": 1}}}}  # fmt: skip
    older = iglu.write(newer, "x", "v")
    assert older.document["properties"]["a"] == {"enum": [1]}
    assert older.document["properties"]["b"] == {"type": "integer", "minimum": 3, "exclusiveMinimum": True}
    assert older.dropped == ["#/properties/c: contains, which draft 4 has not"]
    jsonschema_rs.Draft4Validator({word: part for word, part in older.document.items() if word != "$schema"})
    with pytest.raises(ContractError, match="no version of Iglu"):
        iglu.write(newer, "x", "v", "1.0.0")


def test_iglu_says_in_draft_4_what_later_drafts_say_otherwise():
    newer = {
        "type": "object",
        "properties": {
            "a": {"$ref": "#/$defs/A", "maxLength": 2},
            "b": {"$ref": "#/$defs/A", "description": "is not said by the reference"},
            "c": {"anyOf": [False, {"type": "integer"}]},
            "d": {"not": False},
            "e": {"type": "string", "format": "uuid"},
        },
        "dependentRequired": {"a": ["b"], "e": []},
        "dependentSchemas": {"a": {"maxProperties": 3}, "d": False},
        "$defs": {"A": {"type": "string"}},
    }
    found = iglu.write(newer, "x", "v")
    body = {word: part for word, part in found.document.items() if word != "$schema"}
    validator = jsonschema_rs.Draft4Validator(body)
    documents = [
        {"a": "ab", "b": "x"}, {"a": "abc", "b": "x"}, {"a": "a"}, {"a": "a", "b": "b", "c": 1, "x": 2}, {"c": 1},
        {"c": "x"}, {"d": 1}, {"a": 1, "b": "x"},
    ]  # fmt: skip
    assert [validator.is_valid(each) for each in documents] == [
        jsonschema_rs.Draft202012Validator(newer).is_valid(each) for each in documents
    ]
    assert body["properties"]["b"]["$ref"] == "#/definitions/A"
    assert found.dropped == ["#/properties/e: format: uuid, which draft 4 does not assert"]


@pytest.mark.parametrize(
    ("draft", "schema", "documents"),
    [
        ("draft-07", {"properties": {"a": {"$ref": "#/$defs/A", "maxLength": 2}}, "$defs": {"A": {}}}, [{"a": "abc"}]),
        ("draft-07", {"dependentRequired": {"a": ["b"]}}, [{"a": 1}]),
        ("draft-04", {"properties": {"a": {"const": 1}}}, [{"a": 2}]),
        (
            "draft/2020-12",
            {"properties": {"a": {"prefixItems": [True, {"type": "string"}], "additionalItems": False}}},
            [{"a": [1, "x", 2]}, {"a": [1, 2]}],
        ),
    ],
)
def test_iglu_leaves_out_what_the_draft_of_the_contract_passes_over(draft, schema, documents):
    schema = {"$schema": DRAFTS[draft], **schema}
    found = iglu.write(schema, "x", "v")
    body = {word: part for word, part in found.document.items() if word != "$schema"}
    validator = jsonschema_rs.Draft4Validator(body)
    assert [validator.is_valid(each) for each in documents] == [compiled(schema).is_valid(each) for each in documents]
    assert found.dropped == []


@shared
def test_the_schemas_of_iglu_central_are_read():
    paths = [path for path in (SHARED / "iglu_central").rglob("[0-9]-*") if path.is_file()][::7]
    read_ = [read(document).form for path in paths if (document := json.loads(path.read_text()))["type"] == "object"]
    assert set(read_) == {"iglu"}
    assert len(read_) > 10


def test_bigquery_has_the_columns_of_silver():
    contract = load_contract("orders", CONTRACT | {"additionalProperties": False})
    found = bigquery.write(contract)
    assert found.document[:2] == [
        {"name": "order_id", "mode": "REQUIRED", "type": "STRING", "description": "Its number"},
        {"name": "amount", "mode": "REQUIRED", "type": "NUMERIC", "precision": "18", "scale": "2"},
    ]
    assert next(each for each in found.document if each["name"] == "items")["mode"] == "REPEATED"
    number = {"type": "integer"}
    names = {
        "a b": number,
        "a.b": number,
        "A_B": number,
        "1st": number,
        "_Partition_x": number,
        "名前": number,
        "-": number,
    }
    schema = {"type": "object", "properties": {**names, "o": {"type": "object", "properties": names}}}
    found = bigquery.write(load_contract("orders", schema))
    *top, record = found.document
    for fields in (top, record["fields"]):
        written = ["a_b_2", "a_b_3", "A_B", "x1st", "x_Partition_x", "名前", "_"]
        assert [each["name"] for each in fields] == written
    assert len([line for line in found.dropped if "its name" in line]) == 10


PATHS = {"/orders": {"post": {"requestBody": {"content": {"application/json": {
    "schema": {"$ref": "#/components/schemas/Order"}}}}}}}  # fmt: skip
OPENAPI = {
    "openapi": "3.0.3",
    "paths": PATHS,
    "components": {
        "schemas": {
            "Order": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "example": "x"},
                    "note": {"type": "string", "nullable": True},
                    "total": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
                    "parent": {"$ref": "#/components/schemas/Order"},
                    "customer": {"nullable": True, "allOf": [{"$ref": "#/components/schemas/Customer"}]},
                },
            },
            "Customer": {"type": "object", "properties": {"email": {"type": "string", "format": "email"}}},
            "Unused": {"type": "object", "properties": {"x": {"$ref": "https://example.com/x.json"}}},
        }
    },
}


def test_openapi_gives_what_is_posted_or_what_is_chosen():
    found = schema(OPENAPI)
    assert found["$ref"] == "#/$defs/Order"
    order = found["$defs"]["Order"]
    assert order["properties"]["note"] == {"type": ["string", "null"]}
    assert order["properties"]["total"] == {"type": "number", "exclusiveMinimum": 0}
    assert order["properties"]["parent"] == {"$ref": "#/$defs/Order"}
    assert order["properties"]["id"] == {"type": "string"}
    assert set(found["$defs"]) == {"Order", "Customer"}
    assert schema(OPENAPI, "Customer")["properties"]["email"] == {"type": "string", "format": "email"}
    validator = compiled(read(OPENAPI).found.schema)
    assert validator.is_valid({"customer": None, "parent": {"total": 1}})
    assert not validator.is_valid({"parent": {"parent": {"total": 0}}})
    with pytest.raises(ContractError) as error:
        read({**OPENAPI, "paths": {}})
    assert "#Order, #Customer, #Unused" in error.value.fix
    with pytest.raises(ContractError, match="no schema 'Ordr'"):
        read(OPENAPI, "Ordr")
    with pytest.raises(ContractError, match="not read here"):
        read(OPENAPI, "Unused")
    # What is posted is found where it is only referred to, among webhooks too.
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Customer"}}}}
    parts = {**OPENAPI["components"], "requestBodies": {"B": body}, "pathItems": {"I": {"post": {"requestBody": {
        "$ref": "#/components/requestBodies/B"}}}}}  # fmt: skip
    for word in ("paths", "webhooks"):
        told = {**OPENAPI, "openapi": "3.1.0", "paths": {}, "components": parts}
        assert schema(told | {word: {"newOrder": {"$ref": "#/components/pathItems/I"}}})["$ref"] == "#/$defs/Customer"
    away = {**OPENAPI, "paths": {"/x": {"$ref": "https://example.com/x.json"}}}
    assert schema(away, "Customer")
    with pytest.raises(ContractError, match="not read here"):
        read(away)
    with pytest.raises(ContractError, match="round in circles"):
        read({**OPENAPI, "paths": {"/x": {"$ref": "#/paths/~1x"}}})


def test_swagger_too():
    old = {"swagger": "2.0", "definitions": {"A": {"type": "object", "properties": {"a": {"type": "file"}}}}}
    assert schema(old)["properties"]["a"] == {"type": "string"}
    parameters = {"P": {"in": "body", "name": "b", "schema": {"$ref": "#/definitions/A"}}}
    posted = {"/a": {"post": {"parameters": [{"$ref": "#/parameters/P"}]}}}
    more = {**old["definitions"], "B": {"type": "string"}}
    assert schema({**old, "definitions": more, "parameters": parameters, "paths": posted})["$ref"] == "#/$defs/A"


@pytest.mark.parametrize("version", [2, 3])
def test_asyncapi_gives_the_payload_of_a_message(version):
    payload = {"type": "object", "properties": {"id": {"$ref": "#/components/schemas/Id"}}}
    messages = {"OrderPlaced": {"payload": payload}}
    document = {"asyncapi": f"{version}.0.0", "components": {"schemas": {"Id": {"type": "integer"}}}, "channels": {}}
    if version == 2:
        document["channels"] = {"orders": {"publish": {"message": {"name": "OrderPlaced", "payload": payload}}}}
    else:
        document["channels"] = {"orders": {"messages": messages}}
    found = read(document)
    assert found.form == "asyncapi"
    assert found.found.schema["definitions"] == {"Id": {"type": "integer"}}
    record = {"type": "record", "name": "A", "fields": [{"name": "a", "type": "long"}]}
    kind = "application/vnd.apache.avro;version=1.9.0"
    document["channels"] = {}
    document["components"]["messages"] = {"A": {"schemaFormat": kind, "payload": record}}
    if version == 3:
        document["components"]["messages"] = {"A": {"payload": {"schemaFormat": kind, "schema": record}}}
    assert schema(document)["properties"] == {"a": {"type": "integer"}}
    avro_message = document["components"]["messages"]["A"]
    document["components"]["messages"] = {"Far": {"$ref": "https://example.com/m.json"}}
    document["components"]["x-own"] = {"A": avro_message}
    near = {"$ref": "#/components/x-own/A"}
    document["channels"] = (
        {"c": {"messages": {"Near": near}}} if version == 3 else {"Near": {"publish": {"message": near}}}
    )
    assert schema(document, "Near")["properties"] == {"a": {"type": "integer"}}
    with pytest.raises(ContractError, match="not read here"):
        read(document)


def test_a_schema_within_may_have_an_address_of_its_own():
    inner = {"$id": "inner.json", "type": "object", "properties": {"n": {"type": "integer"}}}
    for reference in ("inner.json", "http://x/inner.json", "inner.json#", "http://x/o.json#/$defs/i"):
        whole = {
            "$id": "http://x/o.json",
            "type": "object",
            "properties": {"a": {"$ref": reference}},
            "$defs": {"i": inner},
        }
        validator = compiled(read(whole).found.schema)
        assert validator.is_valid({"a": {"n": 1}})
        assert not validator.is_valid({"a": {"n": "x"}})
    part = {**whole, "properties": {"a": {"$ref": "inner.json#/properties/n"}}}
    assert not compiled(read(part).found.schema).is_valid({"a": "x"})
    own = {
        "$id": "own",
        "type": "object",
        "properties": {"n": {"$ref": "#/$defs/n"}},
        "$defs": {"n": {"type": "integer"}},
    }
    for properties in ({"a": own}, {"a": {"$ref": "#/$defs/own"}}, {"a": {"$ref": "own"}}):
        schema_ = {"type": "object", "properties": properties, "$defs": {"own": own, "n": {"type": "string"}}}
        validator = compiled(read(schema_).found.schema)
        assert validator.is_valid({"a": {"n": 1}})
        assert not validator.is_valid({"a": {"n": "x"}})


def test_json_schemas_of_all_drafts_and_their_parts():
    for draft in ("draft-04", "draft-06", "draft-07"):
        part = {"type": "object", "properties": {"a": {"$ref": "#/definitions/B"}}}
        document = {"$schema": f"http://json-schema.org/{draft}/schema#", **part,
                    "definitions": {"B": {"type": "integer"}, "C": {**part}, "unused": {}}}  # fmt: skip
        found = read(document)
        assert found.form == "jsonschema"
        assert found.found.schema["$schema"] == f"http://json-schema.org/{draft}/schema#"
        assert found.found.schema["definitions"] == {"B": {"type": "integer"}}
        assert schema(document, "C")["properties"]["a"] == {"$ref": "#/definitions/B"}
        assert schema(document, "/definitions/C") == schema(document, "C")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, "leads to itself"),
        ({"properties": {"a": {"$ref": "https://example.com/a.json"}}}, "is not read here"),
        ({"properties": {"a": {"$ref": "#/$defs/nowhere"}}}, "leads nowhere"),
        ({"properties": {"a": {"$schema": "http://json-schema.org/draft-04/schema#"}}}, "drafts are mixed"),
        ({"$schema": "https://json-schema.org/draft/2042-01/schema"}, "no draft that is known"),
    ],
)
def test_what_cannot_be_a_contract_says_why(document, said):
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", **document}
    with pytest.raises(ContractError, match=said) as error:
        read(document)
    assert error.value.at


def test_forms_are_told_apart():
    assert form_of({"fields": [{"name": "a", "type": "STRING"}]}) == "fields"
    assert form_of({"id": 1, "type": "object"}) is None
    assert form_of([1]) is None
    assert form_of({"type": "object", "properties": {}}) == "jsonschema"
    nothing = {"asyncapi": 1, "channels": 3, "type": "record", "fields": 3, "schema": 3, "self": 3}
    for form in FORMS:
        if form not in {"fields", "protobuf", "jsonschema"}:
            with pytest.raises(ContractError):
                read_document(nothing, form, None, "x", refuse)


@shared
def test_other_shared_schemas_are_read():
    cloud = SHARED / "cloudevents"
    assert "id" in schema(json.loads((cloud / "cloudevents.json").read_text()))["properties"]
    assert "attribute" in schema(json.loads((cloud / "cloudevents.avsc").read_text()))["properties"]
    text = (cloud / "cloudevents.proto").read_text()
    found = read_protobuf(text, "CloudEvent", "cloudevents.proto", {}).found.schema
    load_contract("x", found)
    assert "specVersion" in found["properties"]
