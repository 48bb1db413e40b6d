"""Copies a SQLite file: run by its path, as a process of its own, with nothing of ours imported (see `copies.py`).

    python copy_process.py SOURCE_URI DRAFT TIMEOUT_SECS

Ends with 0 once the draft has all that was committed; else with 1 and what SQLite says, in a line.
"""

import sqlite3
import sys
from contextlib import closing


def copy(source: str, draft: str, timeout_secs: float) -> None:
    """Copy a file, given as a URI, into a draft, which is not synced."""
    with (
        closing(sqlite3.connect(source, uri=True, timeout=timeout_secs)) as catalog,
        closing(sqlite3.connect(draft)) as new,
    ):
        new.execute("PRAGMA synchronous=OFF")  # who asked for it syncs it whole
        catalog.backup(new)


if __name__ == "__main__":
    try:
        copy(sys.argv[1], sys.argv[2], float(sys.argv[3]))
    except sqlite3.Error as error:
        sys.exit(str(error))
