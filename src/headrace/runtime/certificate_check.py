"""Whether a certificate is genuine, and what has become since of what it certifies."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from headrace.identity.project_key import fingerprint, signed
from headrace.lake import digests
from headrace.lake.digests import Digest
from headrace.lake.reader import open_reader
from headrace.runtime.verify import evidence, taken
from headrace.words import COUNTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headrace.config.project import Project
    from headrace.lake.digests import Kept
    from headrace.lake.reader import LakeReader
    from headrace.runtime.certificate import Certificate, CertifiedSource


@dataclass(frozen=True, slots=True)
class Change:
    """A partition that is not as it was certified.

    `change` is `grown` where what later batches did to it is the whole difference; `changed` where it is not; `unknown`
    where batches of an earlier version kept no digests and nothing was scanned. `later` is what later batches did.
    """

    dataset: str
    event_date: str
    change: str
    certified: str
    now: str
    later: str


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether a certificate is what somebody signed, who that was, and whether it still holds.

    `ours` says whether that is the key of this environment. `partitions` counts them by `equal`, `grown`, `changed` and
    `unknown`; `changes` has all but the equal ones. `problems` has, a sentence each, whatever else does not hold.
    """

    signature: bool
    key: str
    ours: bool
    project: str
    environment: str
    made_at: str
    held: bool
    scanned: bool
    partitions: Mapping[str, int]
    changes: tuple[Change, ...]
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether it is genuine, said that all was well, and nothing has changed that later batches do not explain."""
        explained = not self.partitions["changed"] and not self.partitions["unknown"]
        return self.signature and self.ours and self.held and explained and not self.problems

    def document(self) -> dict[str, Any]:
        """Return the documented shape of `headrace verify --check --json`."""
        return {"holds": self.holds, **asdict(self)}


def check(project: Project, certificate: Certificate, public: str | None, *, scan: bool = False) -> Checked:
    """Say whether a certificate is genuine, by this project's key (`public`), and whether it still holds today.

    `scan` holds what was certified against the files of silver; without it, against what the batches kept.
    """
    problems: list[str] = []
    genuine = signed(certificate.message(), certificate.signature, certificate.public_key)
    named = (certificate.project, certificate.environment)
    if named != (project.name, project.environment):
        problems.append(f"it is of {'/'.join(named)}, and this is {project.name}/{project.environment}")
    changes: list[Change] = []
    counts = dict.fromkeys(("equal", "grown", "changed", "unknown"), 0)
    if genuine and not problems:
        problems += _today(project, certificate, scan=scan)
        with open_reader(project.state / "lake") as lake:
            if lake is None:
                problems.append("nothing is committed here any more")
            else:
                lake.pin()
                problems += _ledgers(lake, certificate)
                for name, each in certificate.sources.items():
                    for change in _changes(lake, name, each, scan=scan):
                        counts[change.change] += 1
                        changes += [change] if change.change != "equal" else []
    return Checked(
        signature=genuine,
        key=fingerprint(certificate.public_key),
        ours=certificate.public_key == public,
        project=certificate.project,
        environment=certificate.environment,
        made_at=certificate.made_at,
        held=certificate.holds,
        scanned=scan,
        partitions=counts,
        changes=tuple(changes),
        problems=tuple(problems),
    )


def _today(project: Project, certificate: Certificate, *, scan: bool) -> Iterable[str]:
    """Yield what a verification of the certified sources finds wrong today, whatever was certified."""
    for name in sorted(certificate.sources.keys() - project.sources.keys()):
        yield f"{name} is no source of this project any more"
    names = sorted(certificate.sources.keys() & project.sources.keys())
    verdict = evidence(project, names, scan=scan).verdict
    yield from (fault for faults in verdict.unbalanced.values() for fault in faults)
    for each in verdict.differences:
        yield f"{each.dataset} of {each.event_date} is not what its batches put there: headrace verify --scan"


def _ledgers(lake: LakeReader, certificate: Certificate) -> Iterable[str]:
    """Yield where the batches that were certified come to other totals now."""
    now = taken(lake)
    sums = ", ".join(f'coalesce(sum(l."{name}"), 0)::BIGINT AS "{name}"' for name in COUNTS)
    for name, each in certificate.sources.items():
        if now.get(name, 0) < each.taken:
            yield f"{name} had taken {each.taken:,} messages, and {now.get(name, 0):,} now: another state"
            continue
        rows = lake.rows(
            f"SELECT l.dataset AS dataset, l.contract_version AS contract_version, {sums} FROM lake.ops.ledger l "
            "JOIN lake.ops.batches b USING (batch_id) WHERE l.source = ? AND b.first_seq < ? GROUP BY ALL ORDER BY ALL",
            [name, each.taken],
        )
        if rows != each.ledger:
            yield f"{name}: the ledger of the {each.taken:,} messages that were certified is another now"


def _changes(lake: LakeReader, source: str, certified: CertifiedSource, *, scan: bool) -> Iterable[Change]:
    """Yield every partition of a source, those that are equal included."""
    kept, later = digests.kept(lake, source), digests.kept(lake, source, since=certified.taken)
    for dataset in sorted(certified.partitions.keys() | later.parts.keys()):
        was = {
            dt.date.fromisoformat(day): Digest.parse(each)
            for day, each in certified.partitions.get(dataset, {}).items()
        }
        now = digests.scanned(lake, dataset) if scan else kept.parts.get(dataset, {})
        for date in sorted(was.keys() | now.keys() | later.parts.get(dataset, {}).keys()):
            yield _change(
                kept, (dataset, date), was.get(date), now.get(date), later.parts.get(dataset, {}).get(date), scan
            )


def _change(
    kept: Kept, at: tuple[str, dt.date], was: Digest | None, now: Digest | None, later: Digest | None, scan: bool
) -> Change:
    before, after, between = (each or digests.NOTHING for each in (was, now, later))
    if not scan and at in kept.unknown:
        change = "unknown"
    elif before.plus(between) != after:
        change = "changed"
    else:
        change = "equal" if before == after else "grown"
    return Change(at[0], at[1].isoformat(), change, str(before), str(after), str(between))
