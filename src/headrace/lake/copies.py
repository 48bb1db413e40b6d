"""A copy of the catalog beside it, so that a damaged one is no end: what came after the copy is still on the bus.

A topic keeps what was committed for an hour; the copy is made anew well within that, and whenever files that it names
were removed.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

from headrace.disk import sync
from headrace.errors import LakeError
from headrace.fault_points import reach
from headrace.lake import copy_process
from headrace.lake.catalog import CATALOG
from headrace.sqlite_file import aside_of, connect

if TYPE_CHECKING:
    from pathlib import Path

COPY = "catalog.copy"
EVERY_SECS = 600.0
_TIMEOUT_SECS = 10.0
_AHEAD_SECS = 60.0  # that the clock of a file system may be


def copy_is_due(folder: Path) -> bool:
    """Say whether the copy is older than it may be, while there is something newer to copy."""
    try:
        copied = (folder / COPY).stat().st_mtime
    except OSError:
        return True
    age = time.time() - copied
    if age < -_AHEAD_SECS:
        return True  # of a clock that was ahead: how old it is, nobody can say
    return age >= EVERY_SECS and any(
        path.stat().st_mtime > copied for path in (folder / CATALOG, folder / f"{CATALOG}-wal") if path.exists()
    )


def copy_catalog(folder: Path) -> None:
    """Copy the catalog as it is now, whole or not at all, durably. Raises `sqlite3.Error`, `OSError`.

    In a process of its own: DuckDB has a SQLite of its own, and two in one process do not see each other's locks. The
    second to open a file cuts its shared memory off under the first, which dies of that; to close it drops all locks.
    """
    draft = folder / f"{COPY}.draft"
    draft.unlink(missing_ok=True)
    source = f"{(folder / CATALOG).resolve().as_uri()}?mode=ro"
    done = subprocess.run(  # noqa: S603 - our own file
        [sys.executable, "-I", "-S", copy_process.__file__, source, str(draft), str(_TIMEOUT_SECS)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        start_new_session=True,  # Ctrl-C is for the parent, which ends with a copy
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise sqlite3.OperationalError(said[-1] if said else f"its process ended with {done.returncode}")
    sync(draft)
    reach("lake.copy.before")
    draft.replace(folder / COPY)
    sync(folder)
    reach("lake.copy.after")


def restore_copy(folder: Path) -> Path:
    """Move the catalog aside and put a copy of the copy in its place; return where the catalog is now."""
    catalog = folder / CATALOG
    draft = folder / f"{CATALOG}.draft"
    try:
        draft.unlink(missing_ok=True)
        with closing(connect(folder / COPY, "ro", _TIMEOUT_SECS)) as copy, closing(sqlite3.connect(draft)) as new:
            copy.backup(new)
        sync(draft)
        reach("lake.restore.before")
        aside = aside_of(catalog)
        for end in ("", "-wal", "-shm"):  # the log not first: a catalog without it would pass for one that is whole
            path = catalog.with_name(catalog.name + end)
            if path.exists():
                path.rename(aside.with_name(aside.name + end))
        sync(folder)  # or, after a power cut, the log may be here still, and be replayed into the copy
        draft.rename(catalog)
        sync(folder)
        reach("lake.restore.after")
    except (sqlite3.Error, OSError) as error:
        raise LakeError(f"the copy cannot be put back: {error}", at=str(folder / COPY), fix="see the disk") from error
    return aside
