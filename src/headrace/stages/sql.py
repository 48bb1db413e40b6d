"""DuckDB as a library for stages: no catalog, no files, one thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

_OPENED = threading.local()


class SqlKernel:
    """Runs SQL over Arrow batches, and nothing else: external access is off and the time zone is UTC.

    Costs nothing to make: all the kernels of a thread that ask for the same run on one connection, opened when the
    first of them runs. A hundred sources would otherwise hold hundreds of databases.
    """

    def __init__(self, *, isolate_errors: bool = False) -> None:
        """Make a kernel; with `isolate_errors`, TRY(…) holds whatever fails within, at some cost to repeated parts.

        Without, DuckDB computes what a query repeats once and ahead, outside of the TRY: `TRY(x::INT BETWEEN 1 AND 2)`
        raises.
        """
        self._isolate_errors = isolate_errors

    def run(self, sql: str, parameters: Sequence[object] = (), /, **tables: pa.RecordBatch | pa.Table) -> pa.Table:
        """Return the result of one SELECT over the tables given by name."""
        connection = _connection(self._isolate_errors)
        for name, table in tables.items():
            connection.register(name, table)
        try:
            return connection.execute(sql, list(parameters)).to_arrow_table()
        finally:
            for name in tables:
                connection.unregister(name)


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """Return the rows of a table as a single batch, empty or not."""
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _connection(isolate_errors: bool) -> duckdb.DuckDBPyConnection:
    """Return this thread's connection for kernels of one kind."""
    opened: dict[bool, duckdb.DuckDBPyConnection] | None = getattr(_OPENED, "connections", None)
    if opened is None:
        opened = _OPENED.connections = {}
    if isolate_errors not in opened:
        connection = opened[isolate_errors] = duckdb.connect(config={"threads": 1})
        for setting in (
            "SET TimeZone = 'UTC'",
            "SET preserve_insertion_order = true",
            "SET autoinstall_known_extensions = false",
            "SET autoload_known_extensions = false",
            "SET enable_external_access = false",
            "SET python_enable_replacements = false",
            f"SET disabled_optimizers = '{'common_subexpressions' if isolate_errors else ''}'",
            "SET lock_configuration = true",
        ):
            connection.execute(setting)
    return opened[isolate_errors]
