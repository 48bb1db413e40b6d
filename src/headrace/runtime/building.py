"""Builds: from a project to published gold, with `up` running or without."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from headrace.bus.sqlite import SqliteBus
from headrace.errors import BusyError, ExternalError, LakeError
from headrace.lake.ducklake import DuckLake
from headrace.lake.reader import open_reader
from headrace.runtime import control
from headrace.runtime.deployment import deploy
from headrace.runtime.inputs import inputs
from headrace.runtime.loop import Loop
from headrace.runtime.relay import builds
from headrace.runtime.state import open_state
from headrace.warehouse.base import BuildOptions
from headrace.warehouse.embedded import DbtWarehouse

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from headrace.config.project import Project
    from headrace.lake.reader import LakeReader
    from headrace.warehouse.base import BuildReport
    from headrace.warehouse.published import Entry

WAIT_FOR_BUILD_SECS = 120.0


def build(
    project: Project, *, select: Sequence[str] = (), full_refresh: bool = False, publish: bool = True
) -> BuildReport:
    """Bring what waits on the bus into silver, then build every model over the latest snapshot and publish.

    A running `up` is asked to commit what waits; without one, this process does it. Waits for a build under way.
    """
    with closing(DbtWarehouse(project.state)) as warehouse:
        warehouse.warm()  # dbt takes seconds to start: meanwhile, what waits is brought in
        bring_in(project)
        deadline = time.monotonic() + WAIT_FOR_BUILD_SECS
        while True:
            try:
                return build_once(project, warehouse, select=select, full_refresh=full_refresh, publish=publish)
            except BusyError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.2)


def build_once(
    project: Project,
    warehouse: DbtWarehouse,
    *,
    select: Sequence[str] = (),
    full_refresh: bool = False,
    publish: bool = True,
) -> BuildReport:
    """Build over the lake as it is now. Raises `BusyError` while another build runs."""
    with open_reader(project.state / "lake") as lake:
        snapshot = lake.pin() if lake else None  # and kept until the build is done
        options = BuildOptions(
            select=tuple(select),
            full_refresh=full_refresh,
            publish=publish,
            touched=_touched_since(lake, warehouse.published()) if lake else None,
        )
        report = warehouse.build(inputs(project), snapshot, options)
    with suppress(ExternalError):  # of a published build the relay learns from the warehouse itself
        builds.note(project, report)
    return report


def bring_in(project: Project) -> None:
    """Commit everything that waits on the bus: by the running `up` if there is one, else here.

    Raises `LakeError` where a source could not be committed, and says why.
    """
    answer = control.ask(project.state, {"verb": "flush"})
    if answer is not None:
        failing = answer["failing"]
    else:
        open_state(project.state)
        with closing(SqliteBus(project.state / "bus")) as bus:
            loop = Loop(
                bus,
                lambda: DuckLake(project.state / "lake"),
                project.sources,
                lambda lake, bus: deploy(project, lake, bus),
            )
            try:
                loop.drain()
            finally:
                loop.close()
            failing = loop.progress.failing
    for source, problem in failing.items():
        raise LakeError(f"{source} could not be brought into silver: {problem}", at=source, fix="headrace status")


def silver_changed(project: Project, warehouse: DbtWarehouse) -> bool:
    """Return whether silver changed since the newest build, an undone one included: `undo` is not itself undone."""
    builds = [each.lake_snapshot for each in warehouse.history() if each.lake_snapshot is not None]
    with open_reader(project.state / "lake") as lake:
        if lake is None:
            return False
        partitions = touched(lake, max(builds)) if builds else None
    return partitions is None or bool(partitions)


def _touched_since(lake: LakeReader, published: Entry | None) -> dict[str, list[dt.date]] | None:
    complete = published.complete_snapshot if published else None
    return None if complete is None else touched(lake, complete)


def touched(lake: LakeReader, snapshot: int) -> dict[str, list[dt.date]] | None:
    """Return the silver partitions changed since a snapshot; None where it is gone, and all may have changed."""
    try:
        rows = lake.rows(
            "SELECT DISTINCT t.dataset AS dataset, t.event_date AS event_date FROM ("
            "SELECT unnest(touched) AS t FROM lake.ops.batches WHERE batch_id NOT IN ("
            f"SELECT batch_id FROM lake.ops.batches AT (VERSION => {snapshot})))"
        )
    except LakeError:
        return None
    dates: dict[str, list[dt.date]] = {}
    for row in rows:
        dates.setdefault(row["dataset"], []).append(row["event_date"])
    return {dataset: sorted(each) for dataset, each in dates.items()}
