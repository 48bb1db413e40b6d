"""The same job on Headrace and on what one would pick instead: events a second from files to committed rows.

    python benchmarks/bench_peers.py --events 1000000 --runs 3 --table docs/benchmarks.md
    python benchmarks/bench_peers.py --events 100000 --only headrace --only dlt --json

The job: files of JSON orders (`peer_input.py`) are validated by a JSON Schema, deduplicated by key so that the greatest
version stays, and written as columns, parted by the day of the event; what breaks the contract is set aside. Each peer
runs in an environment of its own, which is installed once into `--environments`, with the settings that its own
documentation advises for this machine's cores. Measured are whole processes, with all that they start, from the start
of the first to the end of the last (`process_tree.py`). Runs are interleaved: each peer once, then each once more; the
figures are medians. Every run's answer is compared with one computed apart (`peer_answer.py`); a peer whose answer
differs is shown as such, one that cannot run here as "not run", with the reason.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peer_answer
import peer_input
import peer_runs
import process_tree
import report
from peer_table import put, table

if TYPE_CHECKING:
    import argparse

    from peer_answer import Answer
    from peer_runs import Peer, Run


def main() -> None:
    """Install, run, compare and print."""
    parser = report.options(__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", action="append", metavar="PEER", help="repeatable; default: all")
    parser.add_argument("--timeout", type=float, default=600, metavar="SECS", help="for one run of one peer")
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(tempfile.gettempdir()) / "headrace-peers",
        help="where the peers' environments are kept (default: in the temporary folder)",
    )
    parser.add_argument("--table", type=Path, metavar="PAGE", help="put the tables into this page")
    given = parser.parse_args()
    report.report(given, lambda folder: bench(folder, given))


def bench(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of each peer."""
    chosen = {name: peer for name, peer in peer_runs.peers().items() if not given.only or name in given.only}
    if unknown := set(given.only or ()) - set(chosen):
        raise SystemExit(f"no peer is called {', '.join(sorted(unknown))}")
    pythons, not_run = prepared(chosen, given.environments)
    say(f"writing {given.events:,} events and the answer")
    job = peer_input.write_input(folder / "job", given.events)
    answer = peer_answer.expected(job.folder, job.schema, folder)
    runs: dict[str, list[Run]] = {name: [] for name in pythons}
    for number in range(given.runs):
        for name, python in pythons.items():
            if name in not_run:
                continue
            place = folder / "run"
            try:
                done = peer_runs.run(chosen[name], python, job, place, os.cpu_count() or 1, given.timeout)
            except process_tree.FailedError as problem:
                not_run[name] = str(problem)
                say(f"{name}: {problem}")
            else:
                runs[name].append(done)
                right = "right" if done.answer == answer else f"WRONG: {done.answer}, and it is {answer}"
                say(f"{number + 1}/{given.runs} {name}: {done.cost.seconds:.1f} s, {right}")
            finally:
                shutil.rmtree(place, ignore_errors=True)
    figures = {name: medians(runs[name], given.events, answer) for name in pythons if name not in not_run}
    found = {
        "events": given.events,
        "bytes_per_event": round(job.bytes / given.events),
        "rows": answer.rows,
        "rejected": answer.rejected,
        "checksum": answer.checksum,
        "runs": given.runs,
        **machine(),
        "peers": {name: {"version": chosen[name].version(), **each} for name, each in figures.items()},
        "not_run": {name: reason.splitlines()[0] for name, reason in not_run.items()},
    }
    if given.table:
        put(given.table, "peers", page(found, chosen))
    return found


def prepared(chosen: dict[str, Peer], environments: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the Python of each peer that can run, and why the others cannot."""
    pythons, not_run = {}, {}
    for name, peer in chosen.items():
        try:
            pythons[name] = peer_runs.environment_of(peer, environments.resolve(), say)
        except peer_runs.NotRunError as reason:
            not_run[name] = str(reason)
            say(f"{name}: not run: {reason}")
    return pythons, not_run


def medians(runs: list[Run], events: int, answer: Answer) -> dict[str, Any]:
    """Return the figures of a peer's runs, and of their parts."""
    figures: dict[str, Any] = {
        "same_answer": all(each.answer == answer for each in runs),
        **costs([each.cost for each in runs], events),
    }
    if parts := runs[0].parts:
        figures["parts"] = {name: costs([each.parts[name] for each in runs], events) for name in parts}
    return figures


def costs(each: list[process_tree.Cost], events: int) -> dict[str, float]:
    """Return medians."""
    seconds = statistics.median(one.seconds for one in each)
    return {
        "events_per_second": round(events / seconds),
        "seconds": round(seconds, 2),
        "seconds_least": round(min(one.seconds for one in each), 2),
        "seconds_most": round(max(one.seconds for one in each), 2),
        "cpu_seconds_per_million": round(statistics.median(one.cpu_seconds for one in each) / events * 1e6, 2),
        "peak_memory_mib": round(statistics.median(one.peak_memory_mib for one in each)),
    }


def machine() -> dict[str, Any]:
    """Return what the figures depend on; nothing that names the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[1], 1),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }


def page(found: dict[str, Any], peers: dict[str, Peer]) -> str:
    """Return the tables: the figures, and what each peer gives and does not."""
    rows = []
    for name, each in found["peers"].items():
        title = f"{peers[name].title} {each['version']}"
        rows.append([title, *cells(each), "yes" if each["same_answer"] else "**no**"])
        rows += [[f"– of it, {part}", *cells(costs), ""] for part, costs in each.get("parts", {}).items()]
    rows += [
        [f"{peers[name].title} {peers[name].version()}", "–", "–", "–", "–", f"not run: {reason}"]
        for name, reason in found["not_run"].items()
    ]
    conditions = (
        f"{found['events']:,} events of {found['bytes_per_event']} bytes in {peer_input.FILES} files; "
        f"{found['rows']:,} rows and {found['rejected']:,} lines set aside are the right answer. "
        f"{found['cores']} cores, {found['memory_gib']} GiB, {found['system']}, Python {found['python']}, "
        f"{found['date']}; medians of {found['runs']} {'run' if found['runs'] == 1 else 'runs'}, interleaved; "
        f"load of the machine over the last five minutes at the end: {found['load_average']}."
    )
    head = ["", "events/s", "seconds (least to most)", "CPU s a million", "peak MiB", "right answer"]
    about = [
        [each.title, each.settings, each.durability, each.restart, each.lacks]
        for name, each in peers.items()
        if name in found["peers"] or name in found["not_run"]
    ]
    return "\n\n".join(
        [
            conditions,
            table(head, rows),
            "What each was told to do, what it gives, and what it does not do:",
            table(["", "settings", "durability of the result", "after a crash, goes on", "does not"], about),
        ]
    )


def cells(each: dict[str, Any]) -> list[str]:
    """Return the figures of a row."""
    span = f"{each['seconds']} ({each['seconds_least']}–{each['seconds_most']})"
    return [
        f"{each['events_per_second']:,}",
        span,
        f"{each['cpu_seconds_per_million']}",
        f"{each['peak_memory_mib']:,}",
    ]


def say(text: str) -> None:
    """Tell how far it is, beside the figures."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
