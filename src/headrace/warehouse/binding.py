"""Binding models to columns without rows: which types their columns have, and whether their SQL fits its inputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headrace.warehouse.rendering import Model


@dataclass(frozen=True, slots=True)
class Bound:
    """The columns of a model and their SQL types; `problem` is what DuckDB says where its SQL does not fit."""

    columns: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


def bound(silver: Mapping[str, Mapping[str, str]], models: Iterable[Model]) -> dict[str, Bound]:
    """Bind models, each after those that it reads, to silver tables of these columns; by `gold.name`.

    No row and no file is read. What a model cannot be bound for that has nothing to do with its inputs (a file that it
    reads, an extension) is a problem too: compare with what it was before.
    """
    import duckdb

    found: dict[str, Bound] = {}
    with duckdb.connect(config={"enable_external_access": "false", "threads": "1"}) as connection:
        connection.execute("CREATE SCHEMA silver; CREATE SCHEMA gold; SET TimeZone = 'UTC'")
        for table, columns in silver.items():
            _create(connection, table, columns)
        for model in models:
            if model.kind == "seed":  # dbt guesses their types from their rows
                columns = dict.fromkeys(model.columns, "VARCHAR")
                _create(connection, model.table, columns)
                found[model.table] = Bound(columns)
                continue
            if model.problem:
                found[model.table] = Bound(problem=model.problem)
                continue
            try:
                schema, _, name = model.table.partition(".")
                connection.execute(f'CREATE TABLE {schema}."{name}" AS SELECT * FROM (\n{model.sql}\n) LIMIT 0')
                rows = connection.execute(f'DESCRIBE {schema}."{name}"').fetchall()
                found[model.table] = Bound({str(row[0]).lower(): str(row[1]) for row in rows})
            except duckdb.Error as problem:
                found[model.table] = Bound(problem=str(problem).partition("\n\n")[0].strip().replace("\n", " "))
    return found


def _create(connection: object, table: str, columns: Mapping[str, str]) -> None:
    schema, _, name = table.partition(".")
    said = ", ".join(f'"{column}" {kind}' for column, kind in columns.items()) or '"_" INTEGER'
    connection.execute(f'CREATE OR REPLACE TABLE {schema}."{name}" ({said})')  # type: ignore[attr-defined]
