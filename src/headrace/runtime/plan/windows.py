"""Which history a plan decides again: the sources whose messages ran under other rules, and from which message on.

Where the files are those that are deployed, and no rules were others, it is what another version of Headrace decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import headrace
from headrace.contracts.types import literal
from headrace.errors import ConfigError, InputError
from headrace.runtime.rebuild.recorded import Deployments

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from headrace.config.project import Project
    from headrace.config.source import Source
    from headrace.lake.reader import LakeReader
    from headrace.runtime.plan.deployed import Deployed


@dataclass(frozen=True, slots=True)
class Past:
    """A source's messages that came since an instant, and what they ran under: each source as it once was.

    `unread` names deployments whose files this Headrace cannot load any more; `versions` are the other versions of
    Headrace that decided any of these messages.
    """

    window: range
    under: tuple[Source, ...]
    unread: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()

    def differs(self, now: Source) -> bool:
        """Return whether any of these messages was decided by other rules than those of now."""
        return bool(self.unread) or any(_rules(each) != _rules(now) for each in self.under)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A source whose history a plan was asked about and does not replay, and why."""

    source: str
    why: str


def pasts(
    was: Deployed, now: Project, lake: LakeReader | None, since: dt.datetime | None, folder: Path
) -> tuple[dict[str, Past], list[Skipped]]:
    """Return what is decided again: the sources of which any message in the window ran under other rules.

    Not only what is deployed counts, but what each batch ran under: rules that were deployed for new messages alone
    leave the older ones as they were decided. Where the files are those that are deployed and these are the rules of
    all messages, it is the sources of which another version of Headrace decided any: a change of the files never
    decides again what it does not touch. Raises `InputError` where a source that these files change looks up what it
    did not.
    """
    found: dict[str, Past] = {}
    older: dict[str, Past] = {}
    skipped: list[Skipped] = []
    if was.project is None or lake is None:
        return found, skipped
    deployments = Deployments(now, lake, folder, {was.digest: was.project})
    for name, source in now.sources.items():
        before = was.project.sources.get(name)  # None: it is new, or was taken away, and its history is still there
        changed = before is not None and _rules(before) != _rules(source)
        span = window(lake, name, since)
        if span is None or not len(span):
            if changed:
                since_when = f" since {since:%Y-%m-%d %H:%M} UTC" if since is not None else ""
                skipped.append(Skipped(name, f"no message of it came{since_when}"))
            continue
        past = _read(name, span, lake, deployments)
        if not (changed or past.differs(source)):
            if past.versions:
                older[name] = past
            continue
        try:
            refuse_new_lookups(past.under, source)
        except InputError as problem:
            if changed:
                raise
            skipped.append(Skipped(name, f"older messages ran under other rules, but {problem.message}"))
            continue
        found[name] = past
    if not found and now.digest == was.digest:
        return older, skipped
    for name, past in older.items():
        by = (
            f"headrace {', '.join(past.versions)}, not {headrace.__version__}, decided messages of it under these rules"
        )
        skipped.append(Skipped(name, f"{by}: once this plan is applied, the same command plans that"))
    return found, skipped


def given(
    was: Deployed, now: Project, lake: LakeReader | None, windows: Mapping[str, range], folder: Path
) -> dict[str, Past]:
    """Return the same of windows that an earlier plan found. Raises `InputError` where a lookup is new."""
    if was.project is None or lake is None:
        return {}
    deployments = Deployments(now, lake, folder, {was.digest: was.project})
    found = {name: _read(name, span, lake, deployments) for name, span in windows.items()}
    for name, past in found.items():
        refuse_new_lookups(past.under, now.sources[name])
    return found


def _read(name: str, span: range, lake: LakeReader, deployments: Deployments) -> Past:
    """Return what a source's messages of a window ran under."""
    ran = lake.rows(
        "SELECT DISTINCT deployment, code_version FROM lake.ops.batches WHERE source = ? AND next_seq > ? "
        "AND first_seq < ? ORDER BY ALL",
        [name, span.start, span.stop],
    )
    under: list[Source] = []
    unread: list[str] = []
    for digest in dict.fromkeys(row["deployment"] for row in ran):
        try:
            then = deployments.project(digest)
        except ConfigError:
            unread.append(digest)
            continue
        if name in then.sources:
            under.append(then.sources[name])
    versions = {row["code_version"] for row in ran} - {headrace.__version__}
    return Past(span, tuple(under), tuple(unread), tuple(sorted(versions)))


def _rules(source: Source) -> object:
    """Return all that decides what becomes of a message."""
    tables = [each.model_dump() for each in source.spec.ingestion.tables]
    return source.message_format, repr(source.csv), tables, repr(source.datasets), source.settings.timezone


def window(lake: LakeReader, source: str, since: dt.datetime | None) -> range | None:
    """Return the messages of a source that came since an instant, from the first of a batch on; None: no message."""
    mine = f"WHERE source = {literal(source)}"
    first = "0"
    if since is not None:
        day = f"DATE '{since.date()}'"
        first = (
            f"(SELECT min(seq) FROM lake.bronze.messages {mine} AND ingest_date >= {day} "
            f"AND ingest_time >= TIMESTAMPTZ '{since.isoformat()}')"
        )
    (row,) = lake.rows(
        f"SELECT min(first_seq) FILTER (next_seq > {first}) AS start, max(next_seq) AS stop "
        f"FROM lake.ops.batches {mine}"
    )
    return range(row["start"], row["stop"]) if row["start"] is not None else None


def refuse_new_lookups(under: Sequence[Source], now: Source) -> None:
    """Raise `InputError` where a source looks up what it did not: which version history would have seen is unknown.

    So it is where a lookup has a column more, or one of another type: what was recorded has not.
    """
    wanted = _looked_up(now)
    for source in under:
        then = _looked_up(source)
        for lookup, columns in wanted.items():
            if lookup not in then:
                said = f"{now.id} now looks up {lookup}, and no version of it was recorded for its history"
            elif other := next((each for each, kind in columns.items() if then[lookup].get(each) != kind), None):
                said = f"{now.id} now takes {other} of {lookup}, which was not recorded for its history as it is now"
            else:
                continue
            raise InputError(
                said,
                at=f"connectors/{now.id}.yaml",
                fix="plan without --history: the lookup is for new messages; join history in a model",
            )


def _looked_up(source: Source) -> dict[str, dict[str, pa.DataType | None]]:
    """Return the columns of each lookup that a source's steps use, with the types of those that are added."""
    found: dict[str, dict[str, pa.DataType | None]] = {}
    for step in (step for dataset in source.datasets for step in dataset.enrichments):
        columns = found.setdefault(step.lookup, {})
        for name in step.columns:
            columns.setdefault(name, None)
        columns |= {field.name: field.type for field in step.added}
    return found


def since_of(text: str, now: dt.datetime) -> dt.datetime | None:
    """Return the instant that `--history` means: `30d` before now; None for `all`. Raises `InputError`."""
    from headrace.durations import parse_duration

    if text == "all":
        return None
    try:
        return now - parse_duration(text)
    except ValueError as problem:
        raise InputError(f"--history {text}: {problem}", at="--history", fix="30d, 12h, or all") from problem


def sides(pasts: Mapping[str, Past], was: Project, now: Project) -> dict[str, tuple[Source, ...]]:
    """Return each replayed source as it was at any time in its window, as it is deployed, and as it is now."""
    return {
        name: (*past.under, *(each.sources[name] for each in (was, now) if name in each.sources))
        for name, past in pasts.items()
    }
