"""Deployments: the project's files as the runtime took them, recorded before anything runs under them."""

from __future__ import annotations

import datetime as dt
import json
from contextlib import suppress
from typing import TYPE_CHECKING

import pyarrow as pa

import headrace
from headrace.config.faults import Fault
from headrace.errors import LakeError
from headrace.lake import tables
from headrace.lake.base import Change
from headrace.lake.reader import open_reader
from headrace.runtime import applied
from headrace.runtime.tick import Tick

if TYPE_CHECKING:
    from headrace.bus.base import Bus
    from headrace.config.project import Assembled, Project
    from headrace.errors import ContractError
    from headrace.lake.ducklake import DuckLake


def now() -> dt.datetime:
    """Return the time of the machine."""
    return dt.datetime.now(dt.UTC)


def undeployable(assembled: Assembled) -> list[Fault]:
    """Return why `up` would not take the contracts of a project: what silver has already says something else.

    Reads the lake of the environment, where there is one; a lake that cannot be read is not the files' fault.
    """
    if assembled.project is None:
        return []
    refused: dict[str, ContractError] = {}
    changed: list[applied.Refusal] = []
    with suppress(LakeError), open_reader(assembled.project.state / "lake") as lake:
        sources = assembled.project.sources.values()
        if lake is not None:
            refused = lake.refused(each for source in sources for each in source.datasets)
            changed = applied.refusals(sources, applied.applied(lake))
    return _changed(assembled, changed) + [
        read.origin.error(("schema",), refused[dataset.name].message, refused[dataset.name].fix)
        for read in assembled.reads
        for dataset in (read.source.datasets if read.source is not None else ())
        if dataset.name in refused
    ]


def _changed(assembled: Assembled, refusals: list[applied.Refusal]) -> list[Fault]:
    """Return a fault for each applied version that changed: in its file, or where the source holds it."""
    origins = {read.source.id: read.origin for read in assembled.reads if read.source is not None}
    return [
        Fault("error", each.version.file, 1, each.message, each.fix)
        if each.version.file
        else origins[each.source].error(("schema", "inline"), each.message, each.fix)
        for each in refusals
    ]


def deploy(project: Project, lake: DuckLake, bus: Bus) -> Tick:
    """Bring the lake's tables up to the project's contracts, record deployment and contracts, and return its tick.

    Raises `ContractError` where a contract changed in a way that silver cannot follow, or a version that was applied
    changed at all; then nothing has changed.
    """
    recorded = applied.in_time(lake.contracts().to_pylist())
    for refusal in applied.refusals(project.sources.values(), recorded):
        raise refusal.as_error()
    lake.deploy([dataset for source in project.sources.values() for dataset in source.datasets])
    ops: dict[str, pa.Table] = {}
    if not lake.deployed(project.digest):
        row = {
            "digest": project.digest,
            "deployed_at": now(),
            "code_version": headrace.__version__,
            "files": json.dumps({file: text.decode() for file, text in project.files.items()}, sort_keys=True),
            "variables": json.dumps(dict(project.variables), sort_keys=True),
        }
        ops[tables.DEPLOYMENTS.name] = pa.Table.from_pylist([row], schema=tables.DEPLOYMENTS.columns)
    contracts = applied.to_record(project.sources.values(), recorded, project.digest, now())
    if contracts is not None:
        ops[tables.CONTRACTS.name] = contracts
    if ops:
        lake.commit([Change("", (), ops=ops)])
    return Tick(bus, lake, project.sources, project.digest, now)
