"""Freshness: from the call that publishes an event to the moment when a reader finds it in silver, with `up` running.

    python benchmarks/bench_freshness.py --seconds 20 --rate 20000 --json

A publisher of its own sends batches at a steady rate, on time whatever the others do; events have about 400 bytes,
seeded, each with an id of its own. A reader beside `up` looks what is committed (`silver_watch.py`). An event's
freshness is counted from before its publish to after that answer, so the pause between two looks is in it. Defaults
are the project's: a commit is due after a second. At the end `up` drains, the ledger must balance, and all that was
published must be in it.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

import report
import shop_events
from shop_project import SEED, check, make_project
from silver_watch import freshness, lived

if TYPE_CHECKING:
    from pathlib import Path

PUBLISHES_PER_SECOND = 50
WARM_UP_SECS = 3
LAST_COMMIT_SECS = 60


def main() -> None:
    """Publish, watch, check and print."""
    parser = report.options(__doc__)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rate", type=int, default=20_000, help="events a second")
    given = parser.parse_args()
    report.report(given, lambda folder: bench(folder, given.seconds, given.rate))


def bench(folder: Path, seconds: int, rate: int) -> dict[str, Any]:
    """Return the figures."""
    root = make_project(folder / "project", ["orders"])
    per_publish = rate // PUBLISHES_PER_SECOND
    count = (WARM_UP_SECS + seconds) * PUBLISHES_PER_SECOND
    batches = made(count * per_publish, per_publish)
    upto = {"orders": count * per_publish}
    (began, late), seen = lived(root, lambda: publish(root, batches), upto, LAST_COMMIT_SECS)
    check(root, count * per_publish)
    fresh = freshness(began, seen["orders"], per_publish)[WARM_UP_SECS * PUBLISHES_PER_SECOND :]
    p50, p95, p99 = (round(float(np.percentile(fresh, each)), 3) for each in (50, 95, 99))
    return {
        "events_per_second": per_publish * PUBLISHES_PER_SECOND,
        "seconds": seconds,
        "p50_secs": p50,
        "p95_secs": p95,
        "p99_secs": p99,
        "max_secs": round(float(fresh.max()), 3),
        "publisher_late_p99_secs": round(float(np.percentile(late, 99)), 3),
        "load_average": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
    }


def made(count: int, per_publish: int) -> list[pa.RecordBatch]:
    """Return all events before the clock starts."""
    messages = shop_events.messages(count, seed=SEED, since="2026-11-21", spacing_micros=1_000)
    table = pa.Table.from_batches(list(messages))
    return [
        table.slice(at, per_publish).combine_chunks().to_batches()[0] for at in range(0, table.num_rows, per_publish)
    ]


def publish(root: Path, batches: list[pa.RecordBatch]) -> tuple[Any, Any]:
    """Publish at the rate; return when each publish began, and how much later than planned that was."""
    from headrace.bus.sqlite import SqliteBus
    from headrace.config.project import load_project

    began, late = [], []
    with closing(SqliteBus(load_project(root).state / "bus")) as bus:
        start = time.monotonic()
        for number, batch in enumerate(batches):
            planned = start + number / PUBLISHES_PER_SECOND
            time.sleep(max(0.0, planned - time.monotonic()))
            began.append(time.monotonic())
            late.append(began[-1] - planned)
            bus.publish("orders", batch)
    return np.array(began), np.array(late)


if __name__ == "__main__":
    main()
