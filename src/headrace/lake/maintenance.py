"""Upkeep of the lake in slots between ticks: compaction, expiry, and files that nobody names."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from headrace.fault_points import reach
from headrace.lake import expiry, leases
from headrace.lake.copies import copy_catalog, copy_is_due

if TYPE_CHECKING:
    from collections.abc import Callable, Set
    from contextlib import AbstractContextManager
    from pathlib import Path

FILES_WORTH_MERGING = 20
FILES_PER_SLOT = 64  # per table and slot, so that a slot stays short
LARGE_FILE_BYTES = 128 * 2**20  # a file that is left as it is
DELETED_WORTH_REWRITING = 0.05  # the share of its rows from which a table's large files are rewritten
GRACE = dt.timedelta(
    minutes=10
)  # at least, and at most a day more, before an expired snapshot's files go: a reader may have just let go of it
ORPHAN_AGE = dt.timedelta(hours=6)  # a staged file younger than this may still be committed

TASKS = frozenset({"compaction", "expiry"})
"""What upkeep is made of."""


class Fragmented(NamedTuple):
    """A table of many small files; `deleted_from` is the size of the largest file with deletes, zero without any."""

    schema: str
    table: str
    deleted_from: int


class Maintenance:
    """One slot of upkeep on the writer's connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder

    def run(
        self,
        keep: Callable[[], Set[int]],
        budget_secs: float,
        transaction: Callable[..., AbstractContextManager[None]],
        tasks: Set[str] = TASKS,
    ) -> dict[str, int]:
        """Expire, then compact tables, most files first, until the budget is spent; return counts by kind.

        `tasks` may leave out `compaction`, or `expiry` with the removal of files that nobody names, and the copy of the
        catalog, which must not name a file that was removed.

        While anybody holds a lease, files stay as they are: an open transaction of a reader would find none of the rows
        in a file that is replaced meanwhile. A table that cannot be compacted does not stop the others; the first such
        failure is raised at the end.
        """
        deadline = time.monotonic() + budget_secs
        done = {"expired_snapshots": 0, "compacted_files": 0, "removed_files": 0}
        if "expiry" in tasks:
            done["expired_snapshots"] = self._expire(keep)
        failure: duckdb.Error | None = None
        for each in self._fragmented() if "compaction" in tasks else ():
            if time.monotonic() >= deadline:
                break
            with leases.none_live(self._folder) as unread:
                if not unread:
                    break
                try:
                    done["compacted_files"] += self._compact(each, transaction)
                except duckdb.Error as problem:
                    failure = failure or problem
        if "expiry" in tasks and time.monotonic() < deadline and not leases.live(self._folder):
            done["removed_files"] = self._clean()
        if "expiry" in tasks and (done["removed_files"] or copy_is_due(self._folder)):
            copy_catalog(self._folder)
        if failure:
            raise failure
        return done

    def _compact(self, of: Fragmented, transaction: Callable[..., AbstractContextManager[None]]) -> int:
        """Merge a table's small files, those with deletes too; return how many files were replaced."""
        table, folder = f"'lake', '{of.table}', schema => '{of.schema}'", self._folder / "data" / of.schema / of.table
        calls = [
            f"ducklake_merge_adjacent_files({table}, max_compacted_files => {FILES_PER_SLOT}, "
            f"max_file_size => {LARGE_FILE_BYTES})"
        ]
        if of.deleted_from:  # a merge passes over files with deletes, and does not see what its transaction rewrote
            threshold = 0.0 if of.deleted_from < LARGE_FILE_BYTES else DELETED_WORTH_REWRITING
            calls.insert(0, f"ducklake_rewrite_data_files({table}, delete_threshold => {threshold})")
        replaced = 0
        for call in calls:
            reach("lake.compact.before")
            with transaction(folder):
                (files,) = self._connection.execute(f"SELECT coalesce(sum(files_processed), 0) FROM {call}").fetchall()
            reach("lake.compact.after")
            replaced += int(files[0])
        return replaced

    def _fragmented(self) -> list[Fragmented]:
        rows = self._connection.execute(
            """
            SELECT s.schema_name, t.table_name,
                   coalesce(max(f.file_size_bytes) FILTER (d.data_file_id IS NOT NULL), 0) AS deleted_from,
                   count(*) FILTER (f.file_size_bytes < $large) AS files
            FROM __ducklake_metadata_lake.ducklake_data_file f
            JOIN __ducklake_metadata_lake.ducklake_table t ON t.table_id = f.table_id AND t.end_snapshot IS NULL
            JOIN __ducklake_metadata_lake.ducklake_schema s ON s.schema_id = t.schema_id AND s.end_snapshot IS NULL
            LEFT JOIN (
                SELECT DISTINCT data_file_id FROM __ducklake_metadata_lake.ducklake_delete_file
                WHERE end_snapshot IS NULL
            ) d ON d.data_file_id = f.data_file_id
            WHERE f.end_snapshot IS NULL
            GROUP BY ALL HAVING files >= $enough ORDER BY files DESC
            """,
            {"large": LARGE_FILE_BYTES, "enough": FILES_WORTH_MERGING},
        ).fetchall()
        return [Fragmented(str(schema), str(table), int(size)) for schema, table, size, _ in rows]

    def _expire(self, keep: Callable[[], Set[int]]) -> int:
        known = [
            row[0] for row in self._connection.execute("SELECT snapshot_id FROM ducklake_snapshots('lake')").fetchall()
        ]
        leased = leases.live(self._folder)  # first: a build lets go of its lease when what it published is kept
        versions = expiry.decide(known, keep=keep(), leased=leased)
        if versions:
            reach("lake.expire.before")
            self._connection.execute(f"CALL ducklake_expire_snapshots('lake', versions => {versions})")
            reach("lake.expire.after")
        return len(versions)

    def _clean(self) -> int:
        now = dt.datetime.now(dt.UTC)
        reach("lake.clean.before")
        removed = self._connection.execute(
            f"CALL ducklake_cleanup_old_files('lake', older_than => TIMESTAMPTZ '{_day_before(now - GRACE)}')"
        ).fetchall()
        orphans = self._connection.execute(
            f"CALL ducklake_delete_orphaned_files('lake', older_than => TIMESTAMPTZ '{_day_before(now - ORPHAN_AGE)}')"
        ).fetchall()
        reach("lake.clean.after")
        return len(removed) + len(orphans)


def _day_before(moment: dt.datetime) -> dt.datetime:
    """Return the last instant of the UTC day before.

    A catalog in SQLite compares instants as text, one side with a space before the time and the other with a `T`: every
    time within the day named counts as earlier. So the day must be over at `moment`.
    """
    return dt.datetime.combine(moment.date(), dt.time(), dt.UTC) - dt.timedelta(microseconds=1)
