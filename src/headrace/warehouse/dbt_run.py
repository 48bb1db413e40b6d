"""One run of dbt inside the worker: invoke, then read off what it did as plain data."""

from __future__ import annotations

import gc
import re
from typing import TYPE_CHECKING, Any

from headrace.warehouse.dbt_messages import project_failure, without_noise

if TYPE_CHECKING:
    import duckdb

SAMPLE_ROWS = 5

_MODEL_STATUS = {"success": "built", "error": "failed", "skipped": "skipped"}
_TEST_STATUS = {"pass": "passed", "warn": "warned", "fail": "failed", "error": "failed", "skipped": "skipped"}


def load_dbt() -> None:
    """Import what takes seconds; the collector of garbage does not look through it, then or ever."""
    gc.disable()
    try:
        import dbt.adapters.duckdb
        import dbt.cli.main  # noqa: F401
    finally:
        gc.freeze()
        gc.enable()


def run_dbt(job: dict[str, Any]) -> dict[str, Any]:
    """Run `dbt build` for a job; return models, tests, failures and the tables that gold has, ready for JSON."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    outcome = dbtRunner().invoke(_arguments(job))
    environment = DuckDBConnectionManager._ENV  # the only way to the connection that dbt used
    try:
        results = getattr(outcome.result, "results", None)
        if outcome.exception is not None or results is None:
            return {"models": [], "tests": [], "tables": {}, "failures": [project_failure(outcome.exception)]}
        cursor = environment.conn.cursor() if environment is not None and environment.conn is not None else None
        return _finished(list(results), cursor, job)
    finally:
        # dbt would keep the connection for its next run, attached to a branch that is gone by then.
        if environment is not None:
            environment.close()
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]


def _arguments(job: dict[str, Any]) -> list[str]:
    arguments = [
        *("--no-send-anonymous-usage-stats", "--no-version-check", "--no-use-colors", "--quiet", "--no-write-json"),
        *("--log-level", "none", "--log-level-file", "info", "--log-path", job["logs"]),
        "build",
        *("--project-dir", job["project"], "--profiles-dir", job["project"], "--target-path", job["target"]),
        *("--profile", "headrace", "--target", "gold"),
    ]
    if job["full_refresh"]:
        arguments.append("--full-refresh")
    if job["select"]:
        arguments += ["--select", *job["select"]]
    return arguments


def _finished(results: list[Any], cursor: duckdb.DuckDBPyConnection | None, job: dict[str, Any]) -> dict[str, Any]:
    document = _read(results, cursor)
    document["warnings"] = []
    if document["failures"]:
        return document
    for name, kind in job["parent_tables"].items():
        if name in document["tables"]:
            continue
        if job["select"] or kind not in {"table", "view"}:
            document["tables"][name] = kind
        elif cursor is not None:
            # No model makes it any more, and it can be made again: readers should not find what nothing keeps fresh.
            schema, table = name.split(".", 1)
            cursor.execute(f'DROP TABLE IF EXISTS gold."{schema}"."{table}"')
            document["warnings"].append(f"{name} is gone: no model makes it any more")
    return document


def _read(results: list[Any], cursor: duckdb.DuckDBPyConnection | None) -> dict[str, Any]:
    models: list[dict[str, Any]] = []
    tests: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    tables: dict[str, str] = {}
    for result in results:
        node, status = result.node, str(result.status)
        kind = str(node.resource_type)
        file = str(node.original_file_path)
        if kind in {"test", "unit_test"}:
            test = _test(result, cursor)
            tests.append(test)
            if test["status"] == "failed":
                failures.append(_test_failure(result, test))
            continue
        state = _MODEL_STATUS.get(status, "built")
        rows = None
        if state == "built" and cursor is not None and kind in {"model", "seed", "snapshot"}:
            tables[f"{node.schema}.{node.alias}"] = str(node.config.materialized)
            rows = cursor.execute(f'SELECT count(*) FROM gold."{node.schema}"."{node.alias}"').fetchall()[0][0]
        seconds = round(result.execution_time, 3)
        models.append(
            {"name": node.name, "kind": kind, "status": state, "seconds": seconds, "rows": rows, "file": file}
        )
        if state == "failed":
            message, line = without_noise(str(result.message), str(getattr(node, "raw_code", "")))
            failures.append({"kind": "model", "name": node.name, "message": message, "file": file, "line": line})
    return {"models": models, "tests": tests, "failures": failures, "tables": tables}


def _test(result: Any, cursor: duckdb.DuckDBPyConnection | None) -> dict[str, Any]:
    node = result.node
    status = _TEST_STATUS.get(str(result.status), "failed")
    compiled = str(getattr(node, "compiled_code", None) or "").strip()
    sample: list[dict[str, Any]] = []
    if cursor is not None and result.failures and compiled:
        sample = _sample(cursor, compiled)
    return {
        "name": node.name,
        "status": status,
        "seconds": round(result.execution_time, 3),
        "failing_rows": int(result.failures or 0),
        "model": str(getattr(node, "attached_node", None) or "").rpartition(".")[2],
        "file": str(node.original_file_path),
        "query": _as_reader_says_it(compiled),
        "sample": sample,
    }


def _sample(cursor: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    """Return a few rows of a test's query; none where it does not stand as a subquery (a semicolon, say)."""
    import duckdb

    try:
        rows = cursor.execute(f"SELECT * FROM ({query}\n) LIMIT {SAMPLE_ROWS}")
    except duckdb.Error:
        return []
    names = [column[0] for column in rows.description or ()]
    return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]


def _as_reader_says_it(compiled: str) -> str:
    """Return compiled SQL as `headrace query` takes it: `silver.orders`, `gold.orders_gold`."""
    return re.sub(r'"gold"\."\w+"\.', "gold.", compiled.replace('"memory".', ""))


def _test_failure(result: Any, test: dict[str, Any]) -> dict[str, Any]:
    line = None
    if test["failing_rows"]:
        rows = "row fails" if test["failing_rows"] == 1 else "rows fail"
        message = f"{test['failing_rows']:,} {rows} it"
    else:
        message, line = without_noise(str(result.message), str(getattr(result.node, "raw_code", "")))
    return {"kind": "test", "name": test["name"], "message": message, "file": test["file"], "line": line}
