"""Watched folders as users know them: real processes, killed at any moment, and `headrace files`."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from headrace.bus.base import Subscription
from headrace.bus.sqlite import SqliteBus
from machine import wait_until
from typed import answered

if TYPE_CHECKING:
    from pathlib import Path

# The child of `up`, with batches so small that a kill falls between two of them.
LANDING = """
import sys
from headrace.connectors import records
records.BATCH_ROWS = 80
from headrace.runtime.child_life import run_child
from headrace.runtime.landing import __main__ as landing
sys.exit(run_child(landing.watch, *sys.argv[1:]))
"""

# It is killed within a few batches of the n-th that was new, whatever else the machine does.
DEADLY = """
import os, random, sys, threading
from headrace.bus.sqlite import SqliteBus
last, publish = int(sys.argv.pop()), SqliteBus.publish
def counted(self, *rest, **more):
    global last
    published = publish(self, *rest, **more)
    last -= published.messages > 0
    if last == 0:
        threading.Timer(random.uniform(0.0, 0.004), os.kill, (os.getpid(), 9)).start()
    return published
SqliteBus.publish = counted
"""

# A store's library that waits forever in a thread of its own, which the interpreter waits for when it ends.
HUNG = """
import threading
from concurrent.futures import ThreadPoolExecutor
from fsspec.implementations.memory import MemoryFileSystem
MemoryFileSystem.find = lambda *_, **__: ThreadPoolExecutor().submit(threading.Event().wait).result()
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for folder in ("connectors", "landing/orders", "landing/clicks"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "headrace.yaml").write_text("name: lab\ndefaults: {freshness_secs: 0}\n")
    for name in ("orders", "clicks"):
        (tmp_path / f"connectors/{name}.yaml").write_text(
            f"source_id: {name}\npattern: batch_file\nlocation: landing/{name}/\n"
            "files: {every: 50ms, settle: 100ms}\n"
        )
    return tmp_path


def started(shop: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=shop,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def landing(shop: Path) -> subprocess.Popen[str]:
    return started(shop, "-c", LANDING, str(shop), "local")


def ended(process: subprocess.Popen[str], number: int) -> int:
    process.send_signal(number)
    code = process.wait(60)
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()
    return code


def headrace(shop: Path, *arguments: str) -> tuple[int, Any]:
    return answered(*arguments, cwd=shop)


def on_topic(shop: Path, topic: str) -> list[bytes]:
    with closing(SqliteBus(shop / ".headrace/local/bus")) as bus:
        bus.subscribe(Subscription(topic, "test"))
        bus.seek(topic, "test", {})
        rows: list[bytes] = []
        while pulled := bus.pull(topic, "test", 100_000, 1 << 30):
            rows += pulled.batch.column("payload").to_pylist()
        return rows


def dropped(path: Path, rows: int, start: int = 0) -> list[bytes]:
    """Write a file as a careful writer does; return its rows."""
    lines = [b'{"n":%d}' % number for number in range(start, start + rows)]
    draft = path.with_name(f".{path.name}")
    data = b"\n".join(lines) + b"\n"
    draft.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    draft.rename(path)
    return lines


def lag(shop: Path, topic: str) -> int:
    with closing(SqliteBus(shop / ".headrace/local/bus")) as bus:
        return bus.lag(topic, "nobody").messages


def test_killed_at_any_moment_it_takes_each_row_once(shop):
    expected = []
    for number in range(6):
        suffix = ".gz" if number % 2 else ""
        expected += dropped(shop / f"landing/orders/{number}.jsonl{suffix}", 8_000, number * 8_000)
    chance = random.Random(11)
    kills = 0
    seen = 0
    for attempt in range(12):
        if attempt % 2 == 0 and seen < len(expected):  # while rows are on their way
            process = started(shop, "-c", DEADLY + LANDING, str(shop), "local", str(chance.randint(1, 60)))
            wait_until(lambda one=process: one.poll() is not None or lag(shop, "orders") >= len(expected))
        else:  # at any moment from its first word on
            process = landing(shop)
            process.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.4))
        assert ended(process, signal.SIGKILL) == -signal.SIGKILL
        now = lag(shop, "orders")
        kills += seen < now < len(expected)
        seen = now
    process = landing(shop)
    wait_until(lambda: lag(shop, "orders") >= len(expected) and _states(shop, "orders") == {"done"})
    assert ended(process, signal.SIGTERM) == 0
    got = on_topic(shop, "orders")
    assert len(got) == len(expected)
    assert sorted(got) == sorted(expected)
    assert kills, "some kill fell amid a file"


def _states(shop: Path, source: str) -> set[str]:
    _, document = headrace(shop, "files", "list", source)
    return {each["state"] for each in document["files"]}


def test_a_huge_file_of_one_source_does_not_hold_up_another(shop):
    huge = dropped(shop / "landing/orders/huge.jsonl", 600_000)
    process = landing(shop)
    wait_until(lambda: lag(shop, "orders") > 0)
    small = dropped(shop / "landing/clicks/small.jsonl", 3)
    wait_until(lambda: lag(shop, "clicks") == 3)
    assert lag(shop, "orders") < len(huge)
    assert ended(process, signal.SIGTERM) == 0
    assert on_topic(shop, "clicks") == small


def test_it_ends_when_its_parent_does_and_says_what_it_took(shop):
    dropped(shop / "landing/orders/a.jsonl", 3)
    process = landing(shop)
    said: dict[str, Any] = {}
    while said.get("files", {}).get("orders", {}).get("done") != 1:
        said = json.loads(process.stdout.readline())
    assert said["problem"] == ""
    process.stdin.close()
    assert process.wait(30) == 0
    process.stdout.close()
    process.stderr.close()


def test_a_store_that_never_answers_does_not_keep_it_from_its_end(shop):
    (shop / "connectors/orders.yaml").write_text(
        "source_id: orders\npattern: batch_file\nlocation: memory://hung/in/\nfiles: {every: 50ms, settle: 0s}\n"
    )
    dropped(shop / "landing/clicks/a.jsonl", 3)
    process = started(shop, "-c", HUNG + LANDING, str(shop), "local")
    try:
        said: dict[str, Any] = {}
        while said.get("files", {}).get("clicks", {}).get("done") != 1:
            said = json.loads(process.stdout.readline())
        assert ended(process, signal.SIGTERM) == 0
    finally:
        process.kill()
    assert len(on_topic(shop, "clicks")) == 3


def test_a_file_that_is_still_written_is_taken_when_it_is_whole(shop):
    source = shop / "connectors/orders.yaml"
    source.write_text(source.read_text().replace("settle: 100ms", "settle: 4s"))  # who writes may be held up, too
    process = landing(shop)
    path = shop / "landing/orders/slow.jsonl"
    with path.open("wb", buffering=0) as file:
        for number in range(40):
            file.write(b'{"n":')
            time.sleep(0.02)
            file.write(b"%d}\n" % number)
    wait_until(lambda: lag(shop, "orders") > 0)
    assert ended(process, signal.SIGTERM) == 0
    assert on_topic(shop, "orders") == [b'{"n":%d}' % number for number in range(40)]


def test_files_scan_list_and_retry(shop):
    dropped(shop / "landing/orders/good.jsonl", 5)
    (shop / "landing/orders/bad.csv").write_bytes(b"1,2\n3,4\n")
    (shop / "landing/clicks").rmdir()
    code, document = headrace(shop, "files", "scan")
    assert (code, document["rows"]) == (1, 5)
    assert document["sources"]["orders"] == {"waiting": 0, "reading": 0, "done": 1, "failed": 1, "superseded": 0}
    assert "does not exist" in document["problems"]["clicks"]
    (failed,) = document["failed"]
    assert (failed["path"], "columns" in failed["fix"]) == ("bad.csv", True)
    assert headrace(shop, "files", "scan", "orders")[1]["rows"] == 0
    code, document = headrace(shop, "files", "list", "orders", "--state", "failed")
    assert [each["path"] for each in document["files"]] == ["bad.csv"]
    assert headrace(shop, "files", "retry", "orders") == (0, {"source": "orders", "files": 1})
    assert headrace(shop, "files", "retry", "orders", "nothing.csv")[0] == 2
    assert headrace(shop, "files", "retry", "orders", "good.jsonl") == (0, {"source": "orders", "files": 1})
    headrace(shop, "files", "scan", "orders")
    assert len(on_topic(shop, "orders")) == 5, "what the topic has is not taken twice"
    assert headrace(shop, "files", "list", "nothing")[0] == 2
    assert headrace(shop, "files", "list", "--state", "lost")[0] == 2


def test_up_watches_and_a_kill_of_it_leaves_no_child(shop):
    up = started(shop, "-m", "headrace", "up", "--no-build", "--no-collector", "--json")
    dropped(shop / "landing/orders/a.jsonl.gz", 500)
    pid = None
    while pid is None:
        line = json.loads(up.stdout.readline())
        landing_child = line.get("children", {}).get("landing", {})
        if landing_child.get("files", {}).get("orders", {}).get("done"):
            pid = landing_child["pid"]
    ended(up, signal.SIGKILL)
    wait_until(lambda: not _lives(pid))
    assert len(on_topic(shop, "orders")) == 500


def _lives(pid: int) -> bool:
    try:
        return open(f"/proc/{pid}/stat").read().split()[2] != "Z"  # noqa: PTH123
    except OSError:
        return False
