"""Verify: has every accepted message its one fate, and is silver what bronze makes of it?"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from headrace.bus.base import Lag
from headrace.lake import digests
from headrace.lake.reader import open_reader
from headrace.runtime.building import inputs
from headrace.runtime.rebuild.silver import rebuilt
from headrace.runtime.views.status import ledger, source_status
from headrace.warehouse.embedded import DbtWarehouse
from headrace.words import COUNTS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from headrace.config.project import Project
    from headrace.lake.digests import Digest
    from headrace.lake.reader import LakeReader
    from headrace.runtime.rebuild.silver import Rebuilt
    from headrace.stages.dataset import Dataset

EVENTS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Difference:
    """A partition of silver that is not what bronze makes of it, and the first message ids on either side only."""

    dataset: str
    event_date: dt.date
    digest: str
    rebuilt: str
    only_in_silver: list[str]
    only_in_rebuilt: list[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was verified of one snapshot of the lake.

    `unbalanced` has what does not add up, by source. `silver` has the digest of every dataset. `equal` is None where
    nothing was rebuilt; else `differences` and `ledgers` (per source, what its totals are and what they come to in the
    rebuild) say in what the two are not. `messages` is how many were rebuilt. `gold` says of every published table
    whether a build from nothing makes the same; None where that was not asked for.
    """

    snapshot: int | None
    balanced: bool
    unbalanced: Mapping[str, list[str]]
    partitions: int
    silver: Mapping[str, str]
    equal: bool | None
    differences: tuple[Difference, ...]
    ledgers: Mapping[str, list[str]]
    messages: int
    gold: Mapping[str, bool] | None
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether nothing was found that should not be."""
        return self.balanced and self.equal is not False and all((self.gold or {}).values())

    def document(self) -> dict[str, Any]:
        """Return the documented shape of `headrace verify --json`."""
        said = asdict(self)
        for each in said["differences"]:
            each["event_date"] = each["event_date"].isoformat()
        return said


def verify(project: Project, source: str | None = None, *, from_bronze: bool = False, gold: bool = False) -> Verdict:
    """Verify a project's lake as it is now, or one source of it.

    `from_bronze` rebuilds silver and compares; `gold` does that with what is published, over the silver it was made of.
    Beside a running `up`, it sees one commit and disturbs nobody.
    """
    began = time.monotonic()
    sources = {source: project.source(source)} if source else dict(project.sources)
    with ExitStack() as held:
        lake = held.enter_context(open_reader(project.state / "lake"))
        snapshot = lake.pin() if lake is not None else None
        unbalanced = {
            name: faults
            for name, each in sources.items()
            if (faults := source_status(each, lake, Lag(0, None)).unbalanced)
        }
        made = None
        if lake is not None and from_bronze:
            made = held.enter_context(rebuilt(project, lake, list(sources)))
            sources |= made.sources  # as they were when their newest message was taken
        compared = [_compared(lake, made, dataset) for each in sources.values() for dataset in each.datasets]
        ledgers = _ledgers(lake, made, sources) if lake is not None and made is not None else {}
    differences = tuple(each for one in compared for each in one.differences)
    return Verdict(
        snapshot=snapshot,
        balanced=not unbalanced,
        unbalanced=unbalanced,
        partitions=sum(each.partitions for each in compared),
        silver={each.dataset: str(each.digest) for each in compared},
        equal=None if made is None else not differences and not ledgers,
        differences=differences,
        ledgers=ledgers,
        messages=made.messages if made is not None else 0,
        gold=_gold(project) if gold else None,
        seconds=round(time.monotonic() - began, 3),
    )


def _gold(project: Project) -> dict[str, bool]:
    with closing(DbtWarehouse(project.state)) as warehouse:
        return {name: each.equal for name, each in warehouse.compare(inputs(project)).items()}


@dataclass(frozen=True, slots=True)
class _Compared:
    """One dataset: its digest, and where it is not what was rebuilt."""

    dataset: str
    partitions: int
    digest: Digest
    differences: tuple[Difference, ...]


def _compared(lake: LakeReader | None, made: Rebuilt | None, dataset: Dataset) -> _Compared:
    ours = digests.partitions(lake, dataset)
    whole = digests.NOTHING
    for each in ours.values():
        whole = whole.plus(each)
    found = []
    if made is not None:
        theirs = digests.partitions(made.lake, dataset)
        for date in sorted(ours.keys() | theirs.keys()):
            mine, other = ours.get(date, digests.NOTHING), theirs.get(date, digests.NOTHING)
            if mine != other:
                only = _only(lake, made.lake, dataset, date)
                found.append(Difference(dataset.name, date, str(mine), str(other), *only))
    return _Compared(dataset.name, len(ours), whole, tuple(found))


def _only(
    lake: LakeReader | None, made: LakeReader | None, dataset: Dataset, date: dt.date
) -> tuple[list[str], list[str]]:
    """Return the first message ids of events that are on one side only: in silver, and in what was rebuilt."""
    sides = (lake, made)
    parts = [digests.buckets(side, dataset, date) for side in sides]
    left: list[str] = []
    right: list[str] = []
    for bucket in sorted(set(parts[0]) | set(parts[1])):
        if parts[0].get(bucket) == parts[1].get(bucket):
            continue
        mine, theirs = (digests.events(side, dataset, date, bucket) for side in sides)
        left += _but(mine, theirs)
        right += _but(theirs, mine)
        if len(left) >= EVENTS_SHOWN or len(right) >= EVENTS_SHOWN:
            break
    return left[:EVENTS_SHOWN], right[:EVENTS_SHOWN]


def _but(these: Iterable[tuple[str, str]], those: Iterable[tuple[str, str]]) -> list[str]:
    """Return the ids of the events among these that are not among those, each as often as it is there once more."""
    left = Counter(text for text, _ in those)
    ids = []
    for text, event_id in these:
        if left[text]:
            left[text] -= 1
        else:
            ids.append(event_id)
    return ids


def _ledgers(lake: LakeReader, made: Rebuilt, sources: Iterable[str]) -> dict[str, list[str]]:
    """Return, per source, the totals that a rebuild does not come to."""
    found: dict[str, list[str]] = {}
    for source in sources:
        ours = _totals(lake, source)
        theirs = _totals(made.lake, source) if made.lake is not None else {}
        for dataset, version in sorted(ours.keys() | theirs.keys()):
            mine, other = (side.get((dataset, version), dict.fromkeys(COUNTS, 0)) for side in (ours, theirs))
            name = f"{dataset} {version}".strip() or source
            found.setdefault(source, []).extend(
                f"{name}: {mine[count]:,} {count}, and {other[count]:,} in the rebuild"
                for count in COUNTS
                if mine[count] != other[count]
            )
    return {source: faults for source, faults in found.items() if faults}


def _totals(lake: LakeReader, source: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["dataset"], row["contract_version"]): row for row in ledger(lake, source)}
