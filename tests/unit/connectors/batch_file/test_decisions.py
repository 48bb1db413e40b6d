"""What is done with a file follows from what is seen and what is known."""

from __future__ import annotations

import pytest

from headrace.connectors.batch_file.decisions import Found, Step, decide, is_ignored, is_wanted
from headrace.connectors.batch_file.manifest import Entry

NOW = 1_000_000.0
FOUND = Found("a.csv", 10, "v1", NOW - 1)


def entry(state: str, **values) -> Entry:
    facts = {
        "id": 1, "source": "orders", "path": "a.csv", "size": 10, "version": "v1", "state": state, "digest": None,
        "rows": None, "taken": 0, "message": "", "fix": "", "settings": "s", "seen": NOW - 1, "started": None,
        "ended": None,
    }  # fmt: skip
    return Entry(**facts | values)


@pytest.mark.parametrize(
    ("known", "found", "step"),
    [
        (None, FOUND, Step.NOTE),
        (entry("waiting"), FOUND, Step.WAIT),
        (entry("waiting", seen=NOW - 9), FOUND, Step.TAKE),  # the writer's clock may be ahead of ours
        (entry("waiting"), FOUND._replace(modified=NOW - 9), Step.TAKE),
        (entry("waiting"), FOUND._replace(modified=NOW + 99), Step.WAIT),
        (entry("waiting"), FOUND._replace(modified=None), Step.TAKE),
        (entry("waiting", seen=NOW + 99), FOUND._replace(modified=NOW + 99), Step.NOTE),  # ours was, and was set back
        (entry("waiting", seen=NOW - 9), FOUND._replace(size=11), Step.NOTE),
        (entry("waiting", seen=NOW - 9), FOUND._replace(version="v2"), Step.NOTE),
        (entry("reading"), FOUND, Step.TAKE),
        (entry("reading", settings="other"), FOUND, Step.NOTE),
        (entry("reading"), FOUND._replace(version="v2"), Step.AGAIN),
        (entry("done"), FOUND, Step.SKIP),
        (entry("done", settings="other"), FOUND, Step.SKIP),
        (entry("done"), FOUND._replace(size=11), Step.AGAIN),
        (entry("failed"), FOUND, Step.SKIP),
        (entry("failed"), FOUND._replace(version="v2"), Step.NOTE),
        (entry("failed", settings="other"), FOUND, Step.NOTE),
        (None, FOUND._replace(fault="a link"), Step.REFUSE),
        (entry("done"), FOUND._replace(fault="a link"), Step.REFUSE),
        (entry("failed", message="a link"), FOUND._replace(fault="a link"), Step.SKIP),
    ],
)
def test_each_case_has_its_step(known, found, step):
    assert decide(known, found, NOW, 5.0, "s") is step


@pytest.mark.parametrize("path", [".a.csv", "_SUCCESS", "a/.b/c.csv", "_temporary/a.csv", "a.csv.tmp", "a.PART", "a~"])
def test_what_somebody_still_writes_is_ignored(path):
    assert is_ignored(path)


@pytest.mark.parametrize("path", ["a.csv", "a_b/c.d.csv", "tmp/a.csv", "a.tmp.csv"])
def test_other_names_are_files(path):
    assert not is_ignored(path)


@pytest.mark.parametrize(
    ("path", "only", "wanted"),
    [
        ("README.txt", (), True),
        ("README.txt", ("*.csv", "*.csv.gz"), False),
        ("a/b/orders.csv.gz", ("*.csv", "*.csv.gz"), True),
        ("2026/orders.csv", ("2026/*.csv",), True),
        ("2025/orders.csv", ("2026/*.csv",), False),
    ],
)
def test_only_what_ends_like_a_glob_is_wanted(path, only, wanted):
    assert is_wanted(path, only) is wanted
