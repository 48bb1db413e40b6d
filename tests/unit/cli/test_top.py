"""What `headrace top` shows fits the terminal, and says every problem."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from headrace.cli.top import picture, short


def frame(**changes):
    source = {
        "rate": 12_345.6,
        "lag": 1_234_567,
        "waiting_secs": 0.4,
        "freshness_secs": 1.26,
        "last_commit": "2026-11-21T12:00:00.123456+00:00",
        "ledger": {
            **dict.fromkeys(("accepted", "silver", "superseded", "duplicate", "quarantined"), 987_654_321),
            "filtered": 0,
            "erased": 0,
        },
        "problem": "",
    }
    document = {
        "project": "shop",
        "environment": "local",
        "at": "2026-11-21T12:00:01.5+00:00",
        "running": True,
        "problem": "",
        "sources": {"a_source_with_a_very_long_name_indeed": source, "b": {**source, "lag": None, "problem": "broken"}},
        "gold": {"gold": "b7", "building": True, "gold_problem": "a test failed"},
        "upkeep": "",
        "children": {"collector": {"pid": 7, "problem": "", "listening": "http://127.0.0.1:8080"}, "relay": {
            "pid": None, "problem": "it ended " * 30}},
    }  # fmt: skip
    return {**document, **changes}


def shown(document, width):
    out = io.StringIO()
    console = Console(file=out, width=width)
    console.print(picture(document, width))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 119, 120, 200])
def test_it_fits_the_terminal(width):
    lines = shown(frame(), width).splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0] == "shop (local) · 12:00:01 UTC · up"
    assert "12.3k" in lines[3]
    assert "988M" in lines[3]
    assert "1.3s" in lines[3]
    for title in ("source", "/s", "lag", "fresh", "silver", "superseded", "duplicate", "quarantined"):
        assert title in lines[2].split()
    assert ("accepted" in lines[2]) == (width >= 120)


def test_what_runs_beside_and_every_problem_has_a_line():
    text = shown(frame(upkeep="disk", problem="gone"), 80)
    for said in ("gold b7 · building", "collector http://127.0.0.1:8080", "relay it ended", "b: broken",
                 "gold: a test failed", "upkeep: disk", "lake: gone"):  # fmt: skip
        assert said in text
    assert " ".join(text.split()).count("it ended") == 30, "a problem that is cut short cannot be acted on"


def test_fates_that_are_rare_have_a_line_where_there_are_any():
    document = frame()
    assert "filtered" not in shown(document, 80)
    document["sources"]["b"] = {**document["sources"]["b"]}
    document["sources"]["b"]["ledger"] = {**document["sources"]["b"]["ledger"], "filtered": 10_702}
    assert "\nfiltered: b 10.7k\n" in shown(document, 80)


def test_without_up_it_says_so():
    text = shown(frame(running=False, children={}, gold=dict.fromkeys(("gold", "building", "gold_problem"))), 80)
    assert "no `headrace up` runs here" in text
    assert "gold" not in text
    published = {"gold": "b7", "building": None, "gold_problem": None}
    assert "gold b7" in shown(frame(running=False, children={}, gold=published), 80)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (0.5, "0.5"), (9.96, "10.0"), (12.4, "12"), (999, "999"), (999.6, "1.0k"), (1_000, "1.0k"),
     (99_940, "99.9k"), (99_960, "100k"), (999_600, "1.0M"), (5e9, "5.0G"), (5e12, "5000G")],
)  # fmt: skip
def test_numbers_are_short(number, text):
    assert short(number) == text
