"""Whether a lake's files are what its catalog says: looked at in place, without DuckDB."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from headrace.errors import LakeError
from headrace.lake.catalog import CATALOG, DATA, is_catalog
from headrace.sqlite_file import DOCTOR, connect, trouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHECKED_BYTES = 64 << 20  # a catalog of this size is looked through at every start of the writer
MAGIC = b"PAR1"
_TIMEOUT_SECS = 10.0

_NAMED = """
SELECT s.schema_name, t.table_name, {rows}, f.file_size_bytes,
       s.path, s.path_is_relative, t.path, t.path_is_relative, f.path, f.path_is_relative
FROM {files} f
JOIN ducklake_table t ON t.table_id = f.table_id AND t.end_snapshot IS NULL
JOIN ducklake_schema s ON s.schema_id = t.schema_id AND s.end_snapshot IS NULL
WHERE f.end_snapshot IS NULL
"""


class Named(NamedTuple):
    """A file that the newest snapshot of a catalog names: of which table, with how many rows and bytes."""

    table: str
    path: str
    rows: int
    size: int


class Damaged(NamedTuple):
    """A file that is not what the catalog names, and why."""

    file: Named
    problem: str


def named(catalog: Path, data: Path) -> Iterator[Named]:
    """Yield the data and delete files that the newest snapshot names. Raises `sqlite3.Error`."""
    with closing(connect(catalog, "ro", _TIMEOUT_SECS)) as connection:
        for files, rows in (("ducklake_data_file", "record_count"), ("ducklake_delete_file", "delete_count")):
            for schema, table, count, size, *steps in connection.execute(_NAMED.format(files=files, rows=rows)):
                path = f"{data}/"
                for step, relative in zip(steps[0::2], steps[1::2], strict=True):
                    path = f"{path}{step}" if relative else step
                yield Named(f"{schema}.{table}", path, count, size)


def damaged(catalog: Path, data: Path, *, deep: bool = False) -> list[Damaged]:
    """Return the files of the newest snapshot that are gone, or of another size; `deep` reads each as well.

    Raises `LakeError` where the catalog cannot be read.
    """
    try:
        return [Damaged(file, problem) for file in named(catalog, data) if (problem := _problem(file, deep=deep))]
    except sqlite3.Error as error:
        raise LakeError(f"the catalog cannot be read: {error}", at=str(catalog), fix=DOCTOR) from error


def catalog_trouble(folder: Path, *, whole: bool = True) -> str:
    """Return what is wrong with the catalog of a lake's folder; nothing where it is sound, or there is no lake yet."""
    catalog = folder / CATALOG
    if not is_catalog(catalog):
        any_data = next((folder / DATA).rglob("*.parquet"), None) is not None
        if not any_data or is_catalog(catalog):  # a writer that began meanwhile named its catalog before any data file
            return ""
        return f"it is {'empty' if catalog.exists() else 'gone'}, and its data is there"
    return trouble(catalog, whole=whole or (catalog.is_file() and catalog.stat().st_size <= CHECKED_BYTES))


def refuse_damaged(folder: Path, *, whole: bool) -> None:
    """Raise `LakeError` where the catalog is damaged or gone: one made anew would forget what the data files hold."""
    if problem := catalog_trouble(folder, whole=whole):
        raise LakeError(
            f"the lake's catalog cannot be used: {problem}; the data files are as they were",
            at=str(folder / CATALOG),
            fix=f"see what is lost and what can be done: {DOCTOR}",
        )


def _problem(file: Named, *, deep: bool) -> str:
    try:
        found = os.stat(file.path)  # noqa: PTH116 - there may be a hundred thousand
    except FileNotFoundError:
        return "it is gone"
    except OSError as error:
        return f"it cannot be looked at: {error.strerror}"
    if not stat.S_ISREG(found.st_mode):
        return "it is not a file"
    if found.st_size != file.size:
        return f"it has {found.st_size:,} bytes, and was written with {file.size:,}"
    return _unreadable(file) if deep else ""


def _unreadable(file: Named) -> str:
    """Return why a file cannot be read to its end; nothing where it can."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file.path) as parquet:
            rows = sum(len(batch) for batch in parquet.iter_batches())
    except (pa.ArrowException, OSError) as error:
        return f"it cannot be read: {str(error).splitlines()[0]}"
    return "" if rows == file.rows else f"it holds {rows:,} rows, and was written with {file.rows:,}"
