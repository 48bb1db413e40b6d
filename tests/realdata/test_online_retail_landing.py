"""141 days of an online shop, dropped into a watched folder while `up` is killed five times: each row counts once."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from headrace.config.project import load_project
from headrace.connectors.batch_file.manifest import Manifest
from headrace.lake.reader import open_reader
from headrace.runtime.views.status import status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
TYPES = {
    "Quantity": {"type": "integer"},
    "CustomerID": {"type": "integer"},
    "UnitPrice": {"type": "number", "format": "decimal", "precision": 12, "scale": 3},
}
SCHEMA = {
    "type": "object",
    "required": ["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "Country"],
    "properties": {name: TYPES.get(name, {"type": "string"}) for name in COLUMNS},
    "additionalProperties": False,
}
KILLS = 5
ROWS, FILES = 209_029, 141


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("connectors", "schemas", "landing/retail"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "headrace.yaml").write_text("name: retail\n")
    (tmp_path / "schemas/retail.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "connectors/retail.yaml").write_text(
        "source_id: retail\npattern: batch_file\nlocation: landing/retail/\nformat: csv\nevent_time: InvoiceDate\n"
        "schema_file: schemas/retail.json\nfiles: {every: 100ms, settle: 200ms}\n"
        "processing:\n  bronze_to_silver:\n  - deduplication: {key: [InvoiceNo, StockCode]}\n"
    )
    return tmp_path


def up(project: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "headrace", "up", "--no-build", "--project", str(project)]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ, text=True)


def taken(project: Path) -> int:
    manifest = Manifest(project / ".headrace/local/landing/manifest.db")
    rows = sum(entry.taken for entry in manifest.entries("retail"))
    manifest.close()
    return rows


def drop(days: Iterator[tuple[str, bytes]], project: Path, count: int) -> None:
    for _, (name, data) in zip(range(count), days, strict=False):
        draft = project / "landing/retail" / f"{name}.part"
        draft.write_bytes(data)
        draft.rename(draft.with_suffix(""))


def test_days_dropped_while_up_is_killed_are_counted_as_plain_python_counts_them(shared: Path, project: Path):
    with tarfile.open(shared / "data/events/online_retail/online_retail_2010-12_to_2011-05_by_day.tar.gz") as archive:
        found = [
            (os.path.basename(member.name), archive.extractfile(member).read())  # noqa: PTH119
            for member in archive.getmembers()
            if member.isfile()
        ]
    assert len(found) == FILES
    days = iter(found)
    chance = random.Random(17)
    running = None
    try:
        for _ in range(KILLS):
            running = up(project)
            drop(days, project, FILES // KILLS)
            before = taken(project)
            deadline = time.monotonic() + 60
            while taken(project) == before and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(chance.uniform(0.0, 0.6))
            running.kill()
            running.wait()
            (project / ".headrace/local/control.sock").unlink(missing_ok=True)
        running = up(project)
        drop(days, project, FILES)
        deadline = time.monotonic() + 120
        while taken(project) < ROWS and time.monotonic() < deadline:
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        assert running.wait(120) == 0
    finally:
        if running is not None and running.poll() is None:
            running.kill()
            running.wait()

    raw: dict[tuple[str, str], dict[str, str]] = {}
    for name, data in found:
        for number, row in enumerate(csv.DictReader(data.decode().splitlines(keepends=True)), 1):
            raw[name, str(number)] = row
    assert len(raw) == ROWS
    distinct = {tuple(row.values()) for row in raw.values()}
    keys = {(row["InvoiceNo"], row["StockCode"]) for row in raw.values()}
    now = status(load_project(project))["retail"]
    assert now.balanced, now.unbalanced
    assert {fate: count for fate, count in now.ledger.items() if count} == {
        "accepted": ROWS,
        "silver": len(keys),
        "superseded": len(distinct) - len(keys),
        "duplicate": ROWS - len(distinct),
    }
    with open_reader(project / ".headrace/local/lake") as lake:
        bronze = lake.rows(
            "SELECT attributes['file-path'] AS path, attributes['file-row'] AS row, payload FROM lake.bronze.messages "
            "ORDER BY seq"
        )
        silver = lake.rows("SELECT * FROM lake.silver.retail")
        (counted,) = lake.rows(
            'SELECT count(*) FILTER ("CustomerID" IS NULL) AS nobody, '
            'count(*) FILTER (starts_with("InvoiceNo", \'C\')) AS cancelled, sum("Quantity")::BIGINT AS quantity '
            "FROM lake.silver.retail"
        )
    # Every row of every file is in bronze once, and says which it is.
    assert Counter((row["path"], row["row"]) for row in bronze) == Counter(raw.keys())
    # The rule of fates, over the order in which they arrived.
    winners: dict[tuple[str, str], dict[str, str]] = {}
    seen: set[tuple[str, ...]] = set()
    for each in bronze:
        row = raw[each["path"], each["row"]]
        assert next(csv.reader([each["payload"].decode()])) == [*row.values()]
        if (line := tuple(row.values())) not in seen:
            seen.add(line)
            winners[row["InvoiceNo"], row["StockCode"]] = row
    assert {
        (row["InvoiceNo"], row["StockCode"]): (row["Quantity"], str(row["CustomerID"] or "")) for row in silver
    } == {key: (int(row["Quantity"]), row["CustomerID"].removesuffix(".0")) for key, row in winners.items()}
    assert counted == {
        "nobody": sum(not row["CustomerID"] for row in winners.values()),
        "cancelled": sum(row["InvoiceNo"].startswith("C") for row in winners.values()),
        "quantity": sum(int(row["Quantity"]) for row in winners.values()),
    }
    assert min(counted.values()) > 0
