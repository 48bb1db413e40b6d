"""A schema registry as users start it: a process with its project, an address, and an end."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from machine import not_outliving
from typed import COMMAND

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Server:
    """A running registry: its process, what it said when it began to listen, and a client."""

    def __init__(self, process: subprocess.Popen[str], said: dict[str, Any]) -> None:
        self.process = process
        self.said = said
        self.url = said["url"]
        self.client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return self.client.post(path, content=json.dumps(body), headers={"content-type": "application/json", **headers})

    def get(self, path: str) -> Any:
        return self.client.get(path).json()


@contextmanager
def registry(root: Path, *options: str) -> Iterator[Server]:
    """Run a registry on a free port; it is killed at the end, if it still is there."""
    command = [*COMMAND, "registry", "serve", "--port", "0", "--json", "--project", str(root), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with not_outliving(process):
        server = Server(process, json.loads(process.stdout.readline()))
        with server.client:
            yield server
