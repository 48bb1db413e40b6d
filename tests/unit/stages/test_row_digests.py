"""A row's digest depends on every value and its column, and on nothing else."""

import datetime as dt
import itertools
import math
import random
from decimal import Decimal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.lake import digests
from headrace.stages.row_digests import row_digests

AT = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
TEXTS = [*("", "a", "a\0", "\0", "\0\0", "abcdefgh", "abcdefgh\0", "é", "12", "x" * 511, "x" * 512, "x" * 513)]
PARTS = pa.struct([("a", pa.int64()), ("b", pa.string())])
VALUES = {
    pa.string(): [*TEXTS, "y" + "x" * 511, "x" * 600 + "y", "x" * 600 + "z"],
    pa.binary(): [b"", b"\0", b"\xff" * 9],
    pa.int64(): [0, 1, -1, 1 << 62, -(1 << 63)],
    pa.float64(): [0.0, -0.0, 1.5, math.inf, math.nan, 5e-324],
    pa.bool_(): [True, False],
    pa.date32(): [dt.date(1970, 1, 1), dt.date(1, 1, 1), dt.date(9999, 12, 31)],
    pa.time64("us"): [dt.time(0), dt.time(23, 59, 59, 999999)],
    pa.timestamp("us", "UTC"): [AT, AT + dt.timedelta(microseconds=1)],
    pa.timestamp("us"): [AT.replace(tzinfo=None)],
    pa.decimal128(38, 0): [Decimal(0), Decimal(1), Decimal(-1), Decimal(1 << 64), Decimal(10**38 - 1)],
    PARTS: [{"a": None, "b": None}, {"a": 0, "b": None}, {"a": None, "b": ""}, {"a": 1, "b": "x"}],
    pa.list_(pa.string()): [[], [None], [None, None], [""], ["a"], ["a", "b"], ["b", "a"], ["ab"], ["a", None]],
    pa.list_(pa.int64()): [[1, 2], [2, 1], [3], [1, 1, 1], [0], [0, 0]],
    pa.list_(PARTS): [[], [{"a": 1, "b": "x"}], [{"a": None, "b": None}], [None]],
    pa.list_(pa.list_(pa.int64())): [[[1], [2]], [[1, 2]], [[], [1, 2]], [[1, 2], []], [None, [1, 2]]],
    pa.map_(pa.string(), pa.int64()): [[], [("a", 1)], [("a", 2)], [("b", 1)], [("a", None)]],
}


def pairs(table):
    """Return the digest of each row."""
    return list(zip(*(lane.tolist() for lane in row_digests(table)), strict=True))


@pytest.mark.parametrize("kind", VALUES, ids=str)
def test_every_value_has_a_digest_of_its_own_wherever_it_lies(kind):
    values = [None, *VALUES[kind]]
    column = pa.array(values, kind)
    found = pairs(pa.table({"c": column}))
    assert len(set(found)) == len(values)
    assert found == [pairs(pa.table({"c": column.slice(at, 1)}))[0] for at in range(len(values))]
    shuffled = random.Random(1).sample(range(len(values)), len(values))
    assert pairs(pa.table({"c": column.take(pa.array(shuffled))})) == [found[at] for at in shuffled]
    assert pairs(pa.table({"c": pa.chunked_array([column[:1], column[1:]])})) == found
    assert not set(pairs(pa.table({"d": column}))[1:]) & set(found), "of another column"


def test_the_lake_gives_back_what_has_the_same_digest(tmp_path):
    width = max(map(len, VALUES.values()))
    columns = {
        f"c{at}": pa.array([*(values * width)[:width], None], kind) for at, (kind, values) in enumerate(VALUES.items())
    }
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "t.parquet", store_schema=False)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        again = connection.execute(f"FROM '{tmp_path / 't.parquet'}'").to_arrow_table()
    assert pairs(again) == pairs(table)


def test_a_null_adds_nothing_and_columns_have_no_order():
    rows = pa.table({"a": pa.array([1, None]), "b": pa.array(["x", "y"])})
    wider = rows.append_column("later", pa.nulls(2, pa.string())).select(["later", "b", "a"])
    assert pairs(wider) == pairs(rows)
    grown = pa.table({"a": pa.array([{"x": 1}], pa.struct([("x", pa.int64()), ("y", pa.int64())]))})
    assert pairs(grown) == pairs(pa.table({"a": pa.array([{"x": 1}], pa.struct([("x", pa.int64())]))}))
    moved = rows.append_column("_seq", pa.array([7, 8])).append_column("_ingest_time", pa.array([AT, AT]))
    assert pairs(moved) == pairs(rows)
    assert pairs(rows.append_column("_event_time", pa.array([AT, AT]))) != pairs(rows)


def test_a_number_is_the_same_in_a_wider_column():
    for narrow, wide in ((pa.int32(), pa.int64()), (pa.float32(), pa.float64()), (pa.string(), pa.large_string())):
        values = ["a", "bc"] if pa.types.is_string(narrow) else [1, 2]
        assert pairs(pa.table({"c": pa.array(values, narrow)})) == pairs(pa.table({"c": pa.array(values, wide)}))
    words = pa.array(["a", "b", "a"])
    assert pairs(pa.table({"c": words.dictionary_encode()})) == pairs(pa.table({"c": words}))


def test_what_is_swapped_repeated_or_shifted_changes_the_sum():
    day = dt.date(2026, 11, 1)

    def digest(rows):
        table = pa.Table.from_pylist(
            [{"a": a, "b": b, "_event_date": day} for a, b in rows],
            schema=pa.schema([("a", pa.int64()), ("b", pa.int64()), ("_event_date", pa.date32())]),
        )
        return digests.of_rows(table).get(day, digests.NOTHING)

    numbers = range(-3, 4)
    shapes = itertools.combinations_with_replacement(itertools.product(numbers, numbers), 2)
    every = [digest(rows) for rows in shapes]
    assert len(set(every)) == len(every) == 49 * 50 // 2
    assert digest([(1, 2), (3, 4)]) == digest([(3, 4), (1, 2)])
    assert digest([(1, 2), (3, 4)]) != digest([(1, 4), (3, 2)]), "the same values in other rows"
    assert digest([(1, 2), (1, 2), (1, 2)]) != digest([(1, 2)])


def test_digests_are_kept_so_they_stay_what_they_are():
    rows = pa.table(
        {
            "id": pa.array(["order-1", "é" * 300, None]),
            "n": pa.array([1, -1, None]),
            "x": pa.array([1.5, None, -0.0]),
            "items": pa.array(
                [[{"sku": "a", "n": 2}], [], None], pa.list_(pa.struct([("sku", pa.string()), ("n", pa.int64())]))
            ),
            "d": pa.array([Decimal("12.30"), None, Decimal("-0.01")], pa.decimal128(10, 2)),
        }
    )
    assert [f"{high:016x}{low:016x}" for low, high in pairs(rows)] == [
        "d9665addbd35e521bb5e0cbc2da23168",
        "cf8fb9840f2ed66e11bfecbb29a0cbd9",
        "ae0871fc26ead4c152f65dcbdc533a3a",
    ]


def test_many_random_texts_have_many_digests():
    rng = np.random.default_rng(3)
    texts = list({rng.bytes(int(size)).hex()[: int(size)] for size in rng.integers(0, 40, 40_000)})
    found = row_digests(pa.table({"c": pa.array(texts)}))
    assert len(np.unique(found.low)) == len(np.unique(found.high)) == len(texts)
    ones = np.unpackbits(found.low.view(np.uint8)).mean(), np.unpackbits(found.high.view(np.uint8)).mean()
    assert all(0.49 < each < 0.51 for each in ones)
