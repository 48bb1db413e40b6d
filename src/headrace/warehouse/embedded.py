"""The embedded warehouse: dbt-duckdb builds gold on a branch of its own DuckLake catalog, published by one rename."""

from __future__ import annotations

import datetime as dt
import sqlite3
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from headrace.disk import is_full
from headrace.errors import BuildError, SpaceError
from headrace.fault_points import reach
from headrace.lake import leases
from headrace.lake.threads import threads
from headrace.warehouse.base import BuildOptions, BuildReport, Failure, ModelResult, TestResult
from headrace.warehouse.branch import GoldFolder, adopt_branch, drop_branch, make_durable, start_branch, sweep
from headrace.warehouse.dbt_project import GENERATED_FOLDER, DbtFolder, write_project
from headrace.warehouse.gold import model_name
from headrace.warehouse.published import Entry, read_ledger, write_ledger
from headrace.warehouse.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from headrace.warehouse.base import Answer, Inputs, SilverTable
    from headrace.warehouse.comparison import TableDigests
    from headrace.warehouse.listing import Listed
    from headrace.warehouse.published import Ledger


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, slots=True)
class LakeFolder:
    """Where the lake lies under an environment's state."""

    path: Path

    @property
    def catalog(self) -> Path:
        """The DuckLake catalog."""
        return self.path / "catalog.db"

    @property
    def data(self) -> Path:
        """Its Parquet files."""
        return self.path / "data"


def _placed(failure: Failure, tests: Sequence[dict[str, Any]], inputs: Inputs) -> Failure:
    """Return a failure that names a file of the user's: the source file where the model or test was generated."""
    if not failure.file.startswith(GENERATED_FOLDER):
        return failure
    models = {failure.name, *(test["model"] for test in tests if test["name"] == failure.name)}
    for table in inputs.tables:
        if models & {f"stg_{table.name}", model_name(table.name)}:
            return replace(failure, file=table.file or failure.file, line=None)
    return failure


@contextmanager
def _full_disk_is_said() -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        full = is_full(error) if isinstance(error, OSError) else "disk is full" in str(error)
        if not full:
            raise
        raise SpaceError("the disk is full; nothing was published", fix="make space, then build again") from error


class DbtWarehouse:
    """Gold of one environment, under its state folder. Keeps a dbt process between builds until `close`."""

    def __init__(
        self,
        state: Path,
        *,
        memory_limit: str = "1GiB",
        clock: Callable[[], dt.datetime] = _now,
        worker: Worker | None = None,
    ) -> None:
        self.lake = LakeFolder(state / "lake")
        self.gold = GoldFolder(state / "gold")
        self.dbt = DbtFolder(state / "dbt")
        self._memory_limit = memory_limit
        self._clock = clock
        self._own_worker = worker is None
        self._worker = worker or Worker(self.dbt.logs / "worker.log")

    def __enter__(self) -> DbtWarehouse:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def build(self, inputs: Inputs, lake_snapshot: int | None, options: BuildOptions) -> BuildReport:
        """See `Warehouse.build`."""
        started = time.monotonic()
        with self._branch(inputs, lake_snapshot, options) as (ledger, result, warnings):
            failures = tuple(_placed(Failure(**failure), result["tests"], inputs) for failure in result["failures"])
            if not failures and options.select and not result["models"] and not result["tests"]:
                raise BuildError(
                    f"no model matches --select {' '.join(options.select)}", fix="headrace build shows every model"
                )
            published = None
            if not failures and options.publish and self.gold.branch.exists():
                published = self._publish(ledger, lake_snapshot, options, result["tables"])
        return BuildReport(
            build=ledger.next_build,
            ok=not failures,
            lake_snapshot=lake_snapshot,
            seconds=round(time.monotonic() - started, 3),
            published=published,
            models=tuple(ModelResult(**model) for model in result["models"]),
            tests=tuple(TestResult(**test | {"sample": tuple(test["sample"])}) for test in result["tests"]),
            failures=failures,
            warnings=(*warnings, *result.get("warnings", ())),
        )

    def compare(self, inputs: Inputs) -> dict[str, TableDigests]:
        """See `Warehouse.compare`."""
        from headrace.warehouse.comparison import compare

        entry = self.published()
        if entry is None:
            return {}
        options = BuildOptions(full_refresh=True, publish=False)
        with self._branch(inputs, entry.lake_snapshot, options) as (_, result, _):
            for failure in result["failures"]:
                placed = _placed(Failure(**failure), result["tests"], inputs)
                raise BuildError(f"{placed.name} does not build: {placed.message}", at=placed.at, fix="headrace build")
            with self.gold.pinned(entry.build) as catalog:
                return compare(self.gold.data, catalog, self.gold.branch, entry.tables)

    @contextmanager
    def _branch(
        self, inputs: Inputs, lake_snapshot: int | None, options: BuildOptions
    ) -> Iterator[tuple[Ledger, dict[str, Any], list[str]]]:
        """Build on a branch, which is dropped after the block unless it was published; with what dbt said."""
        with ExitStack() as held:
            held.enter_context(_full_disk_is_said())
            held.enter_context(self.gold.lock())
            if lake_snapshot is not None:
                held.enter_context(leases.hold(self.lake.path, lake_snapshot))
            ledger = read_ledger(self.gold.ledger)
            self._clear(ledger)
            parent = ledger.current
            warnings = write_project(self.dbt, inputs, threads=threads(), memory_limit=self._memory_limit)
            reach("gold.branch.before")
            start_branch(self.gold, parent.build if parent else None)
            reach("gold.branch.after")
            held.callback(drop_branch, self.gold)
            reach("gold.build.before")
            result = self._worker.run(self._job(ledger, inputs, lake_snapshot, options))
            reach("gold.build.after")
            yield ledger, result, warnings

    def warm(self) -> None:
        """Start the dbt process now, so that a build soon after need not wait for its imports."""
        self._worker.warm()

    def published(self) -> Entry | None:
        """See `Warehouse.published`."""
        return read_ledger(self.gold.ledger).current

    def history(self) -> tuple[Entry, ...]:
        """See `Warehouse.history`."""
        return read_ledger(self.gold.ledger).entries

    def undo(self, to: str | None = None, *, dry_run: bool = False) -> Entry:
        """See `Warehouse.undo`."""
        with self.gold.lock():
            ledger = read_ledger(self.gold.ledger).undo(to)
            if not dry_run:
                write_ledger(self.gold.ledger, ledger)
        return ledger.past[-1]

    def query(self, sql: str, *, limit: int | None = None) -> Answer:
        """See `Warehouse.query`."""
        from headrace.warehouse.query import Reader

        return Reader(self.gold, self.lake.catalog, self.lake.data).run(sql, limit=limit)

    def tables(self, silver: Sequence[SilverTable] = (), name: str | None = None) -> list[Listed]:
        """Return every table that `query` may read, or the one of this name, with what is said of it and its columns.

        `silver` says what the contracts say. Raises QueryError, with the nearest, where there is no such table.
        """
        from headrace.warehouse.listing import documented
        from headrace.warehouse.query import Reader

        return documented(Reader(self.gold, self.lake.catalog, self.lake.data).tables(name), silver)

    def lake_snapshots(self) -> frozenset[int]:
        """See `Warehouse.lake_snapshots`."""
        pairs = ((entry.lake_snapshot, entry.complete_snapshot) for entry in self.history())
        return frozenset(snapshot for pair in pairs for snapshot in pair if snapshot is not None)

    def recover(self) -> int:
        """See `Warehouse.recover`."""
        with self.gold.lock():
            return self._clear(read_ledger(self.gold.ledger))

    def close(self) -> None:
        """See `Warehouse.close`."""
        if self._own_worker:
            self._worker.close()

    def _clear(self, ledger: Ledger) -> int:
        """Drop what a build that died left: its branch, then every file that no kept catalog names."""
        drop_branch(self.gold)
        reach("gold.sweep.before")
        removed = sweep(self.gold, {entry.build: entry for entry in ledger.entries})
        reach("gold.sweep.after")
        return removed

    def _publish(
        self, ledger: Ledger, lake_snapshot: int | None, options: BuildOptions, tables: dict[str, str]
    ) -> Entry:
        build, parent = ledger.next_build, ledger.current
        reach("gold.sync.before")
        snapshot = make_durable(self.gold, parent.build if parent else None)
        reach("gold.sync.after")
        adopt_branch(self.gold, build)
        complete = lake_snapshot
        if options.select:
            complete = parent.complete_snapshot if parent else None
        entry = Entry(
            build=build,
            catalog=self.gold.catalog(build).name,
            gold_snapshot=snapshot,
            lake_snapshot=lake_snapshot,
            complete_snapshot=complete,
            published_at=self._clock().isoformat(timespec="microseconds"),
            tables=tables,
        )
        write_ledger(self.gold.ledger, ledger.publish(entry))
        return entry

    def _job(self, ledger: Ledger, inputs: Inputs, lake_snapshot: int | None, options: BuildOptions) -> dict[str, Any]:
        """Write down what the plugin attaches, and return it with what dbt is asked to do."""
        import json

        parent = ledger.current
        touched = options.touched
        job: dict[str, Any] = {
            "build": ledger.next_build,
            "branch": str(self.gold.branch),
            "gold_data": str(self.gold.data),
            "lake": str(self.lake.catalog),
            "lake_data": str(self.lake.data),
            "lake_snapshot": lake_snapshot,
            "since": parent.complete_snapshot if parent else None,
            "touched": None
            if touched is None
            else {name: [date.isoformat() for date in dates] for name, dates in touched.items()},
            "silver": {table.name: [[c.name, c.type] for c in table.columns] for table in inputs.tables},
        }
        self.dbt.job.write_text(json.dumps(job), encoding="utf-8")
        return job | {
            "project": str(self.dbt.project),
            "target": str(self.dbt.target),
            "logs": str(self.dbt.logs),
            "lock": str(self.gold.path / "worker.lock"),
            "select": list(options.select),
            "full_refresh": options.full_refresh,
            "parent_tables": parent.tables if parent else {},
        }
