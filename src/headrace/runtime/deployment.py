"""Deployments: the project's files as the runtime took them, recorded before anything runs under them."""

from __future__ import annotations

import datetime as dt
import json
from contextlib import suppress
from typing import TYPE_CHECKING

import pyarrow as pa

import headrace
from headrace.errors import LakeError
from headrace.lake import tables
from headrace.lake.base import Change
from headrace.lake.reader import open_reader
from headrace.runtime.tick import Tick

if TYPE_CHECKING:
    from headrace.bus.base import Bus
    from headrace.config.faults import Fault
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
    with suppress(LakeError), open_reader(assembled.project.state / "lake") as lake:
        sources = assembled.project.sources.values()
        refused = lake.refused(each for source in sources for each in source.datasets) if lake is not None else {}
    return [
        read.origin.error(("schema",), refused[dataset.name].message, refused[dataset.name].fix)
        for read in assembled.reads
        for dataset in (read.source.datasets if read.source is not None else ())
        if dataset.name in refused
    ]


def deploy(project: Project, lake: DuckLake, bus: Bus) -> Tick:
    """Bring the lake's tables up to the project's contracts, record the deployment, and return its tick.

    Raises `ContractError` where a contract changed in a way that silver cannot follow; then nothing has changed.
    """
    lake.deploy([dataset for source in project.sources.values() for dataset in source.datasets])
    if not lake.deployed(project.digest):
        row = {
            "digest": project.digest,
            "deployed_at": now(),
            "code_version": headrace.__version__,
            "files": json.dumps({file: text.decode() for file, text in project.files.items()}, sort_keys=True),
            "variables": json.dumps(dict(project.variables), sort_keys=True),
        }
        recorded = pa.Table.from_pylist([row], schema=tables.DEPLOYMENTS.columns)
        lake.commit([Change("", (), ops={tables.DEPLOYMENTS.name: recorded})])
    return Tick(bus, lake, project.sources, project.digest, now)
