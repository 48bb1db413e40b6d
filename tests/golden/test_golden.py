"""Each folder here is a project, what it is sent and what must come of it, however the life between was disturbed.

A case: `connectors/`, `schemas/`, `messages.jsonl` (a line each: `at`, when the bus takes it; `event`, or `raw` text;
`attributes`) and `expected.yaml` (`silver` by dataset, `totals` by source, `quarantine` by stage and code, and whether
`any_order` gives the same; `versions`, the ledger by contract version). `then/` holds files laid over the project
before its own `messages.jsonl` is sent.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from headrace.bus.memory import MemoryBus
from headrace.bus.sqlite import SqliteBus
from headrace.config.project import load_project
from headrace.errors import LakeError
from headrace.lake.ducklake import DuckLake
from headrace.words import COUNTS
from living import Clock, codes, in_order, lived, messages, rows, run_out, silver, sqlite_bus, ticking, totals

HERE = Path(__file__).parent
CASES = sorted(each.parent.name for each in HERE.glob("*/expected.yaml"))
ANY_ORDER = [case for case in CASES if yaml.safe_load((HERE / case / "expected.yaml").read_text()).get("any_order")]


class Flaky(DuckLake):
    """A lake whose every other commit of messages fails in its middle: a file that it must name is gone."""

    times = 0

    def commit(self, changes):
        if any(change.files for change in changes):
            self.times += 1
            if self.times % 2:
                changes[-1].files[-1].path.unlink()
        return super().commit(changes)


class Whole:
    """Everything in one life."""

    def tick(self, project, bus):
        lived(project, bus)


class Batches:
    """Everything in one life, in batches of so many."""

    def __init__(self, size):
        self.size = size

    def tick(self, project, bus):
        with ticking(project, bus) as (tick, _):
            run_out(tick, project.sources, self.size)


class Deaf(SqliteBus):
    """A bus that never hears of a commit."""

    def ack(self, topic, name, receipt):
        pass


class KilledAfterEachCommit:
    """Each batch in a life of its own; the bus never hears that one was committed."""

    def tick(self, project, _):
        busy, lives = True, 0
        while busy:
            busy, lives = False, lives + 1
            assert lives < 20, "the same messages are taken again and again"
            for source in project.sources:
                with closing(Deaf(project.state / "bus")) as bus, ticking(project, bus) as (tick, _):
                    if (batch := tick.prepare(source, 5)) is not None:
                        busy = True
                        assert not tick.commit([batch])


class AbandonedBeforeEachCommit:
    """Each batch is prepared in one life, which ends there, and again in the next, which commits it."""

    def tick(self, project, _):
        for source in project.sources:
            for attempt in itertools.count():
                with sqlite_bus(project) as bus, ticking(project, bus) as (tick, _):
                    batch = tick.prepare(source, 6)
                    if batch is None:
                        break
                    if attempt % 2:
                        assert not tick.commit([batch])


class EachCommitFailsFirst:
    """Each commit fails once in its middle; the source is taken up from what is committed."""

    def tick(self, project, bus):
        with ticking(project, bus, Flaky) as (tick, lake):
            for source in project.sources:
                while (batch := tick.prepare(source, 4)) is not None:
                    before = lake.snapshot()
                    failed = tick.commit([batch])
                    if failed:
                        assert isinstance(failed[source], LakeError)
                        assert lake.snapshot() == before
                        tick.start([source])


WAYS = {
    "whole": Whole(),
    "batches_of_1": Batches(1),
    "batches_of_3": Batches(3),
    "batches_of_7": Batches(7),
    "killed_after_each_commit": KilledAfterEachCommit(),
    "abandoned_before_each_commit": AbandonedBeforeEachCommit(),
    "each_commit_fails_first": EachCommitFailsFirst(),
}


def sent(folder):
    """Return what a case sends, parsed: time of ingestion, source, batch of one message."""
    for line in (folder / "messages.jsonl").read_text(encoding="utf-8").splitlines():
        said = json.loads(line)
        payload = said["raw"].encode() if "raw" in said else said["event"]
        yield dt.datetime.fromisoformat(said["at"]), messages([payload], **said.get("attributes", {}))


def publish(folder, project, bus, clock):
    (source,) = project.sources.values()
    for at, message in sent(folder):
        clock.now = at
        bus.publish(source.topic, message)


def live(case, root, way, bus_of=None):
    """Live a case in one way, and return the project as it is at the end."""
    shutil.copytree(HERE / case, root, dirs_exist_ok=True)
    (root / "headrace.yaml").write_text("name: golden\ndefaults: {freshness_secs: 0}\n")
    clock = Clock()
    project = load_project(root)
    bus = bus_of(clock) if bus_of else None
    for folder in (root, root / "then"):
        if not folder.is_dir():
            continue
        if folder != root:
            shutil.copytree(folder, root, dirs_exist_ok=True)
            project = load_project(root)
        if bus is not None:
            publish(root, project, bus, clock)
            way.tick(project, bus)
            continue
        with sqlite_bus(project, clock=clock) as opened:
            publish(root, project, opened, clock)
            way.tick(project, opened)
    return project


def outcome(project):
    """Return what is compared: silver without its envelope, totals, what is in quarantine and why."""
    datasets = [each.name for source in project.sources.values() for each in source.datasets]
    return {
        "silver": {dataset: silver(project, dataset) for dataset in datasets},
        "totals": totals(project),
        "quarantine": codes(project),
    }


def by_version(project):
    """Return the ledger by the version that the contract declares, without its zeros."""
    summed = ", ".join(f"sum({name}) AS {name}" for name in COUNTS)
    found = rows(
        project, f"SELECT split_part(contract_version, '-', 1) AS v, {summed} FROM lake.ops.ledger GROUP BY ALL"
    )
    return {row.pop("v"): {name: int(count) for name, count in row.items() if count} for row in found}


def expected(case):
    said = yaml.safe_load((HERE / case / "expected.yaml").read_text())
    return {
        "silver": {dataset: in_order(found or []) for dataset, found in said["silver"].items()},
        "totals": said["totals"],
        "quarantine": said.get("quarantine", {}),
    }


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_every_way_of_life_gives_the_one_expected_silver(case, way, tmp_path):
    project = live(case, tmp_path, WAYS[way])
    assert outcome(project) == expected(case)
    # Bronze has every message once, numbered without a gap, and no silver row is of any other message.
    (taken,) = rows(
        project, "SELECT count(*) AS n, count(DISTINCT seq) AS d, max(seq) + 1 AS m FROM lake.bronze.messages"
    )
    assert taken["n"] == taken["d"] == taken["m"]
    said = yaml.safe_load((HERE / case / "expected.yaml").read_text())
    if "versions" in said:
        assert by_version(project) == said["versions"]
    if case == "pushes":
        assert_outbox(project, tmp_path)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("case", ANY_ORDER)
def test_a_bus_without_offsets_or_order_gives_the_same(case, seed, tmp_path):
    project = live(case, tmp_path, Batches(4), lambda clock: MemoryBus(seed, clock=clock))
    assert outcome(project) == expected(case)


# ---- the outbox of the case `pushes` ---------------------------------------------------------------------------------


def chosen(push, event):
    """Return whether a push of the case takes an event: the case's filters, said again in plain Python."""
    status, country = event.get("status"), (event.get("customer") or {}).get("country")
    return {
        "fraud_desk": status == "suspicious",
        "suspicious_de": status in {"suspicious", "odd"} and country == "DE",
        "large": event["amount"] > 50 and status is not None,
        "everything": True,
    }[push]


def pushed(folder, batches):
    """Return what each push is to be sent: of every batch, what became silver in it, and what failed its contract."""
    parsed = [json.loads(line) for line in (folder / "messages.jsonl").read_text(encoding="utf-8").splitlines()]
    waiting = {name: [] for name in ("fraud_desk", "suspicious_de", "large", "everything", "failures", "commits")}
    winners, seen = {}, set()
    for first, end in batches:
        risen = {}
        for seq in range(first, end):
            event = parsed[seq].get("event")
            if event is None:
                continue
            if "id" not in event:
                waiting["failures"].append((seq, "required"))
                continue
            if (text := json.dumps(event, sort_keys=True)) in seen:
                continue
            seen.add(text)
            before = winners.get(event["id"])
            if before is None or event["version"] >= before["version"]:
                winners[event["id"]] = event
                risen[event["id"]] = (seq, event)
        for seq, event in sorted(risen.values(), key=lambda each: each[0]):
            for name in ("fraud_desk", "suspicious_de", "large", "everything"):
                if chosen(name, event):
                    waiting[name].append((seq, event))
        waiting["commits"].append((end - 1, end - first))
    return waiting


def assert_outbox(project, tmp_path):
    """The outbox holds what became silver, and nothing twice."""
    batches = rows(project, "SELECT first_seq, next_seq FROM lake.ops.batches ORDER BY first_seq")
    found = {name: [] for name in pushed(tmp_path, [])}
    for row in rows(project, "SELECT push, seq, id, kind, data FROM lake.ops.outbox ORDER BY push, seq"):
        data = json.loads(row["data"])
        what = {"failures": data.get("code"), "commits": data.get("accepted")}.get(row["push"], data)
        found[row["push"]].append((row["seq"], what))
    assert found == pushed(tmp_path, [(each["first_seq"], each["next_seq"]) for each in batches])
    commits = [
        json.loads(each["data"]) for each in rows(project, "SELECT data FROM lake.ops.outbox WHERE kind = 'batch'")
    ]
    fates = totals(project)["orders"]
    assert {fate: sum(each["fates"][fate] for each in commits) for fate in fates if fate != "accepted"} == {
        fate: count for fate, count in fates.items() if fate != "accepted"
    }
