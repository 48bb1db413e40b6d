"""The relay beside a running `up`, against real servers: down, slow, failing, throttling; killed at any moment."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from headrace.config.project import load_project
from headrace.runtime.relay.pushes import pushes
from living import KEYED, lived, messages, orders, rows, sqlite_bus, totals, write_source
from machine import free_port, wait_until
from receiver import Receiver, is_signed
from typed import headrace_in

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"fedcba9876543210fedcba9876543210").decode()
RETRY = "retry: {timeout: 60s, first_delay: 50ms, longest_delay: 300ms}"  # patient: a busy machine is no failure
HASTY = RETRY.replace("60s", "2s")


DEADLY = """
import os, signal, sys
from headrace.runtime.child_life import run_child
from headrace.runtime.relay import __main__ as relay
from headrace.runtime.relay.store import Store

class Deadly(Store):
    def settle(self, *rest):
        os.kill(os.getpid(), signal.SIGKILL)

    published = settle

if sys.argv.pop(1) == "deadly":
    relay.Store = Deadly
sys.exit(run_child(relay.relay, *sys.argv[1:]))
"""
"""A relay that is killed when all was sent and nothing is noted yet."""


def project_with(root, *pushes, source="orders", **options):
    lines = "".join(f"  - {{{each}}}\n" for each in pushes)
    write_source(root, source, more=f"{KEYED}serving:\n  push:\n{lines}", **options)
    return load_project(root)


class Running:
    """`headrace up` as a user starts it, heard line by line."""

    def __init__(self, project, **environ):
        self.project, self.lines = project, []
        env = os.environ | {"KEY": SECRET, "OLD_KEY": OLD_SECRET, "PYTHONPATH": os.pathsep.join(sys.path)} | environ
        command = [sys.executable, "-m", "headrace", "up", "--no-build", "--json", "--project", str(project.root)]
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def relay(self):
        """Return the process id of the relay and what it says; None where it does not run."""
        for line in reversed(self.lines):
            with contextlib.suppress(ValueError):
                said = json.loads(line).get("children", {}).get("relay")
                if said:
                    return said
        return None

    def has_relay(self):
        return bool(self.relay() and self.relay()["pid"])

    def kill(self):
        self.process.kill()
        self.process.wait(60)
        self._reader.join(10)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
        self._reader.join(10)


@pytest.fixture
def up():
    started = []

    def start(project, **environ):
        started.append(Running(project, **environ))
        return started[-1]

    yield start
    for each in started:
        each.end()


def publish(project, events, topic="orders"):
    with sqlite_bus(project) as bus:
        bus.publish(topic, messages(events, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))


def doing(project):
    return {each["push"].rpartition("/")[2]: each for each in pushes(project)}


def test_an_endpoint_that_is_down_gets_everything_once_it_is_up(up, tmp_path):
    port = free_port()
    project = project_with(
        tmp_path,
        f"name: desk, to: 'http://127.0.0.1:{port}/hook', secret: [secret://env/KEY, secret://env/OLD_KEY], {RETRY}",
        f"name: odd, to: 'http://127.0.0.1:{port}/odd', filter: {{id: [o1, o3]}}, payload: cloudevent, {RETRY}",
    )
    running = up(project)
    publish(project, orders(0, 40))
    wait_until(lambda: (doing(project)["desk"]["problem"] or "").startswith("no connection"))
    assert doing(project)["desk"]["waiting"] > 0
    assert totals(project)["orders"]["silver"] == 40, "commits go on"
    with Receiver(port=port) as receiver:
        wait_until(lambda: doing(project)["desk"]["delivered"] >= 40 and doing(project)["odd"]["delivered"] >= 2)
        desk = [each for each in receiver.taken() if each.path == "/hook"]
        odd = [each for each in receiver.taken() if each.path == "/odd"]
    assert {each.events[0]["data"]["id"] for each in desk} == {f"o{number}" for number in range(40)}
    of_ids = {(each.id, each.events[0]["id"]) for each in desk}
    assert len(of_ids) == 40, "a repeated request has the id that it had"
    for each in desk:
        assert is_signed(each, SECRET)
        assert is_signed(each, OLD_SECRET)
        assert not is_signed(each, "whsec_" + base64.b64encode(b"another").decode())
        assert each.headers["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c-")
        assert abs(int(each.headers["webhook-timestamp"]) - time.time()) < 3600
        assert each.events[0]["type"] == "orders.silver"
    assert {event["data"]["id"] for each in odd for event in each.events} == {"o1", "o3"}
    assert odd[0].headers["content-type"] == "application/cloudevents+json"
    assert odd[0].events[0]["specversion"] == "1.0"
    assert "webhook-signature" not in odd[0].headers
    wait_until(lambda: not doing(project)["desk"]["failing_since"])
    assert doing(project)["desk"]["retrying"] == doing(project)["desk"]["dead"] == 0
    running.end()
    assert running.process.returncode == 0


def test_each_push_has_its_own_trouble(up, tmp_path):
    """Failing, throttling, slow, refusing and dead endpoints beside a healthy one."""
    mended = threading.Event()

    def fails_first(request, nth):
        return 500 if nth == 1 else 204

    def throttles(request, nth):
        return (429, {"retry-after": "1"}) if len(throttled.requests) < 2 else 200

    def slow(request, nth):
        if nth == 1 and len(sleepy.requests) < 3:
            time.sleep(3)
        return 200

    def refuses(request, nth):
        return 204 if mended.is_set() or request.events[0]["data"]["id"] != "o7" else 422

    with (
        Receiver() as healthy,
        Receiver(fails_first) as flaky,
        Receiver(throttles) as throttled,
        Receiver(slow) as sleepy,
        Receiver(refuses) as picky,
    ):
        named = {"healthy": healthy, "flaky": flaky, "throttled": throttled, "sleepy": sleepy, "picky": picky}
        project = project_with(
            tmp_path,
            *(
                f"name: {name}, to: '{each.url}', secret: secret://env/KEY, {HASTY if name == 'sleepy' else RETRY}"
                for name, each in named.items()
            ),
            f"name: dead, to: 'http://127.0.0.1:{free_port()}/', secret: secret://env/KEY, {RETRY}",
            f"name: many, to: '{healthy.url}', max_events: 7, secret: secret://env/KEY, {RETRY}",
        )
        running = up(project)
        for first in range(0, 30, 10):
            publish(project, orders(first, first + 10))
        everything = {f"o{number}" for number in range(30)}
        ones = lambda each: {event["data"]["id"] for one in each.taken() for event in one.events}  # noqa: E731
        wait_until(lambda: all(ones(each) == everything for name, each in named.items() if name != "picky"))
        wait_until(lambda: doing(project)["many"]["delivered"] == 30)
        wait_until(lambda: doing(project)["picky"]["dead"] == 1)
        assert ones(picky) == everything - {"o7"}
        assert any(len(each.events) > 1 for each in healthy.taken())
        # Of a healthy endpoint nothing is asked twice.
        assert Counter(each.id for each in healthy.requests).most_common(1)[0][1] == 1
        assert set(Counter(each.id for each in flaky.taken()).values()) == {1}
        now = doing(project)
        assert now["dead"]["delivered"] == 0
        assert now["dead"]["problem"].startswith("no connection")
        assert now["dead"]["waiting"] > 0
        wait_until(lambda: "orders/dead: no connection" in running.relay()["problem"])
        # The dead letter is listed, and delivered once the endpoint takes it.
        listed = cli(project, "push", "dead", "--json")
        (letter,) = json.loads(listed.stdout)["letters"]
        assert (letter["push"], letter["data"]["id"], letter["problem"]) == (
            "orders/picky",
            "o7",
            "the endpoint answered 422",
        )
        assert cli(project, "push", "list").returncode == 1
        mended.set()
        assert cli(project, "push", "retry", letter["id"], "--dry-run").returncode == 0
        assert doing(project)["picky"]["dead"] == 1
        assert json.loads(cli(project, "push", "retry", letter["id"], "--json").stdout)["letters"] == [letter["id"]]
        wait_until(lambda: "o7" in ones(picky))
        wait_until(lambda: doing(project)["picky"]["dead"] == 0)
        assert totals(project)["orders"]["silver"] == 30


def cli(project, *arguments):
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "KEY": SECRET, "OLD_KEY": OLD_SECRET}
    return headrace_in(project, *arguments, env=env)


def test_kill_at_any_moment_under_load_loses_nothing_and_doubles_nothing_in_a_topic(up, tmp_path):
    """The relay, and `up` with it, are killed again and again while events come in."""
    chance = random.Random(11)
    with Receiver() as desk, Receiver() as batches:
        project = project_with(
            tmp_path,
            f"name: desk, to: '{desk.url}', secret: secret://env/KEY, concurrency: 8, {RETRY}",
            "name: onward, topic: derived",
            f"name: commits, on: batch, to: '{batches.url}', secret: secret://env/KEY, {RETRY}",
        )
        write_source(tmp_path, "copies")
        text = (tmp_path / "connectors/copies.yaml").read_text()
        (tmp_path / "connectors/copies.yaml").write_text(
            text.replace("pattern: event_streaming", "pattern: event_streaming, topic: derived")
        )
        project = load_project(tmp_path)
        sent = 0
        with sqlite_bus(project) as bus:
            for _ in range(4):
                running = up(project)
                wait_until(running.has_relay)
                for turn in range(6):
                    bus.publish("orders", messages(orders(sent, sent + 60)))
                    sent += 60
                    time.sleep(chance.uniform(0.0, 0.25))
                    if turn == 3:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(running.relay()["pid"], signal.SIGKILL)
                time.sleep(chance.uniform(0.0, 0.6))
                running.kill()
            running = up(project)
            everything = {f"o{number}" for number in range(sent)}
            wait_until(lambda: set(desk.ids()) == everything, why="an event never arrived")
            wait_until(
                lambda: totals(project).get("copies", {}).get("accepted", 0) >= sent, why="the topic lacks an event"
            )
            told = lambda: {each.events[0]["id"] for each in batches.taken()}  # noqa: E731
            committed = {
                each["batch_id"]
                for each in rows(project, "SELECT batch_id FROM lake.ops.batches WHERE source = 'orders'")
            }
            wait_until(lambda: told() == committed, why="a commit was not told of")
            running.end()
    assert len({(each.id, each.events[0]["id"]) for each in desk.requests}) == sent, "one id for each event"
    copies = totals(project)["copies"]
    assert copies == {"accepted": sent, "silver": sent}, "each event is in the topic exactly once"
    fates = [event["data"]["fates"] for each in batches.taken() for event in each.events]
    by_batch = {each.events[0]["id"]: each.events[0]["data"] for each in batches.taken()}
    assert fates
    assert sum(each["accepted"] for each in by_batch.values()) == sent
    assert sum(each["fates"]["silver"] for each in by_batch.values()) == sent


def relay(project, way):
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "KEY": SECRET}
    command = [sys.executable, "-c", DEADLY, way, str(project.root), project.environment]
    return subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


def lives_well(project, delivered):
    """Let a relay live until every push has delivered so many."""
    with relay(project, "well") as living:
        wait_until(lambda: all(each["delivered"] >= delivered for each in doing(project).values()))
        living.send_signal(signal.SIGTERM)
        assert living.wait(60) == 0


def dies(project):
    with relay(project, "deadly") as dying:
        assert dying.wait(60) == -signal.SIGKILL


def test_killed_before_it_could_note_what_it_published_a_relay_doubles_nothing(tmp_path):
    project = project_with(tmp_path, "name: onward, topic: derived")
    for first in (0, 30):
        publish(project, orders(first, first + 30))
        lived(project)
        dies(project)
        dies(project)
        with sqlite_bus(project) as bus:
            assert bus.lag("derived", "any").messages == first + 30
        lives_well(project, first + 30)
        with sqlite_bus(project) as bus:
            assert bus.lag("derived", "any").messages == first + 30


def test_killed_before_it_could_note_what_it_sent_a_relay_repeats_the_same_requests(tmp_path):
    with Receiver() as desk, Receiver() as many:
        project = project_with(
            tmp_path,
            f"name: desk, to: '{desk.url}', secret: secret://env/KEY",
            f"name: many, to: '{many.url}', max_events: 5, secret: secret://env/KEY",
        )
        publish(project, orders(0, 30))
        lived(project)
        dies(project)
        dies(project)
        lives_well(project, 30)
        for each in (desk, many):
            assert set(each.ids()) == {f"o{number}" for number in range(30)}
            by_id = {request.id: request.body for request in each.requests}
            assert all(by_id[request.id] == request.body for request in each.requests), "a repeat is the same request"
        assert len(by_id) == 6
        assert len(desk.requests) + len(many.requests) > 36, "something was repeated, or the test shows nothing"


def test_killed_amid_its_requests_a_relay_sends_them_again(tmp_path):
    running = []

    def kills(request, nth):
        if running and running[-1].poll() is None:
            running[-1].kill()
            return 500
        return 204

    with Receiver(kills) as desk:
        project = project_with(tmp_path, f"name: desk, to: '{desk.url}', secret: secret://env/KEY")
        publish(project, orders(0, 30))
        lived(project)
        for _ in range(3):
            running.append(relay(project, "well"))
            assert running[-1].wait(60) == -signal.SIGKILL
        running.clear()
        lives_well(project, 30)
        assert set(desk.ids()) == {f"o{number}" for number in range(30)}


def test_builds_are_told_of_published_and_failed(up, tmp_path):
    shop = tmp_path / "shop"
    made = subprocess.run([sys.executable, "-m", "headrace", "init", str(shop)], check=False, timeout=60)
    assert made.returncode == 0
    with Receiver() as ops:
        text = (shop / "headrace.yaml").read_text()
        more = f"push:\n  gold:\n  - {{name: ops, to: '{ops.url}', secret: secret://env/KEY, payload: cloudevent}}\n"
        more += f"  - {{name: alarm, on: failed, to: '{ops.url}', secret: secret://env/KEY}}\n"
        (shop / "headrace.yaml").write_text(text + more)
        project = load_project(shop)
        assert cli(project, "publish", "orders", str(shop / "sample/orders.jsonl")).returncode == 0
        assert cli(project, "build").returncode == 0
        (shop / "models/broken.sql").write_text("select no_such_column from {{ ref('stg_orders') }}\n")
        assert cli(project, "build").returncode == 2
        running = up(project)
        wait_until(lambda: len(ops.taken()) >= 3)
        running.end()
        assert cli(project, "push", "list").returncode == 0
    told = {(each.id.split("-")[1], event["type"]) for each in ops.taken() for event in each.events}
    assert told == {("ops", "gold.published"), ("ops", "gold.failed"), ("alarm", "gold.failed")}
    (failed,) = [event for each in ops.taken() for event in each.events if each.id.startswith("gold-alarm")]
    assert failed["data"]["failures"][0]["name"] == "broken"
    assert "models/broken.sql" in failed["data"]["failures"][0]["at"]


def test_secrets_are_seen_by_the_endpoint_alone(up, tmp_path):
    canaries = {
        "KEY": "whsec_" + base64.b64encode(b"c4n4ry-of-the-signature-key-00000").decode(),
        "TOKEN": "Bearer c4n4ry-token",
    }
    down = free_port()
    with Receiver(lambda request, nth: 500 if nth < 3 else 204) as receiver:
        canaries["URL"] = f"{receiver.url}/c4n4ry-path"
        canaries["DOWN"] = f"http://localhost:{down}/c4n4ry-down"
        project = project_with(
            tmp_path,
            "name: desk, to: secret://env/URL, secret: secret://env/KEY, "
            f"headers: {{authorization: secret://env/TOKEN}}, {RETRY}",
            f"name: down, to: secret://env/DOWN, secret: secret://env/KEY, {RETRY}",
            f"name: wrong, to: '{receiver.url}', secret: secret://env/TOKEN, {RETRY}",
            f"name: absent, to: '{receiver.url}', secret: secret://env/NOT_SET, {RETRY}",
        )
        running = up(project, **canaries)
        publish(project, orders(0, 3))
        wait_until(lambda: len(receiver.taken()) >= 3)
        wait_until(lambda: all(doing(project)[name]["problem"] for name in ("down", "wrong", "absent")))
        assert {each.headers["authorization"] for each in receiver.taken()} == {"Bearer c4n4ry-token"}
        assert all(each.path.endswith("/c4n4ry-path") for each in receiver.taken())
        assert all(is_signed(each, canaries["KEY"]) for each in receiver.taken())
        assert "is not a key to sign with" in doing(project)["wrong"]["problem"]
        assert "secret://env/NOT_SET is not set" in doing(project)["absent"]["problem"]
        listed = cli(project, "push", "list", "--json").stdout
        running.end()
    seen = listed + "".join(running.lines)
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for canary in (*canaries.values(), "c4n4ry"):
        assert canary not in seen
        assert canary.encode() not in stored
        assert base64.b64encode(canary.encode()) not in stored
