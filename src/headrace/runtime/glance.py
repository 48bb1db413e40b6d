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
from headrace.words import Fate

if TYPE_CHECKING:
    import datetime as dt

    from headrace.config.project import Project
    from headrace.lake.reader import LakeReader

RATE_SECS = 10
_COUNTS = ("accepted", *(fate.value for fate in Fate))


class Glances:
    """Looks at one environment again and again. Belongs to one thread; use it in `with`."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._held = ExitStack()
        self._bus = SqliteBus(project.state / "bus")
        self._lake: LakeReader | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()
        self._bus.close()

    def glance(self) -> dict[str, Any]:
        """Return the documented shape of `headrace top --json`. Never raises for what a source or `up` does."""
        project, at = self._project, now()
        answer = control.ask(project.state, {"verb": "progress"}) or {}
        problem = ""
        try:
            ledgers, batches = self._committed(at)
        except LakeError as trouble:  # `up` is making the lake, or it was removed: the next glance opens it again
            self._held.close()
            self._lake, ledgers, batches, problem = None, {}, {}, str(trouble)
        return {
            "project": project.name,
            "environment": project.environment,
            "at": at.isoformat(),
            "running": bool(answer),
            "problem": problem,
            "sources": {
                name: self._source(name, at, ledgers.get(name, {}), batches.get(name, {}), answer)
                for name in project.sources
            },
            "gold": {name: answer.get(name) for name in ("gold", "building", "gold_problem")},
            "upkeep": answer.get("upkeep", ""),
            "children": answer.get("children", {}),
        }

    def _source(
        self, name: str, at: dt.datetime, ledger: dict[str, Any], batches: dict[str, Any], answer: dict[str, Any]
    ) -> dict[str, Any]:
        problem = answer.get("failing", {}).get(name, "")
        lag, waits = None, None
        try:
            found = self._bus.lag(self._project.sources[name].topic, subscription(name))
            lag, waits = found.messages, found.oldest
        except HeadraceError as trouble:
            problem = problem or str(trouble)
        last = batches.get("last_commit")
        return {
            "rate": (batches.get("messages") or 0) / RATE_SECS,
            "lag": lag,
            "waiting_secs": round(max((at - waits).total_seconds(), 0.0), 3) if waits else 0.0,
            "freshness_secs": batches.get("freshness_secs"),
            "last_commit": last.isoformat() if last else None,
            "ledger": {count: ledger.get(count, 0) for count in _COUNTS},
            "problem": problem,
        }

    def _committed(self, at: dt.datetime) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
        if self._lake is None:
            self._lake = self._held.enter_context(open_reader(self._project.state / "lake"))
        if self._lake is None:
            return {}, {}
        sums = ", ".join(f'sum("{count}")::BIGINT AS "{count}"' for count in _COUNTS)
        ledgers = self._lake.rows(f"SELECT source, {sums} FROM lake.ops.ledger GROUP BY ALL")
        lately = f"committed_at > TIMESTAMPTZ '{at.isoformat()}' - INTERVAL {RATE_SECS} SECONDS"
        batches = self._lake.rows(
            f"SELECT source, max(committed_at) AS last_commit, sum(next_seq - first_seq) FILTER ({lately})::BIGINT AS "
            f"messages, round(max(epoch(committed_at - oldest_ingest_time)) FILTER ({lately}), 3) AS freshness_secs "
            "FROM lake.ops.batches GROUP BY ALL"
        )
        return {row["source"]: row for row in ledgers}, {row["source"]: row for row in batches}
