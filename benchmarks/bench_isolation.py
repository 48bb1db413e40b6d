"""Isolation: how fresh sources that do well stay beside one that does its worst, with `up` running.

    python benchmarks/bench_isolation.py --seconds 15 --rate 2000 --json

A publisher sends events to three sources at a steady rate, first with no neighbour, then with each bad one in turn, a
project and an `up` of its own each: `poisoned` (every message fails its contract), `greedy` (ten times the load),
`slow` (a contract of patterns and rules, and large documents), `dead_push` (a push to an endpoint where nobody
listens) and `hanging_push` (one that takes connections and never answers). Freshness is counted as
`bench_freshness.py` does, over all three; `ratio` is the p99 against the one without a neighbour. At the end the
ledgers of the three must balance and hold all that was published.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

import report
from bench_freshness import changed, made
from shop_project import make_project, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WELL = ("alpha", "beta", "gamma")
PER_SECOND = 20  # publishes to each source
WARM_UP_SECS = 3
LAST_COMMIT_SECS = 120
POLL_SECS = 0.05
NEIGHBOURS = ("none", "poisoned", "greedy", "slow", "dead_push", "hanging_push")


def main() -> None:
    """Measure beside each neighbour, and print."""
    parser = report.options(__doc__)
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--rate", type=int, default=2_000, help="events a second and source")
    parser.add_argument("--neighbour", action="append", choices=NEIGHBOURS[1:], help="only these")
    given = parser.parse_args()
    chosen = ("none", *(given.neighbour or NEIGHBOURS[1:]))
    report.report(given, lambda folder: bench(folder, given.seconds, given.rate, chosen))


def bench(folder: Path, seconds: int, rate: int, chosen: tuple[str, ...]) -> dict[str, Any]:
    """Return the figures beside each neighbour."""
    figures: dict[str, Any] = {"events_per_second_and_source": rate, "seconds": seconds, "cores": os.cpu_count()}
    for name in chosen:
        with closing(socket.socket()) as silent:  # takes connections, and never answers
            silent.bind(("127.0.0.1", 0))
            if name == "hanging_push":
                silent.listen(64)
            root = project(folder / name, name, silent.getsockname()[1])
            figures[name] = beside(root, name, seconds, rate)
        figures[name]["ratio"] = round(figures[name]["p99_secs"] / figures["none"]["p99_secs"], 2)
    return figures


def project(root: Path, neighbour: str, port: int) -> Path:
    """Write a project with the sources that do well, and the one that does not."""
    make_project(root, [*WELL, *([] if neighbour == "none" else ["bad"])])
    bad = root / "connectors" / "bad.yaml"
    if neighbour.endswith("_push"):
        bad.write_text(bad.read_text() + f"serving: {{push: [{{name: hook, to: 'http://127.0.0.1:{port}/'}}]}}\n")
        with (root / "headrace.yaml").open("a") as file:
            file.write("push: {networks: [127.0.0.0/8], plain_http: [127.0.0.1]}\n")
    if neighbour == "slow":
        pattern = "^(a|aa|aaa|[a-z0-9 ._-])*$"
        schema = {"type": "object", "required": ["id"], "properties": {
            "id": {"type": "string"},
            "texts": {"type": "array", "uniqueItems": True, "items": {"type": "string", "pattern": pattern}},
        }}  # fmt: skip
        (root / "schemas" / "bad.json").write_text(json.dumps(schema))
        bad.write_text(
            "source_id: bad\ningestion: {pattern: event_streaming, message_format: json}\n"
            "schema: {file: schemas/bad.json}\nprocessing: {bronze_to_silver: [{deduplication: {key: [id]}}]}\n"
        )
    return root


def worst(neighbour: str, rate: int) -> Callable[[int], pa.RecordBatch | None]:
    """Return what the neighbour is sent with each publish."""
    count = rate // PER_SECOND
    if neighbour == "poisoned":
        return lambda _: sent([{"order_id": 7, "amount": "many", "nobody": True}, {"amount": 1}] * (count // 2))
    if neighbour == "slow":
        text = [" ".join(f"w{each}" for each in range(at, at + 40)) for at in range(200)]
        return lambda number: sent([{"id": f"{number}-{each}", "texts": text} for each in range(count // 4)])
    if neighbour == "none":
        return lambda _: None
    events = count * (10 if neighbour == "greedy" else 1)
    many = made(events * 40, events)
    return lambda number: many[number % len(many)]


def sent(documents: list[dict[str, Any]]) -> pa.RecordBatch:
    """Return documents as messages."""
    return pa.record_batch({"payload": pa.array([json.dumps(each).encode() for each in documents], pa.binary())})


def beside(root: Path, neighbour: str, seconds: int, rate: int) -> dict[str, Any]:
    """Publish, watch and check with one neighbour."""
    per_publish, count = rate // PER_SECOND, (WARM_UP_SECS + seconds) * PER_SECOND
    batches, bad = made(count * per_publish, per_publish), worst(neighbour, rate)
    up, _ = start(root, collector=False)
    seen: dict[str, list[tuple[float, int]]] = {name: [] for name in WELL}
    stop = threading.Event()
    watcher = threading.Thread(target=watch, args=(root, seen, stop))
    watcher.start()
    try:
        began = publish(root, batches, bad)
        deadline = time.monotonic() + LAST_COMMIT_SECS
        while time.monotonic() < deadline and any(
            not each or each[-1][1] < count * per_publish for each in seen.values()
        ):
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
    fresh = np.concatenate([freshness(began[name], seen[name], per_publish) for name in WELL])
    p50, p99 = (round(float(np.percentile(fresh, each)), 3) for each in (50, 99))
    return {"p50_secs": p50, "p99_secs": p99, "max_secs": round(float(fresh.max()), 3), "commits": len(seen[WELL[0]])}


def publish(root: Path, batches: list[pa.RecordBatch], bad: Callable[[int], pa.RecordBatch | None]) -> dict[str, Any]:
    """Publish at the rate; return when each publish to each source that does well began."""
    from headrace.bus.sqlite import SqliteBus
    from headrace.config.project import load_project

    began: dict[str, list[float]] = {name: [] for name in WELL}
    with closing(SqliteBus(load_project(root).state / "bus")) as bus:
        start_at = time.monotonic()
        for number, batch in enumerate(batches):
            time.sleep(max(0.0, start_at + number / PER_SECOND - time.monotonic()))
            for name in WELL:
                began[name].append(time.monotonic())
                bus.publish(name, batch)
            if (worse := bad(number)) is not None:
                bus.publish("bad", worse)
    return began


def watch(root: Path, seen: dict[str, list[tuple[float, int]]], stop: threading.Event) -> None:
    """Note, again and again, up to which event each source is committed."""
    from headrace.config.project import load_project
    from headrace.lake.reader import open_reader

    state = load_project(root).state / "lake"
    with open_reader(state) as lake:
        if lake is None:
            raise SystemExit("up has made no lake")
        before: tuple[tuple[int, int], ...] = ()
        while not stop.wait(POLL_SECS):
            if (now := changed(state)) == before:
                continue
            before = now
            found = lake.rows("SELECT source, max(next_seq) AS upto FROM lake.ops.batches GROUP BY ALL")
            for row in found:
                if row["source"] in seen:
                    seen[row["source"]].append((time.monotonic(), row["upto"]))


def freshness(began: list[float], seen: list[tuple[float, int]], per_publish: int) -> np.ndarray:
    """Return how long after its beginning each publish was seen, those of the warm-up left out."""
    times, upto = np.array([each[0] for each in seen]), np.array([each[1] for each in seen])
    found = np.searchsorted(upto, (np.arange(len(began)) + 1) * per_publish)
    if found.max() >= len(times):
        raise SystemExit(f"not all that was published was seen within {LAST_COMMIT_SECS} s")
    fresh: np.ndarray = (times[found] - np.array(began))[WARM_UP_SECS * PER_SECOND :]
    return fresh


def check(root: Path, published: int) -> None:
    """Stop where a source that does well does not balance, or lacks an event."""
    from headrace.config.project import load_project
    from headrace.runtime.views.status import status

    found = status(load_project(root))
    for name in WELL:
        if not found[name].balanced or found[name].ledger["accepted"] != published:
            raise SystemExit(f"{name}: {found[name].unbalanced}, {found[name].ledger}")


if __name__ == "__main__":
    main()
