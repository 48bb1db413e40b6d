"""The messages of chaos, and the account that is kept of them outside of everything that may break."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Literal, NamedTuple

import pyarrow as pa

from headrace.errors import UserError
from headrace.lake.reader import open_reader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from headrace.chaos.schedule import Schedule
    from headrace.config.project import Project

MOST = 2_000  # messages of a source that chaos draws from
NUMBER = "headrace-chaos"
"""The message attribute by which chaos knows a message again: who sent it, and its number."""

SEASON = "season"
"""Who sent what a copy had before its schedule began."""

_ATTRIBUTES = pa.map_(pa.string(), pa.string())


class Sent(NamedTuple):
    """A message as its producer sends it."""

    payload: bytes
    attributes: tuple[tuple[str, str], ...] = ()


Supply = dict[str, list[Sent]]
"""What there is to send, by source."""


def of_bronze(project: Project) -> Supply:
    """Return the newest messages of each source of a project. Raises `UserError` where it has none."""
    supply: Supply = {}
    with open_reader(project.state / "lake") as lake:
        for name in project.sources if lake is not None else ():
            assert lake is not None  # noqa: S101 - else there is no name
            rows = lake.rows(
                "SELECT payload, attributes FROM lake.bronze.messages WHERE source = ? ORDER BY seq DESC LIMIT ?",
                [name, MOST],
            )
            supply[name] = [Sent(bytes(row["payload"]), tuple((row["attributes"] or {}).items())) for row in rows[::-1]]
    supply = {name: sent for name, sent in supply.items() if sent}
    if not supply:
        raise UserError(
            "chaos sends this project's own messages again, and there are none yet",
            at=str(project.root),
            fix="send some (headrace publish SOURCE FILE), or try it on a shop: headrace demo --once --dir shop",
        )
    return supply


def batch_of(messages: Sequence[Sent], producer: str, first: int) -> pa.RecordBatch:
    """Return messages ready to publish, each with its number."""
    own = [
        [*(pair for pair in each.attributes if pair[0] != NUMBER), (NUMBER, f"{producer}/{number}")]
        for number, each in enumerate(messages, first)
    ]
    payload = pa.array([each.payload for each in messages], pa.binary())
    return pa.record_batch([payload, pa.array(own, _ATTRIBUTES)], names=["payload", "attributes"])


def sequence(supply: Mapping[str, Sequence[Sent]], schedule: Schedule, source: str, most: int) -> list[Sent]:
    """Return what a source is sent in a schedule: a stretch of its supply, out of order, some of it twice."""
    rng = Random(f"{schedule.seed}/{source}")  # noqa: S311
    there = supply[source]
    at = int(schedule.start * len(there))
    stretch = [there[(at + number) % len(there)] for number in range(min(most, len(there)))]
    made: list[tuple[float, Sent]] = []
    for number, each in enumerate(stretch):
        made.append((number + rng.uniform(0, schedule.shuffle), each))
        if rng.random() < schedule.twice:
            made.append((number + rng.uniform(0, 2 * schedule.shuffle + 1), each))
    made.sort(key=lambda pair: pair[0])
    return [each for _, each in made]


@dataclass
class Part:
    """Messages that go another way than straight to the topic: as a segment of the spool, or as a file that lands."""

    door: Literal["spool", "land"]
    messages: list[Sent]
    acked: bool = False


@dataclass
class Account:
    """What one source is sent in a schedule. What was given to a producer must arrive, once, in the end.

    `direct` goes straight to the topic; of it, `acked_upto` messages were acknowledged. Whatever was not is sent again,
    under the same numbers. Before the schedule began, `seasoning` messages were there.
    """

    messages: list[Sent]
    seasoning: int = 0
    given: int = 0
    direct: list[Sent] = field(default_factory=list)
    acked_upto: int = 0
    parts: dict[str, Part] = field(default_factory=dict)

    def give(self, most: int) -> list[Sent]:
        """Take the next messages out of the supply."""
        given = self.messages[self.given : self.given + most]
        self.given += len(given)
        return given

    @property
    def is_settled(self) -> bool:
        """Whether all that was given is acknowledged."""
        return self.acked_upto == len(self.direct) and all(part.acked for part in self.parts.values())

    def numbers(self, source: str) -> set[str]:
        """Return the numbers of what was given."""
        wanted = {f"{SEASON}-{source}/{number}" for number in range(self.seasoning)}
        wanted |= {f"{direct_name(source)}/{number}" for number in range(len(self.direct))}
        for name, part in self.parts.items():
            number_of = f"{name}.ndjson#{{}}" if part.door == "land" else f"{name}/{{}}"
            first = 1 if part.door == "land" else 0
            wanted |= {number_of.format(number) for number in range(first, first + len(part.messages))}
        return wanted


def direct_name(source: str) -> str:
    """Return the producer that publishes to a source's topic by itself."""
    return f"chaos-{source}"


def written(folder: Path, name: str, messages: Sequence[Sent]) -> Path:
    """Write messages as a file that lands, a line each."""
    path = folder / f"{name}.ndjson"
    path.write_bytes(b"".join(each.payload + b"\n" for each in messages))
    return path
