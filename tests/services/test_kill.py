"""Promises 1 to 3 under `kill -9`: real processes, killed at any moment, then started again.

Every message that a publisher was told is durable must have its one fate, and silver must be what a life without a
kill gives.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

from headrace.runtime import control
from living import messages, orders, project_of, rows, run_out, silver, sqlite_bus, statuses, ticking, totals
from machine import wait_until

ROUNDS = 4

PUBLISHER = """
import json, sys, time
from living import messages
from headrace.bus.sqlite import SqliteBus
folder, name = sys.argv[1:]
bus = SqliteBus(__import__("pathlib").Path(folder))
for number in range(1_000_000):
    batch = [{"id": f"{name}-{number}-{row % 40}", "version": row, "amount": row + 0.5} for row in range(50)]
    batch.append(b"{bad")
    time.sleep(0.01)
    bus.publish("orders", messages(batch))
    print(number + 1, flush=True)
"""

KILLED_AT_THE_ACK = """
import os, signal, sys
from pathlib import Path
from headrace.bus.sqlite import SqliteBus
from headrace.config.project import load_project
from headrace.lake.ducklake import DuckLake
from headrace.runtime.deployment import deploy
from headrace.runtime.loop import Loop

class DeadlyAck(SqliteBus):
    def ack(self, topic, name, receipt):
        os.kill(os.getpid(), signal.SIGKILL)

class DeadlyCommit(DuckLake):
    def commit(self, changes):
        if any(change.files for change in changes):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().commit(changes)

root, where = sys.argv[1:]
project = load_project(Path(root))
bus = (DeadlyAck if where == "ack" else SqliteBus)(project.state / "bus")
kind = DeadlyCommit if where == "commit" else DuckLake
Loop(bus, lambda: kind(project.state / "lake"), project.sources, lambda lake, on: deploy(project, lake, on)).drain()
"""


def child(*arguments, **more):
    env = os.environ | {"PYTHONPATH": os.pathsep.join(["tests", *sys.path])}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], stderr=subprocess.DEVNULL, env=env, text=True, **more
    )


def end(process, number=signal.SIGKILL):
    process.send_signal(number)
    return process.wait(60)


def lines(log):
    """Return how many whole lines a publisher wrote: publishes that it was told are durable."""
    return log.read_text().count("\n")


def test_kill_at_any_moment_under_load_loses_nothing_and_doubles_nothing(tmp_path):
    project = project_of(tmp_path / "project")
    with sqlite_bus(project):
        pass
    chance = random.Random(7)
    publishers, logs = [], []
    for name in ("p", "q"):
        logs.append(tmp_path / name)
        with logs[-1].open("w") as out:
            publishers.append(child("-c", PUBLISHER, project.state / "bus", name, stdout=out))
    ups = []
    try:
        wait_until(lambda: all(map(lines, logs)))
        socket = project.state / "control.sock"
        for turn in range(ROUNDS):
            ups.append(child("-m", "headrace", "up", "--no-build", "--project", project.root))
            wait_until(lambda up=ups[-1]: socket.exists() or up.poll() is not None)
            time.sleep(chance.uniform(0.0, 1.2))
            if turn == ROUNDS // 2:
                end(publishers.pop())  # a producer may be killed too: all that it was told of is durable
            end(ups[-1])
            socket.unlink(missing_ok=True)
    finally:
        for each in (*publishers, *ups):
            if each.poll() is None:
                end(each)
    acked = sum(map(lines, logs)) * 51
    with sqlite_bus(project) as bus:
        with ticking(project, bus) as (tick, _):
            run_out(tick, ["orders"])
        found = totals(project)["orders"]
        (one,) = statuses(project).values()
        assert one["lag"] == 0
        assert acked <= found["accepted"] <= acked + 2 * 51, "a publish under way when killed may or may not be in"
        (bronze,) = rows(
            project,
            "SELECT count(*) AS n, count(DISTINCT message_id) AS d, max(seq) + 1 AS m FROM lake.bronze.messages",
        )
        assert bronze["n"] == bronze["d"] == bronze["m"] == found["accepted"]
        # The same messages again, in the same order, in a life that nobody disturbs.
        calm = project_of(tmp_path / "calm")
        payloads = [row["payload"] for row in rows(project, "SELECT payload FROM lake.bronze.messages ORDER BY seq")]
        with sqlite_bus(calm) as other:
            other.publish("orders", messages(payloads))
            with ticking(calm, other) as (tick, _):
                run_out(tick, ["orders"])
    assert silver(project) == silver(calm)
    assert totals(calm)["orders"] == found


def test_kill_between_commit_and_ack_and_just_before_the_commit(tmp_path):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages([*orders(0, 20), b"{", *orders(5, 8)]))
        for where in ("commit", "ack"):
            assert child("-c", KILLED_AT_THE_ACK, project.root, where).wait(120) == -signal.SIGKILL
        # Committed, though the bus was never told: `status` without `up` shows what the lake has.
        good = {"accepted": 24, "silver": 20, "duplicate": 3, "quarantined": 1}
        assert totals(project) == {"orders": good}
        with ticking(project, bus) as (tick, _):
            assert tick.prepare("orders") is None
        assert totals(project) == {"orders": good}


def test_up_killed_then_started_again_drains_and_ends_well(tmp_path):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(orders(0, 100)))
        end(child("-m", "headrace", "up", "--no-build", "--project", project.root))
        up = child("-m", "headrace", "up", "--no-build", "--project", project.root)
        wait_until(lambda: control.ask(project.state, {"verb": "ping"}))  # a socket may be that of the killed one
        bus.publish("orders", messages(orders(100, 150)))
        assert end(up, signal.SIGINT) == 0, "Ctrl-C drains, and that is no fault"
    assert totals(project) == {"orders": {"accepted": 150, "silver": 150}}
    assert json.loads(json.dumps(statuses(project)["orders"], default=str))["lag"] == 0
