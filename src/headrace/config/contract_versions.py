"""The versions of a contract: files beside its newest schema, what the source says of each, and the way to the newest.

schemas/orders.json          the newest; or, where it is not there, the newest of the folder
schemas/orders/v1.json       an older one: integers or MAJOR.MINOR.PATCH, with or without the v
"""

from __future__ import annotations

import dataclasses
import itertools
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from headrace.config.faults import did_you_mean
from headrace.config.files import inside
from headrace.connectors.ingestion import dataset_name
from headrace.contracts.versions import Number, Version, next_major, number_of, said_version
from headrace.errors import ContractError
from headrace.stages.versioning import VersioningSpec

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from headrace.config.faults import Fault
    from headrace.config.files import Key
    from headrace.config.source import Source
    from headrace.config.source_file import SourceFile
    from headrace.config.validation import Origin
    from headrace.contracts.versions import VersionSpec
    from headrace.stages.upcast import UpcastStep
    from headrace.stages.versioned import VersionFrom


class VersionFile(NamedTuple):
    """A version that stands in a file of its own."""

    number: Number
    name: str
    file: str


@dataclasses.dataclass(frozen=True)
class Newest:
    """What the newest version is called: `declared` says that a document or a file's name numbers it."""

    name: str
    number: Number
    declared: bool


def version_files(root: Path, file: str) -> list[VersionFile]:
    """Return the versions in the folder of a schema file (`schemas/orders/` of schemas/orders.json), oldest first.

    Files whose names are no versions are not looked at; neither is a folder outside of the project.
    """
    folder = PurePosixPath(file).with_suffix("")
    if "\0" in file or not (root / folder).is_dir() or not inside(root / folder, (root,)):
        return []
    found = (
        VersionFile(number, path.stem, f"{folder}/{path.name}")
        for path in (root / folder).glob("*.json")
        if (number := number_of(path.stem)) is not None
    )
    return sorted(found)


def twice(files: Sequence[VersionFile]) -> str:
    """Return what is wrong where two files are the same version (`v1.json` and `1.0.0.json`); empty where none are."""
    for one, other in itertools.pairwise(files):
        if one.number == other.number:
            return f"{one.file} and {other.file} are the same version"
    return ""


def newest(document: Mapping[str, Any], older: Sequence[VersionFile], own: VersionFile | None = None) -> Newest | str:
    """Return what the newest version is called, or why it cannot be what its document says.

    `own` is the file that it stands in where that is one of the folder's: then the file's name says it.
    """
    said = said_version(document)
    if own is not None:
        if said is not None and number_of(said) != own.number:
            return f"the file is called {own.name}, and its document says version {said}: rename the file"
        return Newest(own.name, own.number, declared=True)
    if said is None and not older:
        return Newest("v1", (1, 0, 0), declared=False)
    like = older[-1].name if older else "v1"
    if said is None:
        name = next_major(older[-1].number, like)
        return Newest(name, number_of(name) or (1, 0, 0), declared=True)
    number = number_of(said)
    if number is None:
        if older:
            return f"the version {said!r} cannot be ordered: write an integer or MAJOR.MINOR.PATCH"
        return Newest(str(said), (1, 0, 0), declared=True)
    if older and number <= older[-1].number:
        return f"it says version {said}, and {older[-1].file} is not older: write {next_major(older[-1].number, '1')}"
    text = str(said)
    return Newest(text if text.startswith("v") or not like.startswith("v") else f"v{text}", number, declared=True)


@dataclasses.dataclass(frozen=True)
class Said:
    """What a source's file says of the versions of one dataset, and at which key: of its schema, or at its table.

    Of a table that says nothing of `version_from`, what the schema says holds.
    """

    spec: VersioningSpec
    key: Key
    version_from: VersionFrom | None
    _version_from_at: Key

    def at(self, *key: str | int) -> Key:
        """Return the key of something below."""
        return (*(self._version_from_at if key[:1] == ("version_from",) else self.key), *key)

    def named(self, version: Version) -> str:
        """Return what `versions` calls a version."""
        return next((name for name in self.spec.versions if number_of(name) == version.number), version.name)


def said_of(spec: SourceFile, dataset: str) -> Said:
    """Return what is said of the versions of a dataset."""
    schema = spec.schema_ or VersioningSpec()
    for index, table in enumerate(spec.ingestion.tables):
        with suppress(ValueError):  # of a name that is too long, which is told where it stands
            if dataset_name(spec.source_id, table.name) == dataset:
                key: Key = ("ingestion", "tables", index)
                if table.version_from is not None:
                    return Said(table, key, table.version_from, key)
                return Said(table, key, schema.version_from, ("schema",))
    return Said(schema, ("schema",), schema.version_from, ("schema",))


class Lifecycles:
    """What `versions:` say of each version; what they say of one that is not there is a fault."""

    def __init__(self, said: Said, origin: Origin) -> None:
        self._where = said
        self._said: dict[str, VersionSpec] = dict(said.spec.versions)
        self._origin = origin

    def of(self, version: Version) -> Version:
        """Return a version with its lifecycle: stable where nobody says, and a draft where nobody numbered it."""
        said = next((spec for name, spec in self._said.items() if number_of(name) == version.number), None)
        if said is None:
            return dataclasses.replace(version, lifecycle="stable" if version.declared else "draft")
        return dataclasses.replace(
            version, lifecycle=said.status, until=said.until, csv_columns=said.csv_columns, declared=True
        )

    def faults(self, versions: Sequence[Version]) -> list[Fault]:
        """Return what is wrong with what they say, once all versions are known."""
        names = [version.name for version in versions]
        numbers = {version.number for version in versions}
        found = [
            self._origin.error(
                self._where.at("versions", name), f"the contract has no version {name}", did_you_mean(name, names)
            )
            for name in self._said
            if number_of(name) not in numbers
        ]
        if versions and versions[-1].lifecycle == "retired":
            key = self._where.at("versions", self._where.named(versions[-1]))
            message = f"{versions[-1].name} is the newest version, and no event would be taken"
            found.append(self._origin.error(key, message, "retire it when there is a newer one"))
        return found


def named_steps(
    word: Literal["upcast", "downcast"],
    said: Said,
    versions: Sequence[Version],
    origin: Origin,
    faults: list[Fault],
) -> dict[str, tuple[UpcastStep, ...]]:
    """Return the steps of a key by the name of the older version that they start from, or lead to."""
    found: dict[str, tuple[UpcastStep, ...]] = {}
    older = {version.number: version.name for version in versions[:-1]}
    for name, steps in getattr(said.spec, word).items():
        number = number_of(name)
        if number in older:
            found[older[number]] = steps
            continue
        newest_one = bool(versions) and number == versions[-1].number
        message = f"{name} is the newest version: nothing follows it" if newest_one else f"no older version {name}"
        faults.append(origin.error(said.at(word, name), message, did_you_mean(name, older.values())))
    return found


def no_default(said: Said, versions: Sequence[Version], origin: Origin) -> list[Fault]:
    """Return that the version which events have that name none is not there."""
    name = said.version_from.default if said.version_from is not None else None
    if name is None or number_of(name) in {version.number for version in versions}:
        return []
    message = f"the contract has no version {name}"
    hint = did_you_mean(name, [version.name for version in versions])
    return [origin.error(said.at("version_from", "default"), message, hint)]


def overdue(source: Source, origin: Origin, today: dt.date) -> list[Fault]:
    """Return the deprecated versions whose last day is over, and the pushes that still serve readers of them."""
    found = []
    for dataset in source.datasets:
        said = said_of(source.spec, dataset.name)
        for version in dataset.versions:
            if version.until is None or version.until >= today:
                continue
            message = f"{version.name} of {dataset.name} was to be gone after {version.until}"
            fix = "set it `status: retired`, whose events are quarantined; or give it a later `until`"
            found.append(origin.error(said.at("versions", said.named(version), "until"), message, fix))
            for index, push in enumerate(source.spec.serving.push):
                if push.version is None or number_of(push.version) != version.number:
                    continue
                served = f"the push {push.name} still sends {version.name}, which was to be gone after {version.until}"
                move = f"move its readers to {dataset.versions[-1].name}, and take it out"
                found.append(origin.error(("serving", "push", index, "version"), served, move))
    return found


def unreached(source: Source, origin: Origin) -> list[Fault]:
    """Return the steps that no event takes: events of their version meet a newer one as they stand.

    Nothing is known then of which version an event was meant to be, and what the steps would make of it is lost.
    """
    found = []
    for dataset in source.datasets:
        if dataset.version_from is not None:
            continue
        for index, old in enumerate(dataset.versions[:-1]):
            if old.lifecycle == "retired" or all(step.drop is not None for step in dataset.upcasts.get(old.name, ())):
                continue
            newer = [each for each in dataset.versions[index + 1 :] if each.lifecycle != "retired"]
            met = next((each for each in reversed(newer) if _meets_as_it_stands(old, each)), None)
            if met is not None:
                message = (
                    f"events of {old.name} meet {met.name} as they stand: they are read as such, without its steps"
                )
                name_it = f"`version_from: {{attribute: …, default: {old.name}}}`"
                need = f"or require in {met.name} what {old.name} has not"
                fix = f"say what an event is that names no version: {name_it}; {need}"
                said = said_of(source.spec, dataset.name)
                written = next((name for name in said.spec.upcast if number_of(name) == old.number), old.name)
                found.append(origin.warning(said.at("upcast", written), message, fix))
    return found


def _meets_as_it_stands(old: Version, new: Version) -> bool:
    from headrace.contracts.compatibility import Verdict, compare

    try:
        changes = compare(old.contract.schema, new.contract.schema)
    except ContractError:
        return False
    return all(change.backward is Verdict.COMPATIBLE for change in changes)


def way_faults(
    versions: Sequence[Version], upcasts: Mapping[str, Sequence[UpcastStep]], said: Said, origin: Origin, where: Key
) -> list[Fault]:
    """Return what keeps events of older versions from the newest, at the step or the version that it is about."""
    from headrace.stages.upcast_way import check_upcasts

    found = []
    for fault in check_upcasts(versions, upcasts):
        key = said.at(*fault.key) if fault.key else where
        make = origin.warning if fault.warning else origin.error
        found.append(make(key, fault.message, fault.fix))
    return found
