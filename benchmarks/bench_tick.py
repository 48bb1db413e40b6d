"""Topic to committed bronze, silver, quarantine and ledger: events a second of one whole, cold process.

    python benchmarks/bench_tick.py --events 1000000 --json
    python benchmarks/bench_tick.py --sources 100 --events 1000000 --json

Conditions: the events wait on the bus; every file and commit is fsynced; 12 fields, one nested; 5% exact repeats
of recent orders and 1% invalid; `--existing` rows are in silver before (10 million by default, a million a day,
written straight to the lake; their bronze payloads are short). Measured from the start of the process that drains the
bus to its end, Python's own start and the build of the key index included. `--runs` repeats it on a fresh copy; the
figures are medians. The numbers are checked: the ledger must balance, and its fates must be what the generator made.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.abc
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from array import array
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import report
import shop_events
from shop_project import SEED, make_project

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from headrace.lake.base import Change
    from headrace.lake.ducklake import DuckLake
    from headrace.stages.dataset import Dataset

STREAM_SINCE = dt.datetime(2026, 11, 21)  # noqa: DTZ001 - DuckDB takes it as UTC
EXISTING_PER_DAY = 1_000_000
EXISTING_SEED = 1_000_003


def main() -> None:
    """Prepare, run, check and print."""
    parser = report.options(__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--sources", type=int, default=1)
    parser.add_argument("--existing", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--drain", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drain:
        drain(given.drain)
        return
    report.report(given, lambda folder: bench(folder, given.events, given.sources, given.existing, given.runs))


def bench(folder: Path, events: int, sources: int, existing: int, runs: int) -> dict[str, Any]:
    """Return the figures: medians over the runs."""
    names = ["orders"] if sources == 1 else [f"orders_{at:03d}" for at in range(sources)]
    project = make_project(folder / "project", names)
    expected = publish(project, names, events)
    preload(project, names, existing)
    measured = []
    for number in range(runs):
        # Parquet files are never written to again, so a copy may share them; the last run takes the project itself.
        copy = project if number == runs - 1 else Path(shutil.copytree(project, folder / "run", copy_function=shared))
        measured.append(measure(copy, expected))
        shutil.rmtree(copy)
    medians = {name: round(statistics.median(each[name] for each in measured), 3) for name in measured[0]}
    return {
        "events": events,
        "sources": sources,
        "existing_rows": existing,
        "runs": runs,
        "events_per_second": round(events / medians["seconds"]),
        "cpu_seconds_per_million": round(medians["cpu_seconds"] / events * 1e6, 2),
        **medians,
        "cores": os.cpu_count(),
    }


def shared(source: str, target: str) -> None:
    """Copy a file, or share it where it is never written to again: Parquet, and runs of the index of keys."""
    if source.endswith((".parquet", ".keys")):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def batched(numbers: range, count: int) -> Iterator[range]:
    """Yield so many numbers at a time."""
    for at in range(0, len(numbers), count):
        yield numbers[at : at + count]


def publish(
    root: Path, names: list[str], events: int, between: Iterable[pa.RecordBatch] = (), repeats: float = 0.05
) -> dict[str, int]:
    """Put the events on the bus, parted evenly among the sources; return what must become of them.

    A share of `repeats` is of recent orders. After each publish comes one of the batches `between`, which the caller
    knows the fates of.
    """
    from headrace.bus.sqlite import SqliteBus
    from headrace.config.project import load_project

    per_source = events // len(names)
    silver = invalid = 0
    others = iter(between)
    with closing(SqliteBus(load_project(root).state / "bus")) as bus:
        for at, name in enumerate(names):
            keys = array("Q")  # a hundred million fit
            spacing = max(50_000_000_000 // events, 1)
            for batch in shop_events.messages(
                per_source, seed=SEED + at, since=str(STREAM_SINCE), spacing_micros=spacing, duplicates=repeats
            ):
                bus.publish(name, batch)
                for other in islice(others, 1):
                    bus.publish(name, other)
                for payload in batch.column("payload").to_pylist():
                    if b'"gifts":' in payload or b'"status":"un' in payload:
                        invalid += 1
                    else:
                        keys.append(int(payload[15:31], 16))
            silver += len(np.unique(np.frombuffer(keys, np.uint64)))
    published = per_source * len(names)
    return {
        "accepted": published,
        "silver": silver,
        "duplicate": published - invalid - silver,
        "quarantined": invalid,
    }


def preload(root: Path, names: list[str], existing: int) -> None:
    """Put rows into silver, bronze and the ledger of the sources, as if they had come long ago."""
    from headrace.config.project import load_project
    from headrace.lake.ducklake import DuckLake

    project = load_project(root)
    with closing(DuckLake(project.state / "lake")) as lake, ThreadPoolExecutor(os.cpu_count()) as stager:
        datasets = [dataset for source in project.sources.values() for dataset in source.datasets]
        lake.deploy(datasets)
        for dataset in datasets:
            lake.foresee(dataset)  # so that it follows the commits, as it does in a tick
        for at, name in enumerate(names):
            total = existing // len(names)
            stage = partial(stage_existing, lake, project.sources[name].datasets[0], EXISTING_SEED + at, total)
            for firsts in batched(range(0, total, min(EXISTING_PER_DAY, max(total, 1))), 4):
                for change in stager.map(stage, firsts):  # any thread may stage; a commit is the lake's thread's
                    lake.commit([change])
        lake.settle()


def stage_existing(lake: DuckLake, dataset: Dataset, seed: int, total: int, first: int) -> Change:
    """Return a day of rows, staged, with their digests and what the index of keys is told of them."""
    from headrace import words
    from headrace.lake import digests, tables
    from headrace.lake.base import Change
    from headrace.lake.keys import Entries
    from headrace.stages.key import KeyHash

    step = min(EXISTING_PER_DAY, total)
    spacing = 80_000_000_000 // step
    since = STREAM_SINCE - dt.timedelta(days=1 + first // step, microseconds=first * spacing)
    rows = shop_events.rows(first, min(step, total - first), seed=seed, since=str(since), spacing_micros=spacing)
    table = tables.silver(dataset)
    change = _existing(dataset.name, dataset.contract.version, rows, first, table)
    silver = change["silver"]
    added = digests.of_change(silver, None, dataset.payload().names)
    keys = Entries.of(KeyHash(dataset).of(silver), silver[words.SEQ].to_numpy(), added.payloads)
    staged = [*lake.stage(table, silver, f"existing-{first}")]
    staged += lake.stage(tables.BRONZE, change["bronze"], f"existing-{first}")
    touched = [{"dataset": dataset.name, "event_date": date} for date in added.parts]
    change["batch"] |= {"touched": touched, "digests": digests.recorded({dataset.name: added.parts})}
    ops = change["ops"] | {tables.BATCHES.name: pa.Table.from_pylist([change["batch"]], schema=tables.BATCHES.columns)}
    return Change(dataset.name, tuple(staged), ops=ops, keys={table.name: keys})


def _existing(name: str, version: str, rows: pa.Table, first: int, table: Any) -> dict[str, Any]:
    from headrace import words
    from headrace.lake import tables

    count = len(rows)
    seq = pa.array(np.arange(first, first + count), pa.int64())
    ids = pc.binary_join_element_wise(f"{name}-existing-", seq.cast(pa.string()), "")
    times = rows["ordered_at"].cast(pa.timestamp("us", "UTC"))
    columns = {field: rows[field] for field in rows.schema.names} | {
        "ordered_at": times,
        words.EVENT_ID: ids,
        words.EVENT_TIME: times,
        words.INGEST_TIME: times,
        words.SEQ: seq,
        words.EVENT_DATE: pc_date(times),
    }
    columns |= {words.SCHEMA_VERSION: pa.repeat(version, count), words.TRACE_ID: pa.nulls(count, pa.string())}
    silver = pa.table({field: columns[field] for field in table.columns.names}).cast(table.columns)
    batch_id = f"{name}-existing-{first}"
    bronze = pa.table(
        {
            "source": pa.repeat(name, count),
            "seq": seq,
            "partition": pa.repeat("existing", count),
            "offset": seq,
            "message_id": ids,
            "ingest_time": times,
            "attributes": pa.nulls(count, pa.map_(pa.string(), pa.string())),
            "payload": pa.repeat(b"{}", count),
            "ingest_date": columns[words.EVENT_DATE],
        }
    ).select(tables.BRONZE.columns.names)
    fates = dict.fromkeys(words.Fate, 0) | {words.Fate.SILVER: count}
    ledger = {"batch_id": batch_id, "source": name, "dataset": name, "contract_version": version, "accepted": count}
    position = {
        "batch_id": batch_id, "source": name, "topic": name, "partition": "existing", "next_offset": first + count,
        "accepted": count,
    }  # fmt: skip
    batch = {"batch_id": batch_id, "source": name, "first_seq": first, "next_seq": first + count}
    ops = {
        tables.LEDGER.name: pa.Table.from_pylist([ledger | fates], schema=tables.LEDGER.columns),
        tables.POSITIONS.name: pa.Table.from_pylist([position], schema=tables.POSITIONS.columns),
    }
    return {"silver": silver, "bronze": bronze, "ops": ops, "batch": batch}


def pc_date(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the UTC date of instants."""
    from headrace.runtime.batch import utc_date

    return utc_date(times)


def measure(root: Path, expected: dict[str, int]) -> dict[str, float]:
    """Drain the bus in a process of its own; return its figures, and check what it left behind."""
    os.sync()
    command = [sys.executable, __file__, "--drain", str(root)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    check(root, expected)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_memory_mib": float(ran.stdout)}


class NoPandas(importlib.abc.MetaPathFinder):
    """Says that pandas is not installed."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:  # noqa: ARG002
        """Refuse one module, and know of no other."""
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


def drain(root: Path) -> None:
    """What is measured: everything on the bus into the lake.

    As users have it: pandas is a dependency of our tests alone, and Arrow would load it just because it is there.
    """
    sys.meta_path.insert(0, NoPandas())
    from headrace.config.project import load_project
    from headrace.runtime.building import bring_in

    bring_in(load_project(root))
    print(peak_memory_mib())


def peak_memory_mib() -> float:
    """Return the largest resident size of this process."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, the resource usage of a child begins with what its parent held
        high = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(high.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def check(root: Path, expected: dict[str, int]) -> None:
    """Stop where the lake does not hold what the generator made."""
    from headrace.config.project import load_project
    from headrace.runtime.views.status import status

    existing: dict[str, int] = {}
    statuses = status(load_project(root)).values()
    if not all(each.balanced for each in statuses):
        raise SystemExit(f"not balanced: {[each.unbalanced for each in statuses]}")
    for fate in expected:
        existing[fate] = sum(each.ledger[fate] for each in statuses)
    already = existing["accepted"] - expected["accepted"]
    existing["accepted"] -= already
    existing["silver"] -= already
    if existing != expected:
        raise SystemExit(f"expected {expected}, found {existing}")


if __name__ == "__main__":
    main()
