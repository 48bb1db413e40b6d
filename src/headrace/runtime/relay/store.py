"""What the relay remembers: how far each push is, its letters, and the builds that are to be told of.

One SQLite file in the environment's state folder. The relay writes it, one transaction a round, fsynced; the command
line reads it, and revives or discards dead letters, at any time.
"""

from __future__ import annotations

import datetime as dt
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.errors import LakeError
from headrace.fault_points import reach
from headrace.runtime.relay.rounds import Held, Letter, Row
from headrace.sqlite_file import Kind, SqliteFile

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.config.project import Project
    from headrace.runtime.relay.rounds import Settled

FILE = "relay.db"
GOLD = ""
"""Stands for the source of what becomes of builds."""

KINDS = {"built": ("published", "failed"), "published": ("published",), "failed": ("failed",)}
"""Which builds a push of gold is `on`."""

BUILDS_KEPT = 1_000
_TABLES = """
CREATE TABLE IF NOT EXISTS relay (epoch TEXT NOT NULL, told INTEGER);
INSERT INTO relay (epoch) SELECT lower(hex(randomblob(4))) WHERE NOT EXISTS (SELECT 1 FROM relay);
CREATE TABLE IF NOT EXISTS pushes (
    source TEXT, push TEXT, seq INTEGER NOT NULL, numbered INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0, delivered_at REAL, failing_since REAL, problem TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (source, push)
);
CREATE TABLE IF NOT EXISTS letters (
    source TEXT, push TEXT, seq INTEGER, id TEXT, kind TEXT, dataset TEXT, key TEXT, at TEXT, trace_id TEXT, data TEXT,
    attempts INTEGER, first_at REAL, next_at REAL, failed_at REAL, problem TEXT, dead INTEGER,
    PRIMARY KEY (source, push, seq)
);
CREATE TABLE IF NOT EXISTS builds (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, kind TEXT, at TEXT, data TEXT
);
"""
MEMORY = Kind(
    what="what the relay remembers",
    error=LakeError,
    lost="start `headrace up` anew: what is in the outbox is sent again, and the letters in the damaged file are lost",
    tables=_TABLES,
)
_LETTER = "seq, id, kind, dataset, key, at, trace_id, data, attempts, first_at, next_at, problem, dead"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a push is. `seq`: the last row of the outbox that is delivered, or a letter; -1 before the first.

    `numbered`: how many rows were published to its topic. Times are Unix seconds.
    """

    seq: int = -1
    numbered: int = 0
    delivered: int = 0
    delivered_at: float | None = None
    failing_since: float | None = None
    problem: str = ""


class Store:
    """The relay's file. Belongs to one thread; other processes may hold it open too."""

    def __init__(self, state: Path) -> None:
        """Open the file, made where there is none. Raises `LakeError` or `SpaceError` where that cannot be."""
        self._file = SqliteFile(state / FILE, MEMORY)
        with self._file.reading() as connection:
            self.epoch = str(connection.execute("SELECT epoch FROM relay").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def version(self) -> int:
        """Return a number that changes when another process has written."""
        with self._file.reading() as connection:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

    # ---- positions -------------------------------------------------------------------------------------------------

    def progress(self) -> dict[tuple[str, str], Progress]:
        """Return how far each push is that was ever seen."""
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT source, push, seq, numbered, delivered, delivered_at, failing_since, problem FROM pushes"
            ).fetchall()
        return {(source, push): Progress(*rest) for source, push, *rest in rows}

    def enrol(self, source: str, push: str, seq: int = -1) -> Progress:
        """Return how far a push is; one that is new starts after `seq`."""
        with self._file.writing() as connection:
            connection.execute(
                "INSERT INTO pushes (source, push, seq) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (source, push, seq)
            )
        return self.progress()[source, push]

    def settle(self, source: str, push: str, seq: int, settled: Settled, failing_since: float | None) -> None:
        """Note a round in one transaction: position, letters, and how the push is doing."""
        now = time.time()
        with self._file.writing() as connection:
            run = connection.execute
            run("UPDATE pushes SET seq = ?, failing_since = ?, problem = ? WHERE source = ? AND push = ?",
                (seq, failing_since, settled.problem, source, push))  # fmt: skip
            if settled.delivered:
                run("UPDATE pushes SET delivered = delivered + ?, delivered_at = ? WHERE source = ? AND push = ?",
                    (settled.delivered, now, source, push))  # fmt: skip
            for gone in settled.gone:
                run("DELETE FROM letters WHERE source = ? AND push = ? AND seq = ?", (source, push, gone))
            for each in settled.letters:
                row = each.row
                values = (source, push, row.seq, row.id, row.kind, row.dataset, row.key, row.at.isoformat(),
                          row.trace_id, row.data, each.attempts, each.first_at, each.next_at,
                          now if each.dead else None, each.problem, int(each.dead))  # fmt: skip
                run(f"INSERT OR REPLACE INTO letters VALUES ({', '.join('?' * len(values))})", values)
            reach("relay.note.before")
        reach("relay.note.after")

    def published(self, source: str, push: str, seq: int, numbered: int, count: int) -> None:
        """Note that rows up to `seq`, `numbered` in all, are in the push's topic, `count` of them just now."""
        with self._file.writing() as connection:
            connection.execute(
                "UPDATE pushes SET seq = ?, numbered = ?, delivered = delivered + ?, delivered_at = ?, "
                "failing_since = NULL, problem = '' WHERE source = ? AND push = ?",
                (seq, numbered, count, time.time(), source, push),
            )
            reach("relay.note.before")
        reach("relay.note.after")

    def failing(self, source: str, push: str, since: float, problem: str) -> None:
        """Note that a push does not get on."""
        with self._file.writing() as connection:
            connection.execute(
                "UPDATE pushes SET failing_since = ?, problem = ? WHERE source = ? AND push = ?",
                (since, problem, source, push),
            )

    # ---- letters ---------------------------------------------------------------------------------------------------

    def held(self, source: str, push: str) -> Held:
        """Return the letters of a push that wait for another try."""
        with self._file.reading() as connection:
            rows = connection.execute(
                f"SELECT {_LETTER} FROM letters WHERE source = ? AND push = ? AND NOT dead", (source, push)
            ).fetchall()
        return Held({row[0]: _letter(row) for row in rows})

    def letters(self) -> dict[tuple[str, str], list[Letter]]:
        """Return every letter by push, in order."""
        with self._file.reading() as connection:
            rows = connection.execute(f"SELECT source, push, {_LETTER} FROM letters ORDER BY 1, 2, 3").fetchall()
        found: dict[tuple[str, str], list[Letter]] = {}
        for source, push, *letter in rows:
            found.setdefault((source, push), []).append(_letter(letter))
        return found

    def revive(self, source: str, push: str, seqs: list[int]) -> int:
        """Let dead letters be tried again from the start; return how many."""
        return self._change(
            "UPDATE letters SET dead = 0, attempts = 0, first_at = NULL, next_at = 0, failed_at = NULL "
            "WHERE source = ? AND push = ? AND seq = ? AND dead",
            source, push, seqs,
        )  # fmt: skip

    def discard(self, source: str, push: str, seqs: list[int]) -> int:
        """Remove dead letters for good; return how many."""
        return self._change(
            "DELETE FROM letters WHERE source = ? AND push = ? AND seq = ? AND dead", source, push, seqs
        )

    def _change(self, sql: str, source: str, push: str, seqs: list[int]) -> int:
        with self._file.writing() as connection:
            return sum(connection.execute(sql, (source, push, seq)).rowcount for seq in seqs)

    # ---- builds ----------------------------------------------------------------------------------------------------

    def told(self) -> int | None:
        """Return the number of the newest published build that was noted; None before the first look."""
        with self._file.reading() as connection:
            found: int | None = connection.execute("SELECT told FROM relay").fetchone()[0]
        return found

    def tell_upto(self, number: int) -> None:
        """Note that published builds up to this one are noted."""
        with self._file.writing() as connection:
            connection.execute("UPDATE relay SET told = ?", (number,))

    def tell(self, build_id: str, kind: str, at: str, data: str) -> None:
        """Note what became of a build, once."""
        with self._file.writing() as connection:
            connection.execute(
                "INSERT INTO builds (id, kind, at, data) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                (build_id, kind, at, data),
            )
            connection.execute("DELETE FROM builds WHERE seq <= (SELECT max(seq) FROM builds) - ?", (BUILDS_KEPT,))

    def builds(self, kinds: tuple[str, ...], after: int, limit: int) -> list[Row]:
        """Return what became of builds, in order: those published, those that failed, or both."""
        with self._file.reading() as connection:
            rows = connection.execute(
                f"SELECT seq, id, kind, at, data FROM builds WHERE kind IN ({', '.join('?' * len(kinds))}) AND seq > ? "
                "ORDER BY seq LIMIT ?",
                (*kinds, after, limit),
            ).fetchall()
        return [
            Row(seq, build, kind, "", "gold", dt.datetime.fromisoformat(at), None, data)
            for seq, build, kind, at, data in rows
        ]

    def last_build(self) -> int:
        """Return the number of the newest build that was noted; 0 before the first."""
        with self._file.reading() as connection:
            return int(connection.execute("SELECT coalesce(max(seq), 0) FROM builds").fetchone()[0])


def done_upto(project: Project) -> dict[tuple[str, str], int]:
    """Return, for each push of the sources, the last row of the outbox that it needs no more; -1 where it needs all."""
    pushes = [(source.id, push.name) for source in project.sources.values() for push in source.spec.serving.push]
    if not pushes or not (project.state / FILE).exists():
        return dict.fromkeys(pushes, -1)
    with closing(Store(project.state)) as store:
        progress = store.progress()
    return {key: progress.get(key, Progress()).seq for key in pushes}


def _letter(row: Any) -> Letter:
    seq, message, kind, dataset, key, at, trace, data, attempts, first_at, next_at, problem, dead = row
    what = Row(seq, message, kind, dataset, key, dt.datetime.fromisoformat(at), trace, data)
    return Letter(what, attempts, first_at, next_at, problem, bool(dead))
