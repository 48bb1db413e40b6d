"""`up`: one a project, reached through a socket of its owner's, at home wherever the folder is moved."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from contextlib import ExitStack

import pytest

from headrace.config.project import load_project
from headrace.errors import BusyError
from headrace.runtime import building, control
from headrace.runtime.up import Up
from living import changed_behind_its_back, messages, orders, project_of, rows, running, silver, sqlite_bus, totals
from typed import headrace


@pytest.fixture
def started():
    """Return a function that runs `up` in a thread; it is stopped and joined at the end."""
    with ExitStack() as ups:
        yield lambda project: ups.enter_context(running(project, build_every_secs=None))


def test_a_second_up_is_refused_clearly_and_does_no_harm(tmp_path, started):
    project = project_of(tmp_path)
    started(project)
    second = headrace("up", "--no-build", "--project", project.root)
    assert second.returncode == 2
    assert f"another headrace (process {os.getpid()}) is writing this environment" in second.stderr
    assert f"`kill {os.getpid()}`" in second.stderr
    assert control.ask(project.state, {"verb": "ping"})["project"] == "lab"
    with pytest.raises(BusyError):
        Up(project, build_every_secs=None)
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(orders(0, 3)))
    building.bring_in(project)
    assert totals(project) == {"orders": {"accepted": 3, "silver": 3}}


def test_json_lines_tell_warnings_first_then_progress(tmp_path):
    project = project_of(tmp_path)
    file = project.root / "connectors/orders.yaml"
    file.write_text(file.read_text() + "  - data_quality: {rules: [{field: amuont, check: positive_number}]}\n")
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(orders(0, 5)))
    command = [sys.executable, "-m", "headrace", "up", "--json", "--no-build", "--project", str(project.root)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    told = []
    for text in running.stdout:
        told.append(json.loads(text))
        if told[-1].get("messages") == 5:
            running.send_signal(signal.SIGTERM)
            break
    told += map(json.loads, running.stdout)
    assert (running.wait(60), running.stderr.read()) == (0, "")
    events = [each.pop("event") for each in told]
    assert events[:2] == ["started", "warning"]
    assert (set(events[2:-1]), events[-1]) == ({"progress"}, "stopped")
    assert told[0] == {"project": "lab", "environment": "local", "sources": ["orders"]}
    assert set(told[1]) == {"file", "line", "message", "fix"}
    assert "is not applied" in told[1]["message"]
    fields = {
        "seconds",
        "messages",
        "commits",
        "commit_secs",
        "gold",
        "building",
        "gold_problem",
        "failing",
        "damage",
        "children",
    }
    assert {frozenset(each) for each in told[2:]} == {frozenset(fields)}
    assert told[-1]["messages"] == 5


def test_the_control_socket_is_its_owners_only_and_gone_afterwards(tmp_path, started):
    project = project_of(tmp_path)
    up, thread = started(project)
    path = project.state / "control.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    up.stop()
    thread.join()
    assert not path.exists()
    assert control.ask(project.state, {"verb": "ping"}) is None


def test_a_project_with_a_very_long_path_is_reached_too(tmp_path, started):
    project = project_of(tmp_path / ("long" * 20) / ("path" * 20) / ("here" * 20))
    up, thread = started(project)
    path = project.state / "control.sock"
    assert len(os.fsencode(path)) > 200
    target = path.resolve()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert control.ask(project.state, {"verb": "ping"})["project"] == "lab"
    up.stop()
    thread.join()
    assert not target.exists()
    assert not target.parent.exists()
    assert not path.is_symlink()


def test_what_is_no_request_is_answered_and_harms_nobody(tmp_path, started):
    project = project_of(tmp_path)
    started(project)
    for request in ({}, {"verb": "dance"}, []):
        with pytest.raises(Exception, match=r"not a request|no verb"):
            control.ask(project.state, request)
    assert control.ask(project.state, {"verb": "ping"})["project"] == "lab"


def test_the_socket_of_a_dead_up_does_not_stop_the_next(tmp_path, started):
    project = project_of(tmp_path)
    project.state.mkdir(parents=True)
    (project.state / "control.sock").symlink_to(tmp_path / "gone")
    assert control.ask(project.state, {"verb": "ping"}) is None
    started(project)
    assert control.ask(project.state, {"verb": "ping"})["project"] == "lab"


def test_stop_drains_what_waits(tmp_path, started):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(orders(0, 50)))
    up, thread = started(project)
    up.stop()
    thread.join()
    assert totals(project) == {"orders": {"accepted": 50, "silver": 50}}


def test_a_moved_project_goes_on(tmp_path, started):
    before = project_of(tmp_path / "before")
    with sqlite_bus(before) as bus:
        bus.publish("orders", messages(orders(0, 5)))
    building.bring_in(before)
    (tmp_path / "before").rename(tmp_path / "after")
    after = load_project(tmp_path / "after")
    assert len(silver(after)) == 5
    with sqlite_bus(after) as bus:
        bus.publish("orders", messages([{"id": "o1", "version": 2}, *orders(4, 7)]))
    building.bring_in(after)
    assert totals(after) == {"orders": {"accepted": 9, "silver": 7, "superseded": 1, "duplicate": 1}}
    assert not (tmp_path / "before").exists(), "nothing is written to where it was"
    # ... and back, with `up` running.
    (tmp_path / "after").rename(tmp_path / "before")
    started(before)
    with sqlite_bus(before) as bus:
        bus.publish("orders", messages(orders(7, 9)))
    building.bring_in(before)
    assert totals(before)["orders"]["accepted"] == 11


def test_status_counts_one_commit_while_up_goes_on(tmp_path, started):
    project = project_of(tmp_path)
    started(project)
    stop = threading.Event()

    def publish():
        with sqlite_bus(project) as bus:
            number = 0
            while not stop.is_set():
                bus.publish("orders", messages(orders(number, number + 20)))
                number += 10

    producer = threading.Thread(target=publish)
    producer.start()
    try:
        building.bring_in(project)
        from headrace.runtime.views.status import status

        seen = [status(project)["orders"]]
        while len(seen) < 8 or seen[-1].ledger["accepted"] == seen[0].ledger["accepted"]:
            seen.append(status(project)["orders"])
    finally:
        stop.set()
        producer.join()
    assert not any(each.unbalanced for each in seen)


def test_status_shows_what_does_not_add_up_and_exits_1(tmp_path):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages([*orders(0, 5), b"{"]))
    building.bring_in(project)
    fine = headrace("status", "--json", "--project", project.root)
    assert fine.returncode == 0
    told = json.loads(fine.stdout)["sources"]["orders"]
    zero = {"superseded": 0, "duplicate": 0, "filtered": 0, "erased": 0}
    assert told["ledger"] == {"accepted": 6, "silver": 5, "quarantined": 1, **zero}
    assert (told["balanced"], told["lag"]) == (True, 0)
    for damage in ("silver.orders WHERE id = 'o3'", "ops.quarantine", "bronze.messages WHERE seq = 2"):
        changed_behind_its_back(project, f"DELETE FROM lake.{damage}")
        shown = headrace("status", "--json", "--project", project.root)
        assert shown.returncode == 1
        assert not json.loads(shown.stdout)["sources"]["orders"]["balanced"]
    (faults,) = [each["unbalanced"] for each in json.loads(shown.stdout)["sources"].values()]
    assert len(faults) == 3, "each damage is named"
    assert rows(project, "SELECT count(*) AS n FROM lake.bronze.messages") == [{"n": 5}]
