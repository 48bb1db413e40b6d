"""Leases: a reader that pins a snapshot says so, and expiry leaves the snapshot alone.

A lease is a row in a small SQLite file beside the catalog; it ends with its holder, or when its heartbeat stops.
Compaction begins only while there is none, and a lease that comes amid one begins when it is through.
"""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from headrace import file_lock
from headrace.errors import HeadraceError, LakeError
from headrace.sqlite_file import Kind, once_open

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HEARTBEAT_SECS = 10.0
DEAD_AFTER_SECS = 60.0
COMPACTION = "compaction.lock"
LEASES = Kind(
    what="the file of the lake's leases",
    error=LakeError,
    lost="nothing that lasts is lost: who reads now may have to begin again",
    tables="CREATE TABLE IF NOT EXISTS leases (id TEXT PRIMARY KEY, snapshot INTEGER NOT NULL, beat REAL NOT NULL)",
    synchronous="NORMAL",  # no lease outlives a power cut, nor does its holder
)


@contextmanager
def hold(folder: Path, snapshot: int, *, every_secs: float = HEARTBEAT_SECS) -> Iterator[None]:
    """Keep a snapshot of the lake in `folder` readable while the block runs, however long that takes.

    A snapshot that was chosen before may have expired by the time it is leased: `hold_latest` chooses and makes sure.
    """
    lease = uuid.uuid4().hex
    path = folder / "leases.db"
    _beat(path, lease, snapshot)
    with file_lock.hold(folder / COMPACTION, shared=True):
        pass  # what began to replace files before it could see this lease is through
    stopped = threading.Event()

    def keep() -> None:
        while not stopped.wait(every_secs):
            with suppress(HeadraceError):  # a disk that is full for a moment: the next beat tries again
                _beat(path, lease, snapshot)

    keeper = threading.Thread(target=keep, name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stopped.set()
        keeper.join()
        with suppress(HeadraceError), once_open(path, LEASES) as leases:  # else its heartbeat has stopped
            leases.execute("DELETE FROM leases WHERE id = ?", (lease,))


@contextmanager
def none_live(folder: Path) -> Iterator[bool]:
    """Say whether nobody holds a lease; while the block runs, none begins.

    For who replaces files: an open transaction of a reader would find none of the rows in them.
    """
    with file_lock.hold(folder / COMPACTION):
        yield not live(folder)


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
    moment = time.time() if now is None else now
    with once_open(path, LEASES) as leases:
        # A clock that was ahead, and was set back: whoever is dead would hold it until that time comes.
        leases.execute("UPDATE leases SET beat = ? WHERE beat > ?", (moment, moment))
        leases.execute("DELETE FROM leases WHERE beat < ?", (moment - DEAD_AFTER_SECS,))
        return frozenset(row[0] for row in leases.execute("SELECT snapshot FROM leases"))


def _beat(path: Path, lease: str, snapshot: int) -> None:
    with once_open(path, LEASES) as leases:
        leases.execute(
            "INSERT INTO leases VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET beat = excluded.beat",
            (lease, snapshot, time.time()),
        )
