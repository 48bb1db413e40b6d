from __future__ import annotations

import pyarrow as pa
import pytest

from headrace.contracts.contract import JSON_MARK
from headrace.contracts.load import compiled, load_contract
from headrace.errors import ContractError

ORDERS = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "additionalProperties": False,
    "required": ["id"],
    "definitions": {"money": {"type": "number"}, "tree": {"properties": {"kids": {"$ref": "#/definitions/tree"}}}},
    "properties": {
        "id": {"type": "string", "description": "Who it is."},
        "amount": {"$ref": "#/definitions/money"},
        "when": {"type": ["string", "null"], "format": "date-time"},
        "tree": {"$ref": "#/definitions/tree"},
        "address": {"type": "object", "properties": {"city": {"type": "string"}, "any": {}}},
        "items": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
    },
}
FIELDS = {
    "source_id": "payments",
    "version": "2.1",
    "fields": [
        {"name": "id", "type": "STRING", "mode": "REQUIRED", "description": "Unique id"},
        {"name": "amount", "type": "NUMERIC", "mode": "REQUIRED"},
        {"name": "big", "type": "BIGNUMERIC"},
        {"name": "n", "type": "INTEGER"},
        {"name": "f", "type": "FLOAT"},
        {"name": "ok", "type": "BOOLEAN"},
        {"name": "at", "type": "TIMESTAMP", "mode": "NULLABLE"},
        {"name": "wall", "type": "DATETIME"},
        {"name": "day", "type": "DATE"},
        {"name": "clock", "type": "TIME"},
        {"name": "raw", "type": "BYTES"},
        {"name": "more", "type": "JSON"},
        {"name": "tags", "type": "STRING", "mode": "REPEATED"},
        {"name": "who", "type": "STRUCT", "fields": [{"name": "name", "type": "string", "mode": "required"}]},
    ],
}


def test_columns_of_a_json_schema() -> None:
    contract = load_contract("orders", ORDERS)
    assert contract.arrow_schema().equals(
        pa.schema(
            [
                pa.field("id", pa.string(), nullable=False),
                pa.field("amount", pa.float64()),
                pa.field("when", pa.timestamp("us", "UTC")),
                pa.field("tree", pa.string(), metadata=JSON_MARK),
                pa.field(
                    "address", pa.struct([("city", pa.string()), pa.field("any", pa.string(), metadata=JSON_MARK)])
                ),
                pa.field("items", pa.list_(pa.struct([("sku", pa.string())]))),
            ]
        ),
        check_metadata=True,
    )
    assert contract.columns[0].description == "Who it is."


def test_columns_of_the_fields_form() -> None:
    contract = load_contract("payments", FIELDS)
    types = {column.name: column.type for column in contract.columns}
    assert types == {
        "id": pa.string(),
        "amount": pa.decimal128(38, 9),
        "big": pa.decimal128(38, 18),
        "n": pa.int64(),
        "f": pa.float64(),
        "ok": pa.bool_(),
        "at": pa.timestamp("us", "UTC"),
        "wall": pa.timestamp("us"),
        "day": pa.date32(),
        "clock": pa.time64("us"),
        "raw": pa.binary(),
        "more": pa.string(),
        "tags": pa.list_(pa.string()),
        "who": pa.struct([("name", pa.string())]),
    }
    assert [column.name for column in contract.columns if not column.nullable] == ["id", "amount"]
    assert contract.version.startswith("2.1-")


@pytest.mark.parametrize(
    ("event", "valid"),
    [
        ({"id": "a", "amount": 1}, True),
        ({"id": "a", "amount": 1, "n": None, "tags": ["x"], "who": {"name": "b"}, "more": [1]}, True),
        ({"id": "a"}, False),
        ({"id": None, "amount": 1}, False),
        ({"id": "a", "amount": "1"}, False),
        ({"id": "a", "amount": 1, "who": {}}, False),
        ({"id": "a", "amount": 1, "who": {"name": "b", "x": 1}}, False),
        ({"id": "a", "amount": 1, "unknown": 1}, False),
        ({"id": "a", "amount": 1, "n": 2**63}, False),
        ({"id": "a", "amount": 1, "wall": "2024-01-31 10:00:00"}, True),
        ({"id": "a", "amount": 1, "clock": "24:00:00"}, False),
        ({"id": "a", "amount": 1, "raw": "aGk="}, True),
        ({"id": "a", "amount": 1, "raw": "?"}, False),
    ],
)
def test_verdicts_of_the_fields_form(event: dict, valid: bool) -> None:
    assert compiled(load_contract("payments", FIELDS).schema).is_valid(event) is valid


def test_lenient_allows_unknown_fields_at_the_top_only() -> None:
    validator = compiled(load_contract("payments", FIELDS, validation="lenient").schema)
    assert validator.is_valid({"id": "a", "amount": 1, "unknown": 1})
    assert not validator.is_valid({"id": "a", "amount": 1, "who": {"name": "b", "unknown": 1}})


def test_the_version_changes_with_schema_and_validation_only() -> None:
    version = load_contract("orders", ORDERS).version
    assert version == load_contract("other", dict(reversed(ORDERS.items()))).version
    assert version.startswith("1-")
    others = {
        load_contract("orders", ORDERS, validation="lenient").version,
        load_contract("orders", {**ORDERS, "required": []}).version,
        load_contract("orders", ORDERS, required=["amount"]).version,
        load_contract("orders", {**ORDERS, "version": "1"} | {"minProperties": 2}).version,
    }
    assert len(others | {version}) == 5


def test_validation_is_part_of_the_version_where_the_schema_is_open() -> None:
    document = {"properties": {"id": {"type": "string"}}}
    assert load_contract("a", document).version != load_contract("a", document, validation="lenient").version


def test_required_columns_are_there_and_not_null() -> None:
    contract = load_contract("orders", ORDERS, required=["id", "when", "amount"])
    assert [column.name for column in contract.columns if not column.nullable] == ["id", "amount", "when"]
    validator = compiled(contract.schema)
    assert not validator.is_valid({"id": "a", "amount": 1, "when": None})
    assert not validator.is_valid({"id": "a", "amount": 1})
    assert ORDERS["required"] == ["id"], "the document itself is left alone"


@pytest.mark.parametrize("draft", ["draft-04", "draft-06", "draft-07", "draft/2019-09", "draft/2020-12"])
def test_drafts_are_told_apart(draft: str) -> None:
    scheme = "http" if draft.startswith("draft-") else "https"
    schema = {"$schema": f"{scheme}://json-schema.org/{draft}/schema#", "properties": {"n": {"type": "integer"}}}
    assert compiled(load_contract("a", schema).schema).is_valid({"n": 1.0}) is (draft != "draft-04")


def properties(**parts: object) -> dict:
    return {"type": "object", "properties": parts}


@pytest.mark.parametrize(
    ("document", "says", "fix"),
    [
        (properties(a={"type": "int"}), "#/properties/a/type: unknown type 'int'", "did you mean 'integer'?"),
        (properties(a={"type": "strng"}), "unknown type 'strng'", "did you mean 'string'?"),
        (properties(a={"minimum": "x"}), "not valid", "correct"),
        (properties(a={"type": "string", "pattern": "("}), "not valid", "correct"),
        (properties(a={"$ref": "https://example.com/a.json"}), "outside of the schema", "$defs"),
        (properties(a={"$ref": "#/$defs/b"}), "points at nothing", "$defs"),
        (properties(Id={}, id={}), "differ only in case", "rename"),
        (properties(_Event_id={}), "envelope column", "rename it, say to 'Event_id'"),
        (properties(_extra={}), "envelope column", "rename"),
        ({"type": "array"}, "an event is an object", "object"),
        ({"$schema": "https://example.com/mine", "type": "object"}, "no draft", "2020-12"),
        ({"fields": [{"name": "a", "type": "STRNG"}]}, "fields[0] (a): unknown type 'STRNG'", "did you mean 'STRING'?"),
        ({"fields": [{"name": "a", "type": "STRING", "mode": "REQUIERD"}]}, "unknown mode", "did you mean 'REQUIRED'?"),
        ({"fields": [{"name": "a", "type": "RECORD"}]}, "RECORD without fields", "JSON"),
        ({"fields": [{"name": "a"}]}, "no type", "STRING"),
        ({"fields": [{"type": "STRING"}]}, "fields[0] has no name", "name"),
        ({"fields": [{"name": "a", "type": "DATE"}, {"name": "a", "type": "DATE"}]}, "second field", "rename"),
        ({"fields": [{"name": "a", "type": "DATE", "descripton": ""}]}, "unknown key", "did you mean 'description'?"),
        (properties(a={"type": "number", "format": "decimal", "precision": 50}), "precision 50", "1 to 38"),
    ],
)
def test_what_cannot_be_used_says_where_and_what_to_type(document: dict, says: str, fix: str) -> None:
    with pytest.raises(ContractError) as caught:
        load_contract("a", document, at="schemas/a.json")
    assert says in caught.value.message
    assert fix in caught.value.fix
    assert caught.value.at == "schemas/a.json"


def test_a_required_column_that_is_unknown() -> None:
    with pytest.raises(ContractError, match="no field 'amuont'") as caught:
        load_contract("orders", ORDERS, required=["amuont"])
    assert caught.value.fix == "did you mean 'amount'?"


def test_an_unknown_validation() -> None:
    with pytest.raises(ContractError) as caught:
        load_contract("orders", ORDERS, validation="lenent")
    assert caught.value.fix == "did you mean 'lenient'?"
