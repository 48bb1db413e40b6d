"""Transfers between accounts, in the manner of "internal consistency in streaming systems" (Jamie Brandon).

Each transfer takes cents from one account and gives them to another, so the sum over all accounts is zero: in every
version of gold that is published, however late, twice, wrong or corrected the transfers came. Cents are integers: no
rounding hides a fault. `run` feeds a running `headrace up` that builds as often as it can, kills it once, and looks at
every version that is published.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headrace.config.project import Project
    from headrace.warehouse.published import Entry

SECONDS_LATE = 10  # how far out of order
TWICE, CORRECTED, INVALID = 0.03, 0.05, 0.01  # of all transfers
DAYS = 20  # of event time, each with a share of the transfers
EVERY_MICROS = 1_000  # one comes after the other
FIRST = np.datetime64("2026-11-01T00:00:00", "us")
AHEAD = 400_000  # messages that may wait on the bus
POLL_SECS = 0.02
PATIENCE_SECS = 600

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "version", "at", "debit", "credit", "cents"],
    "properties": {
        "id": {"type": "string"},
        "version": {"type": "integer"},
        "at": {"type": "string", "format": "date-time"},
        "debit": {"type": "integer"},
        "credit": {"type": "integer"},
        "cents": {"type": "integer", "maximum": 1_000_000},
    },
}
SOURCE = """source_id: transfers
ingestion: {pattern: event_streaming, message_format: json}
schema: {file: schemas/transfers.json}
event_time: at
processing:
  bronze_to_silver:
  - deduplication: {key: [id], version_by: version}
  - data_quality: {rules: [{field: cents, check: positive_number}]}
"""
MODELS = {
    "credits": "select credit as account, sum(cents)::bigint as cents, count(*) as transfers "
    "from {{ ref('stg_transfers') }} group by all",
    "debits": "select debit as account, sum(cents)::bigint as cents, count(*) as transfers "
    "from {{ ref('stg_transfers') }} group by all",
    "balances": "select account, coalesce(c.cents, 0) - coalesce(d.cents, 0) as cents "
    "from {{ ref('credits') }} c full join {{ ref('debits') }} d using (account)",
    "total": "select (select sum(cents)::bigint from {{ ref('balances') }}) as cents, "
    "(select sum(transfers)::bigint from {{ ref('credits') }}) as transfers",
    # Only the dates that changed are made again: a correction must leave the date that it was on.
    "daily": "{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='day') }}\n"
    "with moved as (select _event_date as day, credit as account, cents from {{ ref('stg_transfers') }} "
    "where {{ headrace_touched('transfers') }} union all select _event_date, debit, -cents "
    "from {{ ref('stg_transfers') }} where {{ headrace_touched('transfers') }})\n"
    "select day, account, sum(cents)::bigint as cents from moved group by all",
}


def make_project(root: Path) -> Project:
    """Write the project: one source, and balances made in several steps."""
    from headrace.config.project import load_project

    for name, text in {
        "headrace.yaml": "name: bank\ncollector: {enabled: false}\n",
        "connectors/transfers.yaml": SOURCE,
        "schemas/transfers.json": json.dumps(SCHEMA),
        "dbt_project.yml": "name: bank\nversion: '1.0'\nprofile: headrace\nmodel-paths: [models]\n",
        **{f"models/{name}.sql": sql for name, sql in MODELS.items()},
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return load_project(root)


@dataclass(frozen=True)
class Transfers:
    """All that is sent, in the order in which it arrives: a row a message; the same seed makes the same."""

    number: np.ndarray
    version: np.ndarray
    at: np.ndarray
    debit: np.ndarray
    credit: np.ndarray
    cents: np.ndarray
    wrong: np.ndarray

    @classmethod
    def made(cls, count: int, accounts: int, seed: int) -> Transfers:
        """Return `count` transfers, some of them sent twice, corrected, or wrong."""
        rng = np.random.default_rng(seed)
        number = np.arange(count)
        day = number * DAYS // count
        at = FIRST + (day * 86_400_000_000 + number * EVERY_MICROS).astype("timedelta64[us]")
        again = rng.choice(count, int(count * TWICE), replace=False)
        corrected = rng.choice(count, int(count * CORRECTED), replace=False)
        which = np.concatenate([number, corrected, again])
        version = np.concatenate([np.ones(count), np.full(len(corrected), 2), np.ones(len(again))]).astype(np.int64)
        rows = len(which)
        debit, credit = rng.integers(0, accounts, rows), rng.integers(1, accounts, rows)
        cents = rng.integers(1, 100_000, rows)
        debit[count + len(corrected) :], credit[count + len(corrected) :] = debit[again], credit[again]
        cents[count + len(corrected) :] = cents[again]  # the same event, sent twice
        moved = at[which].copy()
        moved[count : count + len(corrected)] += np.timedelta64(1, "D") * rng.integers(0, 2, len(corrected))
        wrong = rng.random(rows) < INVALID
        wrong[count + len(corrected) :] = wrong[again]
        late = rng.integers(0, SECONDS_LATE * 1_000_000 // EVERY_MICROS, rows)
        late[count:] += rng.integers(0, count // 4 + 1, rows - count)  # what it corrects may be published by then
        order = np.argsort(which + late, kind="stable")
        columns = (which, version, moved, debit, (debit + credit) % accounts, cents, wrong)
        return cls(*(each[order] for each in columns))

    def __len__(self) -> int:
        return len(self.number)

    def messages(self, size: int) -> Iterator[pa.RecordBatch]:
        """Yield them as messages to publish; what is wrong is so in its amount, its type or its JSON."""
        for first in range(0, len(self), size):
            part = slice(first, first + size)
            cents = np.where(self.wrong[part] & (self.number[part] % 3 == 0), -self.cents[part], self.cents[part])
            text = _text(cents)
            kind = pa.array(np.where(self.wrong[part], self.number[part] % 3, 0))
            text = pc.if_else(pc.equal(kind, 1), '"much"', text)
            pieces = ['{"id":"t', _text(self.number[part]), '","version":', _text(self.version[part]), ',"at":"',
                      _text(np.datetime_as_string(self.at[part], unit="us", timezone="UTC")), '","debit":',
                      _text(self.debit[part]), ',"credit":', _text(self.credit[part]), ',"cents":', text,
                      pc.if_else(pc.equal(kind, 2), "", "}")]  # fmt: skip
            yield pa.record_batch({"payload": pc.binary_join_element_wise(*pieces, "").cast(pa.binary())})

    def balances(self, accounts: int) -> tuple[np.ndarray, int]:
        """Return what every account must have in the end, and of how many transfers."""
        keep = ~self.wrong
        number, version = self.number[keep], self.version[keep]
        order = np.lexsort((version, number))
        last = np.append(number[order][1:] != number[order][:-1], [True])
        winners = order[last]
        cents = self.cents[keep][winners]
        held = np.bincount(self.credit[keep][winners], cents, accounts) - np.bincount(
            self.debit[keep][winners], cents, accounts
        )
        return held.astype(np.int64), len(winners)


def _text(values: np.ndarray) -> pa.Array:
    return pa.array(values).cast(pa.string())


@dataclass
class Seen:
    """What a reader found in the versions that were published; `faults` are sentences."""

    versions: list[str] = field(default_factory=list)
    transfers: int = 0
    faults: list[str] = field(default_factory=list)


class Reader:
    """Looks at every version of gold, in a thread of its own, as it is published."""

    def __init__(self, project: Project) -> None:
        from headrace.warehouse.branch import GoldFolder

        self.seen = Seen()
        self._lake = project.state / "lake"
        self._gold = GoldFolder(project.state / "gold")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader")

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def has_seen(self, versions: int) -> bool:
        """Return whether at least so many versions were looked at."""
        return len(self.seen.versions) >= versions

    def is_up_to_date(self) -> bool:
        """Return whether what is published now was looked at."""
        from headrace.warehouse.published import read_ledger

        current = read_ledger(self._gold.ledger).current
        return current is not None and current.build in self.seen.versions

    def _run(self) -> None:
        from headrace.warehouse.published import read_ledger

        while True:
            ending = self._stop.is_set()
            for entry in read_ledger(self._gold.ledger).entries:
                if entry.build not in self.seen.versions:
                    self._look(entry)
            if ending:
                return
            self._stop.wait(POLL_SECS)

    def _look(self, entry: Entry) -> None:
        number = len(self.seen.versions) + 1
        if entry.build != f"b{number}":
            self.seen.faults.append(f"{entry.build} came where b{number} was to be seen")
        self.seen.versions.append(entry.build)
        try:
            found = self._figures(entry)
        except Exception as problem:  # noqa: BLE001 - a fault like any other: the reader goes on to the next version
            self.seen.faults.append(f"{entry.build}: {type(problem).__name__}: {problem}")
            return
        for name in ("total", "balances", "daily"):
            if found[name]:
                self.seen.faults.append(f"{entry.build}: the sum of {name} is {found[name]} cents, not zero")
        if found["unequal"]:
            self.seen.faults.append(f"{entry.build}: {found['unequal']} accounts are not the sum of their transfers")
        if found["daily_unequal"]:
            self.seen.faults.append(f"{entry.build}: {found['daily_unequal']} accounts differ by day")
        if found["transfers"] != found["silver"]:
            self.seen.faults.append(
                f"{entry.build}: made of {found['transfers']} transfers, silver has {found['silver']}"
            )
        if found["transfers"] < self.seen.transfers:
            self.seen.faults.append(f"{entry.build}: {found['transfers']} transfers after {self.seen.transfers}")
        self.seen.transfers = found["transfers"]

    def _figures(self, entry: Entry) -> dict[str, int]:
        """Return what a version says, beside the silver that it was made of."""
        from headrace.lake import leases
        from headrace.lake.catalog import CATALOG, DATA, attach_statement, connect

        assert entry.lake_snapshot is not None
        with ExitStack() as held:
            held.enter_context(leases.hold(self._lake, entry.lake_snapshot))
            catalog = held.enter_context(self._gold.pinned(entry.build))
            connection = held.enter_context(closing(connect()))
            connection.execute(attach_statement("gold", catalog, self._gold.data, snapshot=entry.gold_snapshot))
            connection.execute(
                attach_statement("lake", self._lake / CATALOG, self._lake / DATA, snapshot=entry.lake_snapshot)
            )
            row = connection.execute(CHECK).fetchone()
            assert row is not None
            return dict(zip(FIGURES, map(int, row), strict=True))


FIGURES = ("total", "balances", "daily", "transfers", "silver", "unequal", "daily_unequal")
CHECK = """
WITH moved AS (SELECT credit AS account, cents FROM lake.silver.transfers
    UNION ALL SELECT debit, -cents FROM lake.silver.transfers),
meant AS (SELECT account, sum(cents) AS cents FROM moved GROUP BY ALL),
days AS (SELECT account, sum(cents) AS cents FROM gold.main.daily GROUP BY ALL)
SELECT (SELECT coalesce(cents, 0) FROM gold.main.total), (SELECT coalesce(sum(cents), 0) FROM gold.main.balances),
    (SELECT coalesce(sum(cents), 0) FROM gold.main.daily), (SELECT coalesce(transfers, 0) FROM gold.main.total),
    (SELECT count(*) FROM lake.silver.transfers),
    (SELECT count(*) FROM meant FULL JOIN gold.main.balances b USING (account)
        WHERE meant.cents IS DISTINCT FROM b.cents),
    (SELECT count(*) FROM meant FULL JOIN days USING (account) WHERE meant.cents IS DISTINCT FROM days.cents)
"""


def start(project: Project) -> subprocess.Popen[bytes]:
    """Start `up`; it builds again as soon as a build is done."""
    command = [sys.executable, "-m", "headrace", "up", "--build-every", "0", "--project", str(project.root)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def run(root: Path, *, count: int, accounts: int, seed: int, kills: int = 1, least: int = 0) -> dict[str, Any]:
    """Live it, and return the figures; `faults` is empty where every version was right.

    `least` is how many versions there shall be: a publisher that is ahead of its share waits for the next one.
    """
    from headrace.bus.sqlite import SqliteBus
    from headrace.runtime.building import silver_changed
    from headrace.runtime.views.status import status
    from headrace.warehouse.embedded import DbtWarehouse

    project = make_project(root)
    sent = Transfers.made(count, accounts, seed)
    chance = random.Random(seed)
    size = max(500, min(10_000, count // 40))
    deaths = {chance.randrange(1, len(sent) // size) for _ in range(kills)}
    began = time.monotonic()
    up = start(project)
    try:
        with Reader(project) as reader, closing(SqliteBus(project.state / "bus")) as bus:
            for index, batch in enumerate(sent.messages(size)):
                bus.publish("transfers", batch)
                _wait(partial(reader.has_seen, least * index * size // len(sent)), up)
                if index in deaths:
                    up.kill()
                    up.wait()
                    up = start(project)
                _wait(lambda: bus.lag("transfers", "lake-transfers").messages < AHEAD, up)
            held, winners = sent.balances(accounts)
            with DbtWarehouse(project.state) as warehouse:
                _wait(lambda: not bus.lag("transfers", "lake-transfers").messages, up)
                _wait(lambda: not silver_changed(project, warehouse) and reader.is_up_to_date(), up)
            up.send_signal(signal.SIGTERM)
            up.wait(300)
        found = status(project)["transfers"]
        faults = [*reader.seen.faults, *found.unbalanced, *_ends(project, held, winners)]
    finally:
        up.kill()
        up.wait()
    return {
        "transfers": count,
        "messages": len(sent),
        "versions": len(reader.seen.versions),
        "faults": faults,
        "kills": len(deaths),
        "ledger": found.ledger,
        "seconds": round(time.monotonic() - began, 1),
    }


def _wait(done: Callable[[], bool], up: subprocess.Popen[bytes], secs: float = PATIENCE_SECS) -> None:
    deadline = time.monotonic() + secs
    while not done():
        if up.poll() is not None:
            raise SystemExit(f"up ended with {up.returncode}")
        if time.monotonic() > deadline:
            raise SystemExit(f"nothing came of it within {secs:g} s")
        time.sleep(POLL_SECS)


def _ends(project: Project, held: np.ndarray, winners: int) -> list[str]:
    """Return what is wrong with the last version, held against balances that were computed without Headrace."""
    from headrace.warehouse.embedded import DbtWarehouse

    with DbtWarehouse(project.state) as warehouse:
        rows = warehouse.query("select account, cents from balances", limit=len(held) + 1).rows.to_pylist()
        (total,) = warehouse.query("select transfers from total").rows.to_pylist()
    faults = [] if total["transfers"] == winners else [f"{total['transfers']} transfers in the end, not {winners}"]
    mine = {each["account"]: each["cents"] for each in rows}
    wrong = [account for account, cents in enumerate(held) if mine.get(account, 0) != cents]
    return [*faults, *([f"{len(wrong)} accounts end wrong"] if wrong else [])]
