"""What one life does: the real parts, over the real files of the copy, in a process that may end anywhere."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headrace.bus.base import Once
from headrace.bus.sqlite import SqliteBus
from headrace.chaos.supply import batch_of, direct_name
from headrace.chaos.worker import ForkedWorker
from headrace.collector.spool import Room, Spool, topics_in
from headrace.errors import ExternalError, HeadraceError
from headrace.lake.ducklake import DuckLake
from headrace.lake.reader import open_reader
from headrace.runtime.building import build_once
from headrace.runtime.child_life import Ending
from headrace.runtime.deployment import deploy
from headrace.runtime.landing.watch import Landing
from headrace.runtime.loop import Loop
from headrace.runtime.relay.__main__ import relay
from headrace.runtime.relay.store import Progress, Store
from headrace.runtime.state import open_state
from headrace.warehouse.embedded import DbtWarehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.chaos.schedule import Does, Life
    from headrace.chaos.supply import Account
    from headrace.config.project import Project

Say = "Callable[..., None]"
SPOOL = "spool"
PUSH = "chaos"
RELAY_PATIENCE_SECS = 10.0
ROOM_BYTES = 1 << 30
RECENT_KEYS = 16  # in memory: the few events of a trial fill files of the index of keys, and have them merged


@dataclass(frozen=True)
class Stage:
    """Where a life plays: the copy, with the sources of its schedule, and what each producer has to send."""

    project: Project
    accounts: Mapping[str, Account]


def lives(does: Does, stage: Stage, life: Life, say: Callable[..., None]) -> None:
    """Do it until it is done. Raises what a real process would have died of."""
    worker = ForkedWorker(stage.project.state / "dbt" / "logs" / "worker.log") if does == "build" else None
    open_state(stage.project.state)
    match does:
        case "publish":
            _publish(stage, life, say)
        case "spool":
            _spool(stage, life, say)
        case "land":
            _land(stage)
        case "tick" | "upkeep":
            _tick(stage, life, say, upkeep=does == "upkeep")
        case "build":
            assert worker is not None  # noqa: S101 - made above, before there is any thread
            with DbtWarehouse(stage.project.state, worker=worker) as warehouse:
                report = build_once(stage.project, warehouse)
            say(built=report.ok, failures=[f"{each.name}: {each.message}" for each in report.failures])
        case "relay":
            _relay(stage)


def _bus(stage: Stage, life: Life) -> SqliteBus:
    wrong = dt.timedelta(seconds=life.clock_secs)
    return SqliteBus(stage.project.state / "bus", retention_secs=0, clock=lambda: dt.datetime.now(dt.UTC) + wrong)


def _publish(stage: Stage, life: Life, say: Callable[..., None]) -> None:
    """Send what is to come straight to the topics, and some of what was acknowledged once more."""
    with closing(_bus(stage, life)) as bus:
        for source, account in stage.accounts.items():
            at = max(0, account.acked_upto - life.again)
            name = direct_name(source)
            while part := account.direct[at : at + life.batch]:
                topic = stage.project.source(source).topic
                try:
                    taken = bus.publish(topic, batch_of(part, name, at), once=Once(name, at)).messages
                except ExternalError as problem:  # nothing was taken: it is sent again
                    say(refused=str(problem))
                    break
                at += len(part)
                # What was acknowledged and is taken anew was lost before; nobody could tell once it is there again.
                if (lost := taken - max(0, at - max(at - len(part), account.acked_upto))) > 0:
                    say(lost=[source, lost])
                say(acked=[source, at])


def _spool(stage: Stage, life: Life, say: Callable[..., None]) -> None:
    """Take parts into the spool, each a segment; then publish what it holds, as a lane does when its bus is back."""
    folder = stage.project.state / SPOOL
    for source, account in stage.accounts.items():
        spool = Spool(folder, stage.project.source(source).topic, Room(ROOM_BYTES))
        for name, part in account.parts.items():
            if part.door == "spool" and not part.acked:
                try:
                    spool.put(batch_of(part.messages, name, 0), Once(name, 0))
                except ExternalError as problem:
                    say(refused=str(problem))
                    break
                say(part=[source, name])
    with closing(_bus(stage, life)) as bus:
        for topic in topics_in(folder):
            spool = Spool(folder, topic, Room(ROOM_BYTES))
            while waiting := spool.oldest():
                segment, batch = waiting
                try:
                    bus.publish(topic, batch, once=segment.once)
                except ExternalError as problem:
                    say(refused=str(problem))
                    break
                spool.drop(segment)


def _land(stage: Stage) -> None:
    """Take the files that landed."""
    with closing(Landing(stage.project)) as landing:
        for source in stage.accounts:
            if source in landing.sources:
                landing.scan(landing.sources[source])


def _tick(stage: Stage, life: Life, say: Callable[..., None], *, upkeep: bool) -> None:
    """Bring what waits into the lake: all of it, or as much as a slow consumer takes."""
    project = stage.project
    if life.rows:
        settled = {
            name: replace(each, settings=each.settings.model_copy(update={"batch_rows": life.rows}))
            for name, each in project.sources.items()
        }
        project = replace(project, sources=settled)
    with closing(_bus(stage, life)) as bus:
        loop = Loop(
            bus,
            lambda: DuckLake(project.state / "lake", recent_keys=RECENT_KEYS),
            project.sources,
            lambda lake, bus: deploy(project, lake, bus),
            upkeep_every_secs=None,
        )
        try:
            if upkeep:
                loop.upkeep().result()
            if life.ticks:
                for _ in range(life.ticks):
                    loop.step(project.sources.keys())
            else:
                loop.drain()
            if upkeep:
                loop.upkeep().result()
        finally:
            loop.close()
        say(failing=dict(loop.progress.failing))


def _relay(stage: Stage) -> None:
    """Push what waits in the outbox to its topics."""
    wanted: dict[str, int] = {}
    with open_reader(stage.project.state / "lake") as lake:
        if lake is not None and "ops.outbox" in lake.tables():
            rows = lake.rows(f"SELECT source, max(seq) AS seq FROM lake.ops.outbox WHERE push = '{PUSH}' GROUP BY ALL")
            wanted = {row["source"]: row["seq"] for row in rows if row["source"] in stage.accounts}
    if not wanted:
        return
    ending = Ending()

    def watch() -> None:
        deadline = time.monotonic() + RELAY_PATIENCE_SECS
        while time.monotonic() < deadline:
            time.sleep(0.03)
            with suppress(HeadraceError), closing(Store(stage.project.state)) as store:
                progress = store.progress()
                if all(progress.get((source, PUSH), Progress()).seq >= seq for source, seq in wanted.items()):
                    break
        ending.ask()

    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)  # a relay speaks to `up` through it
    threading.Thread(target=watch, daemon=True).start()
    relay(stage.project, ending)
