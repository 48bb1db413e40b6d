"""An event's JSON: read back by another reader, it is the event."""

import base64
import datetime as dt
import json
import math
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.contract import JSON_MARK
from headrace.stages.canonical import canonical_sql
from headrace.stages.event_json import event_json_sql
from headrace.stages.sql import SqlKernel

SCHEMA = pa.schema(
    [
        ('it\'s "a"', pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("naive", pa.timestamp("us")),
        ("day", pa.date32()),
        ("time", pa.time64("us")),
        ("price", pa.decimal128(38, 9)),
        ("big", pa.int64()),
        ("ratio", pa.float64()),
        ("paid", pa.bool_()),
        ("raw", pa.binary()),
        pa.field("free", pa.string(), metadata=JSON_MARK),
        ("customer", pa.struct([("name", pa.string()), ("born", pa.date32())])),
        ("items", pa.list_(pa.struct([("sku", pa.string()), ("seen", pa.list_(pa.timestamp("us", "UTC")))]))),
    ]
)


def texts(rows, schema=SCHEMA, required=frozenset()):
    sql = f"SELECT {event_json_sql(schema, 'r', required)} AS text FROM rows r"
    return SqlKernel().run(sql, rows=pa.Table.from_pylist(rows, schema=schema))["text"].to_pylist()


def test_every_type_is_written_as_others_read_it():
    noon = dt.datetime(2026, 11, 1, 12, 0, 0, 5, tzinfo=dt.UTC)
    (text,) = texts(
        [
            {
                'it\'s "a"': 'é\n"\\,',
                "at": noon,
                "naive": noon.replace(tzinfo=None),
                "day": noon.date(),
                "time": dt.time(1, 2, 3),
                "price": Decimal("12345678901234567890.123456789"),
                "big": 2**62,
                "ratio": 0.1,
                "paid": False,
                "raw": b"\x00\xff",
                "free": '{"b": [1.000, null]}',
                "customer": {"name": None, "born": noon.date()},
                "items": [{"sku": "x", "seen": [noon]}, None, {"sku": None, "seen": []}],
            }
        ]
    )
    assert json.loads(text, parse_float=Decimal) == {
        'it\'s "a"': 'é\n"\\,',
        "at": "2026-11-01T12:00:00.000005Z",
        "naive": "2026-11-01T12:00:00.000005",
        "day": "2026-11-01",
        "time": "01:02:03",
        "price": Decimal("12345678901234567890.123456789"),
        "big": 2**62,
        "ratio": Decimal("0.1"),
        "paid": False,
        "raw": base64.b64encode(b"\x00\xff").decode(),
        "free": {"b": [Decimal("1.000"), None]},
        "customer": {"born": "2026-11-01"},
        "items": [{"sku": "x", "seen": ["2026-11-01T12:00:00.000005Z"]}, None, {"seen": []}],
    }


def test_nulls_are_left_out_but_where_they_are_required():
    assert texts([{}]) == ["{}"]
    assert texts([{}], required={"paid", "customer"}) == ['{"paid":null,"customer":null}']


def strictly(text):
    """Read JSON as the RFC has it: Python's reader takes NaN and Infinity too."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@given(st.lists(st.floats(), max_size=4), st.floats(width=32))
def test_a_number_that_json_has_no_word_for_is_null(many, one):
    inner = pa.struct([("x", pa.float64())])
    schema = pa.schema(
        [
            ("double", pa.float64()),
            ("single", pa.float32()),
            ("required", pa.float64()),
            ("many", pa.list_(pa.float64())),
            ("inner", inner),
            ("inners", pa.list_(inner)),
        ]
    )
    row = {"double": one, "single": one, "required": one, "many": many, "inner": {"x": one}}
    (text,) = texts([row | {"inners": [{"x": each} for each in many]}], schema, {"required"})
    said = {"x": one} if math.isfinite(one) else {}
    assert strictly(text) == {
        **({"double": one} if said else {}),
        **({"single": pytest.approx(one)} if said else {}),
        "required": one if said else None,
        "many": [each if math.isfinite(each) else None for each in many],
        "inner": said,
        "inners": [{"x": each} if math.isfinite(each) else {} for each in many],
    }


names = st.text(min_size=1, max_size=5)


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b,", "c"]), st.text(max_size=8)), max_size=4))
def test_any_text_comes_back(rows):
    schema = pa.schema([(name, pa.string()) for name in ("a", "b,", "c")])
    assert [json.loads(text) for text in texts(rows, schema)] == rows


def test_more_columns_than_duckdb_goes_expressions_deep():
    names = [f"c{number}" for number in range(1500)]
    schema = pa.schema(
        [*((name, pa.int64()) for name in names), ("all", pa.struct([(name, pa.int64()) for name in names]))]
    )
    row = {**dict.fromkeys(names, 1), "all": dict.fromkeys(names, 2)}
    (text,) = texts([row], schema)
    assert json.loads(text) == row
    sql = f"SELECT {canonical_sql(schema, 'r')} AS text FROM rows r"
    (text,) = SqlKernel().run(sql, rows=pa.Table.from_pylist([row], schema=schema))["text"].to_pylist()
    assert text.count(":1,") == text.count(":2,") == len(names)
