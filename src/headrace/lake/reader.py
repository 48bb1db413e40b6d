"""Reading a lake from any process, beside its writer or without one."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from headrace.errors import ContractError, InternalError, LakeError
from headrace.lake import evolution, leases
from headrace.lake.catalog import CATALOG, DATA, attach_statement, connect, is_catalog, json_columns
from headrace.lake.soundness import refuse_damaged
from headrace.lake.tables import silver
from headrace.sqlite_file import DOCTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from headrace.stages.dataset import Dataset

T = TypeVar("T")
BATCH_ROWS = 65_536
PAUSES_SECS = (0.02, 0.1, 0.5, 1.0)
_LOCKED = ("locking protocol", "database is locked", "database table is locked")
"""What SQLite says where it met another's lock at a moment at which it cannot wait for it."""


class LakeReader:
    """A read-only look at a lake; each `rows` sees the latest commit."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path, held: ExitStack) -> None:
        self._connection = connection
        self._folder = folder
        self._held = held

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Return the rows of a SELECT over `lake.*`, as dictionaries."""

        def read() -> list[dict[str, Any]]:
            result = self._connection.execute(sql, list(parameters))
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

        return _patiently(read)

    def arrow(self, sql: str, max_bytes: int) -> pa.Table | None:
        """Return the rows of a SELECT over `lake.*`; None where they take more memory than this."""
        import pyarrow as pa

        def read() -> pa.Table | None:
            batches: list[pa.RecordBatch] = []
            size = 0
            try:
                found = self._connection.execute(sql).to_arrow_reader(BATCH_ROWS)
                for batch in found:
                    size += batch.nbytes
                    if size > max_bytes:
                        return None
                    batches.append(batch)
            except (pa.ArrowException, OSError) as problem:  # what DuckDB meets while Arrow asks; of a file, an OSError
                raise duckdb.Error(str(problem)) from problem
            return pa.Table.from_batches(batches, schema=found.schema)

        return _patiently(read)

    def tables_of(self, sql: str) -> Iterator[pa.Table]:
        """Yield the rows of a SELECT over `lake.*` a part at a time, whatever they take together.

        Raises `LakeError` also where a data file is gone or damaged.
        """
        import pyarrow as pa

        found = _patiently(lambda: self._connection.execute(sql).to_arrow_reader(BATCH_ROWS))
        try:
            for batch in found:
                yield pa.Table.from_batches([batch])
        except (duckdb.Error, pa.ArrowException, OSError) as problem:
            fix = f"see which file is damaged, and what that means: {DOCTOR}"
            raise LakeError(f"the lake cannot be read: {problem}", at="lake", fix=fix) from problem

    def pin(self) -> int:
        """Let every `rows` from here on see one commit, the latest now, and return its snapshot.

        A lease keeps it readable until the reader is closed. There is no transaction: each statement is its own.
        """
        snapshot = self._held.enter_context(leases.hold_latest(self._folder, self.snapshot))
        if snapshot is None:
            raise InternalError("a lake that opened has no snapshot")
        self.rows("DETACH lake")
        self.rows(attach_statement("lake", self._folder / CATALOG, self._folder / DATA, snapshot=snapshot))
        return snapshot

    def snapshot(self) -> int:
        """Return the latest snapshot."""
        return int(self.rows("SELECT id FROM lake.current_snapshot()")[0]["id"])

    def refused(self, datasets: Iterable[Dataset]) -> dict[str, ContractError]:
        """Return, by dataset, why the silver table that there is cannot become what the dataset wants; see `deploy`."""
        there, marked = self.tables(), json_columns(self._connection)
        found = {}
        for table in (silver(dataset) for dataset in datasets):
            if table.name not in there:
                continue
            existing = self._connection.execute(f"SELECT * FROM {table.sql} LIMIT 0").to_arrow_table().schema
            try:
                evolution.check(table, existing, marked)
            except ContractError as problem:
                found[table.table_name] = problem
        return found

    def layout(self, table: str) -> pa.Schema | None:
        """Return the columns of a table, named `schema.name`; None where there is none."""
        schema, _, name = table.partition(".")

        def read() -> pa.Schema | None:
            try:
                found = self._connection.execute(f'SELECT * FROM lake.{schema}."{name}" LIMIT 0')
            except duckdb.CatalogException:  # a list of all tables takes long where there are many
                return None
            return found.to_arrow_table().schema

        return _patiently(read)

    def json_columns(self) -> dict[str, frozenset[str]]:
        """Return, per silver table, the columns whose text is JSON."""
        return json_columns(self._connection)

    def tables(self) -> frozenset[str]:
        """Return the tables there are, as `schema.name`."""
        found = self.rows(
            "SELECT schema_name || '.' || table_name AS name FROM duckdb_tables() WHERE database_name = 'lake'"
        )
        return frozenset(row["name"] for row in found)


def _patiently(read: Callable[[], T]) -> T:
    """Return what a look at the lake finds; one that meets the catalog's locks, amid the writer's work, looks again."""
    for pause in (*PAUSES_SECS, None):
        try:
            return read()
        except duckdb.Error as problem:
            if pause is None or not any(text in str(problem) for text in _LOCKED):
                fix = "try again" if pause is None else f"see which file is damaged, and what that means: {DOCTOR}"
                raise LakeError(f"the lake cannot be read: {problem}", at="lake", fix=fix) from problem
            time.sleep(pause)
    raise InternalError("there is always a last look")


@contextmanager
def open_reader(folder: Path) -> Iterator[LakeReader | None]:
    """Open a lake's folder for reading; None where nothing was ever committed to it."""
    if not is_catalog(folder / CATALOG):
        refuse_damaged(folder, whole=False)
        yield None
        return
    with ExitStack() as held:
        connection = connect()
        held.callback(connection.close)
        try:
            connection.execute(attach_statement("lake", folder / CATALOG, folder / DATA, read_only=True))
            yield LakeReader(connection, folder, held)
        except duckdb.Error as problem:
            raise LakeError(
                f"the lake's catalog cannot be opened: {problem}",
                at=str(folder / CATALOG),
                fix=f"see what is lost and what can be done: {DOCTOR}",
            ) from problem
