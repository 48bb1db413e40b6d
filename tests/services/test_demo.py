"""`headrace demo`: from nothing to published gold, with the numbers that the shop knows."""

import datetime as dt
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.demo.shop import Shop, fates

EVENTS = 2_000


def headrace(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "headrace", *map(str, arguments)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False, **options,
    )  # fmt: skip


def demo(*arguments, **options):
    return headrace("demo", "--once", "--events", EVENTS, *arguments, **options)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A demo that has run, and what it printed."""
    place = tmp_path_factory.mktemp("demo") / "shop"
    done = demo("--dir", place)
    assert done.returncode == 0, done.stdout + done.stderr
    return place, done.stdout


def test_two_runs_with_one_seed_have_the_same_numbers_and_they_are_the_generators(tmp_path):
    runs = []
    for number, until in enumerate(("2026-11-02", "2026-11-21")):
        done = demo("--json", "--seed", 11, "--dir", tmp_path / f"shop{number}", "--until", until)
        assert done.returncode == 0, done.stdout + done.stderr
        runs.append(json.loads(done.stdout))
    first, second = ({name: value for name, value in each.items() if name != "seconds"} for each in runs)
    assert first == second
    known = fates(Shop(11, dt.date(2026, 11, 2), EVENTS).history()).values()
    for fate in ("accepted", "silver", "superseded", "duplicate", "quarantined"):
        assert first[fate] == sum(each[fate] for each in known) > 0, fate
    assert (first["accepted"], first["balanced"]) == (EVENTS, True)
    assert first["accepted"] == sum(first[fate] for fate in set(first) - {"accepted", "balanced", "gold_tables"})
    tables = first["gold_tables"]
    assert (tables["dim_date"], tables["fct_daily_summary"], tables["stg_product_catalog"]) == (14, 14, 40)
    assert tables["fct_events"] == tables["stg_clickstream"] + tables["stg_transactions"]
    assert {"stg_customer_support", "stg_customer_profiles", "dim_users", "dim_customers_scd2"} < set(tables)


def test_json_leaves_nothing_behind_where_nobody_could_find_it(tmp_path):
    done = demo("--json", env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(tmp_path.iterdir())


def test_it_says_what_happened_in_80_columns(opened):
    place, said = opened
    assert said.startswith(f"A shop opens in {place}\n")
    assert "Every message has one fate" in said
    assert re.search(r"^together +2,000 ", said, re.MULTILINE)
    of_ours = [line for line in said.splitlines() if str(place) not in line]
    assert max(map(len, of_ours)) <= 90  # a command to copy may be a little longer


def test_what_it_says_to_try_works(opened):
    _, said = opened
    lines = [line.strip() for line in said.partition("Three things to try:")[2].splitlines()]
    commands = [line for line in lines if re.match(r"(cd|export|echo|headrace) ", line) and "demo --dir" not in line]
    assert len([line for line in commands if line.startswith(("echo", "headrace"))]) >= 4
    script = "set -e\n" + "\n".join(line.partition("    ")[0] for line in commands)
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/sh", "-c", script], env=environ, cwd="/", capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is not one of" in done.stdout or "enum" in done.stdout, "the broken contract"
    assert "user_id" in done.stdout, "the reason"
    assert "balanced" in done.stdout


def test_every_table_and_column_of_it_is_described(opened):
    place, _ = opened
    tables = json.loads(headrace("query", "--tables", "--json", "--project", place).stdout)["tables"]
    models = [each for each in tables if each["kind"] == "model"]
    assert len(models) == 11
    for model in models:
        shown = json.loads(headrace("query", "--describe", model["name"], "--json", "--project", place).stdout)
        assert shown["description"], model["name"]
        assert not [column["name"] for column in shown["columns"] if not column["description"]], model["name"]


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "letters.txt").write_text("dear")
    done = demo("--dir", tmp_path / "shop")
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert [each.name for each in (tmp_path / "shop").iterdir()] == ["letters.txt"]
