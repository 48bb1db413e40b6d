"""The outbox table: it comes to lakes that never had one, and lets go of what is done."""

import datetime as dt

import pyarrow as pa

from headrace.lake import tables
from headrace.lake.base import Change
from headrace.lake.ducklake import DuckLake

OLD = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NEW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def waiting(*rows):
    names = ("source", "push", "seq", "committed_at")
    plain = [dict(zip(names, row, strict=True)) | {"id": f"m{row[2]}", "data": "{}"} for row in rows]
    table = pa.Table.from_pylist(plain, schema=tables.OUTBOX.columns)
    return Change("orders", (), ops={tables.OUTBOX.name: table})


def left(lake):
    found = lake._query(f"SELECT source, push, seq FROM {tables.OUTBOX.sql} ORDER BY ALL").to_pylist()
    return [tuple(row.values()) for row in found]


def test_a_lake_of_before_gets_the_table(tmp_path):
    lake = DuckLake(tmp_path)
    lake._connection.execute(f"DROP TABLE {tables.OUTBOX.sql}")
    lake.close()
    lake = DuckLake(tmp_path)
    lake.commit([waiting(("orders", "desk", 1, NEW))])
    assert left(lake) == [("orders", "desk", 1)]
    lake.close()


def test_rows_go_when_they_are_done_and_old(tmp_path):
    lake = DuckLake(tmp_path)
    rows = [
        ("orders", "desk", 1, OLD),
        ("orders", "desk", 2, OLD),
        ("orders", "desk", 3, NEW),
        ("orders", "slow", 1, OLD),
        ("orders", "gone", 1, OLD),
        ("orders", "gone", 9, NEW),
    ]
    lake.commit([waiting(*rows)])
    assert lake.forget_outbox({("orders", "desk"): 1, ("orders", "slow"): -1}, NEW) == 2
    assert left(lake) == [
        ("orders", "desk", 2),
        ("orders", "desk", 3),
        ("orders", "gone", 9),
        ("orders", "slow", 1),
    ]
    assert lake.forget_outbox({("orders", "desk"): 3, ("orders", "slow"): 1}, NEW) == 2
    assert lake.forget_outbox({("orders", "desk"): 3, ("orders", "slow"): 1}, NEW) == 0
    assert left(lake) == [("orders", "desk", 3), ("orders", "gone", 9)]
    lake.close()
