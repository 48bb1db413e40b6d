"""The contracts of a project's files as subjects: there from the start, and written only by a change of the files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.api.registry.schema import Schema
from headrace.api.registry.store import Row
from headrace.contracts.fields import is_fields_form
from headrace.contracts.load import plain_schema
from headrace.contracts.versions import number_of
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headrace.api.registry.store import Store
    from headrace.config.project import Project
    from headrace.config.source import Source
    from headrace.contracts.versions import Version
    from headrace.stages.dataset import Dataset


@dataclass(frozen=True)
class ContractSubject:
    """A dataset's contract as a subject: its versions, how it may change, and the file to change it in.

    `known` are the ids by the digests of all texts that mean a version: as it is served, and as its file has it.
    `unlisted` are the versions whose ids the source's file does not list, though it lists some.
    """

    dataset: str
    source: str
    file: str
    compatibility: str
    rows: tuple[Row, ...]
    known: Mapping[str, Row] = field(default_factory=dict)
    unlisted: tuple[str, ...] = ()


class Contracts:
    """The subjects of a project's files, as the files were when they last loaded; see `refresh`."""

    def __init__(self, project: Project, store: Store) -> None:
        self._root = project.root
        self._environment = project.environment
        self._store = store
        self._stamp = stamp_of(project)
        self.project = project
        self.problem = ""
        self.subjects = subjects_of(project, store)

    def refresh(self) -> bool:
        """Read the files again where one changed; return whether they did. What does not load changes nothing."""
        stamp = stamp_of(self.project)
        if stamp == self._stamp:
            return False
        from headrace.config.project import load_project

        try:
            project = load_project(self._root, self._environment)
            self.subjects = subjects_of(project, self._store)
        except HeadraceError as error:
            self.problem = str(error)
        else:
            self.project, self.problem = project, ""
        self._stamp = stamp
        return True


def subjects_of(project: Project, store: Store) -> dict[str, ContractSubject]:
    """Return the subjects of a project; a version that never had an id gets one, durably."""
    found = {}
    for source in project.sources.values():
        for dataset in source.datasets:
            if dataset.versions:
                found[f"{dataset.name}-value"] = _subject(source, dataset, store)
    return found


def _subject(source: Source, dataset: Dataset, store: Store) -> ContractSubject:
    schemas = [_schema(version) for version in dataset.versions]
    ids = store.keep(schemas, [ids_in_file(dataset, version) for version in dataset.versions])
    numbers = numbers_of(dataset.versions)
    rows = tuple(Row(number, schema_id) for number, schema_id in zip(numbers, ids, strict=True))
    known = {}
    for version, schema, row in zip(dataset.versions, schemas, rows, strict=True):
        known[_as_written(version).digest] = row
        known[schema.digest] = row
    file = dataset.versions[-1].file or f"connectors/{source.id}.yaml"
    mode = source.settings.evolution.replace("_compatible", "").upper()
    is_framed = dataset.version_from is not None and dataset.version_from.confluent is not None
    unlisted = tuple(
        version.name
        for version, row in zip(dataset.versions, rows, strict=True)
        if is_framed and row.id not in ids_in_file(dataset, version)
    )
    return ContractSubject(dataset.name, source.id, file, mode, rows, known, unlisted)


def ids_in_file(dataset: Dataset, version: Version) -> tuple[int, ...]:
    """Return the ids that the source's file gives to a version: those that framed messages may name it by."""
    said = dataset.version_from.confluent if dataset.version_from is not None else None
    return next((ids for name, ids in (said or {}).items() if number_of(name) == version.number), ())


def numbers_of(versions: tuple[Version, ...]) -> list[int]:
    """Return the numbers that Kafka's clients know versions by: those of the files, or their places where not whole."""
    majors = [version.number[0] for version in versions]
    is_whole = all(version.number[1:] == (0, 0) and 1 <= version.number[0] < 2**31 for version in versions)
    return majors if is_whole else list(range(1, len(versions) + 1))


def stamp_of(project: Project) -> tuple[object, ...]:
    """Return what changes when a file of the contracts does. Cheap enough to ask every second."""
    root = project.root
    paths = {root / name for name in project.files} | {root / "headrace.yaml"}
    paths |= set((root / "connectors").glob("*.y*ml")) | set((root / "schemas").glob("**/*.json"))
    paths |= {folder for path in project.files if (folder := (root / path).parent).is_dir()}  # of Iglu's versions
    return tuple(sorted(_seen(path) for path in paths))


def _seen(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), found.st_mtime_ns, found.st_size


def _schema(version: Version) -> Schema:
    """Return a version as clients get it: what the validator applies, so that what passes theirs passes ours."""
    return Schema("JSON", _text(version.contract.schema))


def _as_written(version: Version) -> Schema:
    document = plain_schema(version.document) if is_fields_form(version.document) else version.document
    return Schema("JSON", _text(document))


def _text(document: Mapping[str, object]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
