"""A glance at an environment, cheap enough for one a second: rates, lag, freshness and fates of every source.

It reads what is committed and what waits, and asks the running `up`, where there is one, for the rest. It proves
nothing: `headrace status` compares the tables.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from headrace.bus.sqlite import SqliteBus
from headrace.errors import HeadraceError, LakeError
from headrace.lake.reader import open_reader
from headrace.runtime import control
from headrace.runtime.deployment import now
from headrace.runtime.tick import subscription
from headrace.warehouse.embedded import DbtWarehouse
from headrace.words import COUNTS

if TYPE_CHECKING:
    import datetime as dt

    from headrace.bus.base import Lag
    from headrace.config.project import Project
    from headrace.lake.reader import LakeReader

RATE_SECS = 10


class Glances:
    """Looks at one environment again and again. Belongs to one thread; use it in `with`."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._held = ExitStack()
        self._bus = SqliteBus(project.state / "bus")
        self._warehouse = DbtWarehouse(project.state)
        self._lake: LakeReader | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()
        self._warehouse.close()
        self._bus.close()

    def glance(self) -> dict[str, Any]:
        """Return the documented shape of `headrace top --json`. Never raises for what a source or `up` does."""
        project, at = self._project, now()
        problem = ""
        try:
            answer = control.ask(project.state, {"verb": "progress"}) or {}
        except HeadraceError as trouble:
            answer, problem = {}, str(trouble)
        waits = {name: self._waits(name) for name in project.sources}  # before the lake: see `_waits`
        try:
            ledgers, batches = self._committed(at)
        except LakeError as trouble:  # `up` is making the lake, or it was removed: the next glance opens it again
            self._held.close()
            self._lake, ledgers, batches, problem = None, {}, {}, problem or str(trouble)
        published = self._warehouse.published()  # `headrace build` and `undo` publish as well as `up`
        failing = answer.get("failing", {})
        return {
            "project": project.name,
            "environment": project.environment,
            "at": at.isoformat(),
            "running": bool(answer),
            "problem": problem,
            "sources": {
                name: self._source(at, waits[name], ledgers.get(name, {}), batches.get(name, {}), failing.get(name, ""))
                for name in project.sources
            },
            "gold": {
                "gold": published.build if published else None,
                **{name: answer.get(name) for name in ("building", "gold_problem")},
            },
            "upkeep": answer.get("upkeep", ""),
            "children": answer.get("children", {}),
        }

    def _waits(self, source: str) -> Lag | HeadraceError:
        """Return what waits for a source. Who asks this first, and the lake then, misses no message in between."""
        try:
            return self._bus.lag(self._project.sources[source].topic, subscription(source))
        except HeadraceError as trouble:
            return trouble

    def _source(
        self,
        at: dt.datetime,
        waits: Lag | HeadraceError,
        ledger: dict[str, Any],
        batches: dict[str, Any],
        problem: str,
    ) -> dict[str, Any]:
        lag, oldest = None, None
        if isinstance(waits, HeadraceError):
            problem = problem or str(waits)
        else:
            lag, oldest = waits.messages, waits.oldest
        last = batches.get("last_commit")
        return {
            "rate": (batches.get("messages") or 0) / RATE_SECS,
            "lag": lag,
            "waiting_secs": round(max((at - oldest).total_seconds(), 0.0), 3) if oldest else 0.0,
            "freshness_secs": batches.get("freshness_secs"),
            "last_commit": last.isoformat() if last else None,
            "ledger": {count: ledger.get(count, 0) for count in COUNTS},
            "problem": problem,
        }

    def _committed(self, at: dt.datetime) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
        if self._lake is None:
            self._lake = self._held.enter_context(open_reader(self._project.state / "lake"))
        if self._lake is None:
            return {}, {}
        sums = ", ".join(f'sum("{count}")::BIGINT AS "{count}"' for count in COUNTS)
        lately = f"committed_at > TIMESTAMPTZ '{at.isoformat()}' - INTERVAL {RATE_SECS} SECONDS"
        batches = self._lake.rows(
            f"SELECT source, max(committed_at) AS last_commit, sum(next_seq - first_seq) FILTER ({lately})::BIGINT AS "
            f"messages, round(max(epoch(committed_at - oldest_ingest_time)) FILTER ({lately}), 3) AS freshness_secs "
            "FROM lake.ops.batches GROUP BY ALL"
        )
        ledgers = self._lake.rows(f"SELECT source, {sums} FROM lake.ops.ledger GROUP BY ALL")
        return {row["source"]: row for row in ledgers}, {row["source"]: row for row in batches}
