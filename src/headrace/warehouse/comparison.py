"""Whether two builds hold the same tables: what is published, and the same made from nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.contracts.types import quoted
from headrace.lake.catalog import attach_statement, connect
from headrace.lake.digests import SUMS, Digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

_SIDES = ("published", "rebuilt")
NEVER_THE_SAME = frozenset({"snapshot"})
"""A dbt snapshot holds what was seen when it ran: nothing can see that again."""


@dataclass(frozen=True, slots=True)
class TableDigests:
    """One table of gold as it is published, and as it comes of a full rebuild; None where a side has no such table."""

    published: Digest | None
    rebuilt: Digest | None

    @property
    def equal(self) -> bool:
        """Whether both hold the same rows."""
        return self.published == self.rebuilt


def compare(data: Path, published: Path, rebuilt: Path, tables: Mapping[str, str]) -> dict[str, TableDigests]:
    """Compare the tables of two catalogs over one data path; `tables` maps `schema.table` to how dbt makes it.

    Floating-point numbers are compared to twelve digits: their sums depend on the order in which they are added.
    """
    found: dict[str, TableDigests] = {}
    with connect() as connection:
        for side, catalog in zip(_SIDES, (published, rebuilt), strict=True):
            connection.execute(attach_statement(side, catalog, data, read_only=True))
        for table, kind in sorted(tables.items()):
            if kind in NEVER_THE_SAME:
                continue
            found[table] = TableDigests(*(_digest(connection, side, table) for side in _SIDES))
    return found


def _digest(connection: duckdb.DuckDBPyConnection, side: str, table: str) -> Digest | None:
    schema, name = table.split(".", 1)
    columns = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_name",
        [side, schema, name],
    ).fetchall()
    if not columns:
        return None
    values = ", ".join(
        f"printf('%.11e', {quoted(column)}) AS {quoted(column)}" if kind in {"DOUBLE", "FLOAT"} else quoted(column)
        for column, kind in columns
    )
    rows_sql = f"SELECT {values} FROM {side}.{quoted(schema)}.{quoted(name)}"
    texts = f"SELECT CAST(to_json(t) AS VARCHAR) AS text FROM ({rows_sql}) t"
    return Digest.of(*connection.execute(f"SELECT {SUMS} FROM ({texts})").fetchall()[0])
