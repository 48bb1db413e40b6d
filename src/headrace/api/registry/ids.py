"""The ids that the registry gives to the versions of contracts, and what to write so that messages may name them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from headrace.api.registry.contracts import ids_in_file, subjects_of
from headrace.api.registry.store import Store
from headrace.config.faults import did_you_mean
from headrace.config.said_versions import said_of
from headrace.errors import ConfigError
from headrace.runtime.state import open_state

if TYPE_CHECKING:
    from headrace.config.project import Project


def given(project: Project, source: str | None) -> dict[str, Any]:
    """Return the documented shape of `registry ids --json`; a version that never had an id gets one, durably.

    Raises `ConfigError` where there is no such source, or it has no contract.
    """
    if source is not None and source not in project.sources:
        raise ConfigError(f"no source {source!r}", at="SOURCE", fix=did_you_mean(source, project.sources))
    open_state(project.state)
    with contextlib.closing(Store(project.state)) as store:
        subjects = subjects_of(project, store)
    datasets = {dataset.name: dataset for each in project.sources.values() for dataset in each.datasets}
    found = []
    for name, subject in subjects.items():
        if source not in {None, subject.source}:
            continue
        dataset = datasets[subject.dataset]
        versions = []
        for version, row in zip(dataset.versions, subject.rows, strict=True):
            listed = ids_in_file(dataset, version)
            ids = listed if row.id in listed else (*listed, row.id)
            versions.append({"version": version.name, "number": row.version, "id": row.id, "listed": list(listed),
                             "ids": list(ids)})  # fmt: skip
        says = ", ".join(f"{each['version']}: {each['ids']}" for each in versions)
        found.append({
            "source": subject.source, "dataset": subject.dataset, "subject": name, "versions": versions,
            # Events in Iglu's envelopes name their versions there.
            "yaml": f"version_from: {{confluent: {{{says}}}}}" if dataset.iglu is None else None,
            "at": ".".join(map(str, said_of(project.sources[subject.source].spec, subject.dataset).key)),
        })  # fmt: skip
    if source is not None and not found:
        raise ConfigError(f"{source} has no contract, and so no subject", at="SOURCE", fix="write its schema first")
    return {"subjects": found}
