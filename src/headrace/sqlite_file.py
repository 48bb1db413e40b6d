"""Small SQLite files that several processes share: opened in one way, SQLite's errors mapped once.

What SQLite and the file system raise becomes an error of ours that names the file, what is lost and what to type. An
owner says what its file is in a `Kind`; `SqliteFile` serves one that needs no more than a connection. `connect`,
`transaction` and `mapped` are there for an owner that needs other connections than that.
"""

from __future__ import annotations

import datetime as dt
import itertools
import random
import shutil
import sqlite3
import threading
import time
import zlib
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from headrace.disk import is_full, make_folder, sync
from headrace.errors import ExternalError, HeadraceError, InputError, InternalError, SpaceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEARLY_FULL_BYTES = 1 << 20
_LOOK_SECS = 10.0
DOCTOR = "headrace doctor"
"""What to type where a file is damaged."""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_AGAIN_SECS = (0.0005, 0.003)

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_MISSING = ("no such table", "no such column")  # of a file that is sound, and yet not what we made
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_OUR_BUG = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_MISUSE}


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is to its owner.

    `what` names it in a sentence, `error` is what its troubles are raised as, `lost` says what is gone and what is not
    where a damaged file is moved away. `tables` are statements that do nothing where they were done before, so that
    tables may be added; `version` counts changes that an older Headrace must not meet: it refuses the file.
    `synchronous` FULL: a commit survives a power cut; NORMAL: a crash of the process.
    """

    what: str
    error: type[ExternalError]
    lost: str
    tables: str = ""
    version: int = 1
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    busy_timeout_secs: float = 10.0


class SqliteFile:
    """A file of a kind, made where there is none, open until `close`. Any thread may use it, one at a time.

    Every method raises the kind's `error`, or `SpaceError` on a full disk; then nothing was written.
    """

    def __init__(self, path: Path, kind: Kind) -> None:
        self._path = path
        self._kind = kind
        self._lock = threading.RLock()
        with mapped(path, kind):
            make_folder(path.parent)
            is_new = not path.exists()
            self._connection = connect(path, "rwc", kind.busy_timeout_secs)
            try:
                _prepare(self._connection, path, kind)
                if is_new and kind.synchronous == "FULL":
                    sync(path.parent)
            except BaseException:
                self._connection.close()
                raise

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run one transaction: all of it is kept once this returns, or none."""
        with self._lock, mapped(self._path, self._kind), transaction(self._connection):
            yield self._connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read, each statement what was last committed."""
        with self._lock, mapped(self._path, self._kind):
            yield self._connection

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()


@contextmanager
def once_open(path: Path, kind: Kind) -> Iterator[sqlite3.Connection]:
    """Open a file for one transaction, made where there is none; see `SqliteFile.writing`."""
    with closing(SqliteFile(path, kind)) as file, file.writing() as connection:
        yield connection


def connect(path: Path, mode: Literal["ro", "rw", "rwc", "frozen"], busy_timeout_secs: float) -> sqlite3.Connection:
    """Open a file to read (`ro`) or write (`rw`), which must exist, or made where there is none (`rwc`).

    One that nobody will ever write again and that has no log (`frozen`) is read without locks or shared memory: so also
    where DuckDB, whose SQLite is another, has it open in this process.

    Any character may stand in the path. Transactions are the caller's, and so is that one thread at a time uses it.
    """
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?{'mode=ro&immutable=1' if mode == 'frozen' else f'mode={mode}'}",
        uri=True,
        timeout=busy_timeout_secs,
        isolation_level=None,
        check_same_thread=False,
    )


def synchronise(connection: sqlite3.Connection, synchronous: Literal["FULL", "NORMAL"]) -> None:
    """Set what a commit over this connection survives; see `Kind`."""
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("PRAGMA fullfsync=ON")  # macOS: fsync alone does not reach the platter


def fold(connection: sqlite3.Connection) -> None:
    """Bring the write-ahead log into its file, which then is all there is: what is to be renamed has to be whole.

    Closing does that too, but says nothing where the disk refuses it. Nobody else may have the file open.
    """
    (is_busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy:
        error = sqlite3.OperationalError("the write-ahead log is in use")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error


def remove(path: Path) -> None:
    """Remove a file, if it is there, and what SQLite keeps beside it. Nobody may have it open."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextmanager
def transaction(connection: sqlite3.Connection, patience_secs: float | None = None) -> Iterator[None]:
    """Commit what the block does, or roll it back where it raises; writers take turns from its beginning.

    For its turn it waits as long as the connection does, which looks ever more seldom; with `patience_secs`, over a
    connection that does not wait at all, so long at most, looking all the time: writers that come often get even turns.
    """
    if patience_secs is None:
        connection.execute("BEGIN IMMEDIATE")
    else:
        _insist(connection, "BEGIN IMMEDIATE", patience_secs)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def mapped(path: Path, kind: Kind) -> Iterator[None]:
    """Turn what SQLite and the file system raise into our errors; the only place that knows theirs."""
    try:
        yield
    except sqlite3.DataError as error:
        raise InputError(f"a value is too large for {kind.what}: {error}", at=str(path)) from error
    except sqlite3.Error as error:
        raise _named(path, kind, error) from error
    except OSError as error:
        if is_full(error):
            raise _full(path, kind) from error
        raise _unusable(path, kind, f"cannot be written: {error.strerror or error}") from error


def trouble(path: Path, *, whole: bool = True) -> str:
    """Return what is wrong with a file that is there, as far as SQLite tells; nothing where it is sound.

    Not `whole`: it is opened and no more, however large it is.
    """
    if not path.is_file():
        return "it is not a file"
    if not path.stat().st_size:
        return "it is empty"
    try:
        found = _found(path, "ro", whole=whole)
    except sqlite3.Error as error:
        found = str(error)
        if _code(error) == sqlite3.SQLITE_READONLY:  # a transaction that a crash cut off: who may write rolls it back
            with suppress(sqlite3.Error):
                found = _found(path, "rw", whole=whole)
    return "" if found == "ok" else " ".join(found.removeprefix("*** in database main ***").split())


def _found(path: Path, mode: Literal["ro", "rw"], *, whole: bool) -> str:
    with closing(connect(path, mode, _LOOK_SECS)) as connection:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0]) if whole else "ok"


def micros_of(instant: dt.datetime) -> int:
    """Return an instant as a file keeps it: microseconds of UTC."""
    return (instant - _EPOCH) // dt.timedelta(microseconds=1)


def instant_of(micros: int) -> dt.datetime:
    """Return the instant that a file keeps as a number."""
    return _EPOCH + dt.timedelta(microseconds=micros)


def aside_of(path: Path) -> Path:
    """Return a name beside a file that nothing has yet: where a damaged one is moved, never removed."""
    return next(
        each for number in itertools.count(1) if not (each := path.with_name(f"{path.name}.damaged-{number}")).exists()
    )


def refuse_newer(path: Path, kind: Kind, found: int) -> None:
    """Raise the kind's error where a file is of a version that only a newer Headrace reads."""
    if found > kind.version:
        raise kind.error(
            f"{kind.what} has format {found}, and this version of Headrace reads {kind.version}",
            at=str(path),
            fix="upgrade Headrace: pip install -U headrace",
        )


def free_bytes(path: Path) -> int:
    """Return how much room the disk of a file has left; enough where that cannot be told."""
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return NEARLY_FULL_BYTES


def _prepare(connection: sqlite3.Connection, path: Path, kind: Kind) -> None:
    """Set a connection up, and the file too where it is new, or was made by a Headrace that knew other tables."""
    synchronise(connection, kind.synchronous)
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    (known,) = connection.execute("PRAGMA application_id").fetchone()
    tables = zlib.crc32(kind.tables.encode()) & 0x7FFFFFFF
    if (found, known) == (kind.version, tables):
        return
    refuse_newer(path, kind, found)
    # Of two that turn the write-ahead log on at once, SQLite refuses one, whatever its timeout.
    _insist(connection, "PRAGMA journal_mode=WAL", kind.busy_timeout_secs)
    marks = f"PRAGMA user_version={kind.version};PRAGMA application_id={tables}"
    connection.executescript(f"BEGIN IMMEDIATE;{kind.tables};{marks};COMMIT")


def _insist(connection: sqlite3.Connection, statement: str, patience_secs: float) -> None:
    """Run what SQLite may refuse at once because another is at it, again and again, for so long at most."""
    deadline = time.monotonic() + patience_secs
    while True:
        try:
            connection.execute(statement)
        except sqlite3.OperationalError as error:
            if _code(error) not in _BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(random.uniform(*_AGAIN_SECS))  # noqa: S311 - two that wait must not keep step
        else:
            return


def _named(path: Path, kind: Kind, error: sqlite3.Error) -> HeadraceError:
    code, at = _code(error), str(path)
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and free_bytes(path) < NEARLY_FULL_BYTES):
        return _full(path, kind)
    if code in _DAMAGED or any(text in str(error) for text in _MISSING):
        return kind.error(
            f"{kind.what} is damaged: {error}", at=at, fix=f"let it be moved aside: {DOCTOR} --repair; {kind.lost}"
        )
    if code in _BUSY:
        return kind.error(
            f"other processes kept {kind.what} busy for {kind.busy_timeout_secs:g} seconds",
            at=at,
            fix=f"see who holds it: fuser {path}",
        )
    if code in _OUR_BUG:
        return InternalError(f"{kind.what} failed in an unforeseen way: {error}", at=at)
    if path.is_dir():
        return kind.error(
            f"{kind.what} is a folder", at=at, fix=f"let it be moved aside: {DOCTOR} --repair; {kind.lost}"
        )
    return _unusable(path, kind, f"cannot be used: {error}")


def _full(path: Path, kind: Kind) -> SpaceError:
    return SpaceError(
        f"the disk is full; nothing was written to {kind.what}",
        at=str(path),
        fix=f"free some space: df -h {path.parent}, then try again",
    )


def _unusable(path: Path, kind: Kind, why: str) -> ExternalError:
    return kind.error(f"{kind.what} {why}", at=str(path), fix=f"see that you may write there: ls -ld {path.parent}")


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary code; errors that Python raises by itself (a connection that is closed) have none."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)) & 0xFF
