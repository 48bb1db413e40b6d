"""How Headrace scales: events a second and memory by number of events, and by number of sources.

    python benchmarks/bench_scaling.py --table docs/benchmarks.md
    python benchmarks/bench_scaling.py --largest 100000000 --json

Each line is a run of `bench_tick.py` over an empty lake: what waits on the bus becomes committed bronze, silver,
quarantine and ledger, in one whole, cold process, and every count is checked. From 10,000 events on, ten times more in
each line up to `--largest`; then `--events` events, parted among 1, 10 and 100 sources. A hundred million events need
20 GB of disk and half an hour, most of it to make them.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bench_tick
import report
from bench_peers import machine
from peer_table import put, table

if TYPE_CHECKING:
    import argparse

SMALLEST = 10_000
SOURCES = (1, 10, 100)
HEAD = ["events/s", "seconds", "CPU s a million", "peak MiB"]


def main() -> None:
    """Run and print."""
    parser = report.options(__doc__)
    parser.add_argument("--largest", type=int, default=10_000_000)
    parser.add_argument("--events", type=int, default=1_000_000, help="for the lines by number of sources")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--table", type=Path, metavar="PAGE", help="put the tables into this page")
    given = parser.parse_args()
    report.report(given, lambda folder: bench(folder, given))


def bench(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of each line."""
    by_events, by_sources = {}, {}
    events = SMALLEST
    while events <= given.largest:
        by_events[events] = line(folder, events, 1, given.runs)
        events *= 10
    for sources in SOURCES:
        known = sources == 1 and by_events.get(given.events)
        by_sources[sources] = known or line(folder, given.events, sources, given.runs)
    found = {"by_events": by_events, "by_sources": by_sources, "runs": given.runs, **machine()}
    if given.table:
        put(given.table, "scaling", page(found, given.events))
    return found


def line(folder: Path, events: int, sources: int, runs: int) -> dict[str, Any]:
    """Return the figures of one line."""
    place = folder / f"{events}-{sources}"
    place.mkdir()
    figures = bench_tick.bench(place, events, sources, 0, runs)
    said = f"{events:,} events, {sources} sources: {figures['events_per_second']:,}/s"
    print(f"{time.strftime('%H:%M:%S')} {said}", file=sys.stderr, flush=True)
    return figures


def page(found: dict[str, Any], events: int) -> str:
    """Return both tables."""
    conditions = (
        f"{found['cores']} cores, {found['memory_gib']} GiB, {found['system']}, Python {found['python']}, "
        f"{found['date']}; medians of {found['runs']} {'run' if found['runs'] == 1 else 'runs'}; load of the machine "
        f"over the last five minutes at the end: {found['load_average']}."
    )
    return "\n\n".join(
        [
            conditions,
            table(["events", *HEAD], [[f"{each:,}", *cells(costs)] for each, costs in found["by_events"].items()]),
            f"The same {events:,} events, parted evenly:",
            table(["sources", *HEAD], [[f"{each:,}", *cells(costs)] for each, costs in found["by_sources"].items()]),
        ]
    )


def cells(each: dict[str, Any]) -> list[str]:
    """Return the figures of a row."""
    return [
        f"{each['events_per_second']:,}",
        f"{each['seconds']:.1f}",
        f"{each['cpu_seconds_per_million']}",
        f"{each['peak_memory_mib']:,.0f}",
    ]


if __name__ == "__main__":
    main()
