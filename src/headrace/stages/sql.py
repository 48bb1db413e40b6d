"""DuckDB as a library for stages: a connection of its own, no catalog, no files, one thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence


class SqlKernel:
    """Runs SQL over Arrow batches, and nothing else: external access is off and the time zone is UTC.

    Not thread-safe: a stage owns its kernel, and a pipeline belongs to one thread.
    """

    def __init__(self, *, isolate_errors: bool = False) -> None:
        """Open a kernel; with `isolate_errors`, TRY(…) holds whatever fails within, at some cost to repeated parts.

        Without, DuckDB computes what a query repeats once and ahead, outside of the TRY: `TRY(x::INT BETWEEN 1 AND 2)`
        raises.
        """
        self._connection = duckdb.connect(config={"threads": 1})
        for setting in (
            "SET TimeZone = 'UTC'",
            "SET preserve_insertion_order = true",
            "SET autoinstall_known_extensions = false",
            "SET autoload_known_extensions = false",
            "SET enable_external_access = false",
            f"SET disabled_optimizers = '{'common_subexpressions' if isolate_errors else ''}'",
            "SET lock_configuration = true",
        ):
            self._connection.execute(setting)

    def run(self, sql: str, parameters: Sequence[object] = (), /, **tables: pa.RecordBatch | pa.Table) -> pa.Table:
        """Return the result of one SELECT over the tables given by name."""
        for name, table in tables.items():
            self._connection.register(name, table)
        try:
            return self._connection.execute(sql, list(parameters)).to_arrow_table()
        finally:
            for name in tables:
                self._connection.unregister(name)


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """Return the rows of a table as a single batch, empty or not."""
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
