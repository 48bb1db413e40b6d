from __future__ import annotations

import json

import pyarrow as pa
import pytest

from headrace import words
from headrace.contracts.load import load_contract
from headrace.stages.csv_rows import CsvSpec
from headrace.stages.decode import FIELDS, NULLS, STRANGERS, UNKNOWN, Decode
from pulling import NOW, messages

CONTRACT = load_contract(
    "orders",
    {
        "properties": {
            "id": {"type": "string"},
            "n": {"type": "integer"},
            "price": {"type": "number"},
            "ok": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "any": {},
        }
    },
)


def decode(payloads: list[bytes], attributes: list | None = None, format_: str = "json", **csv: object):
    return Decode(format_, CONTRACT, CsvSpec(**csv))(messages(*payloads, attributes=attributes, first_seq=100))


BAD = [
    (b'{"id":"\xff"}', "invalid_utf8", None),
    (b"", "empty_message", None),
    (b" \n", "empty_message", None),
    (b"\xef\xbb\xbf", "empty_message", None),
    (b'{"id":1', "invalid_json", None),
    (b'{"id":1,}', "invalid_json", None),
    (b'{"id":1 , }', "invalid_json", None),
    (b'{"tags":["a",]}', "invalid_json", None),
    (b'{"n":01}', "invalid_json", None),
    (b"{'id':1}", "invalid_json", None),
    (b'{"id":"a\nb"}', "invalid_json", None),
    (b'\xef\xbb\xbf\xef\xbb\xbf{"id":"a"}', "invalid_json", None),
    (b'{"n":1}{"n":2}', "multiple_documents", None),
    (b'{"n":1}\n{"n":2}', "multiple_documents", None),
    (b"[1]", "not_an_object", "$"),
    (b'"a"', "not_an_object", "$"),
    (b"null", "not_an_object", "$"),
    (b'{"n":NaN}', "nan_or_infinity", None),
    (b'{"price":-Infinity}', "nan_or_infinity", None),
    (b'{"any":[NaN]}', "nan_or_infinity", None),
    (b'{"n":nan}', "invalid_json", None),
    (b'{"n":1,"n":2}', "duplicate_key", "$.n"),
    (b'{"n":1,"\\u006e":2}', "duplicate_key", "$.n"),
    (b'{"any":{"a b":[{"x":1,"x":1}]}}', "duplicate_key", '$.any["a b"][0].x'),
    (b'{"n":null,"n":1}', "duplicate_key", "$.n"),
    (b'{"id":"\\ud800"}', "lone_surrogate", "$.id"),
    *[(b'{"id":"\\ud800' + b"x" * gap + "😀".encode() * 60 + b'"}', "lone_surrogate", "$.id") for gap in range(4)],
    (b'{"any":' + b"[" * 100 + b"]" * 100 + b"}", "too_deep", None),
    (b'{"any":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "too_deep", None),
    (b'{"any":' + b'{"a":' * 100_000, "too_deep", None),
]


@pytest.mark.parametrize(("payload", "code", "path"), BAD)
@pytest.mark.parametrize("contract", [CONTRACT, None])
def test_a_bad_message_is_rejected_among_good_ones(payload: bytes, code: str, path: str | None, contract) -> None:
    good = b'{"id": "a", "n": 1}'
    outcome = Decode("json", contract, CsvSpec())(messages(good, payload, good))
    assert outcome.kept.column(words.ROW).to_pylist() == [0, 2]
    (rejected,) = outcome.rejected.to_pylist()
    assert (rejected["row"], rejected["stage"], rejected["code"], rejected["path"]) == (1, "decode", code, path)
    assert rejected["reason"]
    assert len(rejected["value"] or "") <= 200
    assert outcome.rejected.schema == words.rejection_schema()


@pytest.mark.parametrize(
    "payload",
    [
        b'{"id":"a"}', b' {"id":"a"}\r\n', b"{}", b'\xef\xbb\xbf{"id":"a"}', b'{"any":{"a":1,"b":{"a":1}}}',
        b'{"id":"nul \\u0000"}', b'{"id":"\\ud83d\\ude00"}', b'{"n":1e999}', b'{"n":-0}', '{"größe":1}'.encode(),
        b'{"id":"NaN ,} : \\" \\\\"}', b'{\n  "id" : "a"\n}', b'{"any":' + b"[" * 99 + b"]" * 99 + b"}",
        b'{"id":"[[[[[", "any":"' + b"{" * 500 + b'"}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("format_", ["json", "ndjson"])
def test_a_good_message_is_kept_as_it_came(payload: bytes, format_: str) -> None:
    outcome = decode([payload], format_=format_)
    assert outcome.rejected.to_pylist() == []
    (row,) = outcome.kept.to_pylist()
    assert row["doc"] == payload.decode().removeprefix("\ufeff")


def test_the_envelope() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    attributes = [{"traceparent": parent}, {"traceparent": "bad"}, None, {"x": "y"}]
    outcome = decode([b'{"id":"a"}'] * 4, attributes)
    assert outcome.kept.schema.names == [
        words.ROW, words.EVENT_ID, words.INGEST_TIME, words.SEQ, words.TRACE_ID,
        "doc", FIELDS, STRANGERS, NULLS, UNKNOWN,
    ]  # fmt: skip
    assert outcome.kept.schema.field(words.ROW).type == pa.int32()
    first = outcome.kept.to_pylist()[0]
    assert (first[words.EVENT_ID], first[words.INGEST_TIME], first[words.SEQ]) == ("m0", NOW, 100)
    assert outcome.kept.column(words.TRACE_ID).to_pylist() == ["0af7651916cd43dd8448eb211c80319c", None, None, None]


def test_an_empty_batch() -> None:
    outcome = decode([])
    assert (len(outcome.kept), len(outcome.rejected), len(outcome.warned)) == (0, 0, 0)
    assert outcome.kept.schema == decode([b"{}"]).kept.schema


def test_a_slice_of_a_batch_is_a_batch() -> None:
    payloads = [b"x", b'{"id":"a","n":1}', '{"id":"ü\\n","n":2}'.encode(), b'{"n":null}', b"y"]
    outcome = Decode("json", CONTRACT, CsvSpec())(messages(*payloads).slice(1, 3))
    assert outcome.kept.column("doc").to_pylist() == [payload.decode() for payload in payloads[1:4]]
    assert outcome.kept.column(FIELDS).null_count == 0


def csv_doc(record: str, header: str | None = None, **csv: object) -> dict:
    attributes = [{"csv-header": header}] if header else None
    csv = csv if header else {"columns": ("id", "n", "price", "ok", "any"), **csv}
    outcome = decode([record.encode()], attributes, "csv", **csv)
    assert outcome.rejected.to_pylist() == []
    return outcome.kept.to_pylist()[0]["doc"]


@pytest.mark.parametrize(
    ("record", "document"),
    [
        ("a,1,2.50,true,", '{"id":"a","n":1,"price":2.50,"ok":true}'),
        ("a,9007199254740993,1e2,FALSE,x", '{"id":"a","n":9007199254740993,"price":1e2,"ok":false,"any":"x"}'),
        (',,,,"{""a"":1}"', '{"id":"","any":{"a":1}}'),
        ('"a, ""b""\nc",x,.5,yes,[1', '{"id":"a, \\"b\\"\\nc","n":"x","price":".5","ok":"yes","any":"[1"}'),
        ("007,007,1,true,12", '{"id":"007","n":"007","price":1,"ok":true,"any":12}'),
        ("a,1,2,true,\r\n", '{"id":"a","n":1,"price":2,"ok":true}'),
    ],
)
def test_csv_cells_become_json_by_the_contracts_types(record: str, document: str) -> None:
    assert csv_doc(record) == document


def test_csv_options() -> None:
    assert csv_doc("'a;b';NA; 2 ;true;", delimiter=";", quote="'", null_values=("NA",), trim=True) == (
        '{"id":"a;b","price":2,"ok":true}'
    )
    assert csv_doc('"say \\"hi\\"",1,,,', escape="\\") == '{"id":"say \\"hi\\"","n":1}'
    assert csv_doc('say "hi",1,,,', quote="") == '{"id":"say \\"hi\\"","n":1}'


def test_a_record_ends_at_the_end_of_its_line_and_a_cell_may_be_long() -> None:
    odd = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"
    assert json.loads(csv_doc(f"{odd},1,,,"))["id"] == odd
    assert json.loads(csv_doc(f'"{odd}\r\nh",1,,,'))["id"] == f"{odd}\r\nh"
    assert len(json.loads(csv_doc("x" * 200_000 + ",1,,,"))["id"]) == 200_000


def test_what_is_true_and_false_in_csv_is_the_source_s_to_say() -> None:
    meant = {"true_values": ("t", "Yes"), "false_values": ("F", "0")}
    found = [csv_doc(f"a,,,{cell},", **meant) for cell in ("T", "yes", "f", "0", "true")]
    assert found == [f'{{"id":"a","ok":{value}}}' for value in ("true", "true", "false", "false", '"true"')]
    assert csv_doc("a,,,t,") == '{"id":"a","ok":"t"}', "nothing is guessed"
    with pytest.raises(ValueError, match="'t' is among `true_values` and among `false_values`"):
        CsvSpec(true_values=("T",), false_values=("t",))


def test_the_header_may_come_with_the_message() -> None:
    assert csv_doc("1,a,z", header="n, id,other") == '{"n":1,"id":"a","other":"z"}'


@pytest.mark.parametrize(
    ("record", "header", "code"),
    [
        ("a,1", "id,n,price", "ragged_row"),
        ("a,1,2,3", "id,n,price", "ragged_row"),
        ("a,1", "id,id", "duplicate_key"),
        ("a,1", None, "missing_header"),
        ("", "id", "empty_message"),
        ('"a', "id", "invalid_csv"),
        ("a\nb", "id", "multiple_documents"),
    ],
)
def test_bad_records(record: str, header: str | None, code: str) -> None:
    attributes = [{"csv-header": header} if header else None]
    outcome = decode([record.encode()], attributes, "csv")
    assert [row["code"] for row in outcome.rejected.to_pylist()] == [code]


def test_the_content_type_of_a_message_overrules_the_source() -> None:
    attributes = [
        {"content-type": "text/csv; charset=utf-8", "csv-header": "id,n"},
        {"content-type": "application/json"},
        None,
        {"content-type": "application/x-ndjson"},
        {"content-type": "image/png"},
    ]
    payloads = [b"a,1", b'{"n":2}', b'{"n":3}', b'{"n":4}\n', b'{"n":5}']
    outcome = decode(payloads, attributes)
    assert [json.loads(doc)["n"] for doc in outcome.kept.column("doc").to_pylist()] == [1, 2, 3, 4, 5]


def test_a_large_event() -> None:
    big = b'{"id":"' + b"x" * 5_000_000 + b'"}'
    outcome = decode([big, b'{"id":"a"}', big[:-1]])
    assert outcome.kept.column(words.ROW).to_pylist() == [0, 1]
    assert len(outcome.rejected.to_pylist()[0]["value"] or "") <= 200
