"""The hours in which a shop is open: the project runs as `headrace up` runs it, and the shop sends into it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from headrace.bus.sqlite import SqliteBus
from headrace.demo.doors import BusDoor, CollectorDoor, Door, FolderDoor, is_taken
from headrace.demo.feed import Feed
from headrace.demo.opening import BY_FILE, LANDING
from headrace.runtime.children import children
from headrace.runtime.up import Up

if TYPE_CHECKING:
    from headrace.config.project import Project
    from headrace.demo.opening import Plan

BUILD_EVERY_SECS = 10.0
PORT_VARIABLE = "HEADRACE_COLLECTOR_PORT"
OVER_HTTP = ("clickstream", "transactions")
"""What browsers and the till send. Tickets land as files, and profiles are published to the bus."""


class OpenHours:
    """A project that runs, and is sent what its shop has to say, until `stop`."""

    def __init__(self, project: Project, plan: Plan, rate: float) -> None:
        """Raises `BusyError` where the project runs already."""
        shop = plan.shop()
        shop.history()  # everybody who shops there is known again
        if PORT_VARIABLE not in os.environ and is_taken(project.collector.host, project.collector.port):
            os.environ[PORT_VARIABLE] = "0"  # for the collector, a child of ours: any port that is free
        intake, outlets = children(project)
        self._collector = next((child for child in intake if child.name == "collector"), None)
        self.up = Up(project, build_every_secs=BUILD_EVERY_SECS, intake=intake, outlets=outlets)
        self._bus = SqliteBus(project.state / "bus")
        self._straight = BusDoor(self._bus, {source.id: source.topic for source in project.sources.values()})
        self._http: tuple[str, CollectorDoor] | None = None
        self._files = FolderDoor(project.root / LANDING)
        self.feed = Feed(shop, rate, self._door, held=(BY_FILE,))
        self._asked = threading.Event()
        self._closer = threading.Thread(target=self._close, name="closer", daemon=True)

    @property
    def listening(self) -> str:
        """Where the collector listens; empty while it does not."""
        if self._collector is None or self._collector.problem:
            return ""
        return str(self._collector.said.get("listening", ""))

    def run(self) -> None:
        """Run until `stop`; then bring into silver what was sent."""
        self.feed.start()
        self._closer.start()
        try:
            self.up.run()
        finally:
            self.feed.stop()
            if self._http is not None:
                self._http[1].close()
            self._bus.close()

    def stop(self) -> None:
        """End in order; a second call ends at once. Returns at once."""
        if self._asked.is_set():
            self.up.stop()
        self._asked.set()

    @property
    def closing(self) -> bool:
        """Whether it is ending."""
        return self._asked.is_set()

    def _close(self) -> None:
        """Close the shop before its doors: what is being sent gets its answer."""
        self._asked.wait()
        self.feed.stop()
        self.up.stop()

    def _door(self, source: str) -> Door:
        """Return the way for a source's messages; while there is no collector, all go straight onto the bus."""
        if source == BY_FILE:
            return self._files
        url = self.listening
        if source not in OVER_HTTP or not url:
            return self._straight
        if self._http is None or self._http[0] != url:
            self._http = url, CollectorDoor(url)
        return self._http[1]
