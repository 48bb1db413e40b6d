"""A collector as users start it: a process with its project, an address, and an end; and what it took, seen outside."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from headrace.bus.base import Subscription
from living import sqlite_bus
from machine import not_outliving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.config.project import Project

START_SECS = 60


class Door:
    """A running collector: `url`, its process, what it said when it began to listen, and a client."""

    def __init__(self, process: subprocess.Popen[str], url: str, said: dict[str, Any] | None = None) -> None:
        self.process = process
        self.said = said or {}
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self.client = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def post(self, source: str, content: bytes | str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"/v1/events/{source}", content=content, headers=named)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """Ask it to end, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def settings_of(**settings: Any) -> dict[str, str]:
    """Return an environment in which the collector has these settings, and a port of its own."""
    named = {f"HEADRACE_COLLECTOR_{name.upper()}": str(value) for name, value in settings.items()}
    return {
        **os.environ,
        "HEADRACE_COLLECTOR_ENABLED": "true",
        "HEADRACE_COLLECTOR_PORT": "0",
        "HEADRACE_COLLECTOR_WORKERS": "1",
        **named,
    }


def start(project: Project, **settings: Any) -> subprocess.Popen[str]:
    """Start the collector alone, as `up` would."""
    command = [sys.executable, "-P", "-m", "headrace.collector.process", str(project.root), project.environment]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=settings_of(**settings)
    )


@contextmanager
def collecting(project: Project, **settings: Any) -> Iterator[Door]:
    """Run the collector alone; it is killed at the end, if it still is there."""
    process = start(project, **settings)
    with not_outliving(process):
        said = json.loads(process.stdout.readline())
        door = Door(process, said["listening"], said)
        with door.client:
            yield door


@contextmanager
def up(project: Project, *options: str, **settings: Any) -> Iterator[Door]:
    """Run `headrace up` with its collector; both are killed at the end, if they still are there."""
    command = [sys.executable, "-m", "headrace", "up", "--json", "--no-build", *options, "--project", str(project.root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=settings_of(**settings))
    with not_outliving(process):
        door = Door(process, listening(process)["listening"])
        with door.client:
            yield door


def listening(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what the collector of an `up` says once it listens."""
    for line in process.stdout:
        said = json.loads(line).get("children", {}).get("collector", {})
        if said.get("listening"):
            return said
    raise AssertionError(f"up ended with {process.wait()}")


def taken(project: Project, topic: str = "orders") -> list[tuple[bytes, dict[str, str]]]:
    """Return every message of a topic: its bytes and attributes."""
    found: list[tuple[bytes, dict[str, str]]] = []
    with sqlite_bus(project) as bus:
        bus.subscribe(Subscription(topic, "test"))
        bus.seek(topic, "test", {})
        while (pulled := bus.pull(topic, "test", 100_000, 64 << 20)) is not None:
            columns = (pulled.batch.column(name).to_pylist() for name in ("payload", "attributes"))
            found += [(payload, dict(attributes or [])) for payload, attributes in zip(*columns, strict=True)]
    return found
