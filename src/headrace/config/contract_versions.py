"""The versions of a contract: files beside its newest schema, which are over their time, and the way to the newest.

schemas/orders.json          the newest; or, where it is not there, the newest of the folder
schemas/orders/v1.json       an older one: integers or MAJOR.MINOR.PATCH, with or without the v
"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.config.files import inside
from headrace.config.said_versions import Said, said_of
from headrace.contracts.versions import Number, Version, next_major, number_of, said_version
from headrace.errors import ContractError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from headrace.config.faults import Fault
    from headrace.config.files import Key
    from headrace.config.source import Source
    from headrace.config.validation import Origin
    from headrace.stages.upcast import UpcastStep


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
        if dataset.version_from is not None or dataset.iglu is not None:
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
