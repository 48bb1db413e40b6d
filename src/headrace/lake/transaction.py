"""The writer's transactions of the catalog: durable before they commit, and committed where the catalog says so."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb

from headrace.disk import sync
from headrace.errors import InDoubtError
from headrace.fault_points import reach
from headrace.sqlite_file import DOCTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

log = logging.getLogger("headrace.lake")


class Transactions:
    """Runs transactions over the writer's connection, one after the other; calling it runs one."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, make_durable: Callable[[Sequence[Path], int], None]
    ) -> None:
        """`make_durable` is given folders, and the time in ns since when something was written into them."""
        self._connection = connection
        self._make_durable = make_durable

    @contextmanager
    def __call__(self, *written: Path) -> Iterator[None]:
        """Run a transaction; what DuckLake writes into the folders `written` is made durable before it commits.

        Whether it took place is what the catalog says then, and not who raises: an error of a commit that is there is
        logged and passed over. Raises `InDoubtError` where the catalog does not answer.
        """
        started = time.time_ns()
        self._connection.execute("BEGIN")
        try:
            before = self.snapshot()
            yield
            self._make_durable(written, started)
            reach("lake.commit.before")
        except BaseException:
            self.rollback()
            raise
        try:
            self._connection.execute("COMMIT")
            reach("lake.commit.after")
        except BaseException as problem:
            self.rollback()
            if not isinstance(problem, Exception) or not self._is_past(before, problem):
                raise
            log.warning("a commit took place, and failed after that: %s", problem)

    def begin(self) -> None:
        """Begin one that only reads, and ends with a rollback."""
        self._connection.execute("BEGIN")

    def rollback(self) -> None:
        """End the transaction, if there is one, as if it had not been."""
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.Error:
            return  # a failed COMMIT has already rolled back

    def snapshot(self) -> int:
        """Return the latest snapshot."""
        return int(self._connection.execute("FROM lake.current_snapshot()").fetchall()[0][0])

    def _is_past(self, snapshot: int, problem: Exception) -> bool:
        """Say whether the catalog has come further than this snapshot: nobody but this writer moves it on."""
        try:
            return self.snapshot() > snapshot
        except duckdb.Error as silent:
            raise InDoubtError(
                f"a commit failed ({problem}), and whether it took place cannot be told: {silent}",
                at="commit",
                fix=f"it is asked again when its sources are taken up; if it stays, see {DOCTOR}",
            ) from problem


def sync_written_files(folders: Sequence[Path], since_ns: int) -> None:
    """Make durable what DuckLake wrote below folders since then: deletes and compacted files, which it never fsyncs.

    DuckLake's own names start with `ducklake-`; ours never do, and are durable already.
    """
    slack = 2_000_000_000  # file systems stamp files with a coarse clock
    for folder in folders:
        for path in folder.rglob("ducklake-*.parquet"):
            if path.stat().st_mtime_ns >= since_ns - slack:
                sync(path)
                sync(path.parent)
