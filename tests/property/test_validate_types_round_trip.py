"""Arrow types survive the way through JSON Schema, DuckDB and a contract."""

from __future__ import annotations

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.contract import JSON_MARK
from headrace.contracts.load import load_contract
from headrace.contracts.types import duckdb_type, json_schema_of

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0_"), min_size=1, max_size=5)
leaves = st.one_of(
    st.sampled_from(
        [pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.timestamp("us", "UTC"), pa.timestamp("us"),
         pa.date32(), pa.time64("us"), pa.binary()]
    ),
    st.integers(1, 38).flatmap(lambda precision: st.integers(0, precision).map(lambda s: pa.decimal128(precision, s))),
)  # fmt: skip


def fields(types: st.SearchStrategy) -> st.SearchStrategy:
    def build(pairs: dict, marks: list[bool]) -> list[pa.Field]:
        return [
            pa.field(name, type_, metadata=JSON_MARK if mark and type_ == pa.string() else None)
            for (name, type_), mark in zip(pairs.items(), marks, strict=False)
        ]

    def apart(pairs: dict) -> bool:
        return len({name.lower() for name in pairs}) == len(pairs)

    pairs = st.dictionaries(names, types, min_size=1, max_size=4).filter(apart)
    return st.builds(build, pairs, st.lists(st.booleans(), min_size=4, max_size=4))


types = st.recursive(leaves, lambda inner: st.one_of(inner.map(pa.list_), fields(inner).map(pa.struct)), max_leaves=5)


@given(fields(types), st.lists(st.booleans(), min_size=4, max_size=4))
@settings(deadline=None, max_examples=100)
def test_arrow_to_json_schema_and_back(columns: list[pa.Field], nullable: list[bool]) -> None:
    schema = pa.schema([column.with_nullable(null) for column, null in zip(columns, nullable, strict=False)])
    assert load_contract("a", json_schema_of(schema)).arrow_schema().equals(schema, check_metadata=True)


@given(types)
@settings(deadline=None, max_examples=50)
def test_arrow_to_duckdb_and_back(type_: pa.DataType) -> None:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    table = connection.execute(f"SELECT NULL::{duckdb_type(type_)} AS x").to_arrow_table()
    assert duckdb_type(table.schema.field("x").type) == duckdb_type(type_)
