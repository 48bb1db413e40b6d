"""README's tour, typed as it stands: each command in a fresh project prints what README says that it prints."""

import json
import re
from pathlib import Path

import pytest

from transcripts import Shell, matches, steps

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference" / "command-line.md"
NAMES_OF_THE_PROJECT = {"orders", "main.fct_daily_orders", "one"}


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
    assert matches(["published b2: 12 tables"], ["published b2: ..."])
    assert not matches(["published b3: 12 tables"], ["published b2: ..."])


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


UNSEEN = {  # documented, and in what is empty here
    "check": {"severity", "file", "line", "message", "fix"},
    "status": {"taken", "waiting", "failed", "sent", "dead"},
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
