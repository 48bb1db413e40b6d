"""`headrace demo`: from nothing to published gold, with the numbers that the shop knows."""

import datetime as dt
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from headrace.cli.main import main
from headrace.config.project import load_project
from headrace.demo.shop import Shop, fates
from headrace.runtime import building
from headrace.runtime.landing.watch import Landing
from headrace.runtime.views.status import status
from headrace.warehouse.embedded import DbtWarehouse
from headrace.words import COUNTS
from machine import wait_until
from typed import headrace

EVENTS = 2_000


def demo(*arguments, **options):
    return headrace("demo", "--once", "--events", EVENTS, "--seed", 11, *arguments, **options)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A demo that has run, and what it printed; beside it a copy that nobody touches."""
    place = tmp_path_factory.mktemp("demo") / "shop"
    done = demo("--until", "2026-11-21", "--dir", place)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.copytree(place, place.with_name("copy"))
    return place, done.stdout


@pytest.fixture
def again(opened, tmp_path):
    """The folder of a shop that was open before, with its history in gold."""
    return shutil.copytree(opened[0].with_name("copy"), tmp_path / "shop")


def numbers(place):
    """Return what `demo --json` tells of a shop that has opened there, read from outside."""
    project = load_project(place)
    statuses = status(project).values()
    with DbtWarehouse(project.state) as warehouse:
        made = [name.rpartition(".")[2] for name in warehouse.published().tables]
        counted = " UNION ALL ".join(f"SELECT '{name}' AS name, count(*) AS n FROM gold.{name}" for name in made)
        tables = {row["name"]: row["n"] for row in warehouse.query(counted).rows.to_pylist()}
    fates = {fate: sum(each.ledger[fate] for each in statuses) for fate in COUNTS}
    return {**fates, "balanced": all(each.balanced for each in statuses), "gold_tables": tables}


def test_two_runs_with_one_seed_have_the_same_numbers_and_they_are_the_generators(opened, tmp_path):
    done = demo("--json", "--until", "2026-11-02", env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(tmp_path.iterdir()), "it is left where nobody could find it"
    first = json.loads(done.stdout)
    assert first.pop("seconds") > 0
    place, _ = opened
    assert numbers(place) == first
    known = fates(Shop(11, dt.date(2026, 11, 2), EVENTS).history()).values()
    for fate in ("accepted", "silver", "superseded", "duplicate", "quarantined"):
        assert first[fate] == sum(each[fate] for each in known) > 0, fate
    assert (first["accepted"], first["balanced"]) == (EVENTS, True)
    assert first["accepted"] == sum(first[fate] for fate in set(first) - {"accepted", "balanced", "gold_tables"})
    tables = first["gold_tables"]
    assert (tables["dim_date"], tables["fct_daily_summary"], tables["stg_product_catalog"]) == (14, 14, 40)
    assert tables["fct_events"] == tables["stg_clickstream"] + tables["stg_transactions"]
    assert {"stg_customer_support", "stg_customer_profiles", "dim_users", "dim_customers_scd2"} < set(tables)


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
    assert re.search(r"contract/required: .*is required", done.stdout), "the broken contract"
    assert "user_id" in done.stdout, "the reason"
    assert "balanced" in done.stdout


def test_every_table_and_column_of_it_is_described(opened, capsys):
    place, _ = opened
    tables = json.loads(headrace("query", "--tables", "--json", "--project", place).stdout)["tables"]
    models = [each for each in tables if each["kind"] == "model"]
    assert len(models) == 11
    for model in models:
        with pytest.raises(SystemExit) as ended:  # in this process: eleven of them would be half a minute
            main(["query", "--describe", model["name"], "--json", "--project", str(place)])
        assert not ended.value.code
        shown = json.loads(capsys.readouterr().out)
        assert shown["description"], model["name"]
        assert not [column["name"] for column in shown["columns"] if not column["description"]], model["name"]


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "letters.txt").write_text("dear")
    done = demo("--dir", tmp_path / "shop")
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert [each.name for each in (tmp_path / "shop").iterdir()] == ["letters.txt"]


class Running:
    """A shop that is open, told of in lines of JSON."""

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "headrace", "demo", "--json", *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def until(self, wanted):
        for line in self.process.stdout:
            told = json.loads(line)
            if wanted(told):
                return told
        raise AssertionError(f"it ended with {self.process.wait()}")

    def ended(self):
        rest = [json.loads(line) for line in self.process.stdout]
        return self.process.wait(60), rest


@pytest.fixture
def running():
    begun = []

    def start(*arguments):
        begun.append(Running(*arguments))
        return begun[-1]

    yield start
    for each in begun:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait()
        each.process.stdout.close()


def ledger(place):
    """Return the ledger over all sources, with every file taken; each must balance, with nothing waiting."""
    project = load_project(place)
    with closing(Landing(project)) as landing:
        landing.scan(landing.sources["customer_support"])
    building.bring_in(project)
    done = headrace("status", "--json", "--project", place)
    assert done.returncode == 0, done.stdout
    sources = json.loads(done.stdout)["sources"].values()
    assert all(each["lag"] == 0 for each in sources)
    return {fate: sum(each["ledger"][fate] for each in sources) for fate in ("accepted", "silver", "quarantined")}


def test_it_streams_on_until_ctrl_c_and_builds_gold_meanwhile(again, running, monkeypatch):
    monkeypatch.setenv("HEADRACE_COLLECTOR_ENABLED", "true")
    monkeypatch.setenv("HEADRACE_COLLECTOR_PORT", "0")
    shop = running("--dir", again, "--rate", 200)
    opened = shop.until(lambda told: told["event"] == "opened")
    assert (opened["accepted"], opened["balanced"], opened["project"]) == (EVENTS, True, str(again))
    later = shop.until(lambda told: told["gold"] not in {"", "b1"} and told["quarantined"] > opened["quarantined"])
    assert later["balanced"]
    answer = httpx.post(f"{later['collector']}/v1/events/clickstream", content=b'{"event_id": "evt_1"}', timeout=30)
    assert answer.status_code == 202
    shop.process.send_signal(signal.SIGINT)
    code, rest = shop.ended()
    assert (code, rest[-1]["event"]) == (0, "stopped")
    assert ledger(again)["accepted"] == EVENTS + rest[-1]["sent"] + 1


def test_a_shop_that_was_killed_amid_its_history_and_once_open_opens_again_and_adds_up(tmp_path, running):
    place = tmp_path / "shop"
    shop = running("--dir", place, "--events", 400)
    topic = place / ".headrace" / "local" / "bus" / "clickstream.db"
    wait_until(topic.exists)
    shop.process.kill()
    shop.process.wait()
    shop = running("--dir", place, "--rate", 500)
    opened = shop.until(lambda told: told["event"] == "opened")
    assert opened["accepted"] == 400, "a history that was cut short is not sent twice"
    seen = shop.until(lambda told: told["event"] == "progress" and told["accepted"] > 1_000)
    shop.process.kill()
    shop.process.wait()
    shop = running("--dir", place, "--rate", 50)
    opened = shop.until(lambda told: told["event"] == "opened")
    assert opened["accepted"] >= max(seen["accepted"], seen["sent"])
    again = shop.until(lambda told: told["event"] == "progress" and told["sent"] > 0)
    assert again["balanced"]
    shop.process.send_signal(signal.SIGTERM)
    assert shop.ended()[0] == 0
    assert ledger(place)["accepted"] > opened["accepted"]


def test_a_terminal_of_80_columns_is_wide_enough(again):
    shown = screen(["demo", "--dir", str(again)], lambda text: "b2" in text)
    assert "balanced: " in shown
    assert "last refused" in shown
    assert "Ctrl-C closes the shop" in shown
    assert shown.rstrip().endswith(f"headrace demo --dir {again}")
    frames = shown[shown.index("A shop is open") : shown.rindex("The shop is closed")].splitlines()
    assert max(len(line) for line in frames if "cd " not in line and "A shop" not in line) <= 80


def screen(arguments, seen):
    """Return what is written to a terminal, after Ctrl-C was typed once `seen`."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(sys.executable, [sys.executable, "-m", "headrace", *arguments])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    text, typed = "", False
    while True:
        try:
            some = os.read(terminal, 65_536)
        except OSError:  # its end, on Linux
            some = b""
        if not some:
            break
        text += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", some.decode(errors="replace"))
        if not typed and seen(text):
            os.write(terminal, b"\x03")
            typed = True
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0, text
    return text.replace("\r", "")
