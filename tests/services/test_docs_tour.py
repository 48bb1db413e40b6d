"""README's tour, typed as it stands: each command in a fresh project prints what README says that it prints.

A `console` block is a transcript: `$ ` starts a command, what follows is its output, `...` stands for any lines. What
differs from run to run (times, rates, message ids) may differ.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference" / "command-line.md"
NAMES_OF_THE_PROJECT = {"orders", "main.fct_daily_orders", "one"}
VARIES = (
    (r"\d[\d,]*/s", "N/s"),
    (r"\b\d+\.\d\b", "#.#"),
    (r"\b\d{4}-\d\d-\d\dT[\d:]+", "INSTANT"),
    (r"\borders-[0-9a-f]{8}-", "orders-EPOCH-"),
    (r"[ ]+", " "),
)


class Step(NamedTuple):
    command: str
    output: list[str]


def steps(page):
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
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
    return bool(printed) and plain(printed[0]) == plain(expected[0]) and matches(printed[1:], expected[1:])


class Shell:
    """A shell in a folder of its own, with the package under test first on its PATH."""

    def __init__(self, folder):
        self.folder = folder
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        self.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def run(self, command):
        if command.startswith("cd "):
            self.folder /= command[3:]
            return ""
        done = subprocess.run(
            ["/bin/sh", "-c", f"exec 2>&1\n{command}"],
            cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        return done.stdout.decode()


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    return Shell(tmp_path_factory.mktemp("tour"))


@pytest.fixture(scope="module")
def toured(shell):
    tour = steps(ROOT / "README.md")
    assert len(tour) > 5
    return [(step, shell.run(step.command).splitlines()) for step in tour]


def test_the_tour_prints_what_readme_says(toured):
    for step, printed in toured:
        expected = "\n".join(step.output)
        assert matches(printed, step.output), (
            f"$ {step.command}\n" + "\n".join(printed) + f"\n--- README ---\n{expected}"
        )


def test_a_transcript_that_is_wrong_is_noticed():
    assert matches(["orders 200 in 0.1 s (5,000/s)"], ["orders 200  in 3.0 s (14/s)"])
    assert not matches(["orders 201 in 0.1 s"], ["orders 200 in 0.1 s"])
    assert not matches(["one", "two"], ["one"])
    assert matches(["one", "two", "three"], ["one", "...", "three"])
    assert not matches(["one", "two"], ["...", "three"])


def shapes():
    page = REFERENCE.read_text(encoding="utf-8")
    sections = re.findall(r"^## headrace (.+?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return {verb: set(re.findall(r'"([$\w]+)"', text)) for verb, text in sections}


def keys(value):
    if isinstance(value, dict):
        return set(value).union(*(keys(inner) for inner in value.values())) - NAMES_OF_THE_PROJECT
    return set().union(*(keys(each) for each in value)) if isinstance(value, list) else set()


COMMANDS = {
    "init": "headrace init ../second --json",
    "check": "headrace check --json",
    "publish": "headrace publish orders sample/orders.jsonl --json",
    "status": "headrace status --json",
    "query": "headrace query 'select 1 as one' --json",
    "quarantine list": "headrace quarantine list --json",
    "build": "headrace build --dry-run --json",
    "undo": "headrace undo --to b2 --dry-run --json",
}


UNSEEN = {  # documented, and in lists that are empty here
    "check": {"severity", "file", "line", "message", "fix"},
    "query": {"tables", "kind", "description"},
    "build": {
        "kind",
        "message",
        "line",
        "published",
        "catalog",
        "gold_snapshot",
        "complete_snapshot",
        "published_at",
        "tables",
    },
}


@pytest.mark.parametrize("verb", COMMANDS)
def test_json_has_the_documented_shape(shell, toured, verb):
    document = json.loads(shell.run(COMMANDS[verb]))
    documented = shapes()[verb]
    if verb == "undo":
        assert set(document) == documented
        assert keys(document["published"]) <= shapes()["build"]
        return
    assert not keys(document) - documented, "not documented"
    assert not documented - keys(document) - UNSEEN.get(verb, set()), "documented, and gone"


def test_json_of_the_tables(shell, toured):
    listed = json.loads(shell.run("headrace query --tables --json"))
    described = json.loads(shell.run("headrace query --describe fct_daily_orders --json"))
    assert keys(listed) == {"tables", "name", "kind", "columns", "description"} <= shapes()["query"]
    assert keys(described) == {"name", "kind", "description", "columns", "type"}


def test_json_of_a_quarantined_message(shell, toured):
    listed = json.loads(shell.run(COMMANDS["quarantine list"]))
    shown = json.loads(shell.run(f"headrace quarantine show {listed['messages'][0]['id']} --json"))
    assert set(shown) == shapes()["quarantine show"] | set(listed["messages"][0])


def test_json_of_an_error(shell, toured):
    error = json.loads(shell.run("headrace query 'select 1; select 2' --json"))
    assert set(error) == {"error"}
    assert set(error["error"]) == {"message", "at", "fix", "kind"}
