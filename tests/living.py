"""A project lived through in a test: written to a folder, fed, ticked by hand, killed, and looked at from outside."""

from __future__ import annotations

import datetime as dt
import json
import threading
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.bus.sqlite import SqliteBus
from headrace.config.project import load_project
from headrace.lake.catalog import CATALOG, DATA, attach_statement, connect
from headrace.lake.ducklake import DuckLake
from headrace.lake.reader import open_reader
from headrace.runtime.deployment import deploy
from headrace.runtime.views.status import status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from headrace.bus.base import Bus
    from headrace.config.project import Project
    from headrace.runtime.tick import Tick
    from headrace.runtime.up import Up

ORDERS = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "string"}, "version": {"type": "integer"}, "amount": {"type": "number"}},
}
"""A small schema for tests that are not about schemas."""

KEYED = "  bronze_to_silver:\n  - deduplication: {key: [id], version_by: version}\n"


class Clock:
    """A clock that tests set."""

    def __init__(self, now: dt.datetime = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)) -> None:
        self.now = now

    def __call__(self) -> dt.datetime:
        return self.now


def write_source(root: Path, source: str, *, schema: dict[str, Any] | None = None, more: str = KEYED) -> None:
    """Write one source of `ORDERS` (or another schema), due at once; `more` continues `processing:`."""
    for folder in ("connectors", "schemas"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "headrace.yaml").write_text("name: lab\ndefaults: {freshness_secs: 0}\n")
    (root / f"schemas/{source}.json").write_text(json.dumps(ORDERS if schema is None else schema))
    processing = f"processing:\n{more}" if more else ""
    (root / f"connectors/{source}.yaml").write_text(
        f"source_id: {source}\ningestion: {{pattern: event_streaming, message_format: json}}\n"
        f"schema: {{file: schemas/{source}.json}}\n{processing}"
    )


def project_of(root: Path, *sources: str, **options: Any) -> Project:
    """Write a project of such sources, and load it."""
    for source in sources or ("orders",):
        write_source(root, source, **options)
    return load_project(root)


def messages(payloads: Iterable[bytes | dict[str, Any]], **attributes: str) -> pa.RecordBatch:
    """Return messages ready to publish; a dictionary is sent as JSON."""
    raw = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in payloads]
    columns: dict[str, pa.Array] = {"payload": pa.array(raw, pa.binary())}
    if attributes:
        columns["attributes"] = pa.array([list(attributes.items())] * len(raw), pa.map_(pa.string(), pa.string()))
    return pa.record_batch(columns)


def orders(first: int, last: int) -> list[dict[str, Any]]:
    """Return events with ids from `first` up to `last`, which is not one."""
    return [{"id": f"o{number}", "version": 1, "amount": number + 0.5} for number in range(first, last)]


@contextmanager
def sqlite_bus(project: Project, **options: Any) -> Iterator[SqliteBus]:
    """Open the project's bus."""
    bus = SqliteBus(project.state / "bus", **options)
    try:
        yield bus
    finally:
        bus.close()


@contextmanager
def ticking(project: Project, bus: Bus, kind: Callable[[Path], DuckLake] = DuckLake) -> Iterator[tuple[Tick, DuckLake]]:
    """Open the lake and deploy, as `up` does; leaving the block forgets everything that is not on disk."""
    lake = kind(project.state / "lake")
    try:
        tick = deploy(project, lake, bus)
        tick.start()
        yield tick, lake
    finally:
        lake.close()


@contextmanager
def running(project: Project, **options: Any) -> Iterator[tuple[Up, threading.Thread]]:
    """Run `up` in a thread; it is stopped and joined at the end."""
    from headrace.runtime.up import Up

    up = Up(project, **options)
    thread = threading.Thread(target=up.run)
    thread.start()
    try:
        yield up, thread
    finally:
        up.stop()
        thread.join()


def run_out(tick: Tick, sources: Iterable[str], limit: int = 0) -> None:
    """Tick until nothing waits; nothing may fail."""
    for source in sources:
        while (batch := tick.prepare(source, limit)) is not None:
            failed = tick.commit([batch])
            assert not failed


def lived(project: Project, bus: Bus | None = None) -> None:
    """Bring all that waits into the lake."""
    if bus is None:
        with sqlite_bus(project) as opened:
            lived(project, opened)
        return
    with ticking(project, bus) as (tick, _):
        for source in project.sources.values():
            while bus.lag(source.topic, f"lake-{source.id}").messages:
                run_out(tick, [source.id])


def rows(project: Project, sql: str) -> list[dict[str, Any]]:
    """Return the rows of a SELECT, read beside whatever runs."""
    with open_reader(project.state / "lake") as lake:
        assert lake is not None
        return lake.rows(sql)


def changed_behind_its_back(project: Project, sql: str) -> None:
    """Change the lake by SQL, as nobody may: to see who finds out."""
    lake = project.state / "lake"
    with closing(connect()) as connection:
        connection.execute(attach_statement("lake", lake / CATALOG, lake / DATA))
        connection.execute(sql)


def silver(project: Project, dataset: str = "orders") -> list[dict[str, Any]]:
    """Return a silver table as contract columns and `_extra`, in an order of its own: silver is a set."""
    datasets = {each.name: each for source in project.sources.values() for each in source.datasets}
    columns = ", ".join(f'"{name}"' for name in datasets[dataset].columns().names)
    extra = ", _extra" if datasets[dataset].contract.validation == "lenient" else ""
    found = rows(project, f'SELECT {columns}{extra} FROM lake.silver."{dataset}"')
    return in_order(found)


def in_order(found: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows as plain JSON values, sorted by their text."""
    plain = [json.loads(json.dumps(row, default=str)) for row in found]
    return sorted(plain, key=lambda row: json.dumps(row, sort_keys=True))


def totals(project: Project) -> dict[str, dict[str, int]]:
    """Return the ledger of every source without its zeros; every one must balance, with nothing waiting."""
    ledgers = {}
    for source, each in status(project).items():
        assert each.balanced, (source, each.unbalanced)
        ledgers[source] = {fate: count for fate, count in each.ledger.items() if count}
    return ledgers


def statuses(project: Project) -> dict[str, dict[str, Any]]:
    """Return the status of every source as dictionaries."""
    return {source: asdict(each) for source, each in status(project).items()}


def codes(project: Project) -> dict[str, int]:
    """Return how many messages are in quarantine, by stage and code."""
    found = rows(project, "SELECT stage || '/' || code AS code, count(*) AS n FROM lake.ops.quarantine GROUP BY ALL")
    return {row["code"]: row["n"] for row in found}
