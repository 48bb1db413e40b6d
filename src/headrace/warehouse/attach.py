"""The dbt-duckdb plugin of a build: attaches the branch and the pinned lake, and shows silver under one roof.

`memory` gets a view for every table of the lake, with the columns that the contract has now: a dataset without commits
is an empty table there, and a column that no commit has brought yet is null.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbt.adapters.duckdb.plugins import BasePlugin

from headrace.lake import extensions
from headrace.lake.catalog import attach_statement

if TYPE_CHECKING:
    import duckdb


MANY_FILES = 500
"""How many data files gold may have before a build begins by merging them: incremental models add some each time."""


class Plugin(BasePlugin):
    """Reads the job file that the build wrote just before."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Remember where the job is."""
        self._job = Path(plugin_config["job"])

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Attach gold (the branch) and, if there is one, the lake at the job's snapshot."""
        job = json.loads(self._job.read_text(encoding="utf-8"))
        extensions.load(conn)
        conn.execute("SET GLOBAL TimeZone = 'UTC'")
        conn.execute(attach_statement("gold", Path(job["branch"]), Path(job["gold_data"])))
        if job["lake_snapshot"] is not None:
            conn.execute(
                attach_statement("lake", Path(job["lake"]), Path(job["lake_data"]), snapshot=job["lake_snapshot"])
            )
        _tidy(conn)
        _show_lake(conn, job)
        _show_job(conn, job)


def _tidy(conn: duckdb.DuckDBPyConnection) -> None:
    """Every published build has a catalog of its own, so older snapshots of this one are only weight."""
    snapshots = [row[0] for row in conn.execute("SELECT snapshot_id FROM ducklake_snapshots('gold')").fetchall()]
    if old := sorted(snapshots)[:-1]:
        conn.execute(f"CALL ducklake_expire_snapshots('gold', versions => {old})")
    (files,) = conn.execute("SELECT count(*) FROM __ducklake_metadata_gold.ducklake_data_file").fetchall()[0]
    if files > MANY_FILES:
        conn.execute("CALL ducklake_merge_adjacent_files('gold')")


def _show_lake(conn: duckdb.DuckDBPyConnection, job: dict[str, Any]) -> None:
    present: dict[tuple[str, str], set[str]] = {}
    for schema, table, column in conn.execute(
        "SELECT schema_name, table_name, column_name FROM duckdb_columns() WHERE database_name = 'lake'"
    ).fetchall():
        present.setdefault((schema, table), set()).add(column)
    for schema in ("bronze", "silver", "ops"):
        conn.execute(f"CREATE SCHEMA memory.{schema}")
    for schema, table in present:
        if schema in {"bronze", "ops"}:
            conn.execute(f'CREATE VIEW memory.{schema}."{table}" AS FROM lake.{schema}."{table}"')
    for name, columns in job["silver"].items():
        conn.execute(view_of_silver(name, columns, present.get(("silver", name), set())))


def view_of_silver(name: str, columns: list[list[str]], present: set[str]) -> str:
    """Return the statement that shows a silver table with the contract's columns, whatever the lake has of it."""
    projections = [
        _quoted(column) if column in present else f"CAST(NULL AS {kind}) AS {_quoted(column)}"
        for column, kind in columns
    ]
    rows = f"FROM lake.silver.{_quoted(name)}" if present else "WHERE false"
    return f"CREATE VIEW memory.silver.{_quoted(name)} AS SELECT {', '.join(projections)} {rows}"


def _show_job(conn: duckdb.DuckDBPyConnection, job: dict[str, Any]) -> None:
    conn.execute("CREATE SCHEMA memory.headrace")
    conn.execute(
        "CREATE TABLE memory.headrace.build (build VARCHAR, lake_snapshot BIGINT, since BIGINT, known BOOLEAN)"
    )
    conn.execute(
        "INSERT INTO memory.headrace.build VALUES (?, ?, ?, ?)",
        [job["build"], job["lake_snapshot"], job["since"], job["touched"] is not None],
    )
    conn.execute("CREATE TABLE memory.headrace.touched (dataset VARCHAR, event_date DATE)")
    for dataset, dates in (job["touched"] or {}).items():
        conn.executemany("INSERT INTO memory.headrace.touched VALUES (?, ?)", [[dataset, date] for date in dates])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
