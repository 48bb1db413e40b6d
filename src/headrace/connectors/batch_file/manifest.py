"""The manifest: every file that was seen in a watched folder, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.errors import ExternalError
from headrace.fault_points import reach
from headrace.sqlite_file import Kind, SqliteFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headrace.connectors.batch_file.decisions import Found

_TABLES = """
CREATE TABLE IF NOT EXISTS files(
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, version TEXT NOT NULL,
    state TEXT NOT NULL, digest TEXT, rows INTEGER, taken INTEGER NOT NULL DEFAULT 0,
    message TEXT NOT NULL DEFAULT '', fix TEXT NOT NULL DEFAULT '', settings TEXT NOT NULL DEFAULT '',
    seen REAL NOT NULL, started REAL, ended REAL
);
CREATE UNIQUE INDEX IF NOT EXISTS files_current ON files(source, path) WHERE state <> 'superseded';
CREATE INDEX IF NOT EXISTS files_digest ON files(source, digest);
CREATE TABLE IF NOT EXISTS asks(
    source TEXT PRIMARY KEY, number INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0,
    ok INTEGER NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
"""
MANIFEST = Kind(
    what="the manifest of landed files",
    error=ExternalError,
    lost="start `headrace up` anew: every file is looked at again, and no row of it comes twice",
    tables=_TABLES,
    synchronous="NORMAL",
    busy_timeout_secs=30.0,
)
_COLUMNS = "id, source, path, size, version, state, digest, rows, taken, message, fix, settings, seen, started, ended"

STATES = ("waiting", "reading", "done", "failed", "superseded")


class Entry(NamedTuple):
    """One version of one file. Times are seconds since 1970.

    `waiting`: until it is stable, or its turn comes. `reading`: `taken` of its `rows` are on the topic. `done`: all of
    them are. `failed`: none was taken, and `message` and `fix` say why. `superseded`: a newer version came, or it is
    gone.
    """

    id: int
    source: str
    path: str
    size: int
    version: str
    state: str
    digest: str | None
    rows: int | None
    taken: int
    message: str
    fix: str
    settings: str
    seen: float
    started: float | None
    ended: float | None


class Answer(NamedTuple):
    """How a look went that was asked for: what was taken, or why not."""

    ok: bool
    message: str


class Manifest:
    """A SQLite file; any number of threads and processes may use it at once.

    It is what a folder's files are known by, and never what makes a row come once: that is the topic's memory of
    numbered messages. So nothing is lost or doubled where the last notes did not survive a power cut.
    """

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, MANIFEST)

    def current(self, source: str) -> dict[str, Entry]:
        """Return the newest version of each file of a source, by path."""
        return {entry.path: entry for entry in self.entries(source) if entry.state != "superseded"}

    def entries(self, source: str | None = None) -> list[Entry]:
        """Return every version of every file, oldest first."""
        where, parameters = ("WHERE source = ?", (source,)) if source is not None else ("", ())
        return self._entries(f"{where} ORDER BY id", parameters)

    def twin(self, entry: Entry, digest: str) -> Entry | None:
        """Return a file of the same source, bytes and settings that was taken whole, under whatever name, or None.

        The settings stand for the file's table too: in another one, the same bytes are other messages.
        """
        found = self._entries(
            "WHERE source = ? AND digest = ? AND settings = ? AND id <> ? AND rows = taken AND ended IS NOT NULL "
            "AND state IN ('done', 'superseded') ORDER BY path <> ?, id LIMIT 1",
            (entry.source, digest, entry.settings, entry.id, entry.path),
        )
        return found[0] if found else None

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many files of each source are in each state."""
        with self._file.reading() as connection:
            rows = connection.execute("SELECT source, state, count(*) FROM files GROUP BY 1, 2").fetchall()
        counts: dict[str, dict[str, int]] = {}
        for source, state, count in rows:
            counts.setdefault(source, dict.fromkeys(STATES, 0))[state] = count
        return counts

    def note(self, source: str, found: Found, now: float) -> None:
        """Note that a file is there; a version of it that was taken, or was being taken, is superseded."""
        with self._file.writing() as connection:
            connection.execute(
                "UPDATE files SET state = 'superseded', "
                "message = iif(state = 'reading', taken || ' rows were taken before it changed', message) "
                "WHERE source = ? AND path = ? AND state IN ('reading', 'done')",
                (source, found.path),
            )
            connection.execute(
                "INSERT INTO files(source, path, size, version, state, seen) VALUES (?, ?, ?, ?, 'waiting', ?) "
                "ON CONFLICT (source, path) WHERE state <> 'superseded' DO UPDATE SET size = excluded.size, "
                "version = excluded.version, state = 'waiting', digest = NULL, rows = NULL, taken = 0, message = '', "
                "fix = '', settings = '', seen = excluded.seen, started = NULL, ended = NULL",
                (source, found.path, found.size, found.version, now),
            )

    def change(self, entry: Entry, **values: Any) -> Entry:
        """Note what became of a file; return the entry as it is then."""
        with self._file.writing() as connection:
            names = ", ".join(f"{name} = ?" for name in values)
            connection.execute(f"UPDATE files SET {names} WHERE id = ?", (*values.values(), entry.id))
            reach("landing.note.before")
        reach("landing.note.after")
        return entry._replace(**values)

    def same_again(self, entry: Entry, before: Entry) -> None:
        """Note that a file was touched but not changed: its former entry stands, for the version that lies there."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM files WHERE id = ?", (entry.id,))
            connection.execute(
                "UPDATE files SET state = 'done', size = ?, version = ? WHERE id = ?",
                (entry.size, entry.version, before.id),
            )

    def forget(self, entry: Entry) -> None:
        """Drop the entry of a file that was gone before any of it was taken."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM files WHERE id = ?", (entry.id,))

    def retry(self, source: str, path: str | None, now: float) -> int:
        """Let files that failed (or one file, whatever its state) be taken again; return how many."""
        which, parameters = (
            ("state = 'failed'", ()) if path is None else ("path = ? AND state <> 'superseded'", (path,))
        )
        with self._file.writing() as connection:
            done = connection.execute(
                "UPDATE files SET state = 'waiting', digest = NULL, rows = NULL, taken = 0, message = '', fix = '', "
                f"settings = '', seen = ?, started = NULL, ended = NULL WHERE source = ? AND {which}",
                (now, source, *parameters),
            )
            return done.rowcount

    def ask(self, source: str) -> int:
        """Ask whoever watches a source to look at it now; return the number that its answer will have."""
        with self._file.writing() as connection:
            row = connection.execute(
                "INSERT INTO asks(source, number) VALUES (?, 1) "
                "ON CONFLICT (source) DO UPDATE SET number = number + 1 RETURNING number",
                (source,),
            ).fetchone()
        return int(row[0])

    def asked(self, source: str) -> int | None:
        """Return the number of the look that was asked for and is not answered, None where there is none."""
        with self._file.reading() as connection:
            row = connection.execute("SELECT number FROM asks WHERE source = ? AND done < number", (source,)).fetchone()
        return int(row[0]) if row else None

    def answer(self, source: str, number: int, answer: Answer) -> None:
        """Answer what was asked, and all that was asked before."""
        with self._file.writing() as connection:
            connection.execute(
                "UPDATE asks SET done = ?, ok = ?, message = ? WHERE source = ? AND done < ?",
                (number, answer.ok, answer.message, source, number),
            )

    def answered(self, source: str, number: int) -> Answer | None:
        """Return the answer to what was asked under a number, or to what was asked later; None where there is none."""
        with self._file.reading() as connection:
            row = connection.execute(
                "SELECT ok, message FROM asks WHERE source = ? AND done >= ?", (source, number)
            ).fetchone()
        return Answer(bool(row[0]), str(row[1])) if row else None

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _entries(self, where: str, parameters: tuple[Any, ...]) -> list[Entry]:
        with self._file.reading() as connection:
            return [Entry(*row) for row in connection.execute(f"SELECT {_COLUMNS} FROM files {where}", parameters)]


def as_json(entry: Entry) -> Mapping[str, Any]:
    """Return an entry as `headrace files list --json` shows it."""
    import datetime as dt

    shown = entry._asdict()
    for name in ("id", "version", "settings"):
        del shown[name]
    for name in ("seen", "started", "ended"):
        at = shown[name]
        shown[name] = None if at is None else dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds")
    return shown
