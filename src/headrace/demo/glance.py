"""One look at a shop from outside: its ledger, the message that was refused last, the latest days of gold."""

from __future__ import annotations

import datetime as dt
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from headrace.errors import HeadraceError
from headrace.lake.reader import open_reader
from headrace.warehouse.embedded import DbtWarehouse
from headrace.words import COUNTS

if TYPE_CHECKING:
    from headrace.config.project import Project
    from headrace.lake.reader import LakeReader

DAY_COLUMNS = ("date_day", "sessions", "add_to_carts", "transactions", "revenue", "tickets_opened")
DAYS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Glance:
    """What was seen. `accepted` is counted from the positions of the bus, fates from the ledger."""

    at: float
    ledger: dict[str, dict[str, int]]
    rejected: dict[str, Any] | None
    gold: str
    gold_age_secs: float = 0.0
    days: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""
    """Why it could not be looked at; the rest is then what was seen before."""

    @property
    def together(self) -> dict[str, int]:
        """The ledger over all sources."""
        return {name: sum(each[name] for each in self.ledger.values()) for name in COUNTS}

    @property
    def balanced(self) -> bool:
        """Whether every accepted message has a fate."""
        return all(each["accepted"] == sum(each[fate] for fate in COUNTS[1:]) for each in self.ledger.values())


class Window:
    """Looks again and again; holds the lake open for reading meanwhile. Belongs to one thread; use it in `with`."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._held = ExitStack()
        self._lake: LakeReader | None = None
        self._warehouse = DbtWarehouse(project.state)
        self._days: tuple[str, list[dict[str, Any]]] = ("", [])
        self._last = Glance(time.monotonic(), self._nothing(), None, "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()
        self._warehouse.close()

    def look(self) -> Glance:
        """Return what there is now. Where it cannot be read just now: what there was, with the problem."""
        try:
            if self._lake is None:
                self._lake = self._held.enter_context(open_reader(self._project.state / "lake"))
            self._last = self._seen()
        except HeadraceError as trouble:
            self._held.close()
            self._lake = None
            return replace(self._last, at=time.monotonic(), problem=str(trouble))
        return self._last

    def _seen(self) -> Glance:
        published = self._warehouse.published()
        build = published.build if published else ""
        if build != self._days[0]:
            self._days = build, self._latest_days()
        age = 0.0
        if published:
            age = (dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(published.published_at)).total_seconds()
        return Glance(time.monotonic(), self._ledger(), self._rejected(), build, max(age, 0.0), self._days[1])

    def _nothing(self) -> dict[str, dict[str, int]]:
        return {source: dict.fromkeys(COUNTS, 0) for source in self._project.sources}

    def _ledger(self) -> dict[str, dict[str, int]]:
        ledger = self._nothing()
        if self._lake is None:
            return ledger
        sums = ", ".join(f"coalesce(sum({name}), 0)::BIGINT AS {name}" for name in COUNTS[1:])
        # One statement, so one commit: positions and fates of different ones would not add up.
        rows = self._lake.rows(
            f"SELECT * FROM (SELECT source, sum(accepted)::BIGINT AS accepted FROM lake.ops.positions GROUP BY source) "
            f"JOIN (SELECT source, {sums} FROM lake.ops.ledger GROUP BY source) USING (source)"
        )
        return ledger | {row.pop("source"): row for row in rows if row["source"] in ledger}

    def _rejected(self) -> dict[str, Any] | None:
        if self._lake is None:
            return None
        rows = self._lake.rows(
            "SELECT id, source, stage, code, reason, path, value FROM lake.ops.quarantine "
            "ORDER BY ingest_time DESC, source, seq DESC LIMIT 1"
        )
        return rows[0] if rows else None

    def _latest_days(self) -> list[dict[str, Any]]:
        sql = f"select {', '.join(DAY_COLUMNS)} from fct_daily_summary order by date_day desc limit {DAYS_SHOWN}"
        return list(reversed(self._warehouse.query(sql).rows.to_pylist()))
