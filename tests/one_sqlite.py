"""No file is open in two copies of SQLite at once: DuckDB brings one, Python has another (docs/decisions/0024).

Where Python's opens a catalog that DuckDB has open in this process, the test fails that did it, in whatever thread.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from headrace.lake.catalog import CATALOG
from headrace.warehouse.branch import CATALOGS

OURS = Path("/proc/self/fd")
opened_twice: list[str] = []
"""What was opened though DuckDB had it open, since a test last looked."""


class OpenTwiceError(BaseException):
    """Nothing may catch this, as nothing could what comes of it."""


def watch() -> None:
    """Look at every file that Python's SQLite opens from now on; where the system does not tell, at none."""
    if OURS.is_dir():
        sys.addaudithook(_look)


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "sqlite3.connect":
        return
    path = _path(os.fsdecode(arguments[0]))
    if path is not None and _is_catalog(path) and _is_open(path):
        opened_twice.append(str(path))
        raise OpenTwiceError(f"DuckDB has {path} open in this process; ask it, or use a process of its own")


def _path(database: str) -> Path | None:
    """Return the file that is locked; none where nothing is."""
    if not database.startswith("file:"):
        return Path(database)
    said = urlsplit(database)
    return None if "immutable=1" in said.query else Path(unquote(said.path))


def _is_catalog(path: Path) -> bool:
    return path.name in {CATALOG, "branch.db"} or path.parent.name == CATALOGS


def _is_open(path: Path) -> bool:
    files = {f"{path.resolve()}{end}" for end in ("", "-wal", "-shm")}
    for each in os.listdir(OURS):  # noqa: PTH208 - it changes meanwhile
        try:
            if os.readlink(OURS / each) in files:  # noqa: PTH115
                return True
        except OSError:
            continue
    return False
