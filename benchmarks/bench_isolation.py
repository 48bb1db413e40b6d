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
import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

import report
from bench_freshness import made
from shop_project import make_project
from silver_watch import freshness, lived

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WELL = ("alpha", "beta", "gamma")
PER_SECOND = 20  # publishes to each source
WARM_UP_SECS = 3
LAST_COMMIT_SECS = 120
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
    upto = dict.fromkeys(WELL, count * per_publish)
    began, seen = lived(root, lambda: publish(root, batches, bad), upto, LAST_COMMIT_SECS)
    check(root, count * per_publish)
    of_each = [freshness(np.array(began[name]), seen[name], per_publish) for name in WELL]
    fresh = np.concatenate([each[WARM_UP_SECS * PER_SECOND :] for each in of_each])
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
