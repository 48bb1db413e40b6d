"""A lake that is thrown away in the end: what a rebuild fills."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.lake import tables
from headrace.lake.ducklake import DuckLake
from headrace.lake.parquet import write_quickly

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from headrace.lake.base import StagedFile
    from headrace.lake.tables import Table


class ScratchLake(DuckLake):
    """A lake whose silver and ops are those of any other, and which a crash may take.

    Nothing is fsynced, and there is no bronze: it is what the rebuild reads, and need not be written once more.
    """

    _keeps_keys = False

    def stage(self, table: Table, rows: pa.Table, name: str) -> list[StagedFile]:
        """Write rows as files, one per partition value; those of bronze are left out."""
        return [] if table is tables.BRONZE else super().stage(table, rows, name)

    def _write(self, rows: pa.Table, path: Path) -> None:
        write_quickly(rows, path)

    def _make_durable(self, written: Sequence[Path], since_ns: int) -> None:
        """Nothing needs to be there after a crash."""
