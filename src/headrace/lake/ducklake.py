"""The embedded lake: DuckLake with its catalog in SQLite and Parquet beside it."""

from __future__ import annotations

import datetime as dt
import shutil
import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from headrace import words
from headrace.disk import disk_error, make_folder, sync
from headrace.errors import InDoubtError, InternalError, LakeError, SpaceError
from headrace.fault_points import reach
from headrace.file_lock import FileLock
from headrace.lake import evolution, tables
from headrace.lake.base import Change, Known, Position, StagedFile, Stored
from headrace.lake.catalog import CATALOG, DATA, attach_statement, connect, is_catalog
from headrace.lake.copies import copy_catalog
from headrace.lake.definitions import Definitions
from headrace.lake.key_index import RECENT_ROWS
from headrace.lake.knowledge import Knowledge
from headrace.lake.maintenance import TASKS, Maintenance
from headrace.lake.parquet import ROW_GROUP_ROWS, write_durably
from headrace.lake.partitions import parts
from headrace.lake.references import References
from headrace.lake.replacement import Replacement
from headrace.lake.soundness import refuse_damaged
from headrace.lake.transaction import Transactions, sync_written_files
from headrace.sqlite_file import DOCTOR, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence, Set
    from pathlib import Path

    import numpy as np

    from headrace.lake.base import Pace
    from headrace.lake.history import History
    from headrace.lake.tables import Table
    from headrace.stages.dataset import Dataset
    from headrace.stages.merge import Contended

NEARLY_FULL_BYTES = 1 << 20
LISTED_ROWS = 1000  # to be deleted, named one by one
OPTIONS = {"parquet_compression": "zstd", "parquet_row_group_size": str(ROW_GROUP_ROWS)}  # of what DuckLake writes


def writer_lock(folder: Path) -> FileLock:
    """Take what the one writer of a lake's folder holds, or raise `BusyError`."""
    return FileLock(
        folder / "writer.lock",
        what="another headrace (process {process}) is writing this environment",
        fix="stop it with Ctrl-C, or `kill {process}`, which drains it too; or work with another --env",
    )


class DuckLake:
    """The one writer of a lake's folder; a second one, in whatever process, is refused with `BusyError`.

    Every statement on the catalog runs in the thread that constructed it. `stage` and `discard` touch files only, and
    so do `references`, the versions of reference data.
    """

    _keeps_keys = True  # for the next who opens it

    def __init__(self, folder: Path, *, recent_keys: int = RECENT_ROWS) -> None:
        """Open it; keys of so many rows are in memory before they go to a file."""
        self.folder = folder
        self.references = References(folder)
        # As DuckLake knows it: what is named through a link to it would get a name that holds for this place alone.
        self._data = (folder / DATA).resolve()
        self._lock = writer_lock(folder)
        self._thread = threading.get_ident()
        self._reads = False
        self._connection = connect()
        # The system keeps what is read again; what the writer reads is old rows, here and there, mostly once.
        self._connection.execute("SET enable_external_file_cache = false")
        self._transaction = Transactions(self._connection, self._make_durable)
        self._recent_keys = recent_keys
        self._knowledge = self._unknowing()
        self._definitions = Definitions(self._connection, self._query, self._data)
        try:
            make_folder(self._data)
            refuse_damaged(folder, whole=False)
            with _mapped(str(folder), self.folder):
                self._open(folder / CATALOG)
        except BaseException:
            self.close()
            raise

    def _unknowing(self) -> Knowledge:
        return Knowledge(self._query, self.folder, self._recent_keys)

    def _open(self, catalog: Path) -> None:
        if is_catalog(catalog):
            self._attach(catalog)
            self._complete()
        else:
            self._create(catalog)
            self._attach(catalog)

    def _attach(self, catalog: Path) -> None:
        self._connection.execute(attach_statement("lake", catalog, self._data))

    def _create(self, catalog: Path) -> None:
        """Make a catalog that gets its name once its tables are in it: who reads beside finds all of them, or none."""
        made = catalog.with_name(f"{CATALOG}.new")
        remove(made)  # what was cut off
        self._attach(made)
        self._complete()
        self._connection.execute("DETACH lake")
        log = made.with_name(f"{made.name}-wal")
        if log.exists():  # SQLite says nothing where the disk keeps it from folding its log as it closes
            raise sqlite3.OperationalError("disk I/O error: the log of the new catalog is still beside it")
        sync(made)
        remove(catalog)  # the log of one that was lost would be replayed into this one, also after a power cut
        sync(self.folder)
        reach("lake.create.before")
        made.replace(catalog)
        sync(self.folder)
        reach("lake.create.after")

    def _complete(self) -> None:
        """Give the catalog what it lacks of our options and tables."""
        self._transaction.begin()  # one look for all: each transaction reads the catalog anew
        try:
            options = dict(self._connection.execute("SELECT option_name, value FROM lake.options()").fetchall())
            existing = {table.name: self._definitions.columns(table) for table in tables.FIXED}
        finally:
            self._transaction.rollback()
        for name, value in OPTIONS.items():
            if options.get(name) != value:
                self._connection.execute(f"CALL lake.set_option('{name}', '{value}')")
        if any(evolution.missing(existing[table.name], table.columns) for table in tables.FIXED):
            with self._transaction():
                for table in tables.FIXED:
                    self._definitions.complete(table, existing[table.name])

    def close(self) -> None:
        """Give up the connection and the writer's lock."""
        try:
            self._knowledge.close(keep=self._keeps_keys)
        finally:
            self._connection.close()
            self._lock.release()

    # ---- files -----------------------------------------------------------------------------------------------------

    def stage(self, table: Table, rows: pa.Table, name: str) -> list[StagedFile]:
        """Write rows as durable files, one per partition value."""
        staged: list[StagedFile] = []
        for values, part in parts(table, rows):
            folder = self._data / table.schema_name / table.table_name
            for column, value in zip(table.partition, values, strict=True):
                folder /= f"{column}={value}"
            path = folder / f"{name}.parquet"
            try:
                self._write(part, path)
            except BaseException:
                self.discard(staged)
                raise
            date = next(
                (value for value in values if table.schema_name == "silver" and isinstance(value, dt.date)), None
            )
            staged.append(StagedFile(table.name, path, len(part), date))
        return staged

    def _write(self, rows: pa.Table, path: Path) -> None:
        """Write a data file, durably."""
        write_durably(rows, path)

    def discard(self, files: Sequence[StagedFile]) -> None:
        """Remove staged files that will never be committed."""
        for each in files:
            each.path.unlink(missing_ok=True)

    def hold_references(self, lookups: Mapping[str, str]) -> None:
        """Make sure that the versions that a commit will name are there for ever. Raises `LakeError`."""
        self._check_thread()
        for lookup, version in lookups.items():
            if not self.references.hold(version):
                raise LakeError(
                    f"the version of {lookup} that this batch saw is gone", at=version, fix="it is kept anew"
                )

    # ---- the commit ------------------------------------------------------------------------------------------------

    def commit(self, changes: Sequence[Change]) -> None:
        """Make all changes visible in one transaction: the checkpoint of every source in it."""
        self._check_thread()
        ops = self._stage_ops(changes)
        files: dict[str, list[str]] = {}
        for each in (*(file for change in changes for file in change.files), *ops):
            files.setdefault(each.table, []).append(str(each.path))
        try:
            emptied = {self._data.joinpath(*each.table.split(".")) for change in changes for each in change.removals}
            with _mapped("commit", self.folder), self._transaction(*emptied):
                reach("lake.register.before")
                for table, paths in files.items():
                    self._add_files(table, paths)
                reach("lake.register.after")
                for change in changes:
                    for removal in change.removals:
                        self._remove(removal.table, removal.seqs, removal.dates)
        except BaseException as problem:
            if isinstance(problem, Exception) and not isinstance(problem, InDoubtError):
                self.discard(ops)  # otherwise it may have been committed; a file that nobody names goes with upkeep
            self._knowledge_anew()
            raise
        # It is done: what fails from here on must not make it look undone, and be done again.
        try:
            self._knowledge.remember(changes)
        except Exception:  # noqa: BLE001 - what is in memory can be read again
            self._knowledge_anew()

    def _knowledge_anew(self) -> None:
        """Forget what is in memory of keys: it is read from files and from silver when it is next asked for."""
        self._knowledge.close(keep=False)
        self._knowledge = self._unknowing()

    def _stage_ops(self, changes: Sequence[Change]) -> list[StagedFile]:
        rows: dict[str, list[pa.Table]] = {}
        for change in changes:
            for table, part in change.ops.items():
                rows.setdefault(table, []).append(part)
        name = f"commit-{time.time_ns():x}"
        staged: list[StagedFile] = []
        try:
            for table, parts in rows.items():
                staged += self.stage(tables.BY_NAME[table], pa.concat_tables(parts), name)
        except BaseException:
            self.discard(staged)
            raise
        return staged

    def _add_files(self, table: str, paths: Sequence[str]) -> None:
        schema, name = table.split(".")
        hive = "true" if self._definitions.is_partitioned(table) else "false"
        self._connection.execute(
            f"CALL ducklake_add_data_files('lake', '{name}', ?, schema => '{schema}', hive_partitioning => {hive}, "
            "allow_missing => true)",
            [list(paths)],
        )

    def _make_durable(self, written: Sequence[Path], since_ns: int) -> None:
        """Make durable what DuckLake itself wrote into these folders."""
        sync_written_files(written, since_ns)

    def _remove(self, table: str, seqs: Sequence[int], dates: Sequence[dt.date]) -> None:
        if not seqs:
            return
        schema, name = table.split(".")
        days = ", ".join(f"DATE '{date}'" for date in dates)
        reach("lake.delete.before")
        # Each row group is asked whether it may have any of the numbers in a list; all are read for those in a table.
        # But the planner takes most of a second over thousands of numbers.
        among = ", ".join(map(str, seqs)) if len(seqs) <= LISTED_ROWS else "SELECT seq FROM removed"
        self._query(
            f'DELETE FROM lake.{schema}."{name}" WHERE "{words.EVENT_DATE}" IN ({days}) AND "{words.SEQ}" IN ({among})',
            removed=pa.table({"seq": pa.array(seqs, pa.int64())}),
        )
        reach("lake.delete.after")

    # ---- what silver knows -----------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Let what the block asks be asked of one snapshot: the catalog is asked for that once.

        Each statement of its own would be a read of the catalog's file of its own, and one that meets another's lock
        there waits for a whole second: the SQLite in DuckDB cannot sleep for less.
        """
        self._check_thread()
        with _mapped("catalog", self.folder):
            self._transaction.begin()
        self._reads = True
        try:
            yield
        finally:
            self._reads = False
            self._transaction.rollback()

    def foresee(self, dataset: Dataset) -> None:
        """Read what questions about a dataset will need: the first one does so otherwise."""
        self._check_thread()
        with _mapped("silver", self.folder):
            self._knowledge.foresee(dataset)

    def settle(self) -> None:
        """Wait for what is written beside other work, so that nothing of it is left for later."""
        self._check_thread()
        self._knowledge.settle()

    def stored(self, dataset: Dataset, events: pa.RecordBatch, hashes: np.ndarray) -> Stored:
        """Return what silver knows of these events; `hashes` are those of their keys."""
        self._check_thread()
        with _mapped("silver", self.folder):
            return self._knowledge.stored(dataset, events, hashes)

    def known(self, dataset: Dataset, contended: Contended) -> Known:
        """Return the silver rows of these keys, and which of their digests lost before."""
        self._check_thread()
        with _mapped("silver", self.folder):
            return self._knowledge.known(dataset, contended)

    # ---- tables ----------------------------------------------------------------------------------------------------

    def deploy(self, datasets: Sequence[Dataset]) -> None:
        """Create or extend silver tables for these contracts; all of them, or none."""
        self._check_thread()
        with _mapped("deploy", self.folder):
            known = self._definitions.evolving(datasets)
            with self._transaction():
                self._definitions.evolve(known)
        self._knowledge.keep_only(datasets)

    def deployed(self) -> dict[str, Any] | None:
        """Return what is deployed, a row of `ops.deployments` by name: the newest; None where nothing was yet."""
        with _mapped("deployments", self.folder):
            found = self._query(f"SELECT * FROM {tables.DEPLOYMENTS.sql} ORDER BY deployed_at DESC LIMIT 1")
        row: dict[str, Any] | None = next(iter(found.to_pylist()), None)
        return row

    def contracts(self) -> pa.Table:
        """Return `ops.contracts`: every version of every contract that was applied."""
        with _mapped("contracts", self.folder):
            return self._query(f"SELECT * FROM lake.{tables.CONTRACTS.name}")

    # ---- what a scratch lake made ----------------------------------------------------------------------------------

    def decide_again(
        self, made: Path, histories: Sequence[History], datasets: Sequence[Dataset], ops: Mapping[str, pa.Table]
    ) -> None:
        """Put what a scratch lake made of some sources' history in the place of what was decided before, all at once.

        In one transaction: silver tables become what these datasets want, rows are taken out and put in, and what was
        recorded of the batches from `first` on (`ops.batches`, ledger, superseded, quarantine) is what the scratch lake
        recorded. A quarantined message that stays so keeps its status. `ops` are rows that are recorded with it.
        """
        with self._replacing("decide again") as replacement:
            replacement.of_history(made, histories, datasets, ops)

    def put_in_place(self, made: Path, names: Sequence[str]) -> None:
        """Let silver tables that a scratch lake made take the place of those of the same names, files and all, at once.

        No file of what is replaced is read: it may be damaged or gone. That the rows are the same is the caller's word.
        """
        with self._replacing("put in place") as replacement:
            replacement.of_tables(made, names)

    @contextmanager
    def _replacing(self, what: str) -> Iterator[Replacement]:
        self._check_thread()
        self._knowledge_anew()
        with _mapped(what, self.folder):
            self._knowledge.forget()  # before anything changes: what is known again is read from silver as it is then
            yield Replacement(self._connection, self._query, self._definitions, self._transaction, self._data)

    # ---- positions and upkeep --------------------------------------------------------------------------------------

    def snapshot(self) -> int:
        """Return the latest snapshot."""
        return self._transaction.snapshot()

    def positions(self) -> list[Position]:
        """Return the committed position of every source and partition."""
        with _mapped("positions", self.folder):
            rows = self._connection.execute(
                'SELECT source, topic, "partition", max(next_offset), sum(accepted)::BIGINT '
                f"FROM lake.{tables.POSITIONS.name} GROUP BY ALL ORDER BY ALL"
            ).fetchall()
        return [Position(*row) for row in rows]

    def next_seqs(self) -> dict[str, int]:
        """Return the next sequence number of every source that has one."""
        with _mapped("positions", self.folder):
            rows = self._connection.execute(
                f"SELECT source, max(next_seq) FROM lake.{tables.BATCHES.name} GROUP BY ALL"
            ).fetchall()
        return dict(rows)

    def taken(self, source: str, message_ids: Sequence[str]) -> frozenset[str]:
        """Return which of these messages are in bronze already: how a bus without offsets is read without doubles."""
        asked = pa.table({"message_id": pa.array(list(message_ids), pa.string())})
        with _mapped("bronze", self.folder):
            found = self._query(
                f"SELECT message_id FROM {tables.BRONZE.sql} SEMI JOIN asked USING (message_id) "
                f"WHERE source = '{source}'",
                asked=asked,
            )
        return frozenset(found["message_id"].to_pylist())

    def forget_outbox(self, delivered: Mapping[tuple[str, str], int], before: dt.datetime) -> int:
        """Delete the rows of `ops.outbox` that nobody needs any more, all committed before then; return how many.

        `delivered` has, by source and push, the sequence number up to which it has delivered or given up. Rows of a
        push that is not in it are nobody's.
        """
        self._check_thread()
        upto = pa.Table.from_pylist(
            [{"source": source, "push": push, "upto": seq} for (source, push), seq in delivered.items()],
            schema=pa.schema([("source", pa.string()), ("push", pa.string()), ("upto", pa.int64())]),
        )
        done = (
            f"committed_at < TIMESTAMPTZ '{before.isoformat()}' AND NOT EXISTS (FROM delivered d "
            "WHERE d.source = o.source AND d.push = o.push AND o.seq > d.upto)"
        )
        table = tables.OUTBOX
        with _mapped("outbox", self.folder):
            found = self._query(f"SELECT count(*) AS n FROM {table.sql} o WHERE {done}", delivered=upto)
            rows = int(found["n"][0].as_py())
            if rows:
                with self._transaction(self._data / table.schema_name / table.table_name):
                    self._query(f"DELETE FROM {table.sql} o WHERE {done}", delivered=upto)
        return rows

    def maintain(
        self, keep: Callable[[], Set[int]], budget_secs: float, tasks: Set[str] = TASKS, pace: Pace = "at ease"
    ) -> Mapping[str, int]:
        """Compact, expire and clean up in the writer's thread, for about this long: see `Maintenance.run`."""
        self._check_thread()
        with _mapped("maintenance", self.folder):
            done = Maintenance(self._connection, self.folder).run(keep, budget_secs, self._transaction, tasks, pace)
            unnamed = self.references.clean(self._named_references) if "expiry" in tasks else 0
            return done | {"removed_references": unnamed}

    def keep_copy(self) -> None:
        """Copy the catalog as it is now: what a damaged one is restored from."""
        self._check_thread()
        with _mapped("copy of the catalog", self.folder):
            copy_catalog(self.folder)

    def _named_references(self) -> frozenset[str]:
        found = self._connection.execute(
            f"SELECT DISTINCT unnest(map_values(lookups)) FROM lake.{tables.BATCHES.name} WHERE lookups IS NOT NULL"
        ).fetchall()
        return frozenset(row[0] for row in found)

    # ---- plumbing --------------------------------------------------------------------------------------------------

    def _query(self, sql: str, **inputs: pa.RecordBatch | pa.Table) -> pa.Table:
        for name, table in inputs.items():
            self._connection.register(name, table)
        try:
            return self._connection.execute(sql).to_arrow_table()
        except duckdb.Error:
            if self._reads:  # that transaction is of no use any more: what follows is asked in another
                self._transaction.rollback()
                self._transaction.begin()
            raise
        finally:
            for name in inputs:
                self._connection.unregister(name)

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise InternalError("the lake was touched by a thread that is not its writer")


@contextmanager
def _mapped(what: str, folder: Path) -> Iterator[None]:
    """Map the driver's exceptions, once, to who must act."""
    try:
        yield
    except (duckdb.Error, sqlite3.Error) as problem:
        text = str(problem)
        # SQLite says no more than "I/O error" where it cannot make the files beside a catalog.
        full = "I/O error" in text and shutil.disk_usage(folder).free < NEARLY_FULL_BYTES
        if full or "No space left" in text or "disk is full" in text or "Quota exceeded" in text:
            raise SpaceError("the disk is full", at=what, fix="free some space: work goes on by itself") from problem
        raise LakeError(
            f"the lake refused: {text}", at=what, fix=f"if it stays, see whether a file is damaged: {DOCTOR}"
        ) from problem
    except OSError as problem:
        raise disk_error(problem, what) from problem
