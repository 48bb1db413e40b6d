"""Enrichment as users run it: `up` killed while lookups change, a lookup that is missing, a seed shared with dbt."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from headrace.config.project import load_project
from headrace.lake.references import References
from headrace.runtime import control
from living import messages, rows, sqlite_bus, totals, write_source
from typed import headrace

VISIT = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "who": {"type": "string"}, "land": {"type": "string"}},
}
PERSON = {"type": "object", "properties": {"id": {"type": "string"}, "n": {"type": "integer"}}}
STEPS = """  bronze_to_silver:
  - deduplication: {key: [id]}
  - enrich: {lookup: people, on: {who: id}, prefix: person_, refresh: 0s}
  - enrich: {lookup: countries, on: {land: code}, as: country, miss: quarantine}
"""
SEED = "code,name\nNL,Netherlands\nDE,Germany\n"


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds/countries.csv").write_text(SEED)
    people = "  bronze_to_silver:\n  - deduplication: {key: [id], version_by: n}\n"
    write_source(tmp_path, "people", schema=PERSON, more=people)
    write_source(tmp_path, "visits", schema=VISIT, more=STEPS)
    return load_project(tmp_path)


@pytest.fixture
def started():
    """Return a function that starts `up` and waits until it answers; what still runs is killed at the end."""
    running = []

    def start(project):
        command = [sys.executable, "-m", "headrace", "up", "--no-build", "--no-collector", "--json"]
        up = subprocess.Popen([*command, "--project", project.root], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        running.append(up)
        while control.ask(project.state, {"verb": "ping"}) is None:
            assert up.poll() is None, up.stdout.read().decode()
            time.sleep(0.05)
        return up

    yield start
    for up in running:
        if up.poll() is None:
            up.kill()
        up.wait()
        up.stdout.close()


def visits(first, last):
    return messages(
        [{"id": f"v{n}", "who": f"p{n % 7}", "land": ["NL", "DE", "FR"][n % 3]} for n in range(first, last)]
    )


def test_up_killed_while_lookups_change_names_what_each_row_was_enriched_from(shop, started):
    rng = random.Random(11)
    with sqlite_bus(shop) as bus:
        for life in range(4):
            up = started(shop)
            for step in range(5):
                bus.publish(
                    "people", messages([{"id": f"p{n}", "n": life * 10 + step} for n in range(rng.randint(1, 7))])
                )
                first = life * 500 + step * 100
                bus.publish("visits", visits(first, first + 100))
                time.sleep(rng.random() * 0.4)
            if not life:  # some are enriched before the last life, however slow the machine is
                control.ask(shop.state, {"verb": "flush"})
            up.send_signal(signal.SIGKILL)
            up.wait()
        up = started(shop)
        control.ask(shop.state, {"verb": "flush"})
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == 0
    lost = sum(n % 3 == 2 for n in range(2000))
    assert totals(shop)["visits"] == {"accepted": 2000, "silver": 2000 - lost, "quarantined": lost}
    store = References(shop.state / "lake")
    batches = rows(shop, "SELECT first_seq, next_seq, lookups FROM lake.ops.batches WHERE source = 'visits'")
    people = {version: store.load(version) for version in {each["lookups"]["people"] for each in batches}}
    assert len(people) > 1, "the lookup changed while batches came"
    known = {
        version: dict(zip(*map(list, table.to_pydict().values()), strict=True)) for version, table in people.items()
    }
    of = {seq: each["lookups"] for each in batches for seq in range(each["first_seq"], each["next_seq"])}
    (countries,) = {each["lookups"]["countries"] for each in batches}
    names = {row["code"]: row["name"] for row in store.load(countries).to_pylist()}
    for row in rows(shop, "SELECT _seq, who, land, person_n, country FROM lake.silver.visits"):
        assert row["person_n"] == known[of[row["_seq"]]["people"]].get(row["who"])
        assert row["country"] == {"name": names[row["land"]]}


def test_a_source_whose_lookup_is_missing_says_so_and_goes_on_when_it_is_there(shop, started):
    path = shop.root / "connectors/visits.yaml"
    path.write_text(path.read_text().replace("lookup: countries", "lookup: lands"))
    with sqlite_bus(shop) as bus:
        bus.publish("visits", visits(0, 4))
        bus.publish("people", messages([{"id": "p0", "n": 1}]))
    checked = headrace("check", "--json", "--project", shop.root)
    assert checked.returncode == 0
    (fault,) = json.loads(checked.stdout)["faults"]
    assert (fault["severity"], fault["file"], fault["line"]) == ("warning", "connectors/visits.yaml", 8)
    up = started(shop)
    answer = control.ask(shop.state, {"verb": "flush"})
    assert "there is no lookup 'lands'" in answer["failing"]["visits"]
    assert list(answer["failing"]) == ["visits"]
    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 1, "a source still fails"
    assert rows(shop, "SELECT count(*) AS n FROM lake.silver.people") == [{"n": 1}]
    (shop.root / "seeds/lands.csv").write_text(SEED)
    up = started(shop)
    assert control.ask(shop.state, {"verb": "flush"})["failing"] == {}
    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 0
    assert totals(load_project(shop.root))["visits"] == {"accepted": 4, "silver": 3, "quarantined": 1}
    shown = headrace("status", "--project", shop.root).stdout
    assert "visits: 3 × lookup_miss: who: people has no such row" in " ".join(shown.split())


def test_one_file_is_a_seed_of_dbt_and_a_lookup(shop, started):
    (shop.root / "dbt_project.yml").write_text("name: lab\nversion: '1.0'\n")
    (shop.root / "models").mkdir()
    model = "select v.id, v.country.name as ours, c.name as theirs, code\nfrom {{ ref('stg_visits') }} v\n"
    (shop.root / "models/both.sql").write_text(model + "join {{ ref('countries') }} c on c.code = v.land\n")
    (shop.root / "seeds/more.ndjson").write_text('{"dbt": "does not read it"}\n')
    with sqlite_bus(shop) as bus:
        bus.publish("visits", visits(0, 6))
    up = started(shop)
    control.ask(shop.state, {"verb": "flush"})
    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 0
    built = headrace("build", "--json", "--project", shop.root)
    assert json.loads(built.stdout)["ok"], built.stdout
    asked = headrace("query", "--json", "SELECT ours, theirs FROM gold.both ORDER BY id", "--project", shop.root)
    found = json.loads(asked.stdout)["rows"]
    assert [row["ours"] for row in found] == ["Netherlands", "Germany", "Netherlands", "Germany"]
    assert all(row["ours"] == row["theirs"] for row in found)
    assert json.loads(headrace("query", "--json", "FROM gold.countries", "--project", shop.root).stdout)["rows"] == [
        {"code": "NL", "name": "Netherlands"},
        {"code": "DE", "name": "Germany"},
    ]
