"""The front door: durable acknowledgements a second, and how long they take, with `headrace up` running.

    python benchmarks/bench_collector.py --seconds 10 --json

Three loads, one after the other, by `wrk` (Debian: apt-get install wrk) on the same machine, whose share of the
processors is counted in: single-event POSTs as fast as they are answered; the same, paced to half of `--half-of`
requests a second; NDJSON bodies of 500 events. Events have about 400 bytes, seeded, each with an id of its own. Every
answer is a 202 after an fsync. Meanwhile `up` ticks: bronze, silver, ledger. At the end it drains, the ledger must
balance, and what was accepted must be no less than what was acknowledged.

A connection sends its next request when the last one was answered: while the collector stalls, one request of each
connection is seen to wait, and none of those that were not sent meanwhile. `cpu_us_per_event` is the time of all
processors that `up` and its children took for an event, from the request to silver; it says more than the clock where
others use the machine too.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import report
import shop_events
from shop_project import SEED, check, make_project, start

HERE = Path(__file__).parent
EVENTS = 5_000
BODY_EVENTS = 500
SINGLE_CONNECTIONS = 64
PACED_CONNECTIONS = 32
BODY_CONNECTIONS = 8


def main() -> None:
    """Run the loads, check and print."""
    parser = report.options(__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--half-of", type=int, default=5_000, help="the load whose half is paced, requests a second")
    parser.add_argument("--workers", type=int, default=1, help="how many workers the collector has")
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("this needs wrk: apt-get install wrk")
    report.report(given, lambda folder: bench(folder, given.seconds, given.half_of, given.workers))


def bench(folder: Path, seconds: int, half_of: int, workers: int) -> dict[str, Any]:
    """Return the figures."""
    root = make_project(folder / "project", ["orders"])
    payloads = folder / "events.jsonl"
    batch = next(iter(shop_events.messages(EVENTS, seed=SEED, since="2026-11-21", spacing_micros=10_000)))
    payloads.write_bytes(b"\n".join(batch.column("payload").to_pylist()) + b"\n")
    up, url = start(root, workers=workers)
    try:
        load(url, payloads, 2, SINGLE_CONNECTIONS, 1, 0, 0)  # what is imported and opened at first
        single = load(url, payloads, seconds, SINGLE_CONNECTIONS, 1, 0, 1)
        pause = paced_pause(url, payloads, half_of / 2)
        paced = load(url, payloads, seconds, PACED_CONNECTIONS, 1, pause, 2)
        bodies = load(url, payloads, seconds, BODY_CONNECTIONS, BODY_EVENTS, 0, 3)
        drained = time.perf_counter()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)  # of the clients: only who has ended is in there
        up.send_signal(signal.SIGTERM)
        up.communicate(timeout=600)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        drained = time.perf_counter() - drained
    finally:
        up.kill()
        up.wait()
    cpu_secs = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    acknowledged = single["requests"] + paced["requests"] + bodies["requests"] * BODY_EVENTS
    ledger = check(root, acknowledged)
    return {
        "single_posts_per_second": round(single["requests"] / single["seconds"]),
        "single_p50_ms": single["p50_ms"],
        "single_p99_ms": single["p99_ms"],
        "paced_posts_per_second": round(paced["requests"] / paced["seconds"]),
        "paced_p50_ms": paced["p50_ms"],
        "paced_p99_ms": paced["p99_ms"],
        "ndjson_events_per_second": round(bodies["requests"] * BODY_EVENTS / bodies["seconds"]),
        "ndjson_p99_ms": bodies["p99_ms"],
        "failed": single["failed"] + paced["failed"] + bodies["failed"],
        "acknowledged": acknowledged,
        "accepted": ledger["accepted"],
        "cpu_us_per_event": round(cpu_secs / ledger["accepted"] * 1e6, 1),
        "drain_seconds": round(drained, 2),
        "load_average": round(os.getloadavg()[0], 1),
        "workers": workers,
        "cores": os.cpu_count(),
    }


def paced_pause(url: str, payloads: Path, rate: float) -> int:
    """Return how long each connection must rest for about this many requests a second, by a short trial."""
    round_ms = PACED_CONNECTIONS * 1000 / rate
    trial = max(1, round(round_ms / 2))
    found = load(url, payloads, 2, PACED_CONNECTIONS, 1, trial, 4)
    took_ms = PACED_CONNECTIONS * 1000 * found["seconds"] / found["requests"]
    rest_ms = trial + round_ms - float(took_ms)
    return max(1, int(rest_ms + 0.5))


def load(url: str, payloads: Path, seconds: int, connections: int, per_body: int, pause: int, run: int) -> Any:
    """Run wrk; return what it measured."""
    ran = subprocess.run(
        [
            *("wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"),
            *("--timeout", "30s", "--script", str(HERE / "collector.lua"), f"{url}/v1/events/orders"),
            *("--", str(payloads), str(per_body), str(pause), str(run)),
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(ran.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
