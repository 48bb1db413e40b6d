"""Branches: copies of gold's catalog over one shared data path, and the data files that only they name."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.disk import make_folder, sync
from headrace.fault_points import reach
from headrace.file_lock import FileLock, hold, hold_if_free
from headrace.sqlite_file import connect, fold, remove

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CATALOGS = "catalogs"  # of published builds, within the folder of gold
CATALOG_TIMEOUT_SECS = 10.0

_FILES = """
SELECT s.path, s.path_is_relative, t.path, t.path_is_relative, f.path, f.path_is_relative
FROM {table} f JOIN ducklake_table t ON t.table_id = f.table_id JOIN ducklake_schema s ON s.schema_id = t.schema_id
"""


@dataclass(frozen=True, slots=True)
class GoldFolder:
    """Where gold lives under an environment's state.

    `catalogs/<build>.db` never changes once it is published, and `<build>.pin` beside it is locked (shared) by readers.
    `branch.db` belongs to the one build that holds `build.lock`. All of them share `data/`.
    """

    path: Path

    @property
    def data(self) -> Path:
        """Parquet of every build."""
        return self.path / "data"

    @property
    def branch(self) -> Path:
        """The catalog of the build that is running."""
        return self.path / "branch.db"

    @property
    def ledger(self) -> Path:
        """The file that says what is published."""
        return self.path / "published.json"

    def catalog(self, build: str) -> Path:
        """The catalog of a published build."""
        return self.path / CATALOGS / f"{build}.db"

    def pin(self, build: str) -> Path:
        """The file that readers of a build lock."""
        return self.path / CATALOGS / f"{build}.pin"

    def create(self) -> None:
        """Make the folders, durably."""
        make_folder(self.data)
        make_folder(self.path / CATALOGS)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold what only one build or undo at a time may hold; BusyError while another process does."""
        self.create()
        with FileLock(
            self.path / "build.lock",
            what="another build or undo of this environment is running (process {process})",
            fix="wait for it, then type this again",
        ):
            yield

    @contextmanager
    def pinned(self, build: str) -> Iterator[Path]:
        """Keep a build's catalog and data in place while reading it, whatever is published meanwhile."""
        with hold(self.pin(build), shared=True):
            yield self.catalog(build)


def start_branch(folder: GoldFolder, parent: str | None) -> None:
    """Make `branch.db` a consistent copy of the parent's catalog; absent, for DuckLake to create, without a parent."""
    drop_branch(folder)
    if parent is None:
        return
    with closing(_open_to_read(folder.catalog(parent))) as old, closing(sqlite3.connect(folder.branch)) as new:
        old.backup(new)


def drop_branch(folder: GoldFolder) -> None:
    """Forget the branch. Its data files stay until `sweep`."""
    remove(folder.branch)


def make_durable(folder: GoldFolder, parent: str | None) -> int:
    """Fsync all that the branch names and its parent does not, then the branch itself; return its snapshot.

    DuckLake syncs its catalog, never a Parquet file: without this, a power cut after publishing could leave a catalog
    that names empty files.
    """
    old = data_files(folder.catalog(parent)) if parent else set()
    folders = set()
    for name in data_files(folder.branch) - old:
        path = folder.data / name
        sync(path)
        folders.update([path.parent, *(p for p in path.parent.parents if p.is_relative_to(folder.data))])
    for path in folders:
        sync(path)
    with closing(sqlite3.connect(folder.branch)) as catalog:
        # With an empty log the catalog is one file that a rename moves whole. It stays in WAL mode: readers attach it
        # read-only with that mode, and may not change it.
        catalog.execute("PRAGMA journal_mode = WAL")
        with catalog:  # `sweep` decides about files, by what any kept catalog names
            catalog.execute("DELETE FROM ducklake_files_scheduled_for_deletion")
        fold(catalog)
        (snapshot,) = catalog.execute("SELECT max(snapshot_id) FROM ducklake_snapshot").fetchone()
    sync(folder.branch)
    return int(snapshot)


def adopt_branch(folder: GoldFolder, build: str) -> None:
    """Give the branch its name among the catalogs; nothing reads it until the ledger names it."""
    remove(folder.catalog(build))
    reach("gold.adopt.before")
    folder.branch.replace(folder.catalog(build))
    sync(folder.catalog(build).parent)
    reach("gold.adopt.after")


def _open_to_read(catalog: Path) -> sqlite3.Connection:
    """Open a catalog that exists, read-only. What is adopted stays as it is, and its log was emptied before."""
    is_adopted = catalog.parent.name == CATALOGS
    return connect(catalog, "frozen" if is_adopted else "ro", CATALOG_TIMEOUT_SECS)


def data_files(catalog: Path) -> set[str]:
    """Return the data and delete files that any snapshot of a catalog names, relative to the data path."""
    names = set()
    with closing(_open_to_read(catalog)) as connection:
        for table in ("ducklake_data_file", "ducklake_delete_file"):
            for row in connection.execute(_FILES.format(table=table)):
                parts: list[str] = []
                for path, relative in zip(row[0::2], row[1::2], strict=True):
                    parts = [*parts, path] if relative else [path]
                names.add("".join(parts))
    return names


def sweep(folder: GoldFolder, kept: Mapping[str, object]) -> int:
    """Remove catalogs that are not kept and not being read, and data files that no remaining catalog names.

    Only under the build lock, when no branch is alive: a file of a running build would look like nobody's.
    """
    catalogs = folder.path / CATALOGS
    for path in sorted(catalogs.glob("*.db")):
        if path.stem not in kept:
            _forget_unless_read(folder, path.stem)
    named = set().union(*(data_files(path) for path in catalogs.glob("*.db")))
    removed = 0
    for place, folders, files in os.walk(folder.data, topdown=False):
        here = folder.data.joinpath(place)
        for name in files:
            path = here / name
            if str(path.relative_to(folder.data)) not in named:
                path.unlink()
                removed += 1
        if here != folder.data and len(folders) + len(files) == 0:
            here.rmdir()
    return removed


def _forget_unless_read(folder: GoldFolder, build: str) -> None:
    with hold_if_free(folder.pin(build)) as is_unread:
        if is_unread:
            remove(folder.catalog(build))
            folder.pin(build).unlink(missing_ok=True)
