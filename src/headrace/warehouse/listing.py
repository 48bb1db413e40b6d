"""What there is to query: every table by the name that a query uses, its columns, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headrace.warehouse.base import Column

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

    from headrace.warehouse.allowed import Relation
    from headrace.warehouse.base import SilverTable

_KINDS = {"gold": "model", "silver": "dataset", "bronze": "messages", "ops": "record"}
_ORDER = tuple(_KINDS)
_SAID = {
    "bronze.messages": "Every accepted message as it came.",
    "ops.batches": "A row per batch: what it ran under, and the partitions that it touched.",
    "ops.contracts": "Every version of a contract as it was applied.",
    "ops.deployments": "The project's files as the runtime took them.",
    "ops.ledger": "What became of messages: deltas per batch, dataset and contract version.",
    "ops.positions": "How far each batch took its topic.",
    "ops.quarantine": "A row per message that failed, and why.",
    "ops.superseded": "Every version of a key that lost to another.",
}
_PLACE = 'format(\'{}."{}"."{}"\', database_name, schema_name, table_name)'
"""How `Relation.place` writes where a table lies."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A table that a query may read; `name` is `schema.table`.

    `kind` is model (gold), dataset (silver), messages (bronze) or record (ops: what happened).
    """

    name: str
    kind: str
    columns: tuple[Column, ...]
    description: str = ""


def listed(connection: duckdb.DuckDBPyConnection, relations: Iterable[Relation]) -> list[Listed]:
    """Return the tables behind some names, each once, gold first, with the comments that their catalog holds."""
    columns: dict[str, list[Column]] = {}
    for place, name, type_, comment in connection.execute(
        f"SELECT {_PLACE}, column_name, data_type, comment FROM duckdb_columns() ORDER BY 1, column_index"
    ).fetchall():
        short = type_.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")
        columns.setdefault(place, []).append(Column(name, short, comment or ""))
    comments = dict(connection.execute(f"SELECT {_PLACE}, comment FROM duckdb_tables()").fetchall())
    first = {relation.place: relation for relation in reversed(list(relations)) if relation.schema in _KINDS}
    found = [
        Listed(name, _KINDS[schema], tuple(columns[place]), comments[place] or _SAID.get(name, ""))
        for place, (schema, bare, _) in first.items()
        if (name := f"{schema}.{bare}")
    ]
    return sorted(found, key=lambda table: (_ORDER.index(table.name.partition(".")[0]), table.name))


def documented(tables: Iterable[Listed], silver: Sequence[SilverTable]) -> list[Listed]:
    """Return the tables with what the contracts say of silver; gold says what dbt's `persist_docs` left with it."""
    said = {f"silver.{table.name}": table for table in silver}
    return [_with(table, said[table.name]) if table.name in said else table for table in tables]


def _with(table: Listed, said: SilverTable) -> Listed:
    docs = {column.name.lower(): column.description for column in said.columns}
    columns = tuple(replace(column, description=docs.get(column.name.lower(), "")) for column in table.columns)
    return replace(table, columns=columns, description=said.description)
