"""Transcripts in the pages, typed as they stand.

A `console` block is a transcript: `$ ` starts a command, what follows is its output, `...` stands for any lines. What
differs from run to run (times, rates, dates, message ids) may differ. `$ headrace up` runs on until the page is
through, as in a terminal of its own; what a page types at port 8080 goes to its collector, wherever that listens. A
block below `<!-- file: NAME -->` is written to that file when its turn comes.
"""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import httpx

VARIES = (
    (r"\d[\d,]*/s", "N/s"),
    (r"\b\d+\.\d\b", "#.#"),
    (r"\b\d{4}-\d\d-\d\dT[\d:]+", "INSTANT"),
    (r"\b\d{4}-\d\d-\d\d\b", "DATE"),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"\b([a-z_]+)-[0-9a-f]{8}-\d+", r"\1-EPOCH-N"),
    (r'"request_id":"[0-9a-f]+"', '"request_id":"ID"'),
    (r"[ ]+", " "),
)


class Step(NamedTuple):
    command: str
    output: list[str]
    file: str = ""  # what to write into the file that `command` names


def steps(page):
    found = []
    blocks = r"^(?:<!-- file: (\S+) -->\n```\w*|```console)\n(.*?)^```$"
    for file, block in re.findall(blocks, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        if file:
            found.append(Step(file, [], block))
            continue
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Step(line[2:], []))
            else:
                found[-1].output.append(line)
    return found


def plain(line):
    for pattern, word in VARIES:
        line = re.sub(pattern, word, line)
    return line.strip()


def matches(printed, expected):
    """Say whether lines are as expected, `...` standing for any number of them."""
    if not expected:
        return not printed
    if expected[0] == "...":
        return any(matches(printed[skipped:], expected[1:]) for skipped in range(len(printed) + 1))
    return bool(printed) and alike(plain(printed[0]), plain(expected[0])) and matches(printed[1:], expected[1:])


def alike(printed, expected):
    """Say whether a line is as expected; one that ends in `...` may go on."""
    return printed.startswith(expected.removesuffix("...")) if expected.endswith("...") else printed == expected


class Shell:
    """A shell in a folder of its own, with the package under test first on its PATH. `close` ends what it started."""

    def __init__(self, folder):
        self.folder = folder
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        self.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.port = free_port()
        self.environ["HEADRACE_COLLECTOR_PORT"] = str(self.port)
        self._running = []

    def run(self, command):
        if command.startswith("cd "):
            self.folder = (self.folder / command[3:]).resolve()
            return ""
        if command == "headrace up":
            return self._start(command)
        done = subprocess.run(
            ["/bin/sh", "-c", f"exec 2>&1\n{self._here(command)}"],
            cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        return done.stdout.decode()

    def take(self, step):
        """Run a step, or write its file; return the lines that were printed."""
        if step.file:
            (self.folder / step.command).write_text(step.file, encoding="utf-8")
            return []
        return self.run(step.command).splitlines()

    def close(self):
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait(60)

    def _here(self, command):
        return command.replace("localhost:8080", f"127.0.0.1:{self.port}")

    def _start(self, command):
        """Start what does not end, and return what it said until it listens."""
        log = self.folder / ".headrace-up.log"
        with log.open("wb") as output:
            self._running.append(
                subprocess.Popen(
                    command.split(), cwd=self.folder, env=self.environ,
                    stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                )
            )  # fmt: skip
        deadline = time.monotonic() + 120
        while not listens(self.port):
            assert self._running[-1].poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        return log.read_text()


def free_port():
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return some.getsockname()[1]


def listens(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=5).is_success
    except httpx.HTTPError:
        return False
