"""Deployments: the project's files as the runtime took them, recorded before anything runs under them."""

from __future__ import annotations

import datetime as dt
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import headrace
from headrace.config.faults import Fault
from headrace.errors import BuildError, LakeError
from headrace.fault_points import reach
from headrace.lake import evolution, tables
from headrace.lake.base import Change
from headrace.lake.reader import open_reader
from headrace.runtime import applied
from headrace.runtime.inputs import inputs
from headrace.runtime.recorded_seeds import columns_of
from headrace.runtime.tick import Tick
from headrace.warehouse.rendering import dbt_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.bus.base import Bus
    from headrace.config.project import Assembled, Project
    from headrace.errors import ContractError
    from headrace.lake.ducklake import DuckLake

_LATER = dt.timedelta(microseconds=1)


def now() -> dt.datetime:
    """Return the time of the machine."""
    return dt.datetime.now(dt.UTC)


def undeployable(assembled: Assembled) -> list[Fault]:
    """Return why `up` would not take the contracts of a project: what silver has already says something else.

    Where history can be decided again, and silver with it, that is a warning: a plan does what `up` would not. Reads
    the lake of the environment, where there is one; a lake that cannot be read is not the files' fault.
    """
    if assembled.project is None:
        return []
    refused: dict[str, ContractError] = {}
    changed: list[applied.Refusal] = []
    missing: list[applied.Notice] = []
    held: list[applied.Notice] = []
    lived: set[str] = set()
    with suppress(LakeError), open_reader(assembled.project.state / "lake") as lake:
        sources = assembled.project.sources.values()
        if lake is not None:
            refused = lake.refused(each for source in sources for each in source.datasets)
            if refused:
                lived = {row["source"] for row in lake.rows("SELECT DISTINCT source FROM lake.ops.batches")}
            recorded = applied.applied(lake)
            changed, missing = applied.refusals(sources, recorded), applied.missing(sources, recorded)
            held = applied.otherwise_held(sources, recorded)
    origins = {read.source.id: read.origin for read in assembled.reads if read.source is not None}
    told = [origins[each.source].warning(("schema",), each.message, each.fix) for each in missing]
    told += [origins[each.source].warning(("schema", "validation"), each.message, each.fix) for each in held]
    return (
        _changed(assembled, changed)
        + told
        + [
            read.origin.warning(("schema",), problem.message, f"{problem.fix} {evolution.AGAIN}")
            if read.source is not None and read.source.id in lived
            else read.origin.error(("schema",), problem.message, problem.fix)
            for read in assembled.reads
            for dataset in (read.source.datasets if read.source is not None else ())
            if (problem := refused.get(dataset.name)) is not None
        ]
    )


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
    take(project, lake)
    return Tick(bus, lake, project.sources, project.digest, now)


def take(project: Project, lake: DuckLake) -> bool:
    """Deploy a project for the messages that follow: its tables, then its record; return whether anything was new.

    Killed between the two, it is taken whole by the next: tables that gained a column hold what they held. Raises as
    `deploy` does.
    """
    refuse_changed_versions(project, lake)
    lake.deploy([dataset for source in project.sources.values() for dataset in source.datasets])
    ops = records(project, lake)
    if ops:
        reach("deployment.record.before")
        lake.commit([Change("", (), ops=ops)])
        reach("deployment.record.after")
    return bool(ops)


def refuse_changed_versions(project: Project, lake: DuckLake) -> None:
    """Raise `ContractError` where a version of a contract that was applied is another now."""
    for refusal in applied.refusals(project.sources.values(), applied.in_time(lake.contracts().to_pylist())):
        raise refusal.as_error()


def records(project: Project, lake: DuckLake) -> dict[str, pa.Table]:
    """Return what is to be recorded of a project that is deployed: its files, and its contracts; nothing twice.

    The newest record is the one with the latest time, also where the machine's clock was set back.
    """
    ops: dict[str, pa.Table] = {}
    row, newest = recorded(project), lake.deployed()
    if newest is None or (newest["digest"], newest["models"]) != (row["digest"], row["models"]):
        if newest is not None:
            row["deployed_at"] = max(row["deployed_at"], newest["deployed_at"] + _LATER)
        ops[tables.DEPLOYMENTS.name] = pa.Table.from_pylist([row], schema=tables.DEPLOYMENTS.columns)
    known = applied.in_time(lake.contracts().to_pylist())
    moment = max([now(), *(each["applied_at"] + _LATER for each in known[-1:])])
    contracts = applied.to_record(project.sources.values(), known, project.digest, moment)
    if contracts is not None:
        ops[tables.CONTRACTS.name] = contracts
    return ops


def recorded(project: Project) -> dict[str, Any]:
    """Return the row of `ops.deployments` for a project as it was loaded, and for its dbt files as they are now."""
    models: dict[str, bytes] = {}
    with suppress(BuildError):  # what is wrong with them is told by who builds them
        models = dbt_files(inputs(project))
    return {
        "digest": project.digest,
        "deployed_at": now(),
        "code_version": headrace.__version__,
        "files": _as_json(project.files),
        "variables": json.dumps(dict(project.variables), sort_keys=True),
        "models": _as_json(models),
        "seeds": columns_of(project.sources.values()),
    }


def _as_json(files: Mapping[str, bytes]) -> str:
    return json.dumps({file: text.decode(errors="replace") for file, text in files.items()}, sort_keys=True)
