"""Versions of reference data, each a file named by what it holds: what a batch was enriched from is there for ever."""

from __future__ import annotations

import hashlib
import io
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.disk import disk_error, make_folder, sync
from headrace.errors import LakeError
from headrace.fault_points import reach

if TYPE_CHECKING:
    from collections.abc import Callable, Set
    from pathlib import Path

FOLDER = "references"  # beside the data, so that no upkeep of tables ever looks at it
PART = ".part"
UNNAMED_SECS = 6 * 3600.0  # a version younger than this may be named by a commit that is under way


class References:
    """The versions in a lake's folder. `keep` and `load` may be called from any thread and process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._named: frozenset[str] = frozenset()

    def keep(self, table: pa.Table) -> str:
        """Return the version that a table is: the SHA-256 of its file, which survives a power cut once this returns.

        A version that is there already is not written again. Raises `SpaceError` or `LakeError`.
        """
        content = _encoded(table)
        version = hashlib.sha256(content).hexdigest()
        path = self._path(version)
        if not self.hold(version):
            part = path.with_suffix(f".{os.getpid()}-{time.time_ns():x}{PART}")
            try:
                make_folder(self._folder)
                part.write_bytes(content)
                sync(part)
                reach("lake.reference.before")
                part.replace(path)  # whole or not at all, whoever else writes it
                sync(self._folder)
                reach("lake.reference.after")
            except OSError as problem:
                part.unlink(missing_ok=True)
                raise disk_error(problem, str(path)) from problem
        return version

    def hold(self, version: str) -> bool:
        """Say that a version is in use, so that upkeep spares it for hours. False where it is not there.

        Called by the writer's thread before a commit that names it, it makes sure that the version is there for ever.
        """
        try:
            os.utime(self._path(version))
        except FileNotFoundError:
            return False
        except OSError as problem:
            raise disk_error(problem, str(self._path(version))) from problem
        return True

    def load(self, version: str) -> pa.Table:
        """Return the table of a version. Raises `LakeError` where it is not there, or not what was kept."""
        path = self._path(version)
        try:
            content = path.read_bytes()
        except OSError as problem:
            raise LakeError(
                f"the reference data {version[:12]}… is not there: {problem}",
                at=str(path),
                fix="restore the folder references/ of the lake from a backup",
            ) from problem
        if hashlib.sha256(content).hexdigest() != version:
            raise LakeError("the reference data was changed", at=str(path), fix="restore it from a backup")
        return pq.read_table(pa.BufferReader(content))

    def clean(self, named: Callable[[], Set[str]]) -> int:
        """Remove what no commit names and none under way will; return how many files. Belongs to the writer's thread.

        `named` is asked only where there is something that was not named when it was asked before.
        """
        old = self._old()
        if {path.stem for path in old} - self._named:
            self._named = frozenset(named())
        unnamed = [path for path in old if path.suffix == PART or path.stem not in self._named]
        for path in unnamed:
            path.unlink(missing_ok=True)
        return len(unnamed)

    def _old(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        before = time.time() - UNNAMED_SECS
        old = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # a part that has just got its name: versions are kept meanwhile
                if path.stat().st_mtime < before:
                    old.append(path)
        return old

    def _path(self, version: str) -> Path:
        return self._folder / f"{version}.parquet"


def _encoded(table: pa.Table) -> bytes:
    """Return the bytes of a Parquet file: the same for the same rows and types, however the table is chunked."""
    sink = io.BytesIO()
    try:
        pq.write_table(table.combine_chunks(), sink, compression="zstd")
    except pa.ArrowInvalid as problem:
        raise LakeError(
            f"the reference data cannot be stored: {problem}", at=FOLDER, fix="leave the column out"
        ) from None
    return sink.getvalue()
