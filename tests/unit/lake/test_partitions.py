"""A batch is cut by its partition columns: each value once, rows in their order, all of them."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.lake.partitions import parts
from headrace.lake.tables import Table

COLUMNS = pa.schema([("n", pa.int64()), ("source", pa.string()), ("day", pa.date32())])
TABLE = Table("bronze.t", COLUMNS, partition=("source", "day"))
DAYS = [dt.date(2026, 1, 1) + dt.timedelta(days=n) for n in range(4)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(DAYS)), min_size=1), st.integers(0, 100))
def test_every_row_is_in_the_part_of_its_values_in_its_order(values, cut):
    listed = [{"n": n, "source": source, "day": day} for n, (source, day) in enumerate(values)]
    halves = [pa.Table.from_pylist(half, COLUMNS) for half in (listed[:cut], listed[cut:])]
    expected = {}
    for each in listed:
        expected.setdefault((each["source"], each["day"]), []).append(each["n"])
    found = {}
    for part_values, part in parts(TABLE, pa.concat_tables(halves)):
        assert part_values not in found
        assert part.column_names == ["n"]
        found[part_values] = part["n"].to_pylist()
    assert found == expected


@pytest.mark.parametrize("partition", [(), ("day",)])
def test_no_rows_are_noparts(partition):
    assert list(parts(Table("bronze.t", COLUMNS, partition), COLUMNS.empty_table())) == []
