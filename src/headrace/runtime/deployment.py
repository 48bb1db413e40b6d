"""Deployments: the project's files as the runtime took them, recorded before anything runs under them."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import pyarrow as pa

import headrace
from headrace.lake import tables
from headrace.lake.base import Change
from headrace.runtime.tick import Tick

if TYPE_CHECKING:
    from headrace.bus.base import Bus
    from headrace.config.project import Project
    from headrace.lake.ducklake import DuckLake


def now() -> dt.datetime:
    """Return the time of the machine."""
    return dt.datetime.now(dt.UTC)


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
        }
        recorded = pa.Table.from_pylist([row], schema=tables.DEPLOYMENTS.columns)
        lake.commit([Change("", (), ops={tables.DEPLOYMENTS.name: recorded})])
    return Tick(bus, lake, project.sources, project.digest, now)
