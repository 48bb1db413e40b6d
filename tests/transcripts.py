"""The pages of docs, typed as they stand: what is a command, what is its output, and what is not to be run.

In README, `docs/quickstart.md` and `docs/howto/*.md` every fenced block has a language:

- ``console`` is a transcript: `$ ` starts a command, what follows is its output. `...` as a line stands for any lines,
  within a line for any text. What differs from run to run (times, rates, message ids) may differ.
- ``sh`` is commands, a line each; each must succeed, and what it prints is not compared.
- anything else (``yaml``, ``text``, ``json``, …) is not run. After `<!-- file: PATH -->` it is written to that file,
  after `<!-- add to: PATH -->` to its end.
- `<!-- not run: REASON -->` before a block of commands says why it is not run.
- `<!-- run: COMMAND -->` is run, and not shown: what the page takes for granted.

`headrace up` runs in the background until the page ends; the collector listens on a free port, and commands that name
`localhost:8080` are sent there. So does `headrace registry serve`, for `localhost:8081`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from headrace.runtime import control
from machine import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
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
_PART = re.compile(
    r"^<!-- (?P<what>file|add to|run|not run): (?P<value>.*?) -->$|^```(?P<language>\w*)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Step(NamedTuple):
    """A command of a page; `output` is None where it is not shown, and must only succeed."""

    command: str
    output: list[str] | None


class Write(NamedTuple):
    """A file that a page has its reader write."""

    path: str
    text: str
    mode: str = "w"


def steps(page: Path) -> list[Step | Write]:
    """Return what a page has its reader do, in order."""
    found: list[Step | Write] = []
    note, value = "", ""
    for part in _PART.finditer(page.read_text(encoding="utf-8")):
        if part["what"] == "run":
            found.append(Step(part["value"], None))
            continue
        if part["what"]:
            note, value = part["what"], part["value"]
            continue
        language, body = part["language"], part["body"]
        if note in {"file", "add to"}:
            found.append(Write(value, body, "w" if note == "file" else "a"))
        elif note != "not run" and language == "console":
            found += _transcript(body)
        elif note != "not run" and language == "sh":
            found += [Step(line, None) for line in body.splitlines() if line and not line.startswith("#")]
        note, value = "", ""
    return found


def unmarked(page: Path) -> list[str]:
    """Return the blocks of a page that do not say what they are."""
    return [part["body"] for part in _PART.finditer(page.read_text(encoding="utf-8")) if part["language"] == ""]


def _transcript(body: str) -> list[Step]:
    found: list[Step] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:], []))
        else:
            found[-1].output.append(line)
    return found


def plain(line: str) -> str:
    for pattern, word in VARIES:
        line = re.sub(pattern, word, line)
    return line.strip()


def matches(printed: list[str], expected: list[str]) -> bool:
    """Say whether lines are as expected, `...` standing for any number of them, or for any text within one."""
    if not expected:
        return not printed
    if expected[0] == "...":
        return any(matches(printed[skipped:], expected[1:]) for skipped in range(len(printed) + 1))
    pattern = re.escape(plain(expected[0])).replace(re.escape("..."), ".*")
    return bool(printed) and bool(re.fullmatch(pattern, plain(printed[0]))) and matches(printed[1:], expected[1:])


class Shell:
    """A shell in a folder of its own, with the package under test first on its PATH. `cd` and `export` are kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.registry_port = free_port(), free_port()
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        self.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environ["HEADRACE_COLLECTOR_PORT"] = str(self.port)
        self._kept = folder / ".shell"
        self._up: list[subprocess.Popen] = []

    def run(self, command: str) -> str:
        """Return what a command prints; its exit code is `self.code` afterwards."""
        command = command.replace("localhost:8080", f"localhost:{self.port}")
        command = command.replace("localhost:8081", f"localhost:{self.registry_port}")
        if re.match(r"headrace up\b", command):
            return self._start(command, self._is_ready)
        if re.match(r"headrace registry serve\b", command):
            return self._start(
                f"{command} --port {self.registry_port}", lambda: "headrace registry: http" in self._log()
            )
        script = f"exec 2>&1\n{command}\ncode=$?\n(pwd; env -0) > '{self._kept}'\nexit $code\n"
        done = subprocess.run(
            ["/bin/sh", "-c", script], cwd=self.folder, env=self.environ,
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        self.code = done.returncode
        if self._kept.exists():
            where, _, environ = self._kept.read_text().partition("\n")
            self.folder = Path(where)
            self.environ = dict(each.split("=", 1) for each in environ.split("\0") if "=" in each)
            self._kept.unlink()
        return done.stdout.decode().replace(f":{self.port}", ":8080")

    def write(self, path: str, text: str, mode: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        with (self.folder / path).open(mode) as file:
            file.write(text)

    def close(self) -> None:
        """End what runs in the background, in order."""
        for each in self._up:
            each.send_signal(signal.SIGINT)
        for each in self._up:
            assert each.wait(60) == 0, f"`{each.args[-1]}` failed"

    def _start(self, command: str, is_ready: Callable[[], bool]) -> str:
        with (self.folder / ".up.log").open("w") as out:
            up = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"], cwd=self.folder, env=self.environ,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        self._up.append(up)
        self.code = 0
        while not is_ready():
            assert up.poll() is None, self._log()
            time.sleep(0.1)
        return self._log()

    def _log(self) -> str:
        return (self.folder / ".up.log").read_text()

    def _is_ready(self) -> bool:
        answer = control.ask(self.folder / ".headrace" / "local", {"verb": "progress"})
        return answer is not None and all("listening" in child for child in answer["children"].values() if
                                          child is answer["children"].get("collector"))  # fmt: skip


def missing_programs(page: Path) -> list[str]:
    """Return the programs beside ours that a page's commands need, and this machine lacks."""
    commands = " ".join(step.command for step in steps(page) if isinstance(step, Step))
    return [
        each for each in ("curl", "openssl", "gzip") if re.search(rf"\b{each}\b", commands) and not shutil.which(each)
    ]
