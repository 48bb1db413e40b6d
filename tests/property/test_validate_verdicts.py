"""The verdict on every event is the full validator's, and every value is exact, whichever path decided."""

from __future__ import annotations

import json
import os
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace import words
from headrace.contracts.load import compiled, load_contract
from headrace.errors import ContractError
from headrace.stages.csv_rows import CsvSpec
from headrace.stages.decode import FIELDS, Decode
from headrace.stages.json_text import Unreadable, read
from headrace.stages.validate import Validate
from headrace.stages.validate_exact import ExactPath
from headrace.stages.validate_rules import compile_rules
from pulling import messages

NAMES = ["id", "amount", "a.b", 'qu"ote', "$dollar", "größe", "o'clock", "back\\slash", "with space", "type"]


nullable = st.booleans()


def either(kind: str, null: bool, rest: dict) -> dict:
    return {"type": [kind, "null"] if null else kind, **rest}


numbers_in_schema = st.sampled_from([0, 1, -1, 10, 0.5, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**64, 10**30, 1e-3])
number_words = st.dictionaries(
    st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]), numbers_in_schema, max_size=2
)
string_words = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"format": st.sampled_from(["date-time", "date", "email", "uuid", "ipv4", "uri", "time"])}),
    st.fixed_dictionaries({"enum": st.lists(st.sampled_from(["a", "b", "é", "null", "1", ""]), min_size=1)}),
    st.fixed_dictionaries({}, optional={"minLength": st.integers(0, 3), "maxLength": st.integers(0, 5)}),
    st.fixed_dictionaries({"pattern": st.sampled_from(["^[a-z]+$", "a|b", "^.{2}$", r"\d", "[^a]", "^$", "x{2,}"])}),
)
leaves = st.one_of(
    st.builds(either, st.just("string"), nullable, string_words),
    st.builds(either, st.just("integer"), nullable, number_words),
    st.builds(either, st.just("number"), nullable, number_words),
    st.builds(either, st.just("boolean"), nullable, st.just({})),
    st.just({"type": "number", "format": "decimal", "precision": 20, "scale": 2}),
    st.just({"type": "integer", "multipleOf": 3}),
    st.sampled_from(
        [True, {}, {"type": ["string", "integer"]}, {"type": "object"}, {"enum": ["a", 1, None]}, {"const": "a"},
         {"enum": [1, 2]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}, {"$ref": "#/$defs/code"},
         {"allOf": [{"type": "string"}, {"minLength": 2}]}, {"not": {"type": "string"}},
         {"oneOf": [{"type": "integer"}, {"type": "null"}]}, {"type": "array"}, {"type": "array", "uniqueItems": True},
         {"type": "number", "nullable": True}]
    ),
)  # fmt: skip


def objects(values: st.SearchStrategy) -> st.SearchStrategy:
    def build(properties: dict, required: list[str], closed: bool | None, more: dict, null: bool) -> dict:
        found = {"type": ["object", "null"] if null else "object", "properties": properties}
        if required:
            found["required"] = [name for name in required if name in properties] or ["id"]
        return found | ({} if closed is None else {"additionalProperties": not closed}) | more

    return st.builds(
        build,
        st.dictionaries(st.sampled_from(NAMES), values, min_size=1, max_size=4),
        st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
        st.sampled_from([None, None, True, False]),
        st.sampled_from([{}, {}, {}, {}, {"minProperties": 2}, {"dependentRequired": {"id": ["amount"]}}]),
        nullable,
    )


parts = st.recursive(
    leaves,
    lambda inner: st.one_of(
        objects(inner),
        st.builds(lambda item, words_: {"type": "array", "items": item, **words_}, inner,
                  st.fixed_dictionaries({}, optional={"minItems": st.integers(0, 2), "maxItems": st.integers(0, 3)})),
    ),
    max_leaves=4,
)  # fmt: skip
schemas = st.builds(
    lambda schema, draft: {**schema, "$defs": {"code": {"type": "string", "pattern": "^[a-z]*$"}}, "$schema": draft},
    objects(parts),
    st.sampled_from(["http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema"]),
)

NUMBERS = [
    "0", "1", "-1", "-0", "-0.0", "1.0", "1e2", "1E-2", "0.1", "2.50", "9007199254740993", "9223372036854775807",
    "9223372036854775808", "-9223372036854775809", "18446744073709551616", "1" + "0" * 40, "1e999", "-1e9999",
    "0.10000000000000000000001", "1e-400", "123456789012345.67", "3", "0.001", "10", "NaN", "Infinity", "-Infinity",
]  # fmt: skip
TEXTS = [
    "a", "b", "", "é", "ab", "abc", "null", "1", "true", "-1e9999", '":null', ': null,', ',"x":1', "a\\b", 'say "hi"',
    "tab\tnew\nline", "nul\0l", "😀", "one\x01", "\x01", "{}", "NaN", ",}", "xx", "e\u0301", "a\n",
    "2024-02-29T12:00:00Z", "2023-02-29T12:00:00Z",
    "2024-01-31T23:59:60Z", "2016-12-31T23:59:60Z", "2024-01-01T00:00:00.123456789+05:30", "0000-01-01T00:00:00Z",
    "2024-01-31", "2024-02-30", "a@example.com", "a@b", "1.2.3.4", "01.2.3.4", "https://example.com/a?b=c", "12:00:00Z",
    "2eb8aa08-aa98-11ea-b4aa-73b441d16380", "2024-01-01T12:00:00-23:59", "x" * 300,
]  # fmt: skip
ODD = [
    "true", "false", "null", '"\\ud800"', "{}", "[]", "[null]", '["a"]', '["a", "b"]', '[["a"]]', "[1]", '{"a": "b"}',
    '"[a]"',
    '[{"id":1,"id":1}]',
]  # fmt: skip
texts_json = st.sampled_from(TEXTS).flatmap(
    lambda text: st.sampled_from([json.dumps(text), json.dumps(text, ensure_ascii=False).replace("/", "\\/")])
)
scalars = st.one_of(st.sampled_from(NUMBERS), texts_json, st.sampled_from(ODD))


STRANGERS = ["unknown", "utm", "ID", "Größe", "\\u0069d", "a'b", "", 'with\\"quote', "amount2", "🙂"]
FREE_NUMBERS = [
    "1", "-0", "0.5", "1.50", "100.0", "1e2", "1e16", "1e-7", "0.00001", "12345678901234567890", "-0.0", "1E5",
    "123456789012345678", "0.1234567890123456789", "NaN", "-Infinity", "9223372036854775808",
]  # fmt: skip
free_leaves = st.one_of(
    st.sampled_from(["1", "7", "true", "null", '"x"', '""', '":"', '": null"', '"{[,]}"', '", ]"', '"say \\":null"']),
    st.sampled_from(["1", "0.5", "[]", "{}", "null"]),
    st.sampled_from(FREE_NUMBERS),
    texts_json,
)
free_keys = st.sampled_from(["a", "b", "c", "d", "größe", "id", "A", "a b"])


def written(pairs: list[tuple[str, str]], gap: str) -> str:
    return "{" + ("," + gap).join(f'"{key}":{gap}{value}' for key, value in pairs) + "}"


free = st.recursive(
    free_leaves,
    lambda inner: st.one_of(
        st.builds(written, st.lists(st.tuples(free_keys, inner), max_size=3, unique_by=lambda pair: pair[0]),
                  st.sampled_from(["", "", " "])),
        st.builds(written, st.lists(st.tuples(free_keys, inner), max_size=3), st.just("")),
        st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]"),
        st.lists(inner, min_size=1, max_size=2).map(lambda items: "[" + ", ".join(items) + ", ]"),
    ),
    max_leaves=6,
)  # fmt: skip


def likely(schema: object) -> st.SearchStrategy[str]:
    """JSON texts that are valid more often than not."""
    if not isinstance(schema, dict) or not schema or schema in ({"type": "object"}, {"type": "array"}):
        return st.one_of(free, free, scalars)
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if "object" in kinds and "properties" in schema:
        return st.one_of(*[members(schema)] * 12, st.just("null"), scalars, st.just("[]"))
    if "array" in kinds:
        items = likely(schema.get("items", True))
        return st.one_of(*[st.lists(items, max_size=3).map(lambda each: "[" + ",".join(each) + "]")] * 9, scalars)
    if "string" in kinds:
        known = [json.dumps(text) for text in schema.get("enum", [])]
        return st.one_of(*[texts_json] * 4, *([st.sampled_from(known)] * 8 if known else []), scalars)
    if "integer" in kinds or "number" in kinds:
        return st.one_of(*[st.sampled_from(NUMBERS[:14])] * 5, st.integers(-99, 99).map(str), scalars)
    if "boolean" in kinds:
        return st.one_of(*[st.sampled_from(["true", "false"])] * 9, scalars)
    return scalars


def key(name: str) -> str:
    return f'"{name}"' if name in STRANGERS else json.dumps(name)


@st.composite
def members(draw: st.DrawFn, schema: dict) -> str:
    pairs = []
    for name, part in schema["properties"].items():
        if draw(st.integers(0, 9)) or name in schema.get("required", ()):
            pairs.append((name, draw(likely(part))))
    surprise = draw(st.integers(0, 29))
    if surprise == 0 and pairs:
        pairs.append((pairs[0][0], draw(scalars)))
    elif surprise <= 8:
        strangers = draw(st.lists(st.tuples(st.sampled_from(STRANGERS), st.one_of(scalars, free)), max_size=3))
        pairs += strangers
    colon, comma, end = draw(
        st.sampled_from([(":", ",", "}")] * 4 + [(": ", ", ", "}")] * 4 + [(" :", " , ", " }"), (":", ",", ",}")])
    )
    return "{" + comma.join(key(name) + colon + value for name, value in pairs) + end


WHOLE = [
    b"", b"  ", b"null", b"[]", b"5", b"{}", b"{", b'{"id":1}{"id":2}', b'\xef\xbb\xbf{"id":1}', b'{"id":"\xff"}',
    b'{"id":' + b"[" * 500 + b"]" * 500 + b"}", b'[{"id":1}]', b'"id":1', b'{"id":nan}', b'{"id":1}\n', b'{"id":1}\0',
]  # fmt: skip


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict, str, list[bytes]]:
    schema = draw(schemas)
    documents = draw(st.lists(members(schema), min_size=1, max_size=12))
    payloads = [document.encode() for document in documents] + draw(st.lists(st.sampled_from(WHOLE), max_size=2))
    return schema, draw(st.sampled_from(["strict", "lenient"])), draw(st.permutations(payloads))


def contract_of(schema: dict, validation: str):
    try:
        return load_contract("events", schema, validation=validation)
    except ContractError:
        return None


def run(contract, payloads: list[bytes]):
    decoded = Decode("json", contract, CsvSpec())(messages(*payloads))
    return decoded, Validate(contract)(decoded.kept)


def exactly(payload: bytes) -> tuple[dict, str]:
    try:
        return read(payload.decode().removeprefix("\ufeff")), ""
    except UnicodeDecodeError:
        return {}, "invalid_utf8"
    except Unreadable as fault:
        return {}, fault.code


def same(left: object, right: object) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and repr(left) == repr(right)


EXAMPLES = int(os.environ.get("HEADRACE_EXAMPLES", "200"))
CAREFUL = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@given(cases())
@CAREFUL
def test_verdicts_and_values_are_those_of_the_exact_path(case: tuple[dict, str, list[bytes]]) -> None:
    schema, validation, payloads = case
    contract = contract_of(schema, validation)
    if contract is None:
        return
    decoded, outcome = run(contract, payloads)
    validator, exact = compiled(contract.schema), ExactPath(contract)
    rejected = {row["row"]: row for row in decoded.rejected.to_pylist() + outcome.rejected.to_pylist()}
    kept = {row[words.ROW]: row for row in outcome.kept.to_pylist()}
    assert sorted([*rejected, *kept]) == list(range(len(payloads)))
    for row, payload in enumerate(payloads):
        value, code = exactly(payload)
        if code:
            assert (rejected[row]["stage"], rejected[row]["code"]) == ("decode", code)
            continue
        if not validator.is_valid(value):
            assert rejected[row]["stage"] == "contract"
            assert rejected[row]["code"] != "out_of_range"
            continue
        try:
            expected = exact.row(value)
        except Unreadable:
            assert rejected[row]["code"] == "out_of_range"
            continue
        fields = list(contract.arrow_schema())
        typed = [pa.array([item], field.type).to_pylist()[0] for item, field in zip(expected, fields, strict=True)]
        got = [kept[row][field.name] for field in fields]
        assert same(got, typed)
        if validation == "lenient":
            unknown = {name: item for name, item in value.items() if name not in {field.name for field in fields}}
            assert kept[row][words.EXTRA] == exact.unknown(value)
            assert (kept[row][words.EXTRA] is None) == (not unknown)


@given(cases(), st.integers(0, 12))
@settings(CAREFUL, max_examples=EXAMPLES // 3)
def test_borders_of_batches_do_not_matter(case: tuple[dict, str, list[bytes]], cut: int) -> None:
    schema, validation, payloads = case
    contract = contract_of(schema, validation)
    if contract is None:
        return
    decode, validate = Decode("json", contract, CsvSpec()), Validate(contract)
    batch = messages(*payloads)
    whole = decode(batch)
    valid = validate(whole.kept)
    kept, rejected = [], []
    for begin, end in ((0, cut), (cut, len(payloads))):
        part = batch.slice(begin, max(0, end - begin))
        half = decode(part)
        checked = validate(half.kept)
        assert checked.kept.schema == valid.kept.schema
        kept += [row | {words.ROW: row[words.ROW] + begin} for row in checked.kept.to_pylist()]
        for outcome in (half, checked):
            rejected += [row | {"row": row["row"] + begin} for row in outcome.rejected.to_pylist()]
    both = whole.rejected.to_pylist() + valid.rejected.to_pylist()
    assert same(kept, valid.kept.to_pylist())
    assert sorted(rejected, key=lambda row: row["row"]) == sorted(both, key=lambda row: row["row"])


FAST = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id"],
    "properties": {
        "id": {"type": "string"},
        "count": {"type": ["integer", "null"], "minimum": 0},
        "price": {"type": "number"},
        "total": {"type": "number", "format": "decimal", "precision": 10, "scale": 2},
        "at": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "who": {"type": "object", "properties": {"name": {"type": ["string", "null"]}, "ok": {"type": "boolean"}}},
    },
}


@pytest.mark.parametrize(
    "document",
    [
        '{"id": "a", "count": 1, "price": 2.5, "total": 3.25, "at": "2024-01-31T01:02:03Z", "tags": ["x"]}',
        '{"id":"a \\" \\n : b","count":null,"who":{"name":null,"ok":false},"tags":[]}',
        '{"id": "say \\\\\\"hi\\\\\\": ok", "price": 1}',
    ],
)
def test_common_documents_are_decided_in_columns(document: str) -> None:
    contract = load_contract("events", FAST)
    assert compile_rules(contract) is not None
    decoded = Decode("json", contract, CsvSpec())(messages(document.encode()))
    assert decoded.kept.column(FIELDS).null_count == 0
    columns, sure = Validate(contract)._sure(decoded.kept)
    assert sure.to_pylist() == [True]
    exact = ExactPath(contract).row(read(document))
    fields = list(contract.arrow_schema())
    for column, item, field in zip(columns, exact, fields, strict=True):
        assert same(column.to_pylist(), pa.array([item], field.type).to_pylist())


OPEN = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string"},
        "count": {"type": ["integer", "null"]},
        "who": {"type": ["object", "null"], "properties": {"name": {"type": ["string", "null"]}}},
        "must": {"type": "object", "properties": {"a": {"type": "integer"}}},
        "shut": {"type": "object", "additionalProperties": False, "properties": {"a": {"type": "integer"}}},
        "items": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
        "free": {"type": "object"},
        "any": {},
    },
}
COLUMNS, ROWS, BAD = "in columns", "row by row", "rejected"
OPEN_DOCUMENTS = [
    ('{"id":"a","x":1,"y":"z","free":{"b":{"c":[1,{"d":null}]},"e":"f"}}', COLUMNS),
    ('{"id": "a", "x": {"y": [1, 2.5]}, "free": {"b": 0.25}, "any": [1.5, "a\\tb"]}', COLUMNS),
    ('{"id":"a","any":1.5,"free":{}}', COLUMNS),
    ('{"id":"a","any":"say \\"hi\\"","free":{"größe":"\\u0041"}}', COLUMNS),
    ('{"id":"a","count":null,"x":null,"free":{"a":null,"b":"\\":null"}}', ROWS),
    ('{"id":"a","count":null,"x":null,"free":{"a":null},"any":{"b": null}}', COLUMNS),
    ('{"id":"a","who":null}', COLUMNS),
    ('{"id":"a","who":{"name":null,"x":[null]},"items":[{"sku":"s","x":1},{"sku":"t"}]}', COLUMNS),
    ('{"id":"a","who":{"x":1}}', ROWS),
    ('{"id":"a","who":{}}', ROWS),
    ('{"id":"a","items":[{"x":1}]}', ROWS),
    ('{"id":"a","must":null}', BAD),
    ('{"id":"a","shut":{"a":1,"x":1}}', BAD),
    ('{"id":"a","shut":{"a":1,"x":null}}', BAD),
    ('{"id":"a","free":null}', BAD),
    ('{"id":"a","free":[]}', BAD),
    ('{"id":"a","free":"{}"}', BAD),
    ('{"id":"a","free":{"b":{"c":1,"c":1}}}', BAD),
    ('{"id":"a","free":{"b":[{"c":1,"\\u0063":2}]}}', BAD),
    ('{"id":"a","x":{"b":[{"c":1,"c":2}]}}', BAD),
    ('{"id":"a","x":1,"x":1}', BAD),
    ('{"id":"a","x":1,"x":null}', BAD),
    ('{"id":"a","who":{"name":"n"},"who":null}', BAD),
    ('{"id":"a","who":null,"who":null}', BAD),
    ('{"id":"a","x":NaN}', BAD),
    ('{"id":"a","x":{"b":NaN}}', BAD),
    ('{"id":"a","free":{"b":[1,-Infinity]}}', BAD),
    ('{"id":"a","free":{"b":[1,]}}', BAD),
    ('{"id":"a","free":{"b":[1 , ]}}', BAD),
    ('{"id":"a","free":{"b":"\\ud800"}}', BAD),
    ('{"id":"a","free":' + '{"b":' * 99 + "1" + "}" * 100, COLUMNS),
    ('{"id":"a","free":' + '{"b":' * 100 + "1" + "}" * 101, BAD),
    ('{"id":"a","x":' + "[" * 100 + "]" * 100 + "}", BAD),
    ('{"id":"a","free":{"b":[' + ",".join(["{}"] * 300) + '],"c":"[[[[{{{{"}}', COLUMNS),
    ('{"id":"a","free":{"b":1.50}}', ROWS),
    ('{"id":"a","free":{"b":1e16}}', ROWS),
    ('{"id":"a","free":{"b":0.00001}}', COLUMNS),
    ('{"id":"a","free":{"b":0.0000001}}', ROWS),
    ('{"id":"a","free":{"b":12345678901234567890123}}', ROWS),
    ('{"id":"a","free":{"b":0.1234567890123456789}}', ROWS),
    ('{"id":"a","any":1e2}', ROWS),
    ('{"id":"a","any":1e-7}', ROWS),
    ('{"id":"a","free":{"b":1e-7}}', ROWS),
    ('{"id":"a","any":"\\u001f"}', ROWS),
    ('{"id":"a","free":{"b":"\\u001f"}}', ROWS),
    ('{"id":"a","free":{"b":": ,}","c":" :","d":", ]"}}', COLUMNS),
]


@pytest.mark.parametrize("validation", ["strict", "lenient"])
@pytest.mark.parametrize(("document", "way"), OPEN_DOCUMENTS)
def test_open_documents_are_decided_as_the_exact_path_does(document: str, way: str, validation: str) -> None:
    contract = load_contract("events", {**OPEN, "additionalProperties": True}, validation=validation)
    decode, validate = Decode("json", contract, CsvSpec(), 100), Validate(contract)
    # What was learned of other documents must not matter.
    decode(messages(*[b'{"id":"a","x":1,"y":2,"who":{"name":"n","x":1},"shut":{"a":1,"x":1}}'] * 3))
    decoded = decode(messages(document.encode()))
    outcome = validate(decoded.kept)
    if way == BAD:
        assert len(outcome.kept) == 0
        return
    assert validate._sure(decoded.kept)[1].to_pylist() == [way == COLUMNS]
    value, exact = read(document), ExactPath(contract)
    (row,) = outcome.kept.to_pylist()
    fields = list(contract.arrow_schema())
    for item, field in zip(exact.row(value), fields, strict=True):
        assert same(row[field.name], pa.array([item], field.type).to_pylist()[0])
    if validation == "lenient":
        assert row[words.EXTRA] == exact.unknown(value)


MONEY = {
    "properties": {
        "id": {"type": "string"},
        "count": {"type": "integer"},
        "total": {"type": "number", "format": "decimal", "precision": 38, "scale": 18},
    }
}


@pytest.mark.parametrize(
    ("document", "way"),
    [
        ('{"count":12345678901234567,"total":1.5}', COLUMNS),
        ('{"count":-123456789012345678,"total":1.5}', COLUMNS),
        ('{"count":1234567890123456789,"total":1.5}', ROWS),
        ('{"id":"12345678901234567","total":1.5}', COLUMNS),
        ('{"id":"10.20.30.40.50.60.70","total":1.5}', COLUMNS),
        ('{"id":"1234567890.123456","total":1.5}', ROWS),
        ('{"total":12345678901234567}', COLUMNS),
        ('{"total":-12345678901234567}', COLUMNS),
        ('{"total":12345678901234567890}', ROWS),
        ('{"total":12345678901234567e-2}', ROWS),
        ('{"total":1234567890123456E-2}', ROWS),
        ('{"total":123456789012345.6}', ROWS),
        ('{"total":12345678901234567.5}', ROWS),
        ('{"total":1.123456789012345678}', ROWS),
        ('{"total":0.123456789012345678}', ROWS),
        ('{"total":0.12345678901234}', ROWS),
        ('{"total":0.1234567890123}', COLUMNS),
        ('{"total":1234567.8901234}', COLUMNS),
    ],
)
def test_long_numbers_are_read_in_columns_where_no_digit_can_be_lost(document: str, way: str) -> None:
    contract = load_contract("events", MONEY)
    decoded = Decode("json", contract, CsvSpec())(messages(document.encode()))
    assert Validate(contract)._sure(decoded.kept)[1].to_pylist() == [way == COLUMNS]
    (row,) = Validate(contract)(decoded.kept).kept.to_pylist()
    assert row["total"] == json.loads(document, parse_float=Decimal, parse_int=Decimal)["total"]


@given(st.text("0123456789", min_size=1, max_size=22), st.text("0123456789.eE-+", max_size=22))
def test_no_long_number_loses_a_digit(whole: str, rest: str) -> None:
    document = f'{{"total":{whole}{rest}}}'
    contract = load_contract("events", MONEY)
    kept = Validate(contract)(Decode("json", contract, CsvSpec())(messages(document.encode())).kept).kept
    for row in kept.to_pylist():
        assert row["total"] == json.loads(document, parse_float=Decimal, parse_int=Decimal)["total"]


def test_decimals_keep_every_digit() -> None:
    contract = load_contract("events", FAST)
    _, outcome = run(
        contract, [b'{"id":"a","total":12345678.9}', b'{"id":"a","total":0.001}', b'{"id":"a","total":1.230}']
    )
    assert [row["total"] for row in outcome.kept.to_pylist()] == [Decimal("12345678.90"), Decimal("1.23")]
    assert outcome.rejected.to_pylist()[0]["code"] == "out_of_range"
