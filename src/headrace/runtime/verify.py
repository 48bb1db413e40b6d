"""Verify: has every accepted message its one fate, and is silver what bronze makes of it?"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import headrace
from headrace.lake import digests
from headrace.lake.reader import open_reader
from headrace.runtime.inputs import inputs
from headrace.runtime.rebuild.silver import rebuilt
from headrace.runtime.silver_comparison import compared
from headrace.runtime.views.books import Books, ledger
from headrace.warehouse.embedded import DbtWarehouse
from headrace.words import COUNTS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from headrace.config.project import Project
    from headrace.config.source import Source
    from headrace.lake.digests import Parts
    from headrace.lake.reader import LakeReader
    from headrace.runtime.rebuild.silver import Rebuilt
    from headrace.runtime.silver_comparison import Compared, Difference


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was verified of one snapshot of the lake.

    `unbalanced` has what does not add up, by source. `kept` says whether every partition of silver is what its batches
    made it: its rows by the catalog, and where it was scanned its digest too; `unknown` is how many partitions this
    cannot be told of, since batches of an earlier version touched them. `silver` has the digest of every dataset, as it
    was scanned or, where it was not, as it was kept. `equal` is None where nothing was rebuilt; else `differences` and
    `ledgers` (per source, what its totals are and what they come to in the rebuild) say in what the two are not.
    `messages` is how many were rebuilt, and `decided_by` how many of them another version of Headrace decided, by
    version: what differs may be what that one did otherwise. `gold` says of every published table whether a build from
    nothing makes the same; None where that was not asked for.
    """

    snapshot: int | None
    balanced: bool
    unbalanced: Mapping[str, list[str]]
    partitions: int
    silver: Mapping[str, str]
    kept: bool
    unknown: int
    scanned: bool
    equal: bool | None
    differences: tuple[Difference, ...]
    ledgers: Mapping[str, list[str]]
    messages: int
    gold: Mapping[str, bool] | None
    seconds: float
    decided_by: Mapping[str, int] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether nothing was found that should not be."""
        return self.balanced and self.kept and self.equal is not False and all((self.gold or {}).values())

    def document(self) -> dict[str, Any]:
        """Return the documented shape of `headrace verify --json`."""
        said = asdict(self)
        for each in said["differences"]:
            each["event_date"] = each["event_date"].isoformat()
        return said


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verdict is of, in full: what each source held, and each partition."""

    verdict: Verdict
    sources: Mapping[str, Source]
    partitions: Mapping[str, Parts]
    next_seqs: Mapping[str, int]
    ledgers: Mapping[str, list[dict[str, Any]]]


def verify(
    project: Project,
    source: str | None = None,
    *,
    scan: bool = False,
    from_bronze: bool = False,
    gold: bool = False,
) -> Verdict:
    """Verify a project's lake as it is now, or one source of it.

    Without more, metadata alone is compared, and no file of silver is opened. `scan` reads all of silver; `from_bronze`
    rebuilds it too, and compares; `gold` does that with what is published, over the silver it was made of. Beside a
    running `up`, it sees one commit and disturbs nobody.
    """
    sources = [source] if source is not None else None
    return evidence(project, sources, scan=scan, from_bronze=from_bronze, gold=gold).verdict


def evidence(
    project: Project,
    names: Iterable[str] | None = None,
    *,
    scan: bool = False,
    from_bronze: bool = False,
    gold: bool = False,
) -> Evidence:
    """Verify some sources, or all, and return beside the verdict all that a certificate says of it."""
    began = time.monotonic()
    scan = scan or from_bronze
    sources = {name: project.source(name) for name in (project.sources if names is None else names)}
    snapshot: int | None = None
    unbalanced: dict[str, list[str]] = {}
    found: list[Compared] = []
    ledgers: dict[str, list[str]] = {}
    next_seqs: dict[str, int] = {}
    totals: dict[str, list[dict[str, Any]]] = {}
    made = None
    others: dict[str, int] = {}
    with ExitStack() as held:
        lake = held.enter_context(open_reader(project.state / "lake"))
        if lake is not None:
            snapshot = lake.pin()
            books = Books.read(lake, sources, None if scan else snapshot)
            unbalanced = {name: faults for name in sources if (faults := books.unbalanced(name))}
            if from_bronze:
                made = held.enter_context(rebuilt(project, lake, list(sources)))
                others = _decided_by(lake, sources)
                sources |= made.sources  # as they were when their newest message was taken
            for name, each in sources.items():
                kept = digests.kept(lake, name)
                found += [compared(lake, snapshot, one.name, kept, made, scan=scan) for one in each.datasets]
                totals[name] = books.totals.get(name, [])
            next_seqs = taken(lake)
            ledgers = _ledgers(lake, made, sources) if made is not None else {}
    verdict = Verdict(
        snapshot=snapshot,
        balanced=not unbalanced,
        unbalanced=unbalanced,
        partitions=sum(len(each.parts) for each in found),
        silver={each.dataset: str(digests.total(each.parts.values())) for each in found},
        kept=all(each.as_kept for each in found),
        unknown=sum(len(each.unknown) for each in found),
        scanned=scan,
        equal=None if made is None else all(each.as_rebuilt for each in found) and not ledgers,
        differences=tuple(each for one in found for each in one.differences),
        ledgers=ledgers,
        messages=made.messages if made is not None else 0,
        gold=_gold(project) if gold else None,
        seconds=round(time.monotonic() - began, 3),
        decided_by=others,
    )
    parts = {each.dataset: each.parts for each in found}
    mine = {name: next_seqs[name] for name in sources if name in next_seqs}
    return Evidence(verdict, sources, parts, mine, totals)


def taken(lake: LakeReader) -> dict[str, int]:
    """Return the number of the next message of every source: how many were taken."""
    rows = lake.rows("SELECT source, max(next_seq) AS seq FROM lake.ops.batches GROUP BY ALL ORDER BY ALL")
    return {row["source"]: row["seq"] for row in rows}


def _decided_by(lake: LakeReader, sources: Collection[str]) -> dict[str, int]:
    """Return how many messages of some sources other versions of Headrace decided, by version."""
    rows = lake.rows(
        "SELECT source, code_version AS version, sum(next_seq - first_seq)::BIGINT AS n FROM lake.ops.batches "
        "WHERE code_version <> ? GROUP BY ALL ORDER BY ALL",
        [headrace.__version__],
    )
    found: dict[str, int] = {}
    for row in rows:
        if row["source"] in sources:
            found[row["version"]] = found.get(row["version"], 0) + row["n"]
    return found


def _gold(project: Project) -> dict[str, bool]:
    with closing(DbtWarehouse(project.state)) as warehouse:
        return {name: each.equal for name, each in warehouse.compare(inputs(project)).items()}


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
    return {(row["dataset"], row["contract_version"]): row for row in ledger(lake, [source]).get(source, [])}
