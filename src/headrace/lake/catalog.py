"""Attaching DuckLake catalogs: the one place that knows how Headrace opens them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import duckdb

from headrace.contracts.types import literal

EXTENSIONS = ("ducklake", "sqlite_scanner")
CATALOG, DATA = "catalog.db", "data"  # within a lake's folder


def connect(*, threads: int = 2, memory_limit: str = "512MiB") -> duckdb.DuckDBPyConnection:
    """Return an in-memory DuckDB with DuckLake and SQLite loaded, UTC, never looking for extensions on a network.

    The signed extension binaries come from PyPI wheels (`duckdb-extension-*`) and are installed once per user.
    """
    connection = duckdb.connect(
        config={
            "threads": threads,
            "memory_limit": memory_limit,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    )
    load_extensions(connection)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET python_enable_replacements = false")  # no Python variable is ever a table
    return connection


def load_extensions(connection: duckdb.DuckDBPyConnection) -> None:
    """Load DuckLake and SQLite into a connection, from the wheels where this user has never loaded them before."""
    import duckdb_extensions

    if not os.environ.get("HOME"):  # cron, systemd, slim containers: DuckDB keeps its extensions below a home
        home = Path(tempfile.gettempdir()) / f"headrace-{os.getuid()}"
        home.mkdir(mode=0o700, exist_ok=True)
        connection.execute(f"SET home_directory = {literal(str(home))}")
    for name in EXTENSIONS:
        try:
            connection.execute(f"LOAD {name}")
        except duckdb.IOException:
            duckdb_extensions.import_extension(name, con=connection)
            connection.execute(f"LOAD {name}")


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
