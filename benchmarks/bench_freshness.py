"""Freshness: from the call that publishes an event to the moment when a reader finds it in silver, with `up` running.

    python benchmarks/bench_freshness.py --seconds 20 --rate 20000 --json

A publisher of its own sends batches at a steady rate, on time whatever the others do; events have about 400 bytes,
seeded, each with an id of its own. A reader beside `up` looks every 50 ms whether the catalog's files have changed, as
`headrace good --follow` does, and then asks which batches are committed (a batch and its rows of silver are one
commit). An event's freshness is counted from before its publish to after that answer, so the pause between two looks
is in it. Defaults are the project's: a commit is due after a second. At the end `up` drains, the ledger must balance,
and all that was published must be in it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

import report
import shop_events
from shop_project import SEED, check, make_project, start

if TYPE_CHECKING:
    from pathlib import Path

PUBLISHES_PER_SECOND = 50
POLL_SECS = 0.05
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
    up, _ = start(root, collector=False)
    seen: list[tuple[float, int]] = []
    stop = threading.Event()
    watcher = threading.Thread(target=watch, args=(root, seen, stop))
    watcher.start()
    try:
        published, late = publish(root, batches)
        deadline = time.monotonic() + LAST_COMMIT_SECS
        while not (seen and seen[-1][1] >= count * per_publish) and time.monotonic() < deadline:
            time.sleep(POLL_SECS)
        stop.set()
        watcher.join()
        up.send_signal(signal.SIGTERM)
        up.communicate(timeout=600)
    finally:
        stop.set()
        up.kill()
        up.wait()
    check(root, count * per_publish)
    times, upto = np.array([each[0] for each in seen]), np.array([each[1] for each in seen])
    last = (np.arange(count) + 1) * per_publish  # a publish is one transaction: it is seen once its last event is
    found = np.searchsorted(upto, last)
    if found.max() >= len(times):
        raise SystemExit(f"{last[-1]} events were published, and {upto[-1]} were seen within {LAST_COMMIT_SECS} s")
    fresh = (times[found] - published)[WARM_UP_SECS * PUBLISHES_PER_SECOND :]
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


def changed(lake: Path) -> tuple[tuple[int, int], ...]:
    """Return what is another value after each commit."""
    found = []
    for each in sorted(lake.glob("catalog.db*")):
        with suppress(FileNotFoundError):  # SQLite removes its log with the last connection
            found.append(each.stat())
    return tuple((each.st_mtime_ns, each.st_size) for each in found)


def watch(root: Path, seen: list[tuple[float, int]], stop: threading.Event) -> None:
    """Note, again and again, up to which event silver is committed."""
    from headrace.config.project import load_project
    from headrace.lake.reader import open_reader

    with open_reader(load_project(root).state / "lake") as lake:
        if lake is None:
            raise SystemExit("up has made no lake")
        state = load_project(root).state / "lake"
        before: tuple[tuple[int, int], ...] = ()
        while not stop.wait(POLL_SECS):
            now = changed(state)
            if now == before:
                continue
            before = now
            found = lake.rows("SELECT coalesce(max(next_seq), 0) AS upto FROM lake.ops.batches")
            seen.append((time.monotonic(), found[0]["upto"]))


if __name__ == "__main__":
    main()
