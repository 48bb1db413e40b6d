"""Bronze to silver again, and both compared: events a second of `verify --from-bronze`, beside the stream that made it.

    python benchmarks/bench_rebuild.py --events 1000000 --json

The events of bench_tick wait on the bus of an empty project. A cold process brings them into the lake (the stream);
another one verifies it from bronze; a third one scans silver, and a fourth compares metadata alone. All are whole
processes, Python's own start included. What they say must be right: equal, kept and balanced, with every event rebuilt.
CPU seconds are worth comparing on a busy machine too, seconds are not.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import report
from bench_tick import NoPandas, drain, peak_memory_mib, publish
from shop_project import make_project

WAYS = ("stream", "rebuild", "scan", "metadata")


def main() -> None:
    """Prepare, run, check and print."""
    parser = report.options(__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--sources", type=int, default=1)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        run(given.run[0], Path(given.run[1]))
        return
    report.report(given, lambda folder: bench(folder, given.events, given.sources, given.runs))


def bench(folder: Path, events: int, sources: int, runs: int) -> dict[str, Any]:
    """Return the figures: of the stream once, of what verifies it medians over the runs."""
    names = ["orders"] if sources == 1 else [f"orders_{at:03d}" for at in range(sources)]
    project = make_project(folder / "project", names)
    publish(project, names, events)
    found: dict[str, Any] = {"events": events, "sources": sources, "runs": runs}
    for way in WAYS:
        measured = [measure(way, project) for _ in range(1 if way == "stream" else runs)]
        medians = {name: statistics.median(each[name] for each in measured) for name in measured[0]}
        found |= {
            f"{way}_events_per_second": round(events / medians["seconds"]),
            f"{way}_cpu_seconds_per_million": round(medians["cpu_seconds"] / events * 1e6, 2),
            f"{way}_peak_memory_mib": round(medians["peak_memory_mib"]),
        }
    cost = found["rebuild_cpu_seconds_per_million"] / found["stream_cpu_seconds_per_million"]
    return found | {"rebuild_cpu_to_stream": round(cost, 2), "cores": os.cpu_count()}


def measure(way: str, project: Path) -> dict[str, float]:
    """Do it in a process of its own; return its figures."""
    os.sync()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, __file__, "--run", way, str(project)], check=True, stdout=subprocess.PIPE, text=True
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_memory_mib": float(ran.stdout)}


def run(way: str, project: Path) -> None:
    """What is measured; stop where it is not what it should be."""
    if way == "stream":
        drain(project)
        return
    sys.meta_path.insert(0, NoPandas())
    from headrace.config.project import load_project
    from headrace.runtime.verify import verify

    verdict = verify(load_project(project), scan=way == "scan", from_bronze=way == "rebuild")
    if not verdict.holds or verdict.unknown or (way == "rebuild" and not verdict.equal):
        raise SystemExit(f"{way}: {verdict.document()}")
    print(peak_memory_mib())


if __name__ == "__main__":
    main()
