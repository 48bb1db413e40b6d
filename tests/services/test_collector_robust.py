"""The front door under bad clients, kills and full disks: no acknowledged event is missing, and none is there twice."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter

import httpx
import pytest

from clients import EVENT, Clients, answers, assert_once, head, is_open
from collecting import collecting, listening, settings_of, taken, up
from living import lived, orders, project_of, sqlite_bus
from machine import free_port, small_disk, wait_until


def test_a_client_that_sends_a_byte_now_and_then_is_given_up_and_delays_nobody(tmp_path):
    with collecting(project_of(tmp_path), body_secs=1, header_secs=1) as door:
        slow_body, slow_head = door.connect(), door.connect()
        slow_body.sendall(head(len(EVENT)))
        ended = threading.Event()

        def drip():
            with contextlib.suppress(ConnectionError):
                for byte in EVENT[:-1]:
                    slow_head.send(b"x")
                    slow_body.send(bytes([byte]))
                    if ended.wait(0.3):
                        return

        dripping = threading.Thread(target=drip)
        dripping.start()
        taken_meanwhile = 0
        while dripping.is_alive() and taken_meanwhile < 20:
            assert door.post("orders", EVENT).status_code == 202
            taken_meanwhile += 1
        assert answers(slow_body, 1) == [408]
        assert answers(slow_head, 1) in ([], [408]), "the connection was ended"
        ended.set()
        dripping.join()
        slow_body.close()
        slow_head.close()
        again = httpx.post(f"{door.url}/v1/events/orders", content=EVENT, timeout=30, trust_env=False)
        assert again.status_code == 202  # of its own connection: the other's header_secs may be over just now
        assert len(taken(project_of(tmp_path))) == taken_meanwhile + 1


def test_a_thousand_open_connections(tmp_path):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2_500:
        pytest.skip(f"only {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2_500), hard))
    with collecting(project_of(tmp_path)) as door:
        many = [door.connect() for _ in range(1_000)]
        for each in many[::2]:
            each.sendall(head(len(EVENT)) + EVENT[:3])  # half of them amid a request
        assert door.post("orders", EVENT).status_code == 202
        for each in many[::2]:
            each.sendall(EVENT[3:])
        assert Counter(answers(each, 1)[0] for each in many[::2]) == {202: 500}
        for each in many:
            each.close()
        assert door.end() == 0
    assert len(taken(project_of(tmp_path))) == 501


def test_pipelined_requests_are_answered_in_order(tmp_path):
    with collecting(project_of(tmp_path)) as door, door.connect() as connection:
        good, bad = head(len(EVENT)) + EVENT, head(3) + b"[[["
        connection.sendall(good + bad + good + good)
        assert answers(connection, 4) == [202, 400, 202, 202]


def test_a_content_length_that_is_wrong_takes_nothing_that_was_not_sent(tmp_path):
    project = project_of(tmp_path)
    with collecting(project) as door:
        with door.connect() as longer:
            longer.sendall(head(len(EVENT) + 5) + EVENT)
            longer.shutdown(socket.SHUT_WR)
            assert answers(longer, 1) == [400]
        with door.connect() as shorter:
            shorter.sendall(head(len(EVENT) - 4) + EVENT)
            assert 202 not in answers(shorter, 2)
        with door.connect() as nonsense:
            nonsense.sendall(head("-5") + EVENT)
            assert answers(nonsense, 1) == [400]
        with door.connect() as both:
            both.sendall(head(len(EVENT), "content-length: 3") + EVENT)
            assert 202 not in answers(both, 1)
        chunked = b"POST /v1/events/orders HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
        chunk = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
        for broken in (chunk, chunk + b"5\r\n{", chunk + b"zz\r\n", chunk + b"0\r\nx-trailer: 1\r\n\r\n", b""):
            with door.connect() as cut:
                cut.sendall(chunked + broken)
                if b"trailer" not in broken:
                    cut.shutdown(socket.SHUT_WR)
                assert answers(cut, 1) == [400], broken
        with door.connect() as gone:
            gone.sendall(head(100_000) + EVENT)
        with door.connect() as heads:
            heads.sendall(head(len(EVENT), *(f"x-{at}: {'y' * 1000}" for at in range(200))) + EVENT)
            assert answers(heads, 1) in ([431], [400], [])
        assert taken(project) == []
        with door.connect() as whole:
            whole.sendall(chunked + chunk + b"2\r\n \n\r\n0\r\n\r\n")
            assert answers(whole, 1) == [202]
        assert taken(project)[0][0] == EVENT
        assert door.post("orders", EVENT).status_code == 202


def test_too_much_at_once_is_told_to_wait(tmp_path):
    with collecting(project_of(tmp_path, "orders", "users"), max_waiting_bytes_per_source=1_000) as door:
        with door.connect() as first:
            first.sendall(head(900) + b"{")
            wait_until(lambda: "waiting_bytes 900" in door.client.get("/metrics").text)
            busy = door.post("orders", b"[" + b"{}," * 99 + b"{}]")
            assert (busy.status_code, busy.json()["reason"]) == (429, "source_busy")
            assert busy.headers["retry-after"] == "1"
            assert door.post("users", b"[" + b"{}," * 999 + b"{}]").status_code == 202, "the first is always let in"
        wait_until(lambda: door.post("orders", EVENT).status_code == 202)


def test_what_has_begun_is_finished_before_it_ends(tmp_path):
    with collecting(project_of(tmp_path)) as door, door.connect() as connection, door.connect() as idle:
        idle.sendall(head(2) + b"[]")
        assert answers(idle, 1) == [202]
        connection.sendall(head(len(EVENT)) + EVENT[:5])
        wait_until(lambda: "waiting_requests 1" in door.client.get("/metrics").text)
        door.process.send_signal(signal.SIGTERM)
        assert idle.recv(1) == b"", "it ends, and says so to those who send nothing"
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{door.url}/v1/events/orders", content=EVENT, timeout=1, trust_env=False)
        connection.sendall(EVENT[5:])
        assert answers(connection, 1) == [202]
        assert door.process.wait(30) == 0
    assert len(taken(project_of(tmp_path))) == 1


def test_collectors_killed_under_load(tmp_path):
    project = project_of(tmp_path, more="")
    port = free_port()
    with Clients(f"http://127.0.0.1:{port}") as clients:
        for _ in range(4):
            with collecting(project, port=port) as door:
                seen = len(clients.acked)
                wait_until(lambda seen=seen: len(clients.acked) > seen + 100)
                door.kill()
    assert len(clients.acked) > 400
    lived(project)
    assert_once(project, clients)


def test_up_killed_under_load_ends_its_collector_too(tmp_path):
    project = project_of(tmp_path, more="")
    port = free_port()
    with Clients(f"http://127.0.0.1:{port}") as clients:
        for _ in range(2):
            with up(project, port=port) as door:
                seen = len(clients.acked)
                wait_until(lambda seen=seen: len(clients.acked) > seen + 200)
                door.kill()
                wait_until(lambda: not is_open(port))
        with up(project, port=port) as door:
            seen = len(clients.acked)
            wait_until(lambda seen=seen: len(clients.acked) > seen + 100)
            assert door.end() == 0  # in order: what is acknowledged until the last moment is drained
    assert_once(project, clients)


def test_up_restarts_a_collector_that_was_killed(tmp_path):
    project = project_of(tmp_path)
    command = [sys.executable, "-m", "headrace", "up", "--json", "--no-build", "--project", str(project.root)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=settings_of())
    try:
        first = listening(running)
        os.kill(first["pid"], signal.SIGKILL)
        while (second := listening(running))["pid"] == first["pid"]:
            pass
        with httpx.Client(timeout=30, trust_env=False) as client:
            assert client.post(f"{second['listening']}/v1/events/orders", content=EVENT).status_code == 202
    finally:
        running.terminate()
        running.communicate(timeout=60)


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", 16 << 20) as folder:
        yield folder


def bulky(number):
    """Return an event that does not compress."""
    return json.dumps({"id": base64.b64encode(random.Random(number).randbytes(30_000)).decode()})


def fill(folder):
    filler = folder / "filler"
    with filler.open("wb") as file:
        while free := shutil.disk_usage(folder).free:
            file.write(b"x" * min(free, 1 << 20))
            file.flush()
    return filler


@pytest.mark.parametrize("killed", [False, True], ids=["living", "killed"])
def test_on_a_full_disk_events_go_to_the_spool_and_come_back_once(disk, tmp_path, killed):
    project = project_of(disk, more="")
    spool = tmp_path / "spool"
    sent = [bulky(number) for number in range(40)]
    settings = {"spool_folder": spool, "spool_max_bytes": 1 << 20}
    with collecting(project, **settings) as door:
        assert door.post("orders", sent[0]).json()["first_message_id"]
        filler = fill(disk)
        spooled, refused = 0, 0
        for event in sent[1:]:
            answer = door.post("orders", event)
            if answer.status_code == 202:
                assert answer.json()["first_message_id"] is None or not spooled
                spooled += 1
            else:
                assert (answer.status_code, answer.json()["reason"]) == (503, "unavailable")
                assert answer.headers["retry-after"]
                refused += 1
        assert spooled > 10
        assert refused > 3, "the spool is bounded"
        assert door.client.get("/ready").status_code == 503
        assert list(spool.rglob("*.segment"))
        filler.unlink()
        if killed:
            door.kill()
        else:
            wait_until(lambda: not list(spool.rglob("*.segment")))
            wait_until(lambda: door.client.get("/ready").status_code == 200)
            assert door.post("orders", bulky(99)).json()["first_message_id"]
    if killed:
        with collecting(project, **settings):
            wait_until(lambda: not list(spool.rglob("*.segment")))
    payloads = [payload.decode() for payload, _ in taken(project)]
    assert payloads[: 1 + spooled] == sent[: 1 + spooled], "in order, each once"
    assert len(payloads) == 1 + spooled + (not killed)


def test_a_full_disk_without_another_is_a_503_and_heals_by_itself(disk):
    project = project_of(disk, more="")
    with collecting(project) as door:
        filler = fill(disk)
        answers_ = [door.post("orders", bulky(number)).status_code for number in range(100, 110)]
        assert answers_[-1] == 503
        filler.unlink()
        wait_until(lambda: door.post("orders", bulky(7)).status_code == 202)
        wait_until(lambda: door.client.get("/ready").status_code == 200)
        acked = answers_.count(202) + 1
        wait_until(lambda: len(taken(project)) == acked)
        payloads = [payload.decode() for payload, _ in taken(project)]
    assert len(set(payloads)) == acked


def test_a_segment_that_was_published_before_a_crash_is_not_published_again(tmp_path):
    from headrace.collector.spool import Room, Spool
    from living import messages

    project = project_of(tmp_path)
    spool = Spool(project.state / "spool", "orders", Room(1 << 20))
    for at in range(3):
        spool.put(messages(orders(at, at + 1)))
    (spool._folder / "0000000000000009-half.draft").write_bytes(b"half")
    with sqlite_bus(project) as bus:
        segment, batch = spool.oldest()
        bus.publish("orders", batch, once=segment.once)  # and now it dies
    with collecting(project):
        wait_until(lambda: not list(project.state.glob("spool/orders/*")))
    assert [json.loads(payload)["id"] for payload, _ in taken(project)] == ["o0", "o1", "o2"]
