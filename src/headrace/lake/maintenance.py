"""Upkeep of the lake in slots between ticks: compaction, expiry, and files that nobody names."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

from headrace.lake import expiry, leases

if TYPE_CHECKING:
    from collections.abc import Callable, Set
    from contextlib import AbstractContextManager
    from pathlib import Path

    import duckdb

FILES_WORTH_MERGING = 20
FILES_PER_SLOT = 64  # per table and slot, so that a slot stays short
LARGE_FILE_BYTES = 128 * 2**20  # a file that is left as it is
GRACE = dt.timedelta(minutes=10)  # before an expired snapshot's files go: a reader may have just let go of it
ORPHAN_AGE = dt.timedelta(hours=6)  # a staged file younger than this may still be committed


class Maintenance:
    """One slot of upkeep on the writer's connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder

    def run(
        self, keep: Set[int], budget_secs: float, transaction: Callable[..., AbstractContextManager[None]]
    ) -> dict[str, int]:
        """Expire, then compact tables, most files first, until the budget is spent; return counts by kind."""
        deadline = time.monotonic() + budget_secs
        done = {"expired_snapshots": self._expire(keep), "compacted_tables": 0}
        for schema, table, _ in self._fragmented():
            if time.monotonic() >= deadline:
                break
            with transaction(self._folder / "data" / schema / table):
                self._connection.execute(
                    f"CALL ducklake_merge_adjacent_files('lake', '{table}', schema => '{schema}', "
                    f"max_compacted_files => {FILES_PER_SLOT}, max_file_size => {LARGE_FILE_BYTES})"
                )
            done["compacted_tables"] += 1
        if time.monotonic() < deadline:
            done["removed_files"] = self._clean()
        return done

    def _fragmented(self) -> list[tuple[str, str, int]]:
        rows = self._connection.execute(
            """
            SELECT s.schema_name, t.table_name, count(*) AS files
            FROM __ducklake_metadata_lake.ducklake_data_file f
            JOIN __ducklake_metadata_lake.ducklake_table t ON t.table_id = f.table_id AND t.end_snapshot IS NULL
            JOIN __ducklake_metadata_lake.ducklake_schema s ON s.schema_id = t.schema_id AND s.end_snapshot IS NULL
            WHERE f.end_snapshot IS NULL AND f.file_size_bytes < ?
            GROUP BY ALL HAVING count(*) >= ? ORDER BY files DESC
            """,
            [LARGE_FILE_BYTES, FILES_WORTH_MERGING],
        ).fetchall()
        return [(str(schema), str(table), int(files)) for schema, table, files in rows]

    def _expire(self, keep: Set[int]) -> int:
        known = [
            row[0] for row in self._connection.execute("SELECT snapshot_id FROM ducklake_snapshots('lake')").fetchall()
        ]
        versions = expiry.decide(known, keep=keep, leased=leases.live(self._folder))
        if versions:
            self._connection.execute(f"CALL ducklake_expire_snapshots('lake', versions => {versions})")
        return len(versions)

    def _clean(self) -> int:
        now = dt.datetime.now(dt.UTC)
        removed = self._connection.execute(
            f"CALL ducklake_cleanup_old_files('lake', older_than => TIMESTAMPTZ '{now - GRACE}')"
        ).fetchall()
        orphans = self._connection.execute(
            f"CALL ducklake_delete_orphaned_files('lake', older_than => TIMESTAMPTZ '{now - ORPHAN_AGE}')"
        ).fetchall()
        return len(removed) + len(orphans)
