"""DuckDB as a library: planned once, right for every batch, and closed."""

from __future__ import annotations

import threading

import duckdb
import pyarrow as pa
import pytest

from headrace.stages import sql
from headrace.stages.sql import SqlKernel

DOUBLED = "SELECT x * 2 AS y FROM t"


def ys(table: pa.Table) -> list[object]:
    return table.column("y").to_pylist()


def test_a_planned_query_reads_the_table_of_each_run():
    kernel = SqlKernel()
    assert [ys(kernel.run(DOUBLED, t=pa.table({"x": [n]}))) for n in range(5)] == [[0], [2], [4], [6], [8]]
    assert ys(kernel.run(DOUBLED, t=pa.table({"x": pa.array([], pa.int64())}))) == []
    assert ys(kernel.run(DOUBLED, t=pa.record_batch({"x": [7]}))) == [14]


def test_the_same_query_over_another_schema_is_another_plan():
    kernel = SqlKernel()
    assert ys(kernel.run("SELECT x AS y FROM t", t=pa.table({"x": [1]}))) == [1]
    assert ys(kernel.run("SELECT x AS y FROM t", t=pa.table({"x": ["a"]}))) == ["a"]
    assert ys(kernel.run("SELECT x AS y FROM t", t=pa.table({"x": [2], "z": [0]}))) == [2]
    assert ys(kernel.run("SELECT x AS y FROM t", t=pa.table({"x": [3]}))) == [3]


def test_a_run_that_fails_spoils_none_that_follows():
    kernel = SqlKernel()
    query = "SELECT x::INT AS y FROM t"
    assert ys(kernel.run(query, t=pa.table({"x": ["1"]}))) == [1]
    with pytest.raises(duckdb.ConversionException):
        kernel.run(query, t=pa.table({"x": ["one"]}))
    assert ys(kernel.run(query, t=pa.table({"x": ["2"]}))) == [2]
    with pytest.raises(duckdb.BinderException):
        kernel.run("SELECT nothing AS y FROM t", t=pa.table({"x": ["1"]}))
    assert ys(kernel.run(query, t=pa.table({"x": ["3"]}))) == [3]


def test_no_table_outlives_its_run():
    kernel = SqlKernel()
    kernel.run(DOUBLED, t=pa.table({"x": [1]}))
    planned = sql._kept(False).planned(DOUBLED, {"t": pa.table({"x": [2]})})
    assert planned.slots["t"].table is None


def test_plans_are_bounded_and_the_oldest_goes_first():
    kept = sql._Kept(isolate_errors=False, statements=3)
    table = {"t": pa.table({"x": [0]})}
    plans = [kept.planned(f"SELECT x + {n} AS y FROM t", table) for n in range(3)]
    assert kept.planned("SELECT x + 0 AS y FROM t", table) is plans[0]
    kept.planned("SELECT x + 3 AS y FROM t", table)
    assert kept.planned("SELECT x + 0 AS y FROM t", table) is plans[0]
    assert kept.planned("SELECT x + 1 AS y FROM t", table) is not plans[1]


def test_threads_share_a_kernel_and_no_connection():
    kernel, found = SqlKernel(), {}

    def work(n: int) -> None:
        found[n] = [ys(kernel.run(DOUBLED, t=pa.table({"x": [n, i]}))) for i in range(50)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == {n: [[2 * n, 2 * i] for i in range(50)] for n in range(4)}


@pytest.mark.parametrize("isolated", [False, True])
def test_nothing_outside_is_in_reach(tmp_path, isolated):
    (tmp_path / "secret.csv").write_text("x\n1\n")
    kernel = SqlKernel(isolate_errors=isolated)
    secret = pa.table({"x": [1]})  # a variable of Python, which DuckDB would find by its name
    assert secret.num_rows
    for query in (f"SELECT * FROM '{tmp_path}/secret.csv'", "SELECT x AS y FROM secret", "SET TimeZone = 'Asia/Tokyo'"):
        with pytest.raises(duckdb.Error):
            kernel.run(query, t=pa.table({"x": [1]}))
    assert ys(kernel.run("SELECT CAST(x AS VARCHAR) AS y FROM t", t=_instant())) == ["2026-01-02 03:04:05+00"]


def _instant() -> pa.Table:
    return pa.table({"x": pa.array([1767323045000000], pa.timestamp("us", "UTC"))})
