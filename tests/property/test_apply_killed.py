"""`apply` that is killed, by SIGKILL, at any of its durable steps: run again, it ends as if nothing had been.

One process imports everything and opens nothing; it forks a child for each run. The first runs undisturbed and tells
the points that it passes. On another copy a child is killed at a point; the next one, which takes up what that left, at
a later point, and so on; the last one runs to its end. `make test` kills at the first point, before the commit and
after it; `make nightly` at each passing of each. A point is told by the two that come before it, too: a run that finds
some work done passes fewer.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest

from headrace.config.project import load_project
from headrace.lake.reader import open_reader
from headrace.runtime.plan.document import write
from headrace.runtime.plan.making import Ask, plan
from headrace.runtime.verify import verify
from living import project_of
from machine import not_outliving
from planning import change, publish, with_amount

EVERY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
VOLATILE = {"batch_id", "committed_at", "deployed_at", "applied_at", "ingest_date"}

RUNS = """
import json, os, signal, sys
from pathlib import Path
from headrace import fault_points
from headrace.config.project import load_project
from headrace.runtime.plan.applying import apply
from headrace.lake.reader import open_reader
from headrace.runtime.plan.document import read

def run(root, plan, watcher):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        fault_points.watch(watcher)
        apply(load_project(Path(root)), read(Path(plan)))
    except BaseException as problem:
        print(repr(problem), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)

def lived(undisturbed, killed, plan, log):
    def note(point):
        with open(log, "a") as out:
            out.write(point + chr(10))

    codes = [run(undisturbed, plan, note)]
    points = Path(log).read_text().split()
    ways = [tuple(points[max(0, at - 2) : at + 1]) for at in range(len(points))]
    passings = [(way, ways[:at].count(way)) for at, way in enumerate(ways)]
    last = {point: at for at, point in enumerate(points)}
    around = [last["lake.commit.before"], last["lake.commit.after"]]
    chosen = passings if sys.argv[1] == "1" else [passings[0], *(passings[at] for at in around)]
    for way, before in chosen:
        passed, left = [], [before]
        def die(point):
            passed.append(point)
            if tuple(passed[-3:]) == way:
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
        codes.append(run(killed, plan, die))
    codes.append(run(killed, plan, None))
    return codes

for line in sys.stdin:
    print(json.dumps(lived(*json.loads(line))), flush=True)
"""


def state(project):
    """Return all that the lake says, but for what two runs never have in common."""
    found = {}
    with open_reader(project.state / "lake") as lake:
        for each in lake.rows(
            "SELECT schema_name AS s, table_name AS t FROM duckdb_tables() WHERE database_name = 'lake'"
        ):
            said = lake.rows(f'SELECT * FROM lake.{each["s"]}."{each["t"]}"')
            kept = [{name: value for name, value in row.items() if name not in VOLATILE} for row in said]
            found[each["t"]] = sorted(json.dumps(row, default=str, sort_keys=True) for row in kept)
    return found


@pytest.fixture(scope="module")
def runs():
    """Return a process that has imported all and opened nothing, and forks what is to be killed."""
    command = [sys.executable, "-c", RUNS, str(int(EVERY))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with not_outliving(process):
        yield process


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory):
    project = project_of(tmp_path_factory.mktemp("apply") / "project", "orders")
    events = [{"id": f"o{number % 5}", "version": number, "amount": number / 2} for number in range(8)]
    publish(project, *events, {"no": "id"}, limit=6)
    return project.root


@pytest.mark.parametrize("history", [True, False])
def test_killed_anywhere_it_ends_as_if_it_had_not_been(runs, lived_in, tmp_path, history):
    project = load_project(shutil.copytree(lived_in, tmp_path / "lived"))
    schema = with_amount(type="integer" if history else "number", maximum=3)
    schema["properties"]["note"] = {"type": "string"}
    changed = change(project, schema)
    file = write(changed, plan(changed, Ask(history=history)), tmp_path / "plan.json")
    roots = [shutil.copytree(project.root, tmp_path / name) for name in ("undisturbed", "killed")]
    print(json.dumps([*map(str, (*roots, file, tmp_path / "log"))]), file=runs.stdin, flush=True)
    first, *ends, last = json.loads(runs.stdout.readline())
    assert (first, last) == (0, 0)
    if not EVERY:
        assert ends == [-9, -9, -9]
    assert set(ends) <= {-9, 0}, "killed, or there was nothing left to do"
    undisturbed, killed = (load_project(root) for root in roots)
    assert state(killed) == state(undisturbed)
    assert not (killed.state / "rebuild").exists()
    assert verify(killed, scan=True).holds
