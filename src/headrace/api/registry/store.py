"""What clients registered: schemas by id, versions of subjects, settings, durable before anybody is answered.

One SQLite file; any number of servers may share it. An id is given once, in the transaction that keeps its schema, and
never again: not after a deletion, and not to another schema.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, NamedTuple

from headrace.api.registry.refusal import Refusal, not_permitted
from headrace.api.registry.schema import Reference, Schema
from headrace.errors import ExternalError
from headrace.sqlite_file import Kind, SqliteFile

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MAX_ID = 2**31 - 1  # four bytes stand before each message

KIND = Kind(
    what="the registry",
    error=ExternalError,
    lost="what clients registered is lost; the subjects of the project's files are not, and get new ids",
    tables="""
    CREATE TABLE IF NOT EXISTS schemas (
        id INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT NOT NULL, type TEXT NOT NULL, text TEXT NOT NULL,
        more TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS schemas_by_digest ON schemas (digest, id);
    CREATE TABLE IF NOT EXISTS versions (
        subject TEXT NOT NULL, version INTEGER NOT NULL, schema INTEGER NOT NULL, deleted INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (subject, version)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS versions_by_schema ON versions (schema);
    CREATE TABLE IF NOT EXISTS settings (
        subject TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (subject, name)
    ) WITHOUT ROWID;
    """,
)


class Row(NamedTuple):
    """A version of a subject."""

    version: int
    id: int
    deleted: bool = False


class Store:
    """The file of one environment, open until `close`. Any thread may use it."""

    def __init__(self, state: Path) -> None:
        self._file = SqliteFile(state / "registry" / "registry.sqlite", KIND)

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def schema(self, schema_id: int) -> Schema | None:
        """Return a schema by its id, whether or not a subject still has it: messages that name it stay readable."""
        with self._file.reading() as connection:
            row = connection.execute("SELECT type, text, more FROM schemas WHERE id = ?", (schema_id,)).fetchone()
        return None if row is None else _schema(*row)

    def ids_of(self, schema: Schema) -> set[int]:
        """Return all ids that the same schema has: those that were imported, too."""
        with self._file.reading() as connection:
            rows = connection.execute("SELECT id FROM schemas WHERE digest = ?", (schema.digest,)).fetchall()
        return {each for (each,) in rows}

    def id_by_guid(self, guid: str) -> int | None:
        """Return the id of the schema whose digest a guid is the beginning of."""
        start = guid.replace("-", "").lower()
        with self._file.reading() as connection:
            row = connection.execute(
                "SELECT min(id) FROM schemas WHERE digest >= ? AND digest < ? || 'g'", (start, start)
            ).fetchone()
        return None if row[0] is None else int(row[0])

    def keep(self, schemas: Iterable[Schema], promised: Iterable[Sequence[int]] = ()) -> list[int]:
        """Return the ids of schemas, durably; one that has none gets one.

        Of the ids that are `promised` for a schema it gets the one that it has, else the first that no other has.
        """
        pairs = zip(schemas, itertools.chain(promised, itertools.repeat(())), strict=False)
        with self._file.writing() as connection:
            return [_keep_as(connection, schema, ids) for schema, ids in pairs]

    def subjects(self) -> dict[str, list[Row]]:
        """Return all that clients registered, soft-deleted versions too."""
        found: dict[str, list[Row]] = {}
        with self._file.reading() as connection:
            rows = connection.execute("SELECT subject, version, schema, deleted FROM versions ORDER BY 1, 2").fetchall()
        for subject, version, schema_id, deleted in rows:
            found.setdefault(subject, []).append(Row(version, schema_id, bool(deleted)))
        return found

    def rows(self, subject: str) -> list[Row]:
        """Return the versions of a subject, oldest first, soft-deleted ones too."""
        with self._file.reading() as connection:
            return _rows(connection, subject)

    def register(
        self,
        subject: str,
        schema: Schema,
        expected: Sequence[Row],
        *,
        version: int | None = None,
        schema_id: int | None = None,
    ) -> Row | None:
        """Add a version, durably, under its own number and id where they are given.

        None where the subject is no longer as `expected`: whoever decided on it must decide again.
        """
        with self._file.writing() as connection:
            if _rows(connection, subject) != list(expected):
                return None
            number = version if version is not None else max((row.version for row in expected), default=0) + 1
            if number > MAX_ID or any(row.version == number and not row.deleted for row in expected):
                raise not_permitted(f"Subject {subject} has a version {number} already, or there can be none")
            if schema_id is None:
                schema_id = _keep(connection, schema)
            else:
                _import(connection, schema_id, schema)
            connection.execute("INSERT OR REPLACE INTO versions VALUES (?, ?, ?, 0)", (subject, number, schema_id))
        return Row(number, schema_id)

    def mark_deleted(self, subject: str, versions: Sequence[int]) -> None:
        """Delete versions softly: they are still there for who asks for deleted ones."""
        with self._file.writing() as connection:
            connection.executemany(
                "UPDATE versions SET deleted = 1 WHERE subject = ? AND version = ?",
                [(subject, version) for version in versions],
            )

    def forget(self, subject: str, versions: Sequence[int]) -> None:
        """Delete versions for good; their schemas keep their ids."""
        with self._file.writing() as connection:
            connection.executemany(
                "DELETE FROM versions WHERE subject = ? AND version = ? AND deleted = 1",
                [(subject, version) for version in versions],
            )

    def setting(self, subject: str, name: str) -> str | None:
        """Return what a subject says of a setting; the empty subject is all of them."""
        with self._file.reading() as connection:
            row = connection.execute(
                "SELECT value FROM settings WHERE subject = ? AND name = ?", (subject, name)
            ).fetchone()
        return None if row is None else str(row[0])

    def set(self, subject: str, name: str, value: str | None) -> None:
        """Keep what a subject says of a setting, durably; None is nothing."""
        with self._file.writing() as connection:
            if value is None:
                connection.execute("DELETE FROM settings WHERE subject = ? AND name = ?", (subject, name))
            else:
                connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?, ?)", (subject, name, value))


def _rows(connection: sqlite3.Connection, subject: str) -> list[Row]:
    rows = connection.execute(
        "SELECT version, schema, deleted FROM versions WHERE subject = ? ORDER BY 1", (subject,)
    ).fetchall()
    return [Row(version, schema_id, bool(deleted)) for version, schema_id, deleted in rows]


def _id_of(connection: sqlite3.Connection, schema: Schema) -> int | None:
    row = connection.execute("SELECT min(id) FROM schemas WHERE digest = ?", (schema.digest,)).fetchone()
    return None if row[0] is None else int(row[0])


def _keep(connection: sqlite3.Connection, schema: Schema) -> int:
    known = _id_of(connection, schema)
    if known is not None:
        if schema.serialized:
            _describe(connection, known, schema.serialized)
        return known
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'schemas'").fetchone()
    if last >= MAX_ID:
        raise Refusal(50001, "all 2^31-1 ids are taken: one was imported that leaves none")
    _insert(connection, None, schema)
    return int(connection.execute("SELECT last_insert_rowid()").fetchone()[0])


def _keep_as(connection: sqlite3.Connection, schema: Schema, promised: Sequence[int]) -> int:
    held = {each: _digest_of(connection, each) for each in promised}
    for schema_id, digest in held.items():
        if digest == schema.digest:
            return schema_id
    for schema_id, digest in held.items():
        if digest is None:
            _insert(connection, schema_id, schema)
            return schema_id
    return _keep(connection, schema)


def _digest_of(connection: sqlite3.Connection, schema_id: int) -> str | None:
    row = connection.execute("SELECT digest FROM schemas WHERE id = ?", (schema_id,)).fetchone()
    return None if row is None else str(row[0])


def _import(connection: sqlite3.Connection, schema_id: int, schema: Schema) -> None:
    digest = _digest_of(connection, schema_id)
    if digest is None:
        _insert(connection, schema_id, schema)
    elif digest != schema.digest:
        raise not_permitted(f"Overwrite new schema with id {schema_id} is not permitted.")


def _insert(connection: sqlite3.Connection, schema_id: int | None, schema: Schema) -> None:
    more = {
        "references": [list(each) for each in schema.references],
        "metadata": schema.metadata,
        "rules": schema.rules,
        "serialized": schema.serialized,
    }
    connection.execute(
        "INSERT INTO schemas VALUES (?, ?, ?, ?, ?)",
        (schema_id, schema.digest, schema.type, schema.text, json.dumps(more)),
    )


def _describe(connection: sqlite3.Connection, schema_id: int, serialized: str) -> None:
    """Keep the descriptor of a schema that came as text before."""
    (more,) = connection.execute("SELECT more FROM schemas WHERE id = ?", (schema_id,)).fetchone()
    said = json.loads(more)
    if not said.get("serialized"):
        said["serialized"] = serialized
        connection.execute("UPDATE schemas SET more = ? WHERE id = ?", (json.dumps(said), schema_id))


def _schema(kind: str, text: str, more: str) -> Schema:
    said = json.loads(more)
    references = tuple(Reference(*each) for each in said["references"])
    return Schema(kind, text, references, said["metadata"], said["rules"], said.get("serialized", ""))
