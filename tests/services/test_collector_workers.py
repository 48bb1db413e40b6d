"""A collector of several workers: any of them dies, and so does who watches over them; nothing is lost or doubled."""

from __future__ import annotations

import json
import os
import signal

import httpx
import pytest

from clients import EVENT, Clients, answers, assert_once, head, is_open
from collecting import collecting
from headrace.collector.process import alone
from headrace.errors import BusyError
from living import lived, project_of
from machine import free_port, wait_until


def both(door, gone=None):
    """Return the process ids of both workers, once it says that both take events, and that neither is the one gone."""
    while {None, gone} & set(door.said["workers"].values()):
        door.said = json.loads(door.process.stdout.readline())
        assert door.said["problem"] == ""
    return door.said["workers"]


def told(door, path):
    """Return what each of some connections is told: whichever worker takes them."""
    return {httpx.get(f"{door.url}{path}", timeout=30, trust_env=False).text for _ in range(6)}


def counted(door):
    found = {line for text in told(door, "/metrics") for line in text.splitlines() if "events_total{" in line}
    return {float(line.rpartition(" ")[2]) for line in found}


def test_two_workers_and_who_watches_over_them_are_killed_under_load(tmp_path):
    project = project_of(tmp_path, more="")
    port = free_port()
    with collecting(project, port=port, workers=2) as door, Clients(door.url) as clients:
        first = both(door)
        wait_until(lambda: len(clients.acked) > 100)
        clients.pause()
        before = len(clients.acked)
        assert counted(door) == {before}, "whichever worker answers"
        clients.go_on()
        os.kill(first["1"], signal.SIGKILL)
        wait_until(lambda: len(clients.acked) > before + 100)
        second = both(door, first["1"])
        assert second["2"] == first["2"]
        assert told(door, "/health") == {'{"status": "alive", "workers": 2, "living": 2}'}
        assert told(door, "/ready") == {'{"status": "ready", "workers": 2, "living": 2}'}
        clients.pause()
        (count,) = counted(door)
        assert len(clients.acked) <= count <= len(clients.sent), "what the killed one has counted stays"
        with door.connect() as slow:
            clients.sent.add("a")
            slow.sendall(head(len(EVENT)) + EVENT[:5])
            wait_until(lambda: "waiting_requests 1" in door.client.get("/metrics").text)
            door.kill()
            with pytest.raises(BusyError, match="another collector"), alone(project.state):
                raise AssertionError("its worker still ends")
            slow.sendall(EVENT[5:])
            assert answers(slow, 1) == [202], "what has begun is finished"
            clients.acked.add("a")
        wait_until(lambda: not is_open(port))
        clients.go_on()
        with collecting(project, port=port, workers=1) as single:
            seen = len(clients.acked)
            wait_until(lambda: len(clients.acked) > seen + 50)
            assert single.end() == 0
    lived(project)
    assert_once(project, clients)
