from __future__ import annotations

import datetime as dt
import gzip
import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from headrace import words
from headrace.contracts.load import load_contract
from headrace.stages.csv_rows import CsvSpec
from headrace.stages.decode import Decode
from headrace.stages.validate import Validate
from headrace.stages.validate_columns import spread
from pulling import NOW, messages

SHARED = Path(__file__).parents[4] / "shared"
ORDER = {
    "type": "object",
    "required": ["id", "amount"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 8},
        "amount": {"type": "number", "minimum": 0, "exclusiveMaximum": 1000},
        "count": {"type": "integer", "minimum": 1},
        "status": {"enum": ["placed", "paid"]},
        "at": {"type": "string", "format": "date-time"},
        "email": {"type": "string", "format": "email"},
        "code": {"type": "string", "pattern": "^[A-Z]{3}$"},
        "address": {
            "type": "object",
            "required": ["city"],
            "additionalProperties": False,
            "properties": {"city": {"type": "string"}, "zip": {"type": ["string", "null"]}},
        },
        "items": {
            "type": "array",
            "maxItems": 2,
            "items": {
                "type": "object",
                "required": ["sku"],
                "properties": {"sku": {"type": "string"}, "qty": {"type": "integer"}},
            },
        },
    },
}  # fmt: skip


def validated(schema: dict, documents: list[str | bytes | dict], validation: str = "strict"):
    contract = load_contract("events", schema, validation=validation)
    payloads = [
        json.dumps(each).encode() if isinstance(each, dict) else each.encode() if isinstance(each, str) else each
        for each in documents
    ]
    decoded = Decode("json", contract, CsvSpec())(messages(*payloads))
    assert decoded.rejected.to_pylist() == []
    outcome = Validate(contract)(decoded.kept)
    assert outcome.kept.schema.names[: len(contract.columns)] == [column.name for column in contract.columns]
    assert [outcome.kept.schema.field(column.name).type for column in contract.columns] == [
        column.type for column in contract.columns
    ]
    assert len(outcome.kept) + len(outcome.rejected) == len(documents)
    return outcome


GOOD = {
    "id": "a1", "amount": 2.5, "count": 3, "status": "paid", "at": "2024-02-29T23:00:00.5+02:00",
    "email": "a@example.com", "code": "EUR", "address": {"city": "Köln", "zip": None},
    "items": [{"sku": "x", "qty": 2}, {"sku": "y"}],
}  # fmt: skip


def test_a_valid_event_becomes_typed_columns() -> None:
    (row,) = validated(ORDER, [GOOD]).kept.to_pylist()
    contract = load_contract("events", ORDER)
    assert row == {
        **GOOD,
        "at": dt.datetime(2024, 2, 29, 21, 0, 0, 500_000, tzinfo=dt.UTC),
        "items": [{"sku": "x", "qty": 2}, {"sku": "y", "qty": None}],
        words.ROW: 0,
        words.EVENT_ID: "m0",
        words.INGEST_TIME: NOW,
        words.SEQ: 0,
        words.TRACE_ID: None,
        words.SCHEMA_VERSION: contract.version,
    }


@pytest.mark.parametrize(
    ("change", "code", "path", "value"),
    [
        ({"amount": None}, "type", "$.amount", "null"),
        ({"amount": "2"}, "type", "$.amount", '"2"'),
        ({"amount": -1}, "minimum", "$.amount", "-1"),
        ({"amount": 1000}, "exclusiveMaximum", "$.amount", "1000"),
        ({"count": 1.5}, "type", "$.count", "1.5"),
        ({"count": True}, "type", "$.count", "true"),
        ({"count": 2**63}, "out_of_range", "$.count", str(2**63)),
        ({"status": "lost"}, "enum", "$.status", '"lost"'),
        ({"at": "2023-02-29T00:00:00Z"}, "format", "$.at", '"2023-02-29T00:00:00Z"'),
        ({"at": "2024-01-01"}, "format", "$.at", '"2024-01-01"'),
        ({"at": "0000-01-01T00:00:00Z"}, "out_of_range", "$.at", '"0000-01-01T00:00:00Z"'),
        ({"email": "nobody"}, "format", "$.email", '"nobody"'),
        ({"code": "EURO"}, "pattern", "$.code", '"EURO"'),
        ({"id": ""}, "minLength", "$.id", '""'),
        ({"id": "x" * 9}, "maxLength", "$.id", '"xxxxxxxxx"'),
        ({"extra": 1}, "additionalProperties", "$.extra", "1"),
        ({"a.b": {"c": 1}}, "additionalProperties", '$["a.b"]', '{"c":1}'),
        ({"address": {}}, "required", "$.address.city", None),
        ({"address": {"city": "x", "street": "y"}}, "additionalProperties", "$.address.street", '"y"'),
        ({"address": "x"}, "type", "$.address", '"x"'),
        ({"items": [{"sku": "x"}, {"sku": 1}]}, "type", "$.items[1].sku", "1"),
        ({"items": [{"sku": "x"}] * 3}, "maxItems", "$.items", '[{"sku":"x"},{"sku":"x"},{"sku":"x"}]'),
        ({"items": [None]}, "type", "$.items[0]", "null"),
        ({"items": {"sku": "x"}}, "type", "$.items", '{"sku":"x"}'),
    ],
)
def test_an_invalid_event_names_rule_path_and_value(change: dict, code: str, path: str, value: str | None) -> None:
    outcome = validated(ORDER, [GOOD, {**GOOD, **change}, GOOD])
    assert outcome.kept.column(words.ROW).to_pylist() == [0, 2]
    (rejected,) = outcome.rejected.to_pylist()
    assert (rejected["row"], rejected["stage"], rejected["code"]) == (1, "contract", code)
    assert (rejected["path"], rejected["value"]) == (path, value)
    assert rejected["reason"]


def test_a_missing_field_and_a_long_value() -> None:
    outcome = validated(ORDER, [{"id": "a"}, {"id": "b", "amount": "y" * 1000}])
    missing, long = outcome.rejected.to_pylist()
    assert (missing["code"], missing["path"], missing["reason"]) == ("required", "$.amount", '"amount" is required')
    assert len(long["value"]) == 200


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ('{"id":["a"],"amount":1}', "type"),
        ('{"id":["a","b"],"amount":1,"code":5}', "type"),
        ('{"id":{},"amount":1}', "type"),
        ('{"id":5,"amount":"5"}', "type"),
        ('{"id":"5","amount":"5"}', "type"),
        ('{"id":true,"amount":true}', "type"),
        ('{"id":"a","amount":1,"items":[5]}', "type"),
        ('{"id":"a","amount":1,"items":[[{"sku":"x"}]]}', "type"),
        ('{"id":"a","amount":1,"address":[{"city":"x"}]}', "type"),
        ('{"id":"a","amount":1,"address":"{\\"city\\":1}"}', "type"),
        ('{"id":null,"amount":1}', "type"),
        ('{"id":"\\u0001","amount":1,"code":null}', "type"),
    ],
)
def test_what_a_kind_parser_would_let_through(document: str, code: str) -> None:
    outcome = validated(ORDER, [GOOD, document])
    assert [row["code"] for row in outcome.rejected.to_pylist()] == [code]


def test_unknown_fields_when_lenient() -> None:
    outcome = validated(ORDER, [GOOD, {**GOOD, "x": 1.50, "y": {"z": [None]}}], "lenient")
    assert outcome.kept.column(words.EXTRA).to_pylist() == [None, '{"x":1.5,"y":{"z":[null]}}']
    assert outcome.rejected.to_pylist() == []


def test_an_open_schema_leaves_unknown_fields_to_bronze() -> None:
    outcome = validated({"properties": {"id": {"type": "string"}}}, ['{"id":"a","x":1}'])
    assert words.EXTRA not in outcome.kept.schema.names
    assert outcome.kept.column("id").to_pylist() == ["a"]


@pytest.mark.parametrize("more", [{}, {"x\x1fy": {"type": "string"}}])
def test_a_member_is_told_from_all_that_is_called_like_it(more: dict) -> None:
    inner = {"type": "object", "properties": {"y": {"type": "string"}, "x.y": {"type": "string"}}}
    names = {"x": inner, "x.y": {"type": "string"}, "doc": {"type": "string"}, "_proven": {"type": "boolean"}, **more}
    schema = {"type": "object", "properties": names, "additionalProperties": False}
    event = {"x": {"y": "within", "x.y": "dotted"}, "x.y": "above", "doc": "d", "_proven": False}
    event |= dict.fromkeys(more, "divided")
    first, second, third = (
        validated(schema, [event, {"x": {"y": "1"}}, {"x.y": "2"}]).kept.select(list(names)).to_pylist()
    )
    assert first == event
    none = dict.fromkeys(names)
    assert (second, third) == ({**none, "x": {"y": "1", "x.y": None}}, {**none, "x.y": "2"})


def test_the_rules_read_members_of_objects_and_no_object_whole() -> None:
    # A CASE over one member of an object costs DuckDB as much as all of them: 700 nested fields cost 9 times as much.
    deep = pa.array([{"a": {"b": 1, "c": [{"d": 2}]}, "e": None}, None])
    read = dict(spread("top", deep))
    assert list(read) == ["\x1ftop\x1fa\x1fb", "\x1ftop\x1fa\x1fc", "\x1ftop\x1fe"]
    assert [each.to_pylist() for each in read.values()] == [[1, None], [[{"d": 2}], None], [None, None]]


def test_numbers_keep_their_digits() -> None:
    schema = {
        "properties": {
            "i": {"type": "integer"},
            "big": {"type": "integer", "maximum": 10**40},
            "d": {"type": "number"},
            "money": {"type": "number", "format": "decimal", "precision": 38, "scale": 9},
            "any": {},
        }
    }
    documents = [
        '{"i":9007199254740993,"big":123456789012345678901234567890,"d":1e2,"money":0.100000001,"any":1.50}',
        '{"i":1.0,"big":1e20,"d":-0.0,"money":12345678901234567890.123456789,"any":[1.50,1e2]}',
        '{"big":1e38}', '{"big":1e39}', '{"d":1e999}', '{"money":0.0000000001}', '{"money":1e-400}', '{"i":1e400}',
        '{"money":0}', '{"money":1.00000000000}',
    ]  # fmt: skip
    outcome = validated(schema, documents)
    rows = outcome.kept.to_pylist()
    assert [row[words.ROW] for row in rows] == [0, 1, 8, 9]
    assert rows[0]["i"] == 9007199254740993
    assert rows[0]["big"] == Decimal(123456789012345678901234567890)
    assert (rows[0]["d"], rows[0]["money"], rows[0]["any"]) == (100.0, Decimal("0.100000001"), "1.50")
    assert (rows[1]["i"], rows[1]["big"], str(rows[1]["d"])) == (1, Decimal(10**20), "-0.0")
    assert rows[1]["money"] == Decimal("12345678901234567890.123456789")
    assert rows[1]["any"] == "[1.50,1E+2]"
    assert {row["code"] for row in outcome.rejected.to_pylist()} == {"out_of_range"}


def test_a_time_of_day_with_an_offset_is_refused_at_any_depth_and_not_cut_off() -> None:
    time = {"type": ["string", "null"], "x-type": "time"}
    schema = {"properties": {"t": time, "l": {"type": "array", "items": time}, "o": {"properties": {"t": time}}}}
    schema["properties"]["o"]["type"] = "object"
    good = ['{"t":"10:00:00"}', '{"t":"10:00:00.123456"}', '{"t":null}', '{"l":["23:59:59"],"o":{"t":"00:00:00"}}']
    bad = [f'{{"t":"10:00:00{zone}"}}' for zone in ("Z", "+02:00", "-0530", "+00:00")]
    bad += ['{"l":["10:00:00","10:00:00Z"]}', '{"o":{"t":"10:00+02"}}', '{"t":"24:00:01"}']
    outcome = validated(schema, [*good, *bad])
    assert [row["t"] for row in outcome.kept.to_pylist()] == [dt.time(10), dt.time(10, 0, 0, 123456), None, None]
    rejected = outcome.rejected.to_pylist()
    assert [row["path"] for row in rejected] == ["$.t"] * 4 + ["$.l[1]", "$.o.t", "$.t"]
    assert {row["code"] for row in rejected} == {"out_of_range"}
    assert ["leave the offset out" in row["reason"] for row in rejected] == [True] * 6 + [False]


def test_a_number_with_a_huge_exponent_stalls_nothing() -> None:
    schema = {"properties": {"d": {"type": "number", "multipleOf": 0.01}, "i": {"type": "integer"}}}
    outcome = validated(schema, ['{"d":1e999999999}', '{"i":1e999999999}', '{"d":1e-999999999}'])
    assert len(outcome.kept) <= 1


@pytest.mark.parametrize("exponent", ["e99999999999999999999", "E+1000000000000000000"])
def test_an_exponent_that_no_decimal_has_is_like_any_that_is_huge(exponent: str) -> None:
    schema = {"properties": {"d": {"type": "number"}, "i": {"type": "integer"}, "any": {}}}
    small = exponent.replace("+", "").replace("e", "e-").replace("E", "E-9")
    outcome = validated(
        schema,
        [f'{{"d":-1.5{exponent}}}', f'{{"i":1{exponent}}}', f'{{"d":1{small},"any":{{"x":[2{exponent}]}}}}',
         f'{{"d":0{exponent},"any":0{exponent}}}'],
    )  # fmt: skip
    assert [(row["code"], row["path"], row["value"]) for row in outcome.rejected.to_pylist()] == [
        ("out_of_range", "$.d", f"-1.5{exponent}"), ("out_of_range", "$.i", f"1{exponent}"),
    ]  # fmt: skip
    assert outcome.kept["d"].to_pylist() == [0.0, 0.0]
    assert outcome.kept["any"].to_pylist() == [f'{{"x":[2{exponent}]}}', f"0{exponent}"]


def test_wikimedia_like_events() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft-07/schema#",
        "$id": "/mediawiki/page/create/1.0.0",
        "required": ["$schema", "meta", "page_id"],
        "properties": {
            "$schema": {"type": "string"},
            "meta": {
                "type": "object",
                "required": ["dt", "stream"],
                "properties": {
                    "dt": {"type": "string", "format": "date-time", "maxLength": 128},
                    "id": {"type": "string", "format": "uuid"},
                    "stream": {"type": "string", "minLength": 1},
                    "uri": {"type": "string", "format": "uri-reference", "maxLength": 8192},
                },
            },
            "page_id": {"type": "integer", "minimum": 0, "maximum": 2**53},
            "performer": {"$ref": "#/definitions/user"},
            "rev_slots": {"type": "object", "additionalProperties": {"type": "object"}},
        },
        "definitions": {
            "user": {
                "type": "object",
                "properties": {
                    "user_text": {"type": "string", "minLength": 1},
                    "user_groups": {"type": "array", "items": {"type": "string"}},
                    "user_is_bot": {"type": "boolean"},
                },
            }
        },
    }
    event = {
        "$schema": "/mediawiki/page/create/1.0.0",
        "meta": {"dt": "2024-05-01T10:00:00Z", "stream": "page-create", "uri": "https://en.wikipedia.org/wiki/A_(b)",
                 "id": "2eb8aa08-aa98-11ea-b4aa-73b441d16380", "request_id": "unknown"},
        "page_id": 42,
        "performer": {"user_text": "Ünï", "user_groups": ["*", "user"], "user_is_bot": False},
        "rev_slots": {"main": {"size": 3}},
    }  # fmt: skip
    outcome = validated(
        schema, [event, {**event, "page_id": 2**53 + 1}, {**event, "meta": {"dt": "yesterday", "stream": "x"}}]
    )
    (row,) = outcome.kept.to_pylist()
    assert row["meta"]["dt"] == dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)
    assert row["performer"] == event["performer"]
    assert json.loads(row["rev_slots"]) == event["rev_slots"]
    codes = [(rejected["code"], rejected["path"]) for rejected in outcome.rejected.to_pylist()]
    assert codes == [("maximum", "$.page_id"), ("format", "$.meta.dt")]


GITHUB = {
    "required": ["id", "type", "actor", "repo", "created_at"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "type": {"type": "string"},
        "actor": {
            "type": "object",
            "required": ["id", "login"],
            "properties": {"id": {"type": "integer"}, "login": {"type": "string"}, "gravatar_id": {"type": "string"},
                           "url": {"type": "string", "format": "uri"}, "avatar_url": {"type": "string"}},
        },
        "repo": {"type": "object", "properties": {"id": {"type": "integer"}, "name": {"type": "string"}}},
        "org": {"type": "object", "properties": {"id": {"type": "integer"}, "login": {"type": "string"}}},
        "payload": {"type": "object"},
        "public": {"type": "boolean"},
        "created_at": {"type": "string", "format": "date-time"},
    },
}  # fmt: skip


def test_the_github_hour() -> None:
    path = SHARED / "data/events/github/2015-01-01-0.json.gz"
    if not path.exists():
        pytest.skip("the shared events are not beside this checkout")
    lines = gzip.decompress(path.read_bytes()).splitlines()
    outcome = validated(GITHUB, lines)
    assert len(outcome.kept) == len(lines) == 7702
    for row, line in zip(outcome.kept.to_pylist(), lines, strict=True):
        event = json.loads(line)
        assert json.loads(row["payload"]) == event["payload"]
        assert row["actor"] == {name: event["actor"].get(name) for name in row["actor"]}
        assert row["created_at"] == dt.datetime.fromisoformat(event["created_at"])


def wikimedia() -> list[tuple[dict, list[dict]]]:
    yaml = pytest.importorskip("ruamel.yaml").YAML(typ="safe")
    found = []
    for path in sorted((SHARED / "data/schemas/wikimedia_primary").rglob("*")):
        if path.suffix not in {".yaml", ".json"}:
            continue
        schema = yaml.load(path.read_text())
        if isinstance(schema, dict) and schema.get("examples"):
            found.append((json.loads(json.dumps(schema, default=str)), schema["examples"]))
    return found


def test_the_examples_of_wikimedias_schemas_are_valid() -> None:
    if not (SHARED / "data/schemas/wikimedia_primary").exists():
        pytest.skip("the shared schemas are not beside this checkout")
    cases = wikimedia()
    assert cases
    for schema, examples in cases:
        documents = [json.loads(json.dumps(example, default=str)) for example in examples]
        outcome = validated(schema, documents)
        assert outcome.rejected.to_pylist() == [], schema.get("$id")
