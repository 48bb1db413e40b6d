"""What a batch costs with many rows in the table already, against an empty one.

    python benchmarks/bench_flatness.py --existing 50000000 --kept ../rows --table docs/benchmarks.md
    python benchmarks/bench_flatness.py --existing 5000000 --old 0.01 --json

The same events (those of `bench_tick.py`: 1% invalid, but no repeats) go into an empty lake and into one with
`--existing` rows of a million a day, written by the lake's own `stage` and `commit`; and into that one again, where 5%
of them repeat recent ones byte by byte; or with a share of `--old` more among them that repeat, field by field, an
order from anywhere among the existing rows, which changes nothing; or that are newer versions of such orders, which
must be read, taken out and superseded. `--kept` keeps the lake with the existing rows there, or takes what is there.

Runs are interleaved, each in a process of its own on a fresh copy; the figures are medians. What a cold process does
once, opening the lake and building the index of keys, is in the time to its first commit, and told apart from the
batches after it. The numbers are checked: the ledger must balance, and its fates must be what the generator made.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

import bench_tick
import report
import shop_events
from bench_peers import machine, say
from peer_table import put, table
from shop_project import make_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

TITLES = {
    "empty": "new keys, empty table",
    "new": "new keys, {rows:,} rows before",
    "recent": "5% of them repeats of recent rows",
    "old": "and {olds:,} repeats of old rows",
    "updates": "and {olds:,} updates of old rows",
}
CASES = tuple(TITLES)
KEYS = (
    "first_seconds",
    "first_cpu_seconds",
    "seconds_per_100k",
    "cpu_seconds_per_100k",
    "commit_seconds_per_100k",
    "peak_memory_mib",
)


def main() -> None:
    """Prepare, run, check and print."""
    parser = report.options(__doc__)
    parser.add_argument("--existing", type=int, default=50_000_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument(
        "--old", type=float, default=0.001, metavar="SHARE", help="so many more events repeat or update existing rows"
    )
    parser.add_argument("--kept", type=Path, metavar="FOLDER", help="where the existing rows are kept from run to run")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES, help="which of them; `empty` always")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--table", type=Path, metavar="PAGE", help="put the table into this page")
    parser.add_argument("--drain", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drain:
        drain(given.drain)
        return
    report.report(given, lambda folder: bench(folder, given))


def bench(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of each case, and their ratios to the empty table."""
    expected = prepared(folder, given)
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in expected}
    for number in range(given.runs):
        for name in expected:
            copy = Path(shutil.copytree(folder / name, folder / "run", copy_function=bench_tick.shared))
            ran = subprocess.run(
                [sys.executable, __file__, "--drain", str(copy)], check=True, stdout=subprocess.PIPE, text=True
            )
            bench_tick.check(copy, expected[name])
            shutil.rmtree(copy)
            measured[name].append(json.loads(ran.stdout))
            say(f"{number + 1}/{given.runs} {name}: {measured[name][-1]}")
    cases = {
        name: {key: statistics.median(one[key] for one in each) for key in each[0]} for name, each in measured.items()
    }
    found = {
        "events": given.events,
        "olds": round(given.events * given.old),
        "existing_rows": given.existing,
        "runs": given.runs,
        **cases,
        "ratios": {name: ratios(cases[name], cases["empty"]) for name in cases if name != "empty"},
        **machine(),
    }
    if given.table:
        put(given.table, "flatness", page(found))
    return found


def ratios(these: dict[str, float], those: dict[str, float]) -> dict[str, float]:
    """Return each figure by another's."""
    return {key: round(these[key] / those[key], 2) for key in KEYS}


def prepared(folder: Path, given: argparse.Namespace) -> dict[str, dict[str, int]]:
    """Make a project for each case; return what must become of its events."""
    full = given.kept or folder / "full"
    if not full.exists():
        say(f"making {given.existing:,} rows")
        bench_tick.preload(make_project(full, ["orders"]), ["orders"], given.existing)
    bench_tick.preload(make_project(folder / "empty", ["orders"]), ["orders"], 0)
    old = round(given.events * given.old)
    per_batch = max(-(-old // -(-given.events // shop_events.PER_BATCH)), 1)
    expected = {}
    for name in CASES:
        if name not in ("empty", *given.cases):
            continue
        say(f"{name}: {given.events:,} events on the bus")
        if name != "empty":
            shutil.copytree(full, folder / name, copy_function=bench_tick.shared)
        count = old if name in ("old", "updates") else 0
        between = old_messages(given.existing, count, per_batch, newer=name == "updates")
        repeats = 0.05 if name == "recent" else 0.0
        expected[name] = bench_tick.publish(folder / name, ["orders"], given.events, between, repeats)
        expected[name]["superseded"] = count if name == "updates" else 0
        expected[name]["accepted"] += count
        expected[name]["duplicate"] += count if name == "old" else 0
    return expected


def old_messages(existing: int, count: int, per_batch: int, *, newer: bool) -> Iterator[pa.RecordBatch]:
    """Yield orders from among the existing rows of `bench_tick.preload`: as they would have come, or a second newer.

    They are of as many different orders.
    """
    step = min(bench_tick.EXISTING_PER_DAY, existing)
    with duckdb.connect() as connection:
        for first in range(0, count, per_batch):
            yield (
                connection.execute(
                    f"""
                    WITH drawn AS (
                        SELECT (n * ($existing // $count) + hash(n, 30) % ($existing // $count))::BIGINT AS i
                        FROM (SELECT (t.n * $stride) % $count AS n FROM range($first::BIGINT, $last::BIGINT) t(n))
                    ), orders AS (SELECT {shop_events.COLUMNS}, $since::TIMESTAMP - to_days((1 + i // $step)::INT)
                        + to_microseconds((i % $step) * $spacing + $later) AS came FROM drawn)
                    SELECT encode(to_json(struct_pack(order_id, customer_id,
                        ordered_at := strftime(came, '%Y-%m-%dT%H:%M:%S.%fZ'), status, amount, currency, email,
                        quantity, gift, channel, note, address))::VARCHAR) AS payload FROM orders
                    """,
                    {
                        "seed": bench_tick.EXISTING_SEED, "since": str(bench_tick.STREAM_SINCE), "step": step,
                        "spacing": 80_000_000_000 // step, "existing": existing, "first": first,
                        "last": min(first + per_batch, count), "count": count, "later": 1_000_000 if newer else 0,
                        "stride": coprime(count),
                    },
                )
                .to_arrow_table()
                .combine_chunks()
                .to_batches()[0]
            )  # fmt: skip


def coprime(count: int) -> int:
    """Return a step that visits all of so many numbers, each batch's share of it from everywhere."""
    return next(step for step in range(max(count * 5 // 8, 1), 2 * count + 2) if math.gcd(step, count) == 1)


def drain(root: Path) -> None:
    """What is measured: everything on the bus into the lake, as `headrace build` brings it in."""
    sys.meta_path.insert(0, bench_tick.NoPandas())
    from headrace.bus.sqlite import SqliteBus
    from headrace.config.project import load_project
    from headrace.lake.ducklake import DuckLake
    from headrace.runtime.deployment import deploy
    from headrace.runtime.loop import Loop

    project = load_project(root)
    with closing(SqliteBus(project.state / "bus")) as bus:
        opened = time.perf_counter()
        loop = Loop(
            bus,
            lambda: DuckLake(project.state / "lake"),
            project.sources,
            lambda lake, bus: deploy(project, lake, bus),
            upkeep_every_secs=None,
        )
        while not loop.progress.commits:
            loop.step({"orders"})
        started, cpu = time.perf_counter(), time.process_time()
        first, messages = loop.progress.commit_secs, loop.progress.messages
        loop.drain()
        seconds, after = time.perf_counter() - started, time.process_time() - cpu
        batches, committing = loop.progress.commits - 1, loop.progress.commit_secs - first
        hundreds = (loop.progress.messages - messages) / 100_000
        loop.close()
    if not batches:
        raise SystemExit("so few events are one batch: more --events show what the next ones cost")
    print(
        json.dumps(
            {
                "seconds_per_100k": round(seconds / hundreds, 4),
                "cpu_seconds_per_100k": round(after / hundreds, 4),
                "commit_seconds_per_100k": round(committing / hundreds, 4),
                "batches": batches,
                "first_seconds": round(started - opened, 2),
                "first_cpu_seconds": round(cpu, 2),
                "peak_memory_mib": round(bench_tick.peak_memory_mib()),
            }
        )
    )


def page(found: dict[str, Any]) -> str:
    """Return the table."""
    head = ["", "s to the first commit", "CPU s", "s per 100k events after it", "CPU s", "s to commit", "peak MiB"]
    rows = []
    for name in (name for name in CASES if name in found):
        title = TITLES[name].format(rows=found["existing_rows"], olds=found["olds"])
        rows.append([title, *(f"{found[name][key]:,}" for key in KEYS)])
        if name in found["ratios"]:
            rows.append(["– to the empty one", *(f"{found['ratios'][name][key]} ×" for key in KEYS)])
    conditions = (
        f"{found['events']:,} events in {found['empty']['batches'] + 1:.0f} batches. {found['cores']} cores, "
        f"{found['memory_gib']} GiB, {found['system']}, Python {found['python']}, {found['date']}; medians of "
        f"{found['runs']} {'run' if found['runs'] == 1 else 'runs'}, interleaved; load of the machine over the last "
        f"five minutes at the end: {found['load_average']}."
    )
    return f"{conditions}\n\n{table(head, rows)}"


if __name__ == "__main__":
    main()
