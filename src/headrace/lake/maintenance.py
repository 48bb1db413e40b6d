"""Upkeep of the lake in slots between ticks: compaction, expiry, and files that nobody names."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from headrace.fault_points import reach
from headrace.lake import expiry, leases
from headrace.lake.catalog import DATA
from headrace.lake.copies import copy_catalog, copy_is_due

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Set
    from contextlib import AbstractContextManager
    from pathlib import Path

    from headrace.lake.base import Pace

FILES_WORTH_MERGING = 20
DELETED_WORTH_REWRITING = 0.05  # the share of its rows from which a table's large files are rewritten
GRACE = dt.timedelta(
    minutes=10
)  # at least, and at most a day more, before an expired snapshot's files go: a reader may have just let go of it
_GLOB = {*"*?[\\"}
ORPHAN_AGE = dt.timedelta(hours=6)  # a staged file younger than this may still be committed

TASKS = frozenset({"compaction", "expiry"})
"""What upkeep is made of."""


class Sizes(NamedTuple):
    """How far compaction goes: files of fewer bytes than `small` are merged, each time into one of about `merged`.

    One merge is what a commit may have to wait for: a core reads and compresses about 40 MB a second.
    """

    small: int
    merged: int


SIZES: dict[Pace, Sizes] = {
    "busy": Sizes(4 * 2**20, 8 * 2**20),
    "overdue": Sizes(12 * 2**20, 24 * 2**20),
    "at ease": Sizes(32 * 2**20, 64 * 2**20),
}


class Fragmented(NamedTuple):
    """A table of many small files; of those with deletes, the size of the largest and of all, zero without any."""

    schema: str
    table: str
    deleted_from: int
    deleted_bytes: int


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
        pace: Pace = "at ease",
    ) -> dict[str, int]:
        """Expire, then compact tables, most files first, until the budget is spent; return counts by kind.

        The budget is compaction's: what comes before it takes as long as it takes, and must not keep it from its work.
        `unfinished` counts the tables that there was no time for. The first part there is always time for; no other is
        begun that would pass the budget if it took as long as the longest before it. How long one takes is the `pace`:
        a fraction of a second where commits come one after the other (`busy`), when large files with deletes are left
        as they are; less than one where that has lasted too long (`overdue`); two and more `at ease`.

        `tasks` may leave out `compaction`, or `expiry` with the removal of files that nobody names, and the copy of the
        catalog, which must not name a file that was removed.

        While anybody holds a lease, files stay as they are: an open transaction of a reader would find none of the rows
        in a file that is replaced meanwhile. A table that cannot be compacted does not stop the others; the first such
        failure is raised at the end.
        """
        done = {"expired_snapshots": 0, "compacted_files": 0, "removed_files": 0, "unfinished": 0}
        if "expiry" in tasks:
            done["expired_snapshots"] = self._expire(keep)
        failure: duckdb.Error | None = None
        sizes = SIZES[pace]
        fragmented = self._fragmented(sizes) if "compaction" in tasks else []
        if fragmented:
            self._aim_at(sizes.merged)
        since = time.monotonic()
        deadline, longest = since + budget_secs, 0.0
        for each in fragmented:
            try:
                for files in self._compacted(each, pace, transaction):
                    done["compacted_files"] += files
                    since, before = time.monotonic(), since
                    longest = max(longest, since - before)
                    if since + longest >= deadline:
                        done["unfinished"] += 1
                        break
            except duckdb.Error as problem:
                failure = failure or problem
        if "expiry" in tasks and time.monotonic() < deadline and not leases.live(self._folder):
            done["removed_files"] = self._clean()
        if "expiry" in tasks and (done["removed_files"] or copy_is_due(self._folder)):
            copy_catalog(self._folder)
        if failure:
            raise failure
        return done

    def _compacted(
        self, of: Fragmented, pace: Pace, transaction: Callable[..., AbstractContextManager[None]]
    ) -> Iterator[int]:
        """Merge a table's small files, those with deletes too, a part at a time; yield how many each part replaced.

        Before the first part, and where nothing may be merged, it yields 0: the caller looks at the clock.
        """
        yield 0
        sizes = SIZES[pace]
        table = f"'lake', '{of.table}', schema => '{of.schema}'"
        if of.deleted_from and (pace != "busy" or of.deleted_bytes <= sizes.merged):
            # A merge passes over files with deletes, and does not see what its own transaction rewrote.
            threshold = 0.0 if of.deleted_from < sizes.small else DELETED_WORTH_REWRITING
            yield self._replaced(
                of, f"ducklake_rewrite_data_files({table}, delete_threshold => {threshold})", transaction
            )
        merge = f"ducklake_merge_adjacent_files({table}, max_compacted_files => 1, max_file_size => {sizes.small})"
        while (files := self._replaced(of, merge, transaction)) > 1:
            yield files

    def _aim_at(self, size: int) -> None:
        """Let merges make files of about this many bytes: the catalog has it, not the call."""
        known = "SELECT value FROM ducklake_options('lake') WHERE option_name = 'target_file_size'"
        if self._connection.execute(known).fetchall() != [(str(size),)]:
            self._connection.execute(f"CALL lake.set_option('target_file_size', '{size >> 10}KiB')")

    def _replaced(self, of: Fragmented, call: str, transaction: Callable[..., AbstractContextManager[None]]) -> int:
        with leases.none_live(self._folder) as unread:
            if not unread:
                return 0
            reach("lake.compact.before")
            with transaction(self._folder / DATA / of.schema / of.table):
                (files,) = self._connection.execute(f"SELECT coalesce(sum(files_processed), 0) FROM {call}").fetchall()
            reach("lake.compact.after")
        return int(files[0])

    def _fragmented(self, sizes: Sizes) -> list[Fragmented]:
        """Return the tables that merges within partitions would rid of many files, those of the most first."""
        rows = self._connection.execute(
            """
            WITH files AS (
                SELECT f.table_id, p.part, f.file_size_bytes AS size, d.data_file_id IS NOT NULL AS has_deletes
                FROM __ducklake_metadata_lake.ducklake_data_file f
                LEFT JOIN (
                    SELECT data_file_id, list(partition_value ORDER BY partition_key_index) AS part
                    FROM __ducklake_metadata_lake.ducklake_file_partition_value GROUP BY data_file_id
                ) p ON p.data_file_id = f.data_file_id
                LEFT JOIN (
                    SELECT DISTINCT data_file_id FROM __ducklake_metadata_lake.ducklake_delete_file
                    WHERE end_snapshot IS NULL
                ) d ON d.data_file_id = f.data_file_id
                WHERE f.end_snapshot IS NULL
            ), partitions AS (
                SELECT table_id, max(size) FILTER (has_deletes) AS deleted_from,
                       sum(size) FILTER (has_deletes) AS deleted_bytes,
                       greatest(count(*) FILTER (size < $small) - 1, 0) AS fewer
                FROM files GROUP BY table_id, part
            )
            SELECT s.schema_name, t.table_name, coalesce(max(deleted_from), 0), coalesce(sum(deleted_bytes), 0)
            FROM partitions
            JOIN __ducklake_metadata_lake.ducklake_table t USING (table_id)
            JOIN __ducklake_metadata_lake.ducklake_schema s ON s.schema_id = t.schema_id AND s.end_snapshot IS NULL
            WHERE t.end_snapshot IS NULL
            GROUP BY ALL HAVING sum(fewer) + 1 >= $enough ORDER BY sum(fewer) DESC
            """,
            {"small": sizes.small, "enough": FILES_WORTH_MERGING},
        ).fetchall()
        return [Fragmented(str(schema), str(table), int(most), int(all_)) for schema, table, most, all_ in rows]

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
        orphans = []
        if self._tells_orphans():
            before = _day_before(now - ORPHAN_AGE)
            call = f"ducklake_delete_orphaned_files('lake', older_than => TIMESTAMPTZ '{before}')"
            orphans = self._connection.execute(f"CALL {call}").fetchall()
        reach("lake.clean.after")
        return len(removed) + len(orphans)

    def _tells_orphans(self) -> bool:
        """Say whether what DuckLake takes for nobody's file is that.

        It looks by a glob, which in a folder called `shop[1]` finds the files of `shop1`; and it holds their names
        against those in the catalog as they are written, of which one that is not relative may lead through a link.
        """
        if _GLOB & {*str((self._folder / DATA).resolve())}:
            return False
        elsewhere = " UNION ALL ".join(
            f"SELECT 1 FROM __ducklake_metadata_lake.ducklake_{each} WHERE NOT path_is_relative"
            for each in ("schema", "table", "data_file", "delete_file")
        )
        return not self._connection.execute(f"SELECT 1 FROM ({elsewhere}) LIMIT 1").fetchall()


def _day_before(moment: dt.datetime) -> dt.datetime:
    """Return the last instant of the UTC day before.

    A catalog in SQLite compares instants as text, one side with a space before the time and the other with a `T`: every
    time within the day named counts as earlier. So the day must be over at `moment`.
    """
    return dt.datetime.combine(moment.date(), dt.time(), dt.UTC) - dt.timedelta(microseconds=1)
