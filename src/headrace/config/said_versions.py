"""What a source's file says of the versions of a contract: how far each is, and the steps between them."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from headrace.config.faults import did_you_mean
from headrace.connectors.ingestion import dataset_name
from headrace.contracts.versions import number_of
from headrace.stages.versioning import VersioningSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.config.faults import Fault
    from headrace.config.files import Key
    from headrace.config.source_file import SourceFile
    from headrace.config.validation import Origin
    from headrace.contracts.versions import Version, VersionSpec
    from headrace.stages.upcast import UpcastStep
    from headrace.stages.versioned import VersionFrom


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
