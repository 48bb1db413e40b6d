"""The shop opens: its history goes through the real path, to published gold, and is held against what was sent."""

from __future__ import annotations

import datetime as dt
import json
import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING

from headrace.bus.base import Once
from headrace.bus.sqlite import SqliteBus
from headrace.demo.doors import FolderDoor, batch_of
from headrace.demo.shop import SOURCES, Message, Shop, fates, reasons
from headrace.disk import sync
from headrace.runtime import building
from headrace.runtime.landing.watch import Landing
from headrace.runtime.state import open_state
from headrace.runtime.views.quarantine import listed
from headrace.runtime.views.status import status
from headrace.warehouse.embedded import DbtWarehouse
from headrace.words import COUNTS, Fate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from headrace.config.project import Project
    from headrace.runtime.views.status import SourceStatus
    from headrace.warehouse.base import BuildReport

PRODUCER = "demo-history"
SHOP_FILE = "demo.json"
BY_FILE = "customer_support"
LANDING = "landing/customer_support"
"""Where the tickets land: the location that the project's source names."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What makes one shop differ from another: with the same plan, the same bytes are sent.

    `opened`: its history is in published gold.
    """

    seed: int
    until: dt.date
    events: int
    opened: bool = False

    def shop(self) -> Shop:
        """Return the shop, before its first message."""
        return Shop(self.seed, self.until, self.events)


@dataclass(slots=True)
class Opened:
    """What became of the history. `faults` says, a sentence each, what is not as it must be."""

    sources: dict[str, SourceStatus]
    report: BuildReport | None
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ledger(self) -> dict[str, int]:
        """The ledger over all sources."""
        return {name: sum(each.ledger[name] for each in self.sources.values()) for name in COUNTS}

    @property
    def gold_tables(self) -> dict[str, int]:
        """How many rows each table has that was built."""
        models = self.report.models if self.report else ()
        return {model.name: model.rows for model in models if model.rows is not None}


def open_shop(
    project: Project, plan: Plan, tell: Callable[[str], None] = lambda _: None, *, build: bool = True
) -> Opened:
    """Publish the history, commit it to silver, build and publish gold, and compare.

    Whoever is killed amid this may call it again with the same plan: what was published is not published twice. A shop
    that was open before only takes in what waits, and with `build` makes gold anew. `tell` hears a sentence after each
    step.
    """
    started = time.monotonic()
    report = None
    with DbtWarehouse(project.state) as warehouse:
        if build:
            warehouse.warm()  # dbt takes seconds to start: meanwhile, the shop sends
        messages: list[Message] = []
        if not plan.opened:
            messages = send_history(project, plan)
            tell(f"{len(messages):,} messages, two weeks of a shop, are published: durable")
        building.bring_in(project)
        sources = status(project)
        tell("silver has them, and the ledger knows what became of each" if messages else "silver has what waited")
        if build:
            report = building.build_once(project, warehouse)
    faults = [fault for each in sources.values() for fault in each.unbalanced]
    if report is not None:
        faults += [f"{failure.kind} {failure.name}: {failure.message}" for failure in report.failures]
    if report is not None and report.published:
        tables, tests = len(report.published.tables), len(report.tests)
        tell(f"gold is published as {report.published.build}: {tables} tables, {tests} tests passed")
    if not plan.opened:
        faults += unlike(project, sources, messages)
        if not faults and report is not None:
            remember(project.state, replace(plan, opened=True))
    return Opened(sources, report, faults, round(time.monotonic() - started, 3))


def send_history(project: Project, plan: Plan) -> list[Message]:
    """Send the history to where each source has its events from; return it. What was sent before is not sent again."""
    messages = plan.shop().history()
    with closing(SqliteBus(open_state(project.state) / "bus")) as bus:
        for source in SOURCES:
            sent = [each for each in messages if each.source == source]
            if source == BY_FILE:
                _drop(project, sent)
                continue
            batch = batch_of([each.payload for each in sent])
            bus.publish(project.source(source).topic, batch, once=Once(PRODUCER, 0))
    return messages


def _drop(project: Project, messages: list[Message]) -> None:
    """Write a file a day, as the system that keeps them does, and have them taken."""
    door = FolderDoor(project.root / LANDING)
    for day, sent in groupby(messages, key=lambda each: dt.datetime.fromtimestamp(each.at // 1000, dt.UTC).date()):
        written = list(sent)
        door.drop(f"tickets-{day}", [each.payload for each in written], written[-1].at / 1000)
    with closing(Landing(project)) as landing:
        landing.scan(landing.sources[BY_FILE])


def unlike(project: Project, sources: dict[str, SourceStatus], messages: Iterable[Message]) -> list[str]:
    """Return, a sentence each, where the ledger and the quarantine differ from what the shop knows that it sent."""
    messages = list(messages)
    faults = []
    for source, known in fates(messages).items():
        ledger = sources[source].ledger
        for fate, count in {**dict.fromkeys(map(str, Fate), 0), **known}.items():
            if ledger[fate] != count:
                faults.append(f"{source}: the ledger says {ledger[fate]} {fate}, the shop sent {count}")
    clusters = listed(project, limit=1)["clusters"]
    found: dict[tuple[str, str, str], int] = {}
    for each in clusters:
        reason = each["source"], each["stage"], each["code"]
        found[reason] = found.get(reason, 0) + each["messages"]
    known_reasons = reasons(messages)
    for reason in sorted(found.keys() | known_reasons.keys()):
        if found.get(reason, 0) != known_reasons[reason]:
            source, stage, code = reason
            count = found.get(reason, 0)
            faults.append(f"{source}: {count} quarantined as {stage}/{code}, the shop broke {known_reasons[reason]}")
    return faults


def remember(state: Path, plan: Plan) -> None:
    """Note in the project's state which shop it is, so that it can go on after whatever happened."""
    document = {"seed": plan.seed, "until": plan.until.isoformat(), "events": plan.events, "opened": plan.opened}
    whole = open_state(state) / f"{SHOP_FILE}.new"
    whole.write_text(json.dumps(document), encoding="utf-8")
    sync(whole)
    whole.replace(state / SHOP_FILE)


def remembered(state: Path) -> Plan | None:
    """Return the shop that a project is of; None where it is no demo."""
    try:
        document = json.loads((state / SHOP_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    until = dt.date.fromisoformat(document["until"])
    return Plan(document["seed"], until, document["events"], document["opened"])
