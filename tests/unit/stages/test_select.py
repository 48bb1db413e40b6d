"""Select: every filter against what plain Python says of the same rows."""

import datetime as dt
import math
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.contract import JSON_MARK
from headrace.errors import ConfigError
from headrace.stages.select import Select

SCHEMA = pa.schema(
    [
        ("status", pa.string()),
        ("amount", pa.float64()),
        ("count", pa.int64()),
        ("paid", pa.bool_()),
        ("price", pa.decimal128(38, 2)),
        ("at", pa.timestamp("us", "UTC")),
        ("day", pa.date32()),
        ("customer", pa.struct([("country", pa.string()), ("tags", pa.list_(pa.string()))])),
        ("items", pa.list_(pa.struct([("sku", pa.string()), ("n", pa.int64())]))),
        pa.field("free", pa.string(), metadata=JSON_MARK),
    ]
)
ROWS = [
    {"status": "suspicious", "amount": 1.5, "count": 1, "paid": True, "price": Decimal("1.10")},
    {"status": "ok", "customer": {"country": "DE", "tags": ["a", "b"]}, "items": [{"sku": "x", "n": 1}]},
    {"status": None, "customer": {"country": None, "tags": []}, "items": []},
    {"customer": None, "items": [{"sku": "y", "n": 2}, {"sku": "x", "n": None}, None]},
    {"at": dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC), "day": dt.date(2026, 11, 1)},
]


def chosen(filter_, where=None):
    batch = pa.RecordBatch.from_pylist(ROWS, schema=SCHEMA)
    return [i for i, is_in in enumerate(Select(SCHEMA, filter_, where)(batch).rows.to_pylist()) if is_in]


@pytest.mark.parametrize(
    ("filter_", "rows"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"status": "suspicious"}, [0]),
        ({"status": ("suspicious", "ok")}, [0, 1]),
        ({"status": None}, [2, 3, 4]),
        ({"status": ("ok", None)}, [1, 2, 3, 4]),
        ({"amount": 1.5, "paid": True}, [0]),
        ({"amount": 1.5, "status": "ok"}, []),
        ({"count": 1}, [0]),
        ({"price": 1.1}, [0]),
        ({"customer.country": "DE"}, [1]),
        ({"customer.tags[]": "b"}, [1]),
        ({"items[].sku": "x"}, [1, 3]),
        ({"items[].n": None}, [3]),
        ({"at": "2026-11-01T12:00:00Z"}, [4]),
        ({"at": "2026-11-01T13:00:00+01:00"}, [4]),
        ({"day": "2026-11-01"}, [4]),
    ],
)
def test_fields_have_the_wanted_values(filter_, rows):
    assert chosen(filter_) == rows


def test_an_expression_must_be_true_and_not_only_not_false():
    assert chosen({}, "amount > 1") == [0]
    assert chosen({}, "not (amount > 1)") == []
    assert chosen({}, "customer.country = 'DE' or amount > 1") == [0, 1]
    assert chosen({}, "count / 0 > 1") == []
    assert chosen({"status": "suspicious"}, "amount > 2") == []
    assert chosen({}, "count(items) = 1") == [1]


@pytest.mark.parametrize(
    ("filter_", "where", "rows", "undecided"),
    [
        ({}, "count / 0 > 1", [], 5),
        ({"count": 1}, "count / 0 > 1", [], 1),
        ({}, "count / 0 > 1 or paid", [0], 4),
        ({}, "cast(status as integer) > 1", [], 2),
        ({"status": "ok"}, "cast(status as integer) > 1", [], 1),
        ({"status": None}, "cast(status as integer) > 1", [], 0),
        ({}, "amount > 1", [0], 0),
        ({}, "true", [0, 1, 2, 3, 4], 0),
        ({"status": "nobody"}, "count / 0 > 1", [], 0),
    ],
)
def test_rows_that_an_expression_cannot_be_computed_for_are_counted(filter_, where, rows, undecided):
    selected = Select(SCHEMA, filter_, where)(pa.RecordBatch.from_pylist(ROWS, schema=SCHEMA))
    assert selected.rows.to_pylist() == [i in rows for i in range(len(ROWS))]
    assert selected.undecided == undecided


@pytest.mark.parametrize(
    ("filter_", "where", "said"),
    [
        ({"statuss": "x"}, None, "did you mean 'status'"),
        ({"customer": "x"}, None, "not a single value"),
        ({"items": "x"}, None, "is a list"),
        ({"items.sku": "x"}, None, "items[].sku"),
        ({"free": "x"}, None, "JSON of any kind"),
        ({"status": 1}, None, "in quotes"),
        ({"status": True}, None, "in quotes"),
        ({"count": "one"}, None, "int64"),
        ({"count": 1.5}, None, "int64"),
        ({"count": True}, None, "int64"),
        ({"paid": 1}, None, "bool"),
        ({"at": "soon"}, None, "timestamp"),
        ({"at": 12}, None, "timestamp"),
        ({}, "now() > at", "now"),
        ({}, "amount", "not true or false"),
        ({}, "amount > (select 1)", "not allowed"),
    ],
)
def test_what_cannot_be_is_said(filter_, where, said):
    with pytest.raises(ConfigError) as problem:
        Select(SCHEMA, filter_, where)
    assert said in str(problem.value)


values = st.one_of(st.none(), st.sampled_from(["a", "b", "c"]))


@given(st.lists(st.tuples(values, st.lists(values, max_size=3))), st.lists(values, min_size=1, max_size=3))
def test_select_is_membership(rows, wanted):
    schema = pa.schema([("one", pa.string()), ("many", pa.list_(pa.string()))])
    batch = pa.RecordBatch.from_pylist([{"one": one, "many": many} for one, many in rows], schema=schema)
    assert Select(schema, {"one": tuple(wanted)})(batch).rows.to_pylist() == [one in wanted for one, _ in rows]
    any_of = Select(schema, {"many[]": tuple(wanted)})(batch).rows.to_pylist()
    assert any_of == [any(each in wanted for each in many) for _, many in rows]


@given(st.lists(st.integers(-5, 5)), st.integers(0, 20))
def test_batch_borders_do_not_matter(numbers, cut):
    schema = pa.schema([("n", pa.int64())])
    batch = pa.RecordBatch.from_pylist([{"n": n} for n in numbers], schema=schema)
    select = Select(schema, {"n": (1, 2)}, "n > 1")
    halves = [*select(batch[:cut]).rows.to_pylist(), *select(batch[cut:]).rows.to_pylist()]
    assert halves == select(batch).rows.to_pylist() == [n == 2 for n in numbers]


def test_a_number_that_is_not_is_no_value():
    schema = pa.schema([("x", pa.float64())])
    batch = pa.RecordBatch.from_pylist([{"x": math.nan}, {"x": 1.0}], schema=schema)
    assert Select(schema, {"x": 1.0})(batch).rows.to_pylist() == [False, True]
