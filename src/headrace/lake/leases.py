"""Leases: a reader that pins a snapshot says so, and expiry leaves the snapshot alone.

A lease is a row in a small SQLite file beside the catalog; it ends with its holder, or when its heartbeat stops.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from headrace.errors import LakeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HEARTBEAT_SECS = 10.0
DEAD_AFTER_SECS = 60.0
_TABLE = "CREATE TABLE IF NOT EXISTS leases (id TEXT PRIMARY KEY, snapshot INTEGER NOT NULL, beat REAL NOT NULL)"


@contextmanager
def hold(folder: Path, snapshot: int, *, every_secs: float = HEARTBEAT_SECS) -> Iterator[None]:
    """Keep a snapshot of the lake in `folder` readable while the block runs, however long that takes.

    A snapshot that was chosen before may have expired by the time it is leased: `hold_latest` chooses and makes sure.
    """
    lease = uuid.uuid4().hex
    path = folder / "leases.db"
    with _mapped(path):
        _beat(path, lease, snapshot)
    stopped = threading.Event()

    def keep() -> None:
        while not stopped.wait(every_secs):
            with suppress(sqlite3.Error):  # a disk that is full for a moment: the next beat tries again
                _beat(path, lease, snapshot)

    keeper = threading.Thread(target=keep, name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stopped.set()
        keeper.join()
        with suppress(sqlite3.Error), closing(_open(path)) as leases, leases:  # else its heartbeat has stopped
            leases.execute("DELETE FROM leases WHERE id = ?", (lease,))


@contextmanager
def hold_latest(folder: Path, latest: Callable[[], int | None]) -> Iterator[int | None]:
    """Keep the lake's latest snapshot readable while the block runs; None where there is no snapshot.

    Upkeep spares the latest, and any that was leased before it began: so a snapshot that is still the latest once it is
    leased is safe. One that no longer is may be expiring, and the next is taken.
    """
    while (snapshot := latest()) is not None:
        with hold(folder, snapshot):
            if latest() == snapshot:
                yield snapshot
                return
    yield None


def live(folder: Path, now: float | None = None) -> frozenset[int]:
    """Return the snapshots that somebody reads; leases whose heartbeat stopped no longer count."""
    path = folder / "leases.db"
    if not path.exists():
        return frozenset()
    since = (time.time() if now is None else now) - DEAD_AFTER_SECS
    with _mapped(path), closing(_open(path)) as leases, leases:
        leases.execute("DELETE FROM leases WHERE beat < ?", (since,))
        return frozenset(row[0] for row in leases.execute("SELECT snapshot FROM leases"))


def _beat(path: Path, lease: str, snapshot: int) -> None:
    with closing(_open(path)) as leases, leases:
        leases.execute(
            "INSERT INTO leases VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET beat = excluded.beat",
            (lease, snapshot, time.time()),
        )


@contextmanager
def _mapped(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as problem:
        raise LakeError(
            f"the lake's leases cannot be read or written: {problem}",
            at=str(path),
            fix="free some space and try again; if it stays, remove the file while nothing runs",
        ) from problem


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=10)
    connection.execute(_TABLE)
    return connection
