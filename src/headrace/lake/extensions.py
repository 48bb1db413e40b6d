"""DuckDB's extensions, straight from their packages."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from headrace.contracts.types import literal
from headrace.errors import ExternalError

if TYPE_CHECKING:
    import duckdb

NAMES = ("sqlite_scanner", "ducklake")
CONFIG = {
    "allow_unsigned_extensions": "true",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
"""What a connection is opened with that `load` is called on: nothing is ever looked for on a network."""


def load(connection: duckdb.DuckDBPyConnection) -> None:
    """Load DuckLake and SQLite into a connection that was opened with `CONFIG`; after it, none without a signature.

    They are loaded from where their packages were installed, as DuckDB itself is, and trusted as that is: to check the
    signature of 70 MB takes 0.3 s of every connection. Raises `ExternalError` where they do not fit this DuckDB.
    """
    import duckdb

    for name in NAMES:
        package = resources.files(f"duckdb_extension_{name}")
        path = package / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        try:
            connection.execute(f"LOAD {literal(str(path))}")
        except duckdb.Error as problem:
            raise ExternalError(
                f"the package duckdb-extension-{name.replace('_', '-')} does not fit duckdb {duckdb.__version__}: "
                f"{str(problem).splitlines()[0]}",
                at=str(package),
                fix="install both in one version",
            ) from problem
    connection.execute("SET allow_unsigned_extensions = false")
