"""Reading: one SELECT over published gold and the latest lake, and nothing else of the machine."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.contracts.types import literal
from headrace.errors import LakeError, QueryError
from headrace.lake import leases
from headrace.sqlite_file import DOCTOR
from headrace.warehouse.allowed import AT, Relation, Tables, checked, complaint
from headrace.warehouse.base import Answer
from headrace.warehouse.published import read_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb
    import pyarrow as pa

    from headrace.warehouse.branch import GoldFolder
    from headrace.warehouse.listing import Listed
    from headrace.warehouse.published import Entry

PROCESS_BYTES = 4 << 30
_GOLD, _LAKE = "published_gold", "pinned_lake"
"""How the catalogs are attached: names that no query can say, so that `gold.x` is a schema and never a catalog."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one query may use."""

    rows: int = 1_000_000
    secs: float = 60.0
    memory: str = "1GiB"


@contextmanager
def bounded_process() -> Iterator[None]:
    """Let this process take a few GiB more, and no further: for one that has nothing to do but a query.

    DuckDB's own limit counts neither what a function makes of one value nor what Arrow holds of the answer. Where the
    system cannot bound a process (macOS), that limit stands alone.
    """
    import resource

    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        yield
        return
    used = next(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("VmData"))
    before, hard = resource.getrlimit(resource.RLIMIT_DATA)
    known = [each for each in (used + PROCESS_BYTES, before, hard) if each != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(known), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, hard))


class Reader:
    """Answers queries; each pins one published build and one lake snapshot for as long as it runs."""

    def __init__(self, gold: GoldFolder, lake: Path, lake_data: Path, limits: Limits | None = None) -> None:
        self._gold = gold
        self._lake = lake
        self._lake_data = lake_data
        self._limits = limits or Limits()

    def run(self, sql: str, *, limit: int | None = None) -> Answer:
        """Return the rows of one SELECT, at most `limit` (or what the limits allow).

        Raises:
            QueryError: It is not one SELECT over catalog tables, it is not valid, or it takes more than the limits.
        """
        import duckdb

        rows = self._limits.rows if limit is None else min(limit, self._limits.rows)
        with self._opened() as (connection, entry, snapshot):
            tables = Tables(_relations(connection), gold=entry is not None, lake=snapshot is not None)
            reads = checked(sql, tables)
            _show(connection, reads)
            close_doors(connection, [self._gold.data, self._lake_data])
            try:
                with _interrupted_after(connection, self._limits.secs) as late:
                    reader = connection.execute(sql).to_arrow_reader(100_000)
                    found = _first(reader, rows + 1)
            except duckdb.InterruptException as error:
                if not late.is_set():
                    raise
                raise QueryError(
                    f"the query took longer than {self._limits.secs:g} s",
                    at=AT,
                    fix="filter on _event_date, or read a mart",
                ) from error
            except (duckdb.OutOfMemoryException, MemoryError) as error:
                raise QueryError(
                    f"the query needs more memory than {self._limits.memory}",
                    at=AT,
                    fix="aggregate or filter more, or read a mart",
                ) from error
            except duckdb.Error as error:
                if not _is_of_a_file(error):
                    raise _complaint(error, sql) from error
                raise LakeError(
                    f"a data file cannot be read: {error}", at=AT, fix=f"see which is damaged: {DOCTOR}"
                ) from error
        return Answer(found.slice(0, rows), len(found) > rows, entry.build if entry else None, snapshot)

    def tables(self, name: str | None = None) -> list[Listed]:
        """Return every table that a query may read, or the one that it means by a name; undocumented yet.

        Raises:
            QueryError: There is no table of this name; the nearest is named.
        """
        from headrace.warehouse.listing import listed

        with self._opened() as (connection, entry, snapshot):
            relations = _relations(connection)
            if name is not None:
                schema, _, bare = name.rpartition(".")
                tables = Tables(relations, gold=entry is not None, lake=snapshot is not None)
                place = tables.find(schema, bare, "--describe").place
                relations = [relation for relation in relations if relation.place == place]
            return listed(connection, relations)

    @contextmanager
    def _opened(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, Entry | None, int | None]]:
        import duckdb

        from headrace.lake.catalog import connect

        with ExitStack() as held:
            connection = connect(memory_limit=self._limits.memory)
            held.callback(connection.close)
            try:
                entry, snapshot = self._attach_gold(held, connection), self._attach_lake(held, connection)
            except duckdb.Error as error:
                raise _unreadable(error) from error
            yield connection, entry, snapshot

    def _attach_gold(self, held: ExitStack, connection: duckdb.DuckDBPyConnection) -> Entry | None:
        from headrace.lake.catalog import attach_statement

        while (entry := read_ledger(self._gold.ledger).current) is not None:
            catalog = held.enter_context(self._gold.pinned(entry.build))
            if catalog.exists():  # else it left history just before we pinned it: a newer one is published
                connection.execute(attach_statement(_GOLD, catalog, self._gold.data, snapshot=entry.gold_snapshot))
                return entry
        return None

    def _attach_lake(self, held: ExitStack, connection: duckdb.DuckDBPyConnection) -> int | None:
        from headrace.lake.catalog import attach_statement

        snapshot = held.enter_context(
            leases.hold_latest(self._lake.parent, lambda: latest_snapshot(connection, self._lake))
        )
        if snapshot is not None:
            connection.execute(attach_statement(_LAKE, self._lake, self._lake_data, snapshot=snapshot))
        return snapshot


def _unreadable(error: Exception) -> LakeError:
    return LakeError(f"a catalog cannot be read: {error}", at=AT, fix=f"see which file is damaged: {DOCTOR}")


def _is_of_a_file(error: duckdb.Error) -> bool:
    """Say whether a data file is damaged: what reads the head of one raises no class of DuckDB's own, nor names it.

    Of functions, one does so, too: `list_reduce`, for an empty list without a first value.
    """
    import duckdb

    of_reading = isinstance(error, duckdb.IOException | duckdb.InvalidInputException) and ".parquet" in str(error)
    return of_reading or (type(error) is duckdb.Error and "list_reduce" not in str(error))


def _complaint(error: duckdb.Error, sql: str) -> QueryError:
    text, at = complaint(error, sql)
    return QueryError(text, at=at, fix="correct the SQL; it is DuckDB's dialect")


def close_doors(connection: duckdb.DuckDBPyConnection, folders: Sequence[Path]) -> None:
    """Leave nothing reachable but these folders, for good; a read-only attach alone still reads any file."""
    reachable = ", ".join(literal(str(path.resolve())) for path in folders)
    for setting in (
        "python_enable_replacements = false",
        "search_path = 'gold,main'",
        f"allowed_directories = [{reachable}]",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")


def latest_snapshot(connection: duckdb.DuckDBPyConnection, catalog: Path) -> int | None:
    """Return the newest snapshot of a lake; None where there is no lake yet."""
    from headrace.lake.catalog import is_catalog, unattached

    if not is_catalog(catalog):
        return None
    found = connection.execute(f"SELECT max(snapshot_id) FROM {unattached(catalog, 'ducklake_snapshot')}").fetchall()
    return None if found[0][0] is None else int(found[0][0])


def _relations(connection: duckdb.DuckDBPyConnection) -> list[Relation]:
    """Return every table that a query may name, gold's first: a name without a schema means the first that has it."""
    import duckdb

    try:
        found = connection.execute(
            "SELECT database_name, schema_name, table_name FROM duckdb_tables() "
            "WHERE database_name IN (?, ?) ORDER BY ALL",
            [_GOLD, _LAKE],
        ).fetchall()
    except duckdb.Error as error:
        raise _unreadable(error) from error
    relations: list[Relation] = []
    for database, schema, table in sorted(found, key=lambda row: (row[0] != _GOLD, row[1] != "main", row[1], row[2])):
        place = f'{database}."{schema}"."{table}"'
        if database == _GOLD:
            relations += [Relation("gold", table, place), Relation(schema, table, place)]
        else:
            relations.append(Relation(schema, table, place))
            if schema == "silver":
                relations.append(Relation("main", f"stg_{table}", place))
    return relations


def _show(connection: duckdb.DuckDBPyConnection, reads: set[Relation]) -> None:
    """Give the tables that a query reads the names that it uses."""
    for schema in {"gold", *(relation.schema for relation in reads)}:
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS memory."{schema}"')
    for relation in reads:
        connection.execute(f'CREATE VIEW memory."{relation.schema}"."{relation.name}" AS FROM {relation.place}')


@contextmanager
def _interrupted_after(connection: duckdb.DuckDBPyConnection, secs: float) -> Iterator[threading.Event]:
    late = threading.Event()

    def stop() -> None:
        late.set()
        connection.interrupt()

    timer = threading.Timer(secs, stop)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _first(reader: pa.RecordBatchReader, rows: int) -> pa.Table:
    import pyarrow as pa

    batches, count = [], 0
    for batch in reader:
        batches.append(batch)
        count += len(batch)
        if count >= rows:
            break
    return pa.Table.from_batches(batches, schema=reader.schema).slice(0, rows)
