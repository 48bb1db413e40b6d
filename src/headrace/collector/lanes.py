"""The lanes of a collector: one a topic, made when it is first sent to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headrace.collector.lane import Lane
from headrace.collector.spool import Room, Spool, topics_in

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from headrace.bus.base import Bus
    from headrace.config.collector import CollectorSpec

SPOOL = "spool"


class Lanes:
    """Belongs to the event loop. What a spool still holds from before is published at once."""

    def __init__(self, bus: Bus, settings: CollectorSpec, state: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._bus = bus
        self._loop = loop
        self._room = Room(settings.spool_max_bytes)
        self._folder = spool_folder(settings, state)
        self._lanes: dict[str, Lane] = {}
        for topic in topics_in(self._folder):
            self.of(topic)

    def of(self, topic: str) -> Lane:
        """Return the lane of a topic."""
        lane = self._lanes.get(topic)
        if lane is None:
            spool = Spool(self._folder, topic, self._room) if self._room.max_bytes else None
            lane = self._lanes[topic] = Lane(self._bus, topic, spool, self._loop)
        return lane

    def problem(self) -> str:
        """Return why events are not taken to the bus, if they are not."""
        return next((lane.tally.problem for lane in self._lanes.values() if lane.tally.problem), "")

    def gauges(self) -> Mapping[str, Callable[[], float]]:
        """Return what the metrics tell of them."""

        def total(of: Callable[[Lane], float]) -> Callable[[], float]:
            return lambda: sum(map(of, list(self._lanes.values())))

        return {
            "spool_bytes": lambda: self._room.taken,
            "spool_segments": total(lambda lane: lane.spooled_segments),
            "spooled_events": total(lambda lane: lane.tally.spooled_messages),
            "replayed_events": total(lambda lane: lane.tally.replayed_messages),
            "group_commits": total(lambda lane: lane.tally.commits),
            "group_commit_seconds": total(lambda lane: lane.tally.commit_secs),
        }

    def close(self) -> None:
        """Answer all that was sent, and end. What is spooled stays there."""
        for lane in self._lanes.values():
            lane.close()
        for lane in self._lanes.values():
            lane.join()


def spool_folder(settings: CollectorSpec, state: Path) -> Path:
    """Return the folder of the spool: the one that was set, taken from the project's folder, or beside the bus."""
    if settings.spool_folder is None:
        return state / SPOOL
    # The environment's name keeps two environments apart that share a disk for their spools.
    return state.parent.parent / Path(settings.spool_folder).expanduser() / state.name
