"""DuckDB as a library for stages: no catalog, no files, one thread; each query planned once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

if TYPE_CHECKING:
    from typing import Any

    import duckdb

STATEMENTS = 512  # planned queries that a thread keeps, a quarter of a MiB each; a source needs about six
_OPENED = threading.local()


class SqlKernel:
    """Runs SQL over Arrow batches, and nothing else: external access is off and the time zone is UTC.

    Costs nothing to make: all the kernels of a thread that ask for the same run on one database, opened when the first
    of them runs. A hundred sources would otherwise hold hundreds of them.
    """

    def __init__(self, *, isolate_errors: bool = False) -> None:
        """Make a kernel; with `isolate_errors`, TRY(…) holds whatever fails within, at some cost to repeated parts.

        Without, DuckDB computes what a query repeats once and ahead, outside of the TRY: `TRY(x::INT BETWEEN 1 AND 2)`
        raises.
        """
        self._isolate_errors = isolate_errors

    def run(self, sql: str, /, **tables: pa.RecordBatch | pa.Table) -> pa.Table:
        """Return the result of one SELECT over the tables given by name.

        It is planned when it first meets tables of these schemas, which for a contract's rules takes longer than a
        thousand events; after that, it only runs.
        """
        inputs = {
            name: pa.Table.from_batches([table]) if isinstance(table, pa.RecordBatch) else table
            for name, table in tables.items()
        }
        planned = _kept(self._isolate_errors).planned(sql, inputs)
        for name, slot in planned.slots.items():
            slot.table = inputs[name]
        try:
            return planned.connection.execute("EXECUTE planned").to_arrow_table()
        finally:
            for slot in planned.slots.values():
                slot.table = None


class _Slot:
    """What a planned query reads as a table: whatever is in the slot when it runs."""

    def __init__(self, schema: pa.Schema) -> None:
        self.table: pa.Table | None = None
        self._schema = schema

    def __arrow_c_schema__(self) -> Any:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        table = self._schema.empty_table() if self.table is None else self.table
        return table.__arrow_c_stream__(requested_schema)


class _Planned(NamedTuple):
    connection: duckdb.DuckDBPyConnection
    slots: dict[str, _Slot]


class _Kept:
    """A thread's database for kernels of one kind, and the queries planned on it, the latest used last.

    Each has a connection of its own: a table registered on one would make DuckDB plan anew all that are prepared there.
    """

    def __init__(self, *, isolate_errors: bool, statements: int = STATEMENTS) -> None:
        import duckdb  # long to load; who only reads a project's files may have no SQL to run

        self._statements = statements
        self._database = duckdb.connect(config={"threads": 1})
        for setting in (
            "SET GLOBAL TimeZone = 'UTC'",
            "SET GLOBAL preserve_insertion_order = true",
            "SET GLOBAL autoinstall_known_extensions = false",
            "SET GLOBAL autoload_known_extensions = false",
            "SET GLOBAL enable_external_access = false",
            "SET GLOBAL python_enable_replacements = false",
            f"SET GLOBAL disabled_optimizers = '{'common_subexpressions' if isolate_errors else ''}'",
            "SET GLOBAL lock_configuration = true",
        ):
            self._database.execute(setting)
        self._queries: OrderedDict[object, _Planned] = OrderedDict()

    def planned(self, sql: str, tables: dict[str, pa.Table]) -> _Planned:
        """Return the plan of a query over tables of these schemas."""
        key = (sql, *((name, table.schema) for name, table in tables.items()))
        query = self._queries.get(key)
        if query is None:
            query = self._queries[key] = self._plan(sql, tables)
            if len(self._queries) > self._statements:
                self._queries.popitem(last=False)[1].connection.close()
        else:
            self._queries.move_to_end(key)
        return query

    def _plan(self, sql: str, tables: dict[str, pa.Table]) -> _Planned:
        connection = self._database.cursor()
        slots = {name: _Slot(table.schema) for name, table in tables.items()}
        for name, slot in slots.items():
            connection.register(name, slot)
        connection.execute(f"PREPARE planned AS {sql}")
        return _Planned(connection, slots)


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """Return the rows of a table as a single batch, empty or not."""
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _kept(isolate_errors: bool) -> _Kept:
    opened: dict[bool, _Kept] | None = getattr(_OPENED, "kept", None)
    if opened is None:
        opened = _OPENED.kept = {}
    if isolate_errors not in opened:
        opened[isolate_errors] = _Kept(isolate_errors=isolate_errors)
    return opened[isolate_errors]
