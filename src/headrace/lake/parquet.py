"""Parquet files that are on the disk when we say so."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from headrace.errors import LakeError, SpaceError

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

HOT_COMPRESSION = "lz4"  # fastest to write; compaction rewrites with zstd, which takes a little over half the space
ROW_GROUP_ROWS = 122_880


def write_durably(table: pa.Table, path: Path) -> None:
    """Write a Parquet file so that it survives a power cut: the file and its folders are fsynced before this returns.

    All or nothing: where it raises (`SpaceError` on a full disk, `LakeError` otherwise) no file is left behind.
    """
    make_folder(path.parent)
    try:
        with path.open("xb") as sink:
            pq.write_table(
                table,
                sink,
                compression=HOT_COMPRESSION,
                row_group_size=ROW_GROUP_ROWS,
                use_dictionary=False,  # half the time to write, and lz4 packs repeated values about as well
                store_schema=False,
            )
            sink.flush()
            os.fsync(sink.fileno())
        sync_folder(path.parent)
    except OSError as problem:
        path.unlink(missing_ok=True)
        raise disk_error(problem, str(path)) from problem


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, each durable in its parent."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        try:
            each.mkdir(exist_ok=True)
            sync_folder(each.parent)
        except OSError as problem:
            raise disk_error(problem, str(each)) from problem


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Make a file that somebody else wrote durable."""
    sync_folder(path)  # fsync takes any descriptor, a read-only one too


def disk_error(problem: OSError, at: str) -> LakeError | SpaceError:
    """Map what the operating system says of a disk to who must act."""
    full = {errno.ENOSPC, errno.EDQUOT}
    text = str(problem)
    if problem.errno in full or "No space left" in text or "quota" in text.lower():
        return SpaceError("the disk is full", at=at, fix="Free some space: nothing is lost, work goes on by itself.")
    return LakeError(f"the lake's disk refuses: {text}", at=at, fix="Check the disk and its permissions.")
