"""Topics: which acknowledged messages can no longer be read, and a new file made of the others.

And those that are kept for a source that is gone: a disk that fills for nobody is found by nobody else.
"""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from headrace.bus import remains
from headrace.bus.left_behind import LeftBehind, left_behind, let_go
from headrace.bus.topic_file import salvaged_path, topic_path
from headrace.lake import tables
from headrace.lake.base import Change
from headrace.lake.ducklake import DuckLake
from headrace.runtime.deployment import now
from headrace.runtime.doctor.damage import REPAIR, Damage
from headrace.runtime.tick import source_of, subscription

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from headrace.bus.remains import Remains
    from headrace.config.project import Project
    from headrace.lake.base import Position

SHOWN = 5
KEPT = dt.timedelta(days=1)  # for a source that is taken away and put back


class Committed(NamedTuple):
    """How far the sources of a topic are committed: per source, the next offset by epoch."""

    sources: Mapping[str, Mapping[str, int]]

    def needed(self) -> dict[str, int]:
        """Return, by epoch, the first offset that some source has not committed."""
        epochs = {epoch for each in self.sources.values() for epoch in each}
        return {epoch: min(each.get(epoch, 0) for each in self.sources.values()) for epoch in epochs}


def committed(project: Project, positions: Sequence[Position]) -> dict[str, Committed]:
    """Return how far each topic of a project is committed."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for name, source in project.sources.items():
        found.setdefault(source.topic, {})[name] = {
            each.partition: each.next_offset
            for each in positions
            if (each.source, each.topic) == (name, source.topic) and each.next_offset is not None
        }
    return {topic: Committed(sources) for topic, sources in found.items()}


def topics(project: Project, positions: Sequence[Position] | None, *, deep: bool) -> Iterator[Damage]:
    """Yield the topics that are damaged; `positions` is None where the lake cannot tell what is committed."""
    for topic, known in committed(project, positions or ()).items():
        path = topic_path(project.state / "bus", topic)
        needed = known.needed()
        if not path.exists():
            if needed and not salvaged_path(path).exists():
                lost = f"What was acknowledged after offset {_last(needed):,} and was not committed yet is lost"
                fix = "start `headrace up`: a new file is made; or put the file back, while nothing runs"
                yield Damage(f"topic {topic}", path, "its file is gone", lost, "", fix)
            continue
        found = remains.look(path, topic, needed, deep=deep)
        if found.problem:
            lost = _lost(found) if positions is not None else _unknown(found)
            yield Damage(
                f"topic {topic}",
                path,
                found.problem,
                lost,
                f"{found.kept:,} messages that wait go into a new file, in their order, and the old one is moved aside",
                mend=partial(mend, project, topic),
            )
            continue
        for each in left_behind(path, set(map(subscription, known.sources)), now() - KEPT):
            if (gone := source_of(each.name)) is not None:
                yield _left_behind(project, topic, gone, each)


def _left_behind(project: Project, topic: str, source: str, found: LeftBehind) -> Damage:
    today = project.sources.get(source)
    why = "is no source any more" if today is None else f"takes topic {today.topic} now"
    return Damage(
        f"topic {topic}",
        topic_path(project.state / "bus", topic),
        f"it grows for {source}, which {why}: {found.messages:,} messages are kept for it alone",
        "Nothing: every source that takes the topic has them",
        f"{source} has no place on the topic any more: should it come back, it does not get them; and what all others "
        "have taken is deleted as usual",
        fix=f"{REPAIR}, or put connectors/{source}.yaml back{'' if today is None else ' as it was'}",
        mend=partial(forget, project, topic, source, found),
    )


def forget(project: Project, topic: str, source: str, found: LeftBehind) -> None:
    """Let a topic keep nothing for a source that is gone.

    Where it would go on is committed first: should it come back, what it did not get counts as taken by nobody, and not
    as lost. Raises `BusyError` while `up` runs, and `LakeError` where the lake is damaged.
    """
    lake = DuckLake(project.state / "lake")
    try:
        row = {
            "batch_id": f"left-{found.epoch}-{found.acked}", "source": source, "topic": topic,
            "partition": found.epoch, "next_offset": found.acked, "accepted": 0,
        }  # fmt: skip
        ops = {tables.POSITIONS.name: pa.Table.from_pylist([row], schema=tables.POSITIONS.columns)}
        lake.commit([Change("", (), ops=ops)])
        let_go(topic_path(project.state / "bus", topic), found.name)
    finally:
        lake.close()


def mend(project: Project, topic: str) -> None:
    """Put a file made of what can be read in the place of a topic's, each source going on where it was.

    Where each source goes on is committed to the lake before the new file is there: an epoch that never came to be is
    nobody's. Raises `BusyError` while `up` runs, and `LakeError` where the lake is damaged too: that is mended first.
    """
    path = topic_path(project.state / "bus", topic)
    lake = DuckLake(project.state / "lake")
    try:
        known = committed(project, lake.positions())[topic]
        found = remains.look(path, topic, known.needed(), deep=True)
        salvaged = remains.salvage(path, topic, found)
        rows = [
            {
                "batch_id": f"salvaged-{salvaged.epoch}",
                "source": source,
                "topic": topic,
                "partition": salvaged.epoch,
                "next_offset": salvaged.moved(offsets.get(found.epoch, 0)),
                "accepted": 0,
            }
            for source, offsets in known.sources.items()
            if found.epoch is not None and salvaged.moved(offsets.get(found.epoch, 0))
        ]
        if rows:
            ops = {tables.POSITIONS.name: pa.Table.from_pylist(rows, schema=tables.POSITIONS.columns)}
            lake.commit([Change("", (), ops=ops)])
        remains.replace(path, topic, salvaged)
    finally:
        lake.close()


def _lost(found: Remains) -> str:
    """Say which acknowledged messages are lost, and that those before them are not."""
    safe = f"the {found.since:,} before offset {found.since:,} are in the lake" if found.since else ""
    if found.end is None:
        return f"What was acknowledged from offset {found.since:,} on cannot be read" + (f"; {safe}" if safe else "")
    if found.since > found.end:
        return (
            f"The file is an older copy: it ends at offset {found.end:,}, and {found.since:,} are in the lake; "
            "what was acknowledged after those and was not committed yet is lost"
        )
    if not found.gone:
        return "Nothing acknowledged is lost: " + (safe or f"all {found.kept:,} messages can be read")
    ranges = ", ".join(f"{first:,} to {end - 1:,}" for first, end in found.lost[:SHOWN])
    more = f" and {len(found.lost) - SHOWN} more ranges" if len(found.lost) > SHOWN else ""
    waiting = f"{found.kept:,} that wait can be read"
    text = f"{found.gone:,} acknowledged messages cannot be read, at offsets {ranges}{more}; {waiting}"
    return f"{text}; {safe}" if safe else text


def _unknown(found: Remains) -> str:
    return (
        f"The lake cannot be read now, so which of its messages are committed is not known; {found.kept:,} can be read"
    )


def _last(needed: Mapping[str, int]) -> int:
    return max(needed.values())
