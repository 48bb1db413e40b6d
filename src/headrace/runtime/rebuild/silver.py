"""The rebuild itself: every message of bronze through the stages again, into a lake of its own."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from headrace.disk import make_folder
from headrace.errors import BusyError, LakeError
from headrace.file_lock import FileLock
from headrace.lake import digests
from headrace.lake.reader import open_reader
from headrace.lake.references import References
from headrace.lake.scratch import ScratchLake
from headrace.runtime.deployment import now
from headrace.runtime.loop import Loop
from headrace.runtime.pipeline import Pipeline
from headrace.runtime.rebuild.bronze import BronzeBus
from headrace.runtime.rebuild.recorded import (
    Deployments,
    RecordedReferences,
    Stretch,
    decided_again,
    rounds,
    stretches,
)
from headrace.runtime.tick import Tick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from headrace.bus.base import Bus
    from headrace.config.project import Project
    from headrace.config.source import Source
    from headrace.lake.digests import Parts
    from headrace.lake.ducklake import DuckLake
    from headrace.lake.reader import LakeReader
    from headrace.runtime.pipeline import Stages

FOLDER = "rebuild"


class Sampling(Protocol):
    """Which messages of each source a rebuild takes."""

    def over(self, ran_under: Mapping[str, Sequence[Source]]) -> None:
        """Hear which sources are replayed, and each as it was and is, before the first message of any."""

    def pipeline(self, source: Source) -> Stages:
        """Return the stages of a source, as they take what is sampled of a batch."""


class Rebuilt(NamedTuple):
    """A lake made from bronze alone, how many messages went into it, and what the newest of them ran under.

    There is no lake where there was no message. `kept` are the digests of its partitions, by dataset, as its own ticks
    kept them.
    """

    lake: LakeReader | None
    kept: Mapping[str, Parts]
    messages: int
    sources: Mapping[str, Source]
    folder: Path


@contextmanager
def rebuilt(
    project: Project,
    lake: LakeReader,
    names: Sequence[str],
    again: Mapping[str, int] = MappingProxyType({}),
    sampling: Sampling | None = None,
) -> Iterator[Rebuilt]:
    """Rebuild the silver of some sources from the bronze that a pinned reader sees, and remove it after the block.

    All runs under what was recorded, but for what `again` says: from that message of a source on, it runs under the
    project as it is given. With `sampling` only some of the messages are taken: what is made is that of these alone.

    Whatever runs meanwhile is not disturbed. Takes about the disk of bronze and silver together. Raises `BusyError`
    where another rebuild of this environment runs, `SpaceError`, and `LakeError` where a message could not be decided.
    """
    lock = _lock(project)
    folder = project.state / FOLDER
    try:
        shutil.rmtree(folder, ignore_errors=True)  # of one that was killed
        make_folder(folder)
        known = {name: each for name, each in stretches(lake).items() if name in names}
        known |= {name: decided_again(known[name], again[name], project.digest) for name in known if name in again}
        deployments = Deployments(project, lake, folder / "deployments")
        newest: dict[str, Source] = {}
        messages = 0
        if sampling is not None:
            sampling.over({name: _all(deployments, name, parts) for name, parts in known.items()})
        pipeline = Pipeline if sampling is None else sampling.pipeline
        for run in rounds(known.values()):
            sources = {part[0].source: _source(deployments, part[0]) for part in run}
            messages += _round(lake, References(project.state / "lake"), folder / "lake", sources, run, pipeline)
            newest |= sources
        with open_reader(folder / "lake") as made:
            kept = [digests.kept(made, name).parts for name in newest] if made is not None else []
            yield Rebuilt(
                made, {name: each for parts in kept for name, each in parts.items()}, messages, newest, folder / "lake"
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def sweep(project: Project) -> None:
    """Remove what a rebuild that was killed left behind; where another one runs, nothing."""
    with suppress(BusyError):
        lock = _lock(project)
        try:
            shutil.rmtree(project.state / FOLDER, ignore_errors=True)
        finally:
            lock.release()


def _lock(project: Project) -> FileLock:
    return FileLock(
        project.state / f"{FOLDER}.lock",
        what="another headrace (process {process}) is rebuilding this environment",
        fix="wait for it",
    )


def _source(deployments: Deployments, stretch: Stretch) -> Source:
    return deployments.project(stretch.deployment).source(stretch.source)


def _all(deployments: Deployments, name: str, stretches: Sequence[Stretch]) -> list[Source]:
    """Return a source as each deployment has it that any of its stretches runs under, that of the last one last."""
    under = dict.fromkeys(part.deployment for part in reversed(stretches))
    return [deployments.project(each).source(name) for each in reversed(under)]


def _round(
    lake: LakeReader,
    kept: References,
    into: Path,
    sources: Mapping[str, Source],
    run: Sequence[Sequence[Stretch]],
    pipeline: Callable[[Source], Stages],
) -> int:
    """Take what some sources ran under one deployment each; return how many messages those were."""
    parts = {part[0].source: part for part in run}
    ranges = {name: range(part[0].first, part[-1].end) for name, part in parts.items()}
    borders = {name: [each.first for each in part[1:]] for name, part in parts.items()}
    bronze = BronzeBus(lake, ranges, borders)

    def references(source: Source, made: DuckLake) -> RecordedReferences:
        return RecordedReferences(parts[source.id], partial(bronze.at, source.id), kept, made.references)

    def start(made: DuckLake, bus: Bus) -> Tick:
        made.deploy([dataset for source in sources.values() for dataset in source.datasets])
        return Tick(bus, made, sources, "", now, pipeline=pipeline, references=references, outbox=None)

    loop = Loop(bronze, lambda: ScratchLake(into), sources, start, upkeep_every_secs=None)
    try:
        loop.drain()
    finally:
        loop.close()
    for name, problem in loop.progress.failing.items():
        raise LakeError(
            f"{name} could not be rebuilt: {problem}", at=name, fix="see whether a file is damaged: headrace doctor"
        )
    return sum(map(len, ranges.values()))
