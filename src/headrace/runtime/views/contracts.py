"""The versions of contracts as people look at them: what the files say, and what was applied, with its events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from headrace.config.faults import did_you_mean
from headrace.config.kept_versions import content
from headrace.contracts.versions import number_of
from headrace.errors import ConfigError
from headrace.lake.reader import open_reader
from headrace.runtime import applied

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.config.project import Project
    from headrace.config.source import Source
    from headrace.contracts.versions import Version
    from headrace.lake.reader import LakeReader
    from headrace.stages.dataset import Dataset


def listed(project: Project) -> dict[str, Any]:
    """Return the documented shape of `contract list --json`: every version of every source, the newest first."""
    recorded, counts = _recorded(project.state)
    versions = [
        _of(source, dataset, version, recorded, counts)
        for source in project.sources.values()
        for dataset in source.datasets
        for version in reversed(dataset.versions)
    ]
    return {"versions": versions}


def shown(project: Project, source_id: str, name: str | None, table: str | None = None) -> dict[str, Any]:
    """Return the documented shape of `contract show --json`.

    Raises `ConfigError` where there is no such version, or the source has several tables and none is named.
    """
    source = project.source(source_id)
    datasets = (source.dataset(table),) if table is not None or len(source.datasets) > 1 else source.datasets
    recorded, counts = _recorded(project.state)
    wanted = number_of(name) if name is not None else None
    for dataset in datasets:
        for version in reversed(dataset.versions):
            if name is None or version.name == name or (wanted is not None and version.number == wanted):
                return _of(source, dataset, version, recorded, counts) | {"document": version.document}
    names = [version.name for dataset in datasets for version in dataset.versions]
    raise _none(source_id, name or "", names, "is there")


def as_applied(state: Path, source_id: str, name: str | None, table: str | None = None) -> dict[str, Any]:
    """Return the documented shape of `contract show --applied --json`; the newest that was applied unless named.

    Needs the environment's state and no files: it is what brings a file back that keeps the project from loading.
    Raises `ConfigError` where no such version was applied, or of several tables none is named.
    """
    rows = [row for row in _recorded(state)[0] if row["source"] == source_id]
    tables = dict.fromkeys(row["dataset"].removeprefix(f"{source_id}__") for row in rows)
    wrong = table is not None and table.removeprefix(f"{source_id}__") not in tables
    if wrong or (table is None and len(tables) > 1):
        message = f"no table {table} of {source_id} was applied" if wrong else f"{source_id} has {len(tables)} tables"
        raise ConfigError(message, at="--dataset", fix=f"one of: {', '.join(tables)}")
    if table is not None:
        rows = [
            row for row in rows if row["dataset"].removeprefix(f"{source_id}__") == table.removeprefix(f"{source_id}__")
        ]
    numbers = [number_of(row["version"]) or (0, 0, 0) for row in rows]
    wanted = number_of(name) if name is not None else max(numbers, default=None)
    mine = [row for row, number in zip(rows, numbers, strict=True) if number == wanted]
    # What is fixed is what it once was as other than a draft; of drafts, the latest.
    row = next((row for row in reversed(mine) if applied.is_fixed(row)), mine[-1] if mine else None)
    if row is None:
        raise _none(source_id, name or "", list(dict.fromkeys(row["version"] for row in rows)), "was applied")
    said = ("source", "dataset", "version", "contract_version", "digest", "owner", "lifecycle", "until")
    found = {key: row[key] for key in said} | {"applied_at": row["applied_at"].isoformat()}
    return found | {"document": json.loads(row["document"])}


def history(project: Project, source_id: str) -> dict[str, Any]:
    """Return the documented shape of `contract history --json`: what was applied, the oldest first."""
    project.source(source_id)
    recorded, counts = _recorded(project.state)
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


def _recorded(state: Path) -> tuple[list[applied.Row], _Counts]:
    with open_reader(state / "lake") as lake:
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
    digest, name = content(version), applied.number(version)
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


def _none(source: str, name: str, names: list[str], what: str) -> ConfigError:
    if not names:
        fix = "headrace contract list shows what there is"
        return ConfigError(f"no version of {source} {what}", at=f"connectors/{source}.yaml", fix=fix)
    return ConfigError(
        f"no version {name} of {source} {what}",
        at=f"connectors/{source}.yaml",
        fix=did_you_mean(name, names) or f"one of: {', '.join(names)}",
    )
