"""The lanes of a worker: one a topic, made when it is first sent to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headrace.collector.lane import Lane
from headrace.collector.spool import Room, Spool, topics_in

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from headrace.bus.base import Bus
    from headrace.config.collector import CollectorSpec

SPOOL = "spool"


class Lanes:
    """Belongs to the event loop. What a spool still holds from before is published at once.

    So is what `orphans` hold, the spools of workers that are no more: each has a lane that nobody sends to.
    """

    def __init__(
        self,
        bus: Bus,
        settings: CollectorSpec,
        folder: Path,
        loop: asyncio.AbstractEventLoop,
        orphans: Sequence[Path] = (),
    ) -> None:
        self._bus = bus
        self._loop = loop
        self._room = Room(settings.spool_max_bytes)
        self._folder = folder
        self._patience_secs = settings.bus_secs
        self._lanes: dict[str, Lane] = {}
        for topic in topics_in(folder):
            self.of(topic)
        self._orphaned = [self._made(orphan, topic) for orphan in orphans for topic in topics_in(orphan)]

    def of(self, topic: str) -> Lane:
        """Return the lane of a topic."""
        lane = self._lanes.get(topic)
        if lane is None:
            lane = self._lanes[topic] = self._made(self._folder, topic)
        return lane

    def _made(self, folder: Path, topic: str) -> Lane:
        spool = Spool(folder, topic, self._room)
        # Without room for a spool there is none; what one holds from when there was is published all the same.
        spooling = spool if self._room.max_bytes or len(spool) else None
        return Lane(self._bus, topic, spooling, self._loop, self._patience_secs)

    def problem(self) -> str:
        """Return why events are not taken to the bus, if they are not."""
        return next((lane.tally.problem for lane in self._all() if lane.tally.problem), "")

    def gauges(self) -> dict[str, float]:
        """Return how much there is now, for the metrics."""
        return {
            "spool_bytes": self._room.taken,
            "spool_segments": sum(lane.spooled_segments for lane in self._all()),
        }

    def totals(self) -> dict[str, float]:
        """Return how much there ever was, for the metrics."""
        tallies = [lane.tally for lane in self._all()]
        return {
            "spooled_events": sum(each.spooled_messages for each in tallies),
            "replayed_events": sum(each.replayed_messages for each in tallies),
            "group_commits": sum(each.commits for each in tallies),
            "group_commit_seconds": sum(each.commit_secs for each in tallies),
        }

    def close(self) -> None:
        """Answer all that was sent, and end. What is spooled stays there."""
        for lane in self._all():
            lane.close()
        for lane in self._all():
            lane.join()

    def _all(self) -> list[Lane]:
        return [*self._lanes.values(), *self._orphaned]


def spool_folder(settings: CollectorSpec, state: Path) -> Path:
    """Return the folder of the spool: the one that was set, taken from the project's folder, or beside the bus."""
    if settings.spool_folder is None:
        return state / SPOOL
    # The environment's name keeps two environments apart that share a disk for their spools.
    return state.parent.parent / Path(settings.spool_folder).expanduser() / state.name
