"""What became of builds, noted for the pushes of gold."""

from __future__ import annotations

import datetime as dt
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

from headrace.runtime.relay.store import GOLD, Store
from headrace.warehouse.embedded import DbtWarehouse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.config.project import Project
    from headrace.warehouse.base import BuildReport
    from headrace.warehouse.published import Entry

MESSAGE_CHARACTERS = 500


def note(project: Project, report: BuildReport) -> None:
    """Note what became of a build, where anybody wants to know; a build that was only tried is not told of."""
    if not project.push.gold or (report.published is None and report.ok):
        return
    with closing(Store(project.state)) as store:
        _enrol(project, store)
        if report.published is not None:
            _tell_published(store, [report.published], _number(report.published) - 1)
            return
        now = dt.datetime.now(dt.UTC)
        failures: list[dict[str, Any]] = [
            {"kind": each.kind, "name": each.name, "message": each.message[:MESSAGE_CHARACTERS], "at": each.at}
            for each in report.failures
        ]
        data = {"build": report.build, "lake_snapshot": report.lake_snapshot, "failures": failures}
        store.tell(f"{report.build}-failed-{now:%Y%m%dT%H%M%S%f}", "failed", now.isoformat(), json.dumps(data))


def catch_up(project: Project, store: Store) -> None:
    """Note builds that were published by a process that died before it could say so; none from before the first push.

    Runs as the relay starts.
    """
    if not project.push.gold:
        return
    _enrol(project, store)
    with closing(DbtWarehouse(project.state)) as warehouse:
        history = warehouse.history()
    _tell_published(store, history, max(map(_number, history), default=0))


def _enrol(project: Project, store: Store) -> None:
    """Let the pushes of gold start with what is noted from now on."""
    last = store.last_build()
    for push in project.push.gold:
        store.enrol(GOLD, push.name, last)


def _tell_published(store: Store, entries: Iterable[Entry], baseline: int) -> None:
    """Note the builds after the newest one that was noted; where none ever was, after `baseline`."""
    told = store.told()
    if told is None:
        store.tell_upto(baseline)
        told = baseline
    for entry in sorted(entries, key=_number):
        if _number(entry) <= told:
            continue
        data = {
            "build": entry.build,
            "published_at": entry.published_at,
            "lake_snapshot": entry.lake_snapshot,
            "tables": sorted(entry.tables),
        }
        store.tell(f"{entry.build}-published", "published", entry.published_at, json.dumps(data))
        store.tell_upto(_number(entry))


def _number(entry: Entry) -> int:
    return int(entry.build.removeprefix("b"))
