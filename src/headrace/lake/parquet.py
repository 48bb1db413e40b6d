"""Parquet files that are on the disk when we say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from headrace.disk import disk_error, make_folder, sync
from headrace.fault_points import reach

if TYPE_CHECKING:
    from io import BufferedWriter
    from pathlib import Path

    import pyarrow as pa

HOT_COMPRESSION = "lz4"  # fastest to write; compaction rewrites with zstd, which takes a little over half the space
ROW_GROUP_ROWS = 16_384
"""What is read for one row. A scan of a million rows takes as long as with eight times as many, at 1% more space."""


def write_quickly(table: pa.Table, path: Path) -> None:
    """Write a Parquet file that nobody needs after a crash; all or nothing, like `write_durably`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as sink:
            _write(table, sink)
    except OSError as problem:
        path.unlink(missing_ok=True)
        raise disk_error(problem, str(path)) from problem


def write_durably(table: pa.Table, path: Path) -> None:
    """Write a Parquet file so that it survives a power cut: the file and its folders are fsynced before this returns.

    All or nothing: where it raises (`SpaceError` on a full disk, `LakeError` otherwise) no file is left behind.
    """
    try:
        reach("lake.file.before")
        make_folder(path.parent)
        with path.open("xb") as sink:
            _write(table, sink)
        reach("lake.sync.before")
        sync(path)
        reach("lake.sync.after")
        sync(path.parent)
        reach("lake.file.after")
    except OSError as problem:
        path.unlink(missing_ok=True)
        raise disk_error(problem, str(path)) from problem


def _write(table: pa.Table, sink: BufferedWriter) -> None:
    pq.write_table(
        table,
        sink,
        compression=HOT_COMPRESSION,
        row_group_size=ROW_GROUP_ROWS,
        use_dictionary=False,  # half the time to write, and lz4 packs repeated values about as well
        store_schema=False,
    )
