"""What the registry does, whoever asks: look up, register, judge, delete, configure. Any thread may call it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from headrace.api.registry import forms
from headrace.api.registry.judging import Judged, judged
from headrace.api.registry.refusal import (
    Refusal,
    invalid_schema,
    invalid_version,
    no_schema,
    no_subject,
    no_version,
    not_permitted,
)
from headrace.api.registry.store import MAX_ID, Row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from headrace.api.registry.contracts import Contracts, ContractSubject
    from headrace.api.registry.schema import Reference, Schema
    from headrace.api.registry.store import Store
    from headrace.contracts.compatibility import ContentModel

LEVELS = ("NONE", *(f"{word}{much}" for word in ("BACKWARD", "FORWARD", "FULL") for much in ("", "_TRANSITIVE")))
MODES = ("READWRITE", "READONLY", "IMPORT")
MAX_SUBJECT = 255
_TRIES = 10  # how often a registration is decided anew because others registered in the same subject meanwhile


class Registered(NamedTuple):
    """A version of a subject, and its schema."""

    subject: str
    row: Row
    schema: Schema


class Registry:
    """The subjects of the project's files, and those that clients made."""

    def __init__(self, store: Store, contracts: Contracts, model: ContentModel) -> None:
        self._store = store
        self._contracts = contracts
        self._model = model

    @property
    def root(self) -> Path:
        """The folder of the project."""
        return self._contracts.project.root

    def names(self, *, deleted: bool = False, deleted_only: bool = False) -> list[str]:
        """Return the names of all subjects."""
        found = set() if deleted_only else set(self._contracts.subjects)
        for subject, rows in self._store.subjects().items():
            is_live = any(not row.deleted for row in rows)
            if subject not in self._contracts.subjects and (not is_live if deleted_only else is_live or deleted):
                found.add(subject)
        return sorted(found)

    def rows(self, subject: str, *, deleted: bool = False) -> list[Row]:
        """Return a subject's versions, oldest first. Raises `Refusal` where there is none."""
        ours = self._contracts.subjects.get(subject)
        rows = self._store.rows(subject) if ours is None else list(ours.rows)
        found = [row for row in rows if deleted or not row.deleted]
        if not found:
            raise no_subject(subject)
        return found

    def version(self, subject: str, which: str, *, deleted: bool = False) -> Registered:
        """Return a version, by its number, `latest` or -1."""
        rows = self.rows(subject, deleted=deleted)
        number = number_of(which)
        row = rows[-1] if number is None else next((row for row in rows if row.version == number), None)
        if row is None:
            raise no_version(number)
        return Registered(subject, row, self.schema(row.id))

    def schema(self, schema_id: int) -> Schema:
        """Return a schema by its id."""
        found = self._store.schema(schema_id)
        if found is None:
            raise no_schema(schema_id)
        return found

    def schema_by_guid(self, guid: str) -> tuple[int, Schema]:
        """Return the id and the schema that a guid names."""
        found = self._store.id_by_guid(guid)
        if found is None:
            raise no_schema(guid)
        return found, self.schema(found)

    def holders(self, schema_id: int, *, deleted: bool = False) -> list[tuple[str, int]]:
        """Return the subjects, with their versions, that have a schema."""
        self.schema(schema_id)
        return sorted(
            (subject, row.version)
            for subject, rows in self._all().items()
            for row in rows
            if row.id == schema_id and (deleted or not row.deleted)
        )

    def referring(self, subject: str, number: int) -> list[int]:
        """Return the ids of the schemas, of versions that are live, which refer to a version."""
        found = set()
        for row in itertools.chain.from_iterable(self._all().values()):
            if not row.deleted and (subject, number) in {each[1:] for each in self.schema(row.id).references}:
                found.add(row.id)
        return sorted(found)

    def look_up(self, subject: str, schema: Schema, *, deleted: bool = False) -> Registered:
        """Return the version of a subject that has a schema, whatever its spelling."""
        rows = self.rows(subject, deleted=deleted)
        schema = self._pinned(schema)
        row = self._same(subject, rows, schema)
        if row is None:
            forms.valid(schema, self._resolve)
            raise no_schema()
        return Registered(subject, row, self.schema(row.id))

    def register(
        self, subject: str, schema: Schema, *, version: int | None = None, schema_id: int | None = None
    ) -> Registered:
        """Return the version that a subject has of a schema, made if it is allowed; durable when this returns.

        `version` and `schema_id` are those of another registry: in mode IMPORT only, without a look at compatibility.
        """
        _check_name(subject)
        schema = self._pinned(schema)
        ours = self._contracts.subjects.get(subject)
        if ours is not None:
            return self._of_files(subject, ours, schema)
        mode = self.mode(subject)
        self._refuse_read_only(subject)
        if mode == "IMPORT" and (schema_id is None or not 1 <= schema_id <= MAX_ID):
            raise not_permitted(f"Subject {subject} is in import mode: the body has an `id` of 1 to {MAX_ID}")
        if mode != "IMPORT" and (schema_id is not None or version is not None):
            raise not_permitted(f"Subject {subject} is not in import mode")
        if version is not None and not 1 <= version <= MAX_ID:
            raise invalid_version(version)
        form = forms.valid(schema, self._resolve)
        for _ in range(_TRIES):
            rows = self._store.rows(subject)
            live = [row for row in rows if not row.deleted]
            same = self._same(subject, live, schema)
            if same is not None and mode != "IMPORT":
                if schema.serialized:
                    self._store.keep([schema])  # it may have come as text before: its descriptor is kept beside that
                return Registered(subject, same, self.schema(same.id))
            if mode != "IMPORT":
                self._check(subject, form, live)
            row = self._store.register(subject, schema, rows, version=version, schema_id=schema_id)
            if row is not None:
                return Registered(subject, row, self.schema(row.id))
        raise Refusal(50002, f"others keep registering in {subject}: send it again")

    def compare(self, subject: str, schema: Schema, which: str | None) -> Judged:
        """Judge a schema against one version of a subject, or against those that its level asks for."""
        _check_name(subject)
        form = forms.valid(self._pinned(schema), self._resolve)
        if which is not None:
            against = [self.version(subject, which).row]
        else:
            known = subject in self._contracts.subjects or self._store.rows(subject)
            against = self.rows(subject) if known and subject in self.names() else []
        return self._judge(subject, form, against)

    def delete_subject(self, subject: str, *, permanent: bool) -> list[int]:
        """Delete all versions of a subject, softly, or for good what was deleted softly; return their numbers."""
        self._refuse_files(subject)
        self._refuse_read_only(subject)
        rows = self._store.rows(subject)
        if not rows:
            raise no_subject(subject)
        live = [row.version for row in rows if not row.deleted]
        if permanent:
            if live:
                raise Refusal(40405, f"Subject '{subject}' was not deleted first before being permanently deleted")
            self._store.forget(subject, [row.version for row in rows])
            return [row.version for row in rows]
        if not live:
            message = f"Subject '{subject}' was soft deleted.Set permanent=true to delete permanently"
            raise Refusal(40404, message)
        self._refuse_referred(subject, live)
        self._store.mark_deleted(subject, live)
        for name in ("compatibility", "mode"):
            self._store.set(subject, name, None)
        return live

    def delete_version(self, subject: str, which: str, *, permanent: bool) -> int:
        """Delete a version, softly, or for good one that was deleted softly; return its number."""
        self._refuse_files(subject)
        self._refuse_read_only(subject)
        rows = self._store.rows(subject)
        if not rows:
            raise no_subject(subject)
        number = number_of(which)
        row = next(
            (row for row in reversed(rows) if number in {row.version, None} and (number or not row.deleted)), None
        )
        if row is None:
            raise no_version(which)
        named = f"Subject '{subject}' Version {row.version} was"
        if permanent and not row.deleted:
            raise Refusal(40407, f"{named} not deleted first before being permanently deleted")
        if permanent:
            self._store.forget(subject, [row.version])
            return row.version
        if row.deleted:
            raise Refusal(40406, f"{named} soft deleted.Set permanent=true to delete permanently")
        self._refuse_referred(subject, [row.version])
        self._store.mark_deleted(subject, [row.version])
        return row.version

    def level(self, subject: str = "") -> str:
        """Return the compatibility level that holds for a subject."""
        return self.own_level(subject) or self._store.setting("", "compatibility") or LEVELS[1]

    def own_level(self, subject: str) -> str | None:
        """Return the level that a subject has of its own."""
        ours = self._contracts.subjects.get(subject)
        return self._store.setting(subject, "compatibility") if ours is None else ours.compatibility

    def set_level(self, subject: str, level: str | None) -> str:
        """Set the level of a subject, or of all; None takes it back. Returns what it was."""
        ours = self._contracts.subjects.get(subject)
        if ours is not None:
            raise not_permitted(
                f"Subject {subject} is the contract of {ours.dataset}: write `schema: {{evolution: …}}` in "
                f"connectors/{ours.source}.yaml"
            )
        _check_name(subject, or_all=True)
        self._refuse_read_only(subject)
        if level is not None and level not in LEVELS:
            raise Refusal(42203, f"Invalid compatibility level. Valid values are {', '.join(LEVELS)}")
        before = self.level(subject)
        self._store.set(subject, "compatibility", level)
        return before

    def mode(self, subject: str = "") -> str:
        """Return the mode that holds for a subject."""
        return self.own_mode(subject) or self._store.setting("", "mode") or MODES[0]

    def own_mode(self, subject: str) -> str | None:
        """Return the mode that a subject has of its own; a contract of the project's files is never written here."""
        return "READONLY" if subject in self._contracts.subjects else self._store.setting(subject, "mode")

    def set_mode(self, subject: str, mode: str | None, *, force: bool = False) -> str:
        """Set the mode of a subject, or of all; None takes it back. Returns what it was."""
        self._refuse_files(subject)
        _check_name(subject, or_all=True)
        if mode is not None and mode not in MODES:
            raise Refusal(42204, f"Invalid mode. Valid values are {', '.join(MODES)}")
        if mode == "IMPORT" and not force and (self._store.rows(subject) if subject else self._store.subjects()):
            raise not_permitted("Cannot import since found existing subjects: send force=true if they may stay")
        before = self.mode(subject)
        self._store.set(subject, "mode", mode)
        return before

    def _all(self) -> dict[str, Sequence[Row]]:
        ours = {subject: each.rows for subject, each in self._contracts.subjects.items()}
        return {**self._store.subjects(), **ours}

    def _same(self, subject: str, rows: Sequence[Row], schema: Schema) -> Row | None:
        ours = self._contracts.subjects.get(subject)
        if ours is not None:
            return ours.known.get(schema.digest)
        ids = self._store.ids_of(schema)
        return next((row for row in reversed(rows) if row.id in ids), None)

    def _of_files(self, subject: str, ours: ContractSubject, schema: Schema) -> Registered:
        row = self._same(subject, ours.rows, schema)
        if row is not None:
            return Registered(subject, row, self.schema(row.id))
        self._check(subject, forms.valid(schema, self._resolve), list(ours.rows))
        raise not_permitted(
            f"Subject {subject} is the contract of {ours.dataset}, whose versions are files of the project: write it "
            f"to {ours.file}, then type: headrace contract diff {ours.source}"
        )

    def _check(self, subject: str, form: forms.Form, rows: Sequence[Row]) -> None:
        found = self._judge(subject, form, rows)
        if not found.allowed:
            details = "; ".join(found.messages)
            raise Refusal(
                409,
                "Schema being registered is incompatible with an earlier schema for subject "
                f'"{subject}", details: [{details}]',
            )

    def _judge(self, subject: str, form: forms.Form, rows: Sequence[Row]) -> Judged:
        level = self.level(subject)
        if level == LEVELS[0] or not rows:
            return Judged(allowed=True, messages=())
        asked = rows if level.endswith("_TRANSITIVE") else rows[-1:]
        chain = [(row.version, forms.valid(self.schema(row.id), self._resolve)) for row in asked]
        return judged(chain, form, level, self._model)

    def _resolve(self, reference: Reference) -> Schema:
        try:
            return self.version(reference.subject, str(reference.version), deleted=True).schema
        except Refusal as refusal:
            named = f"{reference.name!r} (subject {reference.subject!r}, version {reference.version})"
            raise invalid_schema(f"no schema reference found for {named}: {refusal.message}") from None

    def _pinned(self, schema: Schema) -> Schema:
        """Return a schema whose references name versions by number: what is latest now is not so for ever."""
        if all(each.version != -1 for each in schema.references):
            return schema
        pinned = [
            each if each.version != -1 else each._replace(version=self.version(each.subject, "latest").row.version)
            for each in schema.references
        ]
        return replace(schema, references=tuple(pinned))

    def _refuse_files(self, subject: str) -> None:
        ours = self._contracts.subjects.get(subject)
        if ours is not None:
            raise not_permitted(
                f"Subject {subject} is the contract of {ours.dataset}: it is changed in {ours.file}, and here it is "
                "read only"
            )

    def _refuse_read_only(self, subject: str) -> None:
        if self.mode(subject) == "READONLY":
            raise not_permitted(f"Subject {subject} is in read-only mode" if subject else "All is in read-only mode")

    def _refuse_referred(self, subject: str, numbers: Sequence[int]) -> None:
        for number in numbers:
            if by := self.referring(subject, number):
                raise Refusal(
                    42206, f"One or more references exist to the schema {subject} version {number}: ids {by[:20]}"
                )


def number_of(which: str) -> int | None:
    """Return the number of a version; None is the latest. Raises `Refusal` (422)."""
    if which in {"latest", "-1"}:
        return None
    if not (which.isascii() and which.isdigit()) or len(which) > 10 or not 1 <= int(which) <= MAX_ID:
        raise invalid_version(which[:40])
    return int(which)


def _check_name(subject: str, *, or_all: bool = False) -> None:
    if or_all and not subject:
        return
    if not subject or len(subject) > MAX_SUBJECT or not subject.isprintable():
        raise Refusal(42208, f"The specified subject is not a valid: 1 to {MAX_SUBJECT} characters that can be printed")
