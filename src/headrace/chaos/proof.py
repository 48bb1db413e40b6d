"""The proof: when nothing waits any more, everything that was sent is there, once, and means what it should."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.bus.base import Subscription
from headrace.bus.sqlite import SqliteBus
from headrace.chaos.life import PUSH
from headrace.chaos.supply import NUMBER
from headrace.chaos.worker import ForkedWorker
from headrace.connectors.batch_file.rows import PATH, ROW
from headrace.lake.reader import open_reader
from headrace.runtime.inputs import inputs
from headrace.runtime.verify import verify
from headrace.warehouse.embedded import DbtWarehouse

if TYPE_CHECKING:
    from headrace.chaos.life import Stage
    from headrace.lake.reader import LakeReader

SHOWN = 5
LONGEST = 1_000  # characters of a sentence


@dataclass
class Findings:
    """What is wrong: how many messages were lost or are there twice, and a sentence for all that is not as it must be.

    `unbalanced` is about the ledger, `unequal` about silver and gold against what they are made of.
    """

    lost: int = 0
    duplicated: int = 0
    unbalanced: list[str] = field(default_factory=list)
    unequal: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    messages: int = 0

    def document(self) -> dict[str, Any]:
        """Return what goes through a pipe."""
        return self.__dict__


def prove(stage: Stage, *, gold: bool) -> Findings:
    """Return what is wrong with a copy in which everything is said to have arrived."""
    worker = ForkedWorker(stage.project.state / "dbt" / "logs" / "proof.log") if gold else None
    found = Findings()
    with open_reader(stage.project.state / "lake") as lake:
        for source, account in stage.accounts.items():
            _arrivals(found, source, account.numbers(source), lake)
        _pushed(found, stage, lake)
    verdict = verify(stage.project, from_bronze=True)
    for source, faults in verdict.unbalanced.items():
        found.unbalanced += [f"{source}: {fault}" for fault in faults]
    if not verdict.kept:
        found.unequal.append("a partition of silver is not what its batches made it")
    for each in verdict.differences:
        sides = ", ".join(f"{name} {value}" for name, value in asdict(each).items() if value)
        found.unequal.append(f"silver and the rebuild differ: {sides}"[:LONGEST])
    for source, faults in verdict.ledgers.items():
        found.unequal += [f"the ledger of {source}: {fault}" for fault in faults]
    if worker is not None:
        with DbtWarehouse(stage.project.state, worker=worker) as warehouse:
            for table, same in warehouse.compare(inputs(stage.project)).items():
                if not same.equal:
                    found.unequal.append(f"{table} is not what a build from nothing makes of its silver")
    return found


def _arrivals(found: Findings, source: str, wanted: set[str], lake: LakeReader | None) -> None:
    """Hold bronze against what was sent: lost is what was acknowledged and is not there."""
    there: Counter[str] = Counter()
    if lake is not None:
        rows = lake.rows(
            f"SELECT coalesce(attributes['{NUMBER}'], attributes['{PATH}'] || '#' || attributes['{ROW}']) AS number, "
            "count(*) AS n FROM lake.bronze.messages WHERE source = ? GROUP BY ALL",
            [source],
        )
        there = Counter({row["number"]: row["n"] for row in rows})
    lost = sorted(wanted - there.keys())
    twice = sorted(number for number, count in there.items() if count > 1)
    strange = sorted(str(number) for number in there.keys() - wanted)
    found.messages += there.total()
    found.lost += len(lost)
    found.duplicated += sum(there[number] - 1 for number in twice)
    for what, numbers in (("lost", lost), ("there more than once", twice), ("of nobody", strange)):
        if numbers:
            found.details.append(f"{source}: {len(numbers)} messages {what}: {', '.join(numbers[:SHOWN])}")
    if strange:
        found.duplicated += len(strange)


def _pushed(found: Findings, stage: Stage, lake: LakeReader | None) -> None:
    """Hold the topics of pushes against the outbox: every row of it is there once."""
    if lake is None or "ops.outbox" not in lake.tables():
        return
    with closing(SqliteBus(stage.project.state / "bus")) as bus:
        for name, each in stage.project.sources.items():
            for push in each.spec.serving.push:
                rows = lake.rows(
                    "SELECT id, count(*) AS n FROM lake.ops.outbox WHERE source = ? AND push = ? GROUP BY ALL",
                    [name, PUSH],
                )
                wanted = Counter({row["id"]: row["n"] for row in rows})
                assert push.topic is not None  # noqa: S101 - chaos gives every push a topic
                there = _events_of(bus, push.topic)
                lost, more = wanted - there, there - wanted
                found.lost += lost.total()
                found.duplicated += more.total()
                if lost or more:
                    found.details.append(f"the push of {name}: {lost.total()} rows lost, {more.total()} too many")


def _events_of(bus: SqliteBus, topic: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    bus.subscribe(Subscription(topic, "proof"))
    while pulled := bus.pull(topic, "proof", 10_000, 64 << 20):
        for attributes in pulled.batch.column("attributes").to_pylist():
            counts[dict(attributes or ())["event_id"]] += 1
    return counts
