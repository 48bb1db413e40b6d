"""What `headrace plan --history all` takes, of all messages and of a sample: CPU seconds of whole processes.

    python benchmarks/bench_history.py --events 1000000 --shares 1 0.1 --json

The events of bench_tick are brought into the lake, then the amount may no longer be above a bound: a share of history
fails. Each plan is made by a process of its own. What a sample says is held against what all of history says: the
number that fails must be within what the sample gave, from low to high (a sample is wrong in one of twenty).
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import report
from bench_tick import drain, publish
from shop_project import make_project

BOUND = 100


def bench(folder: Path, events: int, shares: list[float]) -> dict[str, Any]:
    """Return the figures of each share."""
    project = make_project(folder / "project", ["orders"])
    publish(project, ["orders"], events)
    subprocess.run([sys.executable, __file__, "--run", "drain", str(project)], check=True, stdout=subprocess.DEVNULL)
    schema = project / "schemas/orders.json"
    said = json.loads(schema.read_text())
    said["properties"]["amount"]["maximum"] = BOUND
    schema.write_text(json.dumps(said))
    found: dict[str, Any] = {"events": events}
    for share in shares:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ran = subprocess.run(
            [sys.executable, __file__, "--run", str(share), str(project)],
            check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found[f"share_{share:g}"] = {"cpu_seconds": round(cpu, 2), **json.loads(ran.stdout)}
    return found


def run(what: str, project: Path) -> None:
    """Do it: bring the events in, or plan a share of their history."""
    if what == "drain":
        drain(project)
        return
    from headrace.config.project import load_project
    from headrace.runtime.plan.making import Ask, plan

    made = plan(load_project(project), Ask(history=True, sample=None if float(what) == 1 else float(what)))
    (orders,) = made["history"]["sources"]
    told = {"now_fail": orders["now_fail"]["messages"]}
    if orders["sample"] is not None:
        told |= {"of_all": orders["now_fail"]["whole"], "replayed": orders["sample"]["messages"]}
    print(json.dumps(told))


def main() -> None:
    """Prepare, run and print."""
    parser = report.options(__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--shares", type=float, nargs="+", default=[1, 0.1, 0.01])
    parser.add_argument("--run", nargs=2)
    given = parser.parse_args()
    if given.run:
        run(given.run[0], Path(given.run[1]))
        return
    report.report(given, lambda folder: bench(folder, given.events, given.shares))


if __name__ == "__main__":
    main()
