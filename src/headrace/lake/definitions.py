"""The tables of a lake as its catalog defines them: made, extended, and held against what datasets want."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from headrace.contracts.contract import is_json
from headrace.disk import make_folder
from headrace.lake import evolution, tables
from headrace.lake.catalog import json_columns
from headrace.stages.canonical import column_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence, Set
    from pathlib import Path

    from headrace.lake.tables import Table
    from headrace.stages.dataset import Dataset


class Definitions:
    """Runs on the writer's connection: what changes tables belongs in a transaction that the caller has opened."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, query: Callable[..., pa.Table], data: Path) -> None:
        self._connection = connection
        self._query = query
        self._data = data

    def evolving(self, datasets: Sequence[Dataset]) -> list[tuple[Table, pa.Schema | None]]:
        """Return the tables that these want, each with what there is. Raises `ContractError` where that cannot be."""
        marked = json_columns(self._connection)
        known = [(table, self.columns(table)) for table in map(tables.silver, datasets)]
        for table, existing in known:
            if existing is not None:
                evolution.check(table, existing, marked)
        return known

    def evolve(self, known: Sequence[tuple[Table, pa.Schema | None]]) -> None:
        """Create or extend tables, in the open transaction."""
        for table, existing in known:
            if existing is None:
                self.create(table)
                continue
            for step in evolution.decide(table.name, existing, table.columns):
                self._connection.execute(evolution.statement(table, step, self._sql_type(step.type)))
            self.mark_json(table, _json_names(table) - frozenset(existing.names))

    def mark_json(self, table: Table, names: Set[str]) -> None:
        """Say of these columns that their text is JSON: to the catalog it is a text like any other."""
        for name in names:
            self._connection.execute(f"COMMENT ON COLUMN {table.sql}.{column_sql(name)} IS 'json'")

    def _sql_type(self, of: pa.DataType) -> str:
        described = self._query("DESCRIBE SELECT c FROM added", added=pa.table({"c": pa.array([], of)}))
        return str(described["column_type"][0].as_py())

    def create(self, table: Table) -> None:
        """Create a table, unless it is there."""
        if self.columns(table) is None:
            self._create(table)

    def _create(self, table: Table) -> None:
        self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{table.schema_name}")
        make_folder(self._data / table.schema_name / table.table_name)  # DuckLake would make it, and never fsync it
        layout = table.columns.empty_table()
        self._connection.register("layout", layout)
        self._connection.execute(f"CREATE TABLE {table.sql} AS SELECT * FROM layout LIMIT 0")
        self._connection.unregister("layout")
        if table.partition:
            columns = ", ".join(f'"{column}"' for column in table.partition)
            self._connection.execute(f"ALTER TABLE {table.sql} SET PARTITIONED BY ({columns})")
        self.mark_json(table, _json_names(table))

    def complete(self, table: Table, existing: pa.Schema | None) -> None:
        """Create one of our own tables, or give one that an earlier version made the columns that it lacks."""
        if existing is None:
            self._create(table)
            return
        for field in evolution.missing(existing, table.columns):
            kind = self._sql_type(field.type)
            self._connection.execute(f"ALTER TABLE {table.sql} ADD COLUMN {column_sql(field.name)} {kind}")

    def columns(self, table: Table) -> pa.Schema | None:
        """Return the columns that a table of this name has; None where there is none. No file of it is opened."""
        try:
            return self._query(f"SELECT * FROM {table.sql} LIMIT 0").schema
        except duckdb.CatalogException:
            return None

    @staticmethod
    def is_partitioned(table: str) -> bool:
        """Return whether a table, named `schema.name`, is parted by values."""
        fixed = tables.BY_NAME.get(table)
        return bool(fixed.partition) if fixed else True

    def silver_names(self) -> set[str]:
        """Return the names of all silver tables."""
        found = self._connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'lake' AND schema_name = 'silver'"
        ).fetchall()
        return {row[0] for row in found}


def _json_names(table: Table) -> frozenset[str]:
    return frozenset(field.name for field in table.columns if is_json(field))
