"""What a scratch lake made takes the place of what a lake has, in one transaction of the writer's."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace import words
from headrace.errors import LakeError
from headrace.fault_points import reach
from headrace.lake import evolution, tables
from headrace.lake.catalog import CATALOG, DATA, attach_statement, json_columns
from headrace.lake.history import OPS, Swap
from headrace.lake.tables import Table
from headrace.stages.canonical import column_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import duckdb

    from headrace.lake.definitions import Definitions
    from headrace.lake.history import History
    from headrace.stages.dataset import Dataset


class Replacement:
    """Runs on the writer's connection. `transaction` opens one, with the folders that DuckLake writes into."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        query: Callable[..., pa.Table],
        definitions: Definitions,
        transaction: Callable[..., AbstractContextManager[None]],
        data: Path,
    ) -> None:
        self._connection = connection
        self._query = query
        self._definitions = definitions
        self._transaction = transaction
        self._data = data

    @contextmanager
    def _attached(self, made: Path) -> Iterator[None]:
        self._connection.execute(attach_statement("made", made / CATALOG, made / DATA, read_only=True))
        try:
            yield
        finally:
            self._connection.execute("DETACH made")

    def of_history(
        self, made: Path, histories: Sequence[History], datasets: Sequence[Dataset], ops: Mapping[str, pa.Table]
    ) -> None:
        """Put what was decided again of some sources' history in the place of what was decided before."""
        with self._attached(made):
            swap = Swap(self._connection, self._query)
            marked = json_columns(self._connection)
            rewritten = {name for each in histories if each.first == 0 for name in each.datasets}
            dropped = {
                table.name: evolution.replaced(table, existing, marked)
                for table in (tables.silver(dataset) for dataset in datasets if dataset.name in rewritten)
                if (existing := self._definitions.columns(table)) is not None
            }
            for table, existing in self._remaining(datasets, dropped):
                evolution.check(table, existing, marked)
            prepared = [swap.prepare(each) for each in histories]
            named = [*(f"silver.{name}" for each in histories for name in each.datasets), *OPS]
            with self._transaction(*(self._data.joinpath(*name.split(".")) for name in named)):
                reach("lake.decide.before")
                there = {name for name in self._definitions.silver_names() if f"silver.{name}" in named}
                for each in histories:
                    swap.take_out(each, there)
                for name, columns in dropped.items():
                    schema, table_name = name.split(".")
                    for column in columns:
                        self._connection.execute(
                            f'ALTER TABLE lake.{schema}."{table_name}" DROP COLUMN {column_sql(column)}'
                        )
                wanted = map(tables.silver, datasets)
                self._definitions.evolve([(table, self._definitions.columns(table)) for table in wanted])
                for each, said in zip(histories, prepared, strict=True):
                    swap.put_in(each, said)
                for name, rows in ops.items():
                    self._query(f"INSERT INTO lake.{name} BY NAME FROM added", added=rows)
                reach("lake.decide.after")

    def _remaining(
        self, datasets: Sequence[Dataset], dropped: Mapping[str, Sequence[str]]
    ) -> list[tuple[Table, pa.Schema]]:
        """Return the tables that there are, without what is dropped of them."""
        found = []
        for table in map(tables.silver, datasets):
            existing = self._definitions.columns(table)
            if existing is not None:
                gone = dropped.get(table.name, ())
                found.append((table, pa.schema([field for field in existing if field.name not in gone])))
        return found

    def of_tables(self, made: Path, names: Sequence[str]) -> None:
        """Put silver tables in the place of those of the same names, whose columns stay; their files are not read."""
        with self._attached(made):
            marked = json_columns(self._connection)
            with self._transaction(*(self._data / "silver" / name for name in names)):
                reach("lake.replace.before")
                for name in names:
                    columns = self._definitions.columns(Table(f"silver.{name}", pa.schema([])))
                    if columns is None:
                        raise LakeError(f"there is no table silver.{name}", at=name, fix="see `headrace status`")
                    table = Table(f"silver.{name}", columns, (words.EVENT_DATE,))
                    self._connection.execute(f"DROP TABLE {table.sql}")
                    self._definitions.create(table)
                    self._definitions.mark_json(table, marked.get(name, frozenset()))
                    self._connection.execute(f"INSERT INTO {table.sql} BY NAME FROM made.{table.sql.split('.', 1)[1]}")
                reach("lake.replace.after")
