"""Promise 3 by property: whatever is sent, in whatever batches, whatever step a crash or a failed commit interrupts,
the tables hold what the rule of DESIGN §8 says, held against a plain Python model of it; and what bronze makes of it.

One lake and one bus serve all examples; each example is a source of its own.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import LakeError
from headrace.lake.ducklake import DuckLake
from headrace.runtime.deployment import now
from headrace.runtime.tick import Tick
from headrace.runtime.verify import verify
from headrace.runtime.views.status import status
from living import messages, project_of, rows, sqlite_bus

EXAMPLES = max(12, settings().max_examples // 4)  # each is a few commits

events = st.builds(
    lambda key, version, amount: {"id": key} | {k: v for k, v in (("version", version), ("amount", amount)) if v},
    st.sampled_from("abc"),
    st.integers(0, 3),
    st.sampled_from([None, 1.5, 2.5]),
)
sent = st.lists(st.one_of(events, events, events, st.sampled_from([b"{bad", b"", {"version": 1}, [1]])), max_size=20)
steps = st.lists(st.tuples(st.integers(1, 8), st.sampled_from(["commit", "commit", "abandon", "fail"])), max_size=12)


class Fallible(DuckLake):
    """A lake whose next commit of messages fails in its middle when it is told so."""

    fails = False

    def commit(self, changes):
        if self.fails:
            self.fails = False
            changes[0].files[0].path.unlink()
        return super().commit(changes)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return a project, its bus and its lake, open for all examples."""
    project = project_of(tmp_path_factory.mktemp("world"))
    with sqlite_bus(project) as bus:
        lake = Fallible(project.state / "lake")
        yield project, bus, lake
        lake.close()


def model(payloads):
    """Return the winner of every key and the totals, straight from the text of the rule."""
    good = [each for each in payloads if isinstance(each, dict) and "id" in each]
    pairs = {}
    for seq, event in enumerate(good):
        pairs.setdefault(event["id"], {}).setdefault(json.dumps(event, sort_keys=True), []).append((seq, event))
    winners, totals = {}, Counter(accepted=len(payloads), quarantined=len(payloads) - len(good))
    for key, distinct in pairs.items():
        first = [seqs[0] for seqs in distinct.values()]
        winners[key] = max(first, key=lambda each: (each[1].get("version", -1), each[0]))[1]
        totals["silver"] += 1
        totals["superseded"] += len(distinct) - 1
        totals["duplicate"] += sum(map(len, distinct.values())) - len(distinct)
    return winners, +totals


def test_any_batches_and_any_crash_give_the_fates_of_the_rule_and_what_bronze_makes(world):
    project, bus, lake = world
    sources = {}

    @settings(max_examples=EXAMPLES)
    @given(sent, steps)
    def lives(payloads, plan):
        name = f"s{len(sources)}"
        sources[name] = lived(project, bus, lake, name, payloads, plan)

    lives()
    found = verify(replace(project, sources=sources), from_bronze=True)
    assert (found.balanced, found.equal, found.differences, found.ledgers) == (True, True, (), {})
    assert found.messages > EXAMPLES


def lived(project, bus, lake, name, payloads, plan):
    """Live through one example as a source of its own, hold it against the model, and return the source."""
    (template,) = project.sources.values()
    dataset = replace(template.datasets[0], name=name)
    source = replace(template, id=name, topic=name, datasets=(dataset,))
    lake.deploy([dataset])

    def started():
        tick = Tick(bus, lake, {name: source}, project.digest, now)
        tick.start()
        return tick

    tick = started()
    if payloads:
        raw = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in payloads]
        bus.publish(name, messages(raw))
    for size, fate in itertools.chain(plan, itertools.repeat((8, "commit"))):
        batch = tick.prepare(name, size)
        if batch is None:
            break
        if fate == "abandon":
            tick = started()
            continue
        lake.fails = fate == "fail"
        failed = tick.commit([batch])
        assert bool(failed) == (fate == "fail")
        if failed:
            assert isinstance(failed[name], LakeError)
            tick.start([name])
    one = status(replace(project, sources={name: source}))[name]
    assert one.balanced, one.unbalanced
    winners, totals = model(payloads)
    assert {fate: count for fate, count in one.ledger.items() if count} == totals
    assert one.lag == 0
    found = rows(project, f"SELECT id, version, amount FROM lake.silver.{name}")
    assert {row.pop("id"): {k: v for k, v in row.items() if v is not None} for row in found} == {
        key: {k: v for k, v in event.items() if k != "id"} for key, event in winners.items()
    }
    return source
