"""The freshness check: which sources are older than their `sla_minutes` allows."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.bus.sqlite import SqliteBus
from headrace.durations import format_duration
from headrace.lake.reader import open_reader
from headrace.runtime.tick import subscription

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.config.project import Project


@dataclass(frozen=True, slots=True)
class Age:
    """What a source promises, and how it does. An instant is null where there is none.

    `newest` is when the newest batch was committed, or, before any, when the project was first deployed; `waiting` is
    when the oldest message that waits on the bus arrived.
    """

    source: str
    sla: dt.timedelta
    newest: dt.datetime | None
    waiting: dt.datetime | None = None


def stale(now: dt.datetime, ages: Iterable[Age]) -> list[str]:
    """Return a sentence for each source that is older than it promises: which, and by how much."""
    found = []
    for each in ages:
        promised = f"sla_minutes is {each.sla // dt.timedelta(minutes=1)}"
        if each.waiting is not None and now - each.waiting > each.sla:
            over = _about(now - each.waiting - each.sla)
            found.append(f"{each.source}: the oldest message that waits is {over} too old ({promised})")
        elif each.newest is not None and now - each.newest > each.sla:
            over = _about(now - each.newest - each.sla)
            found.append(f"{each.source}: the newest data is {over} too old ({promised})")
    return found


def ages(project: Project) -> list[Age]:
    """Return the age of every source that has `sla_minutes`, read from the files."""
    promised = {name: source for name, source in project.sources.items() if source.sla_minutes is not None}
    if not promised:
        return []
    committed: dict[str, dt.datetime] = {}
    deployed = None
    with open_reader(project.state / "lake") as lake:
        if lake is not None:
            rows = lake.rows("SELECT source, max(committed_at) AS newest FROM lake.ops.batches GROUP BY ALL")
            committed = {row["source"]: row["newest"] for row in rows}
            deployed = lake.rows("SELECT min(deployed_at) AS first FROM lake.ops.deployments")[0]["first"]
    with closing(SqliteBus(project.state / "bus")) as bus:
        return [
            Age(
                name,
                dt.timedelta(minutes=source.sla_minutes or 0),
                committed.get(name, deployed),
                bus.lag(source.topic, subscription(name)).oldest,
            )
            for name, source in promised.items()
        ]


def _about(duration: dt.timedelta) -> str:
    return format_duration(dt.timedelta(seconds=int(duration.total_seconds())))
