"""The hours in which a shop is open: the project runs as `headrace up` runs it, and the shop sends into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.bus.sqlite import SqliteBus
from headrace.demo.feed import BusDoor, Door, Feed
from headrace.runtime.up import Up

if TYPE_CHECKING:
    from headrace.config.project import Project
    from headrace.demo.opening import Plan

BUILD_EVERY_SECS = 10.0


class OpenHours:
    """A project that runs, and is sent what its shop has to say, until `stop`."""

    def __init__(self, project: Project, plan: Plan, rate: float) -> None:
        """Raises `BusyError` where the project runs already."""
        self.closing = False
        """Whether it is ending."""
        shop = plan.shop()
        shop.history()  # everybody who shops there is known again
        self.up = Up(project, build_every_secs=BUILD_EVERY_SECS)
        self._bus = SqliteBus(project.state / "bus")
        self._straight = BusDoor(self._bus, {source.id: source.topic for source in project.sources.values()})
        self.feed = Feed(shop, rate, self._door)

    @property
    def way(self) -> str:
        """How events come in."""
        return self._straight.name

    def run(self) -> None:
        """Run until `stop`; then bring into silver what was sent."""
        self.feed.start()
        try:
            self.up.run()
        finally:
            self.feed.stop()
            self._bus.close()

    def stop(self) -> None:
        """End in order; a second call ends at once. Returns at once."""
        self.closing = True
        self.feed.end()
        self.up.stop()

    def _door(self, source: str) -> Door:  # noqa: ARG002 - every source goes the same way
        return self._straight
