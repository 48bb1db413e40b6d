"""`headrace top` with and without a running `up`, on a terminal and off it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import threading

from headrace.runtime.views.glance import Glances
from living import messages, orders, project_of, running, sqlite_bus, totals
from typed import COMMAND, headrace_in


def top(project, *arguments):
    done = headrace_in(project, "top", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_glances_agree_with_the_ledger_through_the_life_of_up(tmp_path):
    project = project_of(tmp_path, "orders", "visits")
    with Glances(project) as glances:
        before = glances.glance()
        assert (before["running"], before["sources"]["orders"]["ledger"]["accepted"]) == (False, 0)
        with sqlite_bus(project) as bus:
            bus.publish("orders", messages([*orders(0, 40), {"id": 7}]))
        waiting = glances.glance()["sources"]["orders"]
        assert (waiting["lag"], waiting["rate"], waiting["last_commit"]) == (41, 0, None)
        assert waiting["waiting_secs"] > 0
        pause = threading.Event()
        with running(project, build_every_secs=None):
            while (now := glances.glance())["sources"]["orders"]["lag"]:
                pause.wait(0.05)
        assert now["running"]
        source = now["sources"]["orders"]
        assert (source["rate"], source["waiting_secs"], source["problem"]) == (4.1, 0.0, "")
        assert source["freshness_secs"] > 0
        assert {fate: count for fate, count in source["ledger"].items() if count} == totals(project)["orders"]
        assert not glances.glance()["running"]


def test_one_frame_as_text_and_as_json(tmp_path):
    project = project_of(tmp_path)
    frame = json.loads(top(project, "--json"))
    assert set(frame) == {"project", "environment", "at", "running", "problem", "sources", "gold", "upkeep", "children"}
    text = top(project, "--once")
    assert "no `headrace up` runs here" in text
    assert "orders" in text
    assert top(project) != ""  # no terminal: one frame, too


def test_on_a_terminal_it_goes_on_until_ctrl_c_and_gives_the_screen_back(tmp_path):
    project = project_of(tmp_path)
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [*COMMAND, "top", "--every", "0.2", "--project", str(project.root)],
        stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    while seen.count(b"orders") < 3:  # three frames
        seen += os.read(ours, 4096)
    running.send_signal(signal.SIGINT)
    rest = b""
    try:
        while part := os.read(ours, 4096):
            rest += part
    except OSError:
        pass  # the terminal of a process that ended
    assert (running.wait(60), running.stderr.read()) == (0, b"")
    assert b"\x1b[?1049h" in seen
    assert b"\x1b[?1049l" in rest
    running.stderr.close()
    os.close(ours)
