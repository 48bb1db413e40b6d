"""Attaching DuckLake catalogs: the one place that knows how Headrace opens them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from headrace.contracts.types import literal
from headrace.lake import extensions
from headrace.lake.threads import threads

if TYPE_CHECKING:
    from pathlib import Path

CATALOG, DATA = "catalog.db", "data"  # within a lake's folder


def is_catalog(catalog: Path) -> bool:
    """Say whether there is a catalog; an empty file is none."""
    return catalog.exists() and not (catalog.is_file() and not catalog.stat().st_size)


def connect(*, memory_limit: str = "512MiB") -> duckdb.DuckDBPyConnection:
    """Return an in-memory DuckDB with DuckLake and SQLite loaded, UTC, never looking for extensions on a network."""
    connection = duckdb.connect(config={"threads": threads(), "memory_limit": memory_limit, **extensions.CONFIG})
    extensions.load(connection)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET python_enable_replacements = false")  # no Python variable is ever a table
    return connection


def attach_statement(
    alias: str, catalog: Path, data: Path, *, read_only: bool = False, snapshot: int | None = None
) -> str:
    """Return the ATTACH of a DuckLake catalog in SQLite by the rules of DESIGN §7.

    WAL and a busy timeout keep readers fast beside a writer; OVERRIDE_DATA_PATH lets a moved project folder open; no
    row is ever inlined into the catalog. With `snapshot`, the attach sees that version for ever and is read-only.
    """
    options = [
        f"DATA_PATH {literal(str(data.resolve()))}",
        "OVERRIDE_DATA_PATH true",
        "META_JOURNAL_MODE 'WAL'",
        "META_BUSY_TIMEOUT 10000",
        "DATA_INLINING_ROW_LIMIT 0",
    ]
    if snapshot is not None:
        options.append(f"SNAPSHOT_VERSION {snapshot}")
    if read_only or snapshot is not None:
        options.append("READ_ONLY")
    return f"ATTACH {literal(f'ducklake:sqlite:{catalog.resolve()}')} AS {alias} ({', '.join(options)})"


def unattached(catalog: Path, table: str) -> str:
    """Return what a SELECT over a table of a catalog that is not attached is FROM.

    Where DuckDB may have a catalog open, in whatever thread, Python's SQLite must not touch it: see `copy_catalog`.
    """
    return f"sqlite_scan({literal(str(catalog.resolve()))}, {literal(table)})"


def json_columns(connection: duckdb.DuckDBPyConnection) -> dict[str, frozenset[str]]:
    """Return, per silver table, the columns whose text is JSON: to the catalog they are texts like any other."""
    rows = connection.execute(
        "SELECT table_name, list(column_name) FROM duckdb_columns() "
        "WHERE database_name = 'lake' AND schema_name = 'silver' AND comment = 'json' GROUP BY ALL"
    ).fetchall()
    return {table: frozenset(columns) for table, columns in rows}
