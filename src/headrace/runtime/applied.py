"""Applied versions: what of a contract was once taken by `up` stays what it is, and is recorded.

Decided purely: what the files say and what the lake recorded go in, refusals and rows to record come out.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from headrace.config.kept_versions import changed, content
from headrace.contracts.load import other_word, plain_schema
from headrace.contracts.versions import Version, meaning, next_major
from headrace.errors import ContractError
from headrace.lake import tables

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

    from headrace.config.source import Source
    from headrace.lake.reader import LakeReader
    from headrace.stages.dataset import Dataset

Row = dict[str, Any]
"""A row of `ops.contracts`."""

DRAFT = "draft"
_HELD = {
    "lenient": "fields that the schema does not name are kept in _extra, also where it forbids them",
    "strict": "fields that the schema does not name are not kept, and quarantine their event where it forbids them",
}
_SAID = ("contract_version", "digest", "declared", "owner", "lifecycle", "until")


class Refusal(NamedTuple):
    """A version that was applied with other content: where it stands (`file`, empty: in the source's), and why."""

    source: str
    dataset: str
    version: Version
    message: str
    fix: str

    def as_error(self) -> ContractError:
        """Return the exception that stands for it."""
        return ContractError(self.message, at=self.place(), fix=self.fix)

    def place(self) -> str:
        """Return the file that says otherwise now."""
        return self.version.file or f"connectors/{self.source}.yaml"


class Notice(NamedTuple):
    """What is worth knowing of a version that was applied: it is gone, or is held against events in another way."""

    source: str
    message: str
    fix: str


def applied(lake: LakeReader) -> list[Row]:
    """Return every row of `ops.contracts`, the oldest first; none from a lake of before there were any."""
    if lake.layout(tables.CONTRACTS.name) is None:
        return []
    return in_time(lake.rows(f"SELECT * FROM lake.{tables.CONTRACTS.name}"))


def in_time(rows: Iterable[Row]) -> list[Row]:
    """Return rows of `ops.contracts`, the oldest first."""
    return sorted(rows, key=lambda row: row["applied_at"])


def is_fixed(row: Row) -> bool:
    """Return whether what a row says of a version's content holds for ever."""
    return bool(row["declared"]) and row["lifecycle"] != DRAFT


def refusals(sources: Iterable[Source], recorded: Sequence[Row]) -> list[Refusal]:
    """Return the versions whose content differs from what was applied under the same number.

    What was only ever applied as a draft may change, and so may a version that nobody ever numbered. A number that was
    promised stays so: taking the files away that give it its number frees nothing.
    """
    fixed = {(row["dataset"], row["version"]): row for row in recorded if is_fixed(row)}
    found = []
    for source in sources:
        for dataset in source.datasets:
            for version in dataset.versions:
                row = fixed.get((dataset.name, number(version)))
                if row is not None and _content(row) != content(version):
                    refusal = _refusal if version.declared else _unnumbered
                    found.append(refusal(source, dataset, version, row))
    return found


def missing(sources: Iterable[Source], recorded: Sequence[Row]) -> list[Notice]:
    """Return the fixed versions of datasets that no file has any more; what was retired last may go."""
    fixed = {(row["dataset"], row["version"]) for row in recorded if is_fixed(row)}
    latest = {(row["dataset"], row["version"]): row for row in recorded}
    found = []
    for source in sources:
        for dataset in source.datasets:
            there = {number(version) for version in dataset.versions}
            for key, row in latest.items():
                if key in fixed and key[0] == dataset.name and key[1] not in there and row["lifecycle"] != "retired":
                    name = f"v{key[1]}"
                    back = f"{_show(source, dataset, name)} > schemas/{dataset.name}/{name}.json"
                    found.append(
                        Notice(
                            source.id,
                            f"{name} of {dataset.name} was applied on {row['applied_at']:%Y-%m-%d}, and no file has "
                            "it: its events are held against the versions that are left",
                            f"bring it back: {back}; retire it before you remove it",
                        )
                    )
    return found


def otherwise_held(sources: Iterable[Source], recorded: Sequence[Row]) -> list[Notice]:
    """Return the fixed versions whose `validation` is another since they were applied, which is their source's."""
    fixed = {(row["dataset"], row["version"]) for row in recorded if is_fixed(row)}
    latest = {(row["dataset"], row["version"]): row["contract_version"] for row in recorded}
    found = []
    for source in sources:
        for dataset in source.datasets:
            names = [
                version.name
                for version in dataset.versions
                if (key := (dataset.name, number(version))) in fixed
                and latest[key] != version.contract.version
                and latest[key] == other_word(version.contract, version.document)
            ]
            if names:
                mode = dataset.contract.validation
                was = "strict" if mode == "lenient" else "lenient"
                message = f"{', '.join(names)} of {dataset.name} was applied {was}, and is {mode} now: {_HELD[mode]}"
                found.append(Notice(source.id, message, f"`validation: {was}`, unless that is meant"))
    return found


def to_record(sources: Iterable[Source], recorded: Sequence[Row], deployment: str, now: dt.datetime) -> pa.Table | None:
    """Return the rows that say what is applied now and was not said yet; None where all is said."""
    latest = {(row["dataset"], row["version"]): row for row in recorded}
    rows = []
    for source in sources:
        for dataset in source.datasets:
            for version in dataset.versions:
                row = {
                    "source": source.id,
                    "dataset": dataset.name,
                    "version": number(version),
                    "contract_version": version.contract.version,
                    "digest": content(version),
                    "declared": version.declared,
                    "owner": source.owner,
                    "lifecycle": version.lifecycle,
                    "until": None if version.until is None else version.until.isoformat(),
                    "document": json.dumps(version.document, ensure_ascii=False),
                    "deployment": deployment,
                    "applied_at": now,
                }
                said = latest.get((dataset.name, number(version)))
                if said is None or any(said[name] != row[name] for name in _SAID):
                    rows.append(row)
    return pa.Table.from_pylist(rows, schema=tables.CONTRACTS.columns) if rows else None


def number(version: Version) -> str:
    """Return what the lake calls a version, however its file is spelt: `v2`, `2` and `2.0.0` are `2`."""
    parts = list(map(str, version.number))
    while len(parts) > 1 and parts[-1] == "0":
        parts.pop()
    return ".".join(parts)


def _refusal(source: Source, dataset: Dataset, version: Version, row: Row) -> Refusal:
    newest = dataset.versions[-1]
    told = changed(json.loads(row["document"]), version.document)
    message = (
        f"{version.name} of {dataset.name} was applied on {row['applied_at']:%Y-%m-%d}, and its content differs now"
        f"{': ' + told if told else ''}"
    )
    before = _show(source, dataset, version.name)
    if version is not newest:
        return Refusal(source.id, dataset.name, version, message, f"put it back: {before} > {version.file}")
    following = next_major(version.number, version.name)
    if not version.file:
        fix = f"keep the applied one in schemas/{dataset.name}/{version.name}.json, and call the new one {following}"
        return Refusal(source.id, dataset.name, version, message, f"{fix}: {before}")
    folder = version.file.removesuffix(".json").removesuffix(f"/{version.name}")
    suffix = "" if version.file.endswith(f"/{version.name}") else ".json"  # a file of an Iglu repository has none
    kept = f"{folder}/{version.name}{suffix}"
    if kept == version.file:
        fix = f"make the new one {folder}/{following}{suffix}, and put this one back: {before} > {kept}"
    else:
        said = following.removeprefix("v")
        fix = f'make it {following}: {before} > {kept}, and write "version": "{said}" into {version.file}'
    return Refusal(source.id, dataset.name, version, message, fix)


def _show(source: Source, dataset: Dataset, version: str) -> str:
    """Return the command that prints what a version was when it was applied."""
    table = f" --dataset {dataset.name.removeprefix(f'{source.id}__')}" if source.spec.ingestion.tables else ""
    return f"headrace contract show {source.id} {version}{table} --applied"


def _unnumbered(source: Source, dataset: Dataset, version: Version, row: Row) -> Refusal:
    """Return why a schema that nobody numbers any more cannot take the place of the version with its number."""
    told = changed(json.loads(row["document"]), version.document)
    message = (
        f"nothing numbers this schema of {dataset.name}, so it is {version.name}, and {version.name} was applied on "
        f"{row['applied_at']:%Y-%m-%d} with other content{': ' + told if told else ''}"
    )
    kept = f"schemas/{dataset.name}/{version.name}.json"
    fix = f"keep that one: {_show(source, dataset, version.name)} > {kept}"
    return Refusal(source.id, dataset.name, version, message, fix)


def _content(row: Row) -> str:
    """Return the digest of what a row's version says of events, as we reckon it today."""
    return meaning(plain_schema(json.loads(row["document"])))
