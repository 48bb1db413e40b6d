from __future__ import annotations

import pyarrow as pa
import pytest

from headrace.contracts.contract import JSON_MARK
from headrace.contracts.types import bigquery_field, duckdb_type

INT, TEXT = pa.int64(), pa.string()


@pytest.mark.parametrize(
    ("type_", "sql", "bigquery"),
    [
        (TEXT, "VARCHAR", {"type": "STRING"}),
        (pa.decimal128(38, 9), "DECIMAL(38,9)", {"type": "NUMERIC"}),
        (pa.decimal128(38, 0), "DECIMAL(38,0)", {"type": "BIGNUMERIC", "precision": "38", "scale": "0"}),
        (pa.timestamp("us", "UTC"), "TIMESTAMPTZ", {"type": "TIMESTAMP"}),
        (pa.timestamp("us"), "TIMESTAMP", {"type": "DATETIME"}),
        (pa.list_(INT), "BIGINT[]", {"type": "INT64", "mode": "REPEATED"}),
        (pa.list_(pa.list_(INT)), "BIGINT[][]", {"type": "JSON"}),
        (
            pa.struct([('a"b', pa.bool_())]),
            'STRUCT("a""b" BOOLEAN)',
            {"type": "RECORD", "fields": [{"name": 'a"b', "type": "BOOL", "mode": "NULLABLE"}]},
        ),
    ],
)
def test_sql_and_bigquery(type_: pa.DataType, sql: str, bigquery: dict) -> None:
    assert duckdb_type(type_) == sql
    assert bigquery_field(pa.field("x", type_), "why") == {
        "name": "x", "mode": "NULLABLE", "description": "why", **bigquery
    }  # fmt: skip


def test_bigquery_knows_required_and_json() -> None:
    assert bigquery_field(pa.field("x", TEXT, nullable=False, metadata=JSON_MARK)) == {
        "name": "x", "mode": "REQUIRED", "type": "JSON"
    }  # fmt: skip
