"""The versions of contracts as people look at them: what the files say, and what was applied, with its events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from headrace.config.faults import did_you_mean
from headrace.contracts.versions import Number, number_of
from headrace.errors import ConfigError
from headrace.lake.reader import open_reader
from headrace.runtime import applied

if TYPE_CHECKING:
    from headrace.config.project import Project
    from headrace.config.source import Source
    from headrace.contracts.versions import Version
    from headrace.lake.reader import LakeReader
    from headrace.stages.dataset import Dataset


def listed(project: Project) -> dict[str, Any]:
    """Return the documented shape of `contract list --json`: every version of every source, the newest first."""
    recorded, counts = _recorded(project)
    versions = [
        _of(source, dataset, version, recorded, counts)
        for source in project.sources.values()
        for dataset in source.datasets
        for version in reversed(dataset.versions)
    ]
    return {"versions": versions}


def shown(project: Project, source_id: str, name: str | None, *, as_applied: bool) -> dict[str, Any]:
    """Return the documented shape of `contract show --json`; with `as_applied`, the document as the lake recorded it.

    Raises `ConfigError` where there is no such version.
    """
    source = project.source(source_id)
    recorded, counts = _recorded(project)
    rows = [row for row in recorded if row["source"] == source_id]
    found = _find(source, name)
    if as_applied:
        wanted = number_of(name) if name is not None else None if found is None else found[1].number
        row = next((row for row in reversed(rows) if _fixed(row) and number_of(row["version"]) == wanted), None)
        row = row or next((row for row in reversed(rows) if number_of(row["version"]) == wanted), None)
        if row is None:
            names = [row["version"] for row in rows]
            raise _none(source, name or "", names, "was applied")
        said = {key: row[key] for key in ("source", "dataset", "version", "contract_version", "digest", "owner")}
        rest = {"lifecycle": row["lifecycle"], "until": row["until"], "applied_at": row["applied_at"]}
        return said | rest | {"document": json.loads(row["document"])}
    if found is None:
        names = [version.name for dataset in source.datasets for version in dataset.versions]
        raise _none(source, name or "", names, "is there")
    dataset, version = found
    return _of(source, dataset, version, recorded, counts) | {"document": version.document}


def history(project: Project, source_id: str) -> dict[str, Any]:
    """Return the documented shape of `contract history --json`: what was applied, the oldest first."""
    project.source(source_id)
    recorded, counts = _recorded(project)
    names = ("dataset", "version", "contract_version", "digest", "owner", "lifecycle", "until", "deployment")
    return {
        "source": source_id,
        "applied": [
            {name: row[name] for name in names}
            | {"applied_at": row["applied_at"].isoformat()}
            | counts.get((row["dataset"], row["contract_version"]), _NOTHING)
            for row in recorded
            if row["source"] == source_id
        ],
    }


_NOTHING = {"events": 0, "silver": 0, "quarantined": 0}
_Counts = dict[tuple[str, str], dict[str, int]]


def _recorded(project: Project) -> tuple[list[applied.Row], _Counts]:
    with open_reader(project.state / "lake") as lake:
        return ([], {}) if lake is None else (applied.applied(lake), _counts(lake))


def _counts(lake: LakeReader) -> _Counts:
    """Return how many messages the ledger has of each contract version."""
    rows = lake.rows(
        "SELECT dataset, contract_version, sum(accepted)::BIGINT AS events, sum(silver)::BIGINT AS silver, "
        "sum(quarantined)::BIGINT AS quarantined FROM lake.ops.ledger GROUP BY ALL"
    )
    return {(row.pop("dataset"), row.pop("contract_version")): row for row in rows}


def _of(
    source: Source, dataset: Dataset, version: Version, recorded: list[applied.Row], counts: _Counts
) -> dict[str, Any]:
    digest, name = applied.content(version), applied.number(version)
    same = [row for row in recorded if (row["dataset"], row["version"], row["digest"]) == (dataset.name, name, digest)]
    words = {row["contract_version"] for row in same} | {version.contract.version}
    found = [counts[dataset.name, word] for word in words if (dataset.name, word) in counts]
    return {
        "source": source.id,
        "dataset": dataset.name,
        "version": version.name,
        "newest": version is dataset.versions[-1],
        "lifecycle": version.lifecycle,
        "until": None if version.until is None else version.until.isoformat(),
        "contract_version": version.contract.version,
        "digest": digest,
        "file": version.file or None,
        "owner": source.owner,
        "applied_at": same[0]["applied_at"].isoformat() if same else None,
        **{key: sum(each[key] for each in found) for key in _NOTHING},
    }


def _find(source: Source, name: str | None) -> tuple[Dataset, Version] | None:
    """Return a version by its name, of whichever dataset has it first; the newest where none is named."""
    wanted: Number | None = number_of(name) if name is not None else None
    for dataset in source.datasets:
        for version in reversed(dataset.versions):
            if name is None or version.name == name or (wanted is not None and version.number == wanted):
                return dataset, version
    return None


def _fixed(row: applied.Row) -> bool:
    return bool(row["declared"]) and row["lifecycle"] != applied.DRAFT


def _none(source: Source, name: str, names: list[str], what: str) -> ConfigError:
    if not names:
        said = f"no version of {source.id} {what}"
        return ConfigError(said, at=f"connectors/{source.file.name}", fix="headrace contract list shows what there is")
    return ConfigError(
        f"no version {name} of {source.id} {what}",
        at=f"connectors/{source.file.name}",
        fix=did_you_mean(name, names) or f"one of: {', '.join(names)}",
    )
