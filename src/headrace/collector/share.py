"""Several workers: how many a machine gets, and what of the limits and of the spool is each one's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from headrace.http.serve import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.config.collector import CollectorSpec

MOST = 4  # by default: all of a topic take turns at its one file
QUOTA = Path("/sys/fs/cgroup/cpu.max")
SERVER = Server(
    "the collector",
    "headrace.yaml: collector.port",
    "take another port: HEADRACE_COLLECTOR_PORT=8081 headrace up, or `collector: {port: 8081}`; 0 takes a free one",
)
_SHARED = ("max_connections", "max_waiting_bytes", "max_waiting_bytes_per_source")


class Share(NamedTuple):
    """Which worker of a collector this is, counted from one, and of how many."""

    number: int = 1
    of: int = 1

    def limits(self, settings: CollectorSpec) -> CollectorSpec:
        """Return the settings with this worker's part of what is for all of them; 0, which means none, stays 0."""
        parts = {name: max(1, getattr(settings, name) // self.of) for name in _SHARED}
        return settings.model_copy(update={**parts, "spool_max_bytes": settings.spool_max_bytes // self.of})

    def spool(self, folder: Path) -> Path:
        """Return where this worker spools: the first one where a worker that is alone does."""
        # No topic has a name like this, so that a folder of a worker is never taken for one.
        return folder if self.number == 1 else folder / f"@{self.number}"

    def orphans(self, folder: Path) -> list[Path]:
        """Return the spools that a worker left which is no more: the first one publishes what they hold."""
        if self.number != 1 or not folder.is_dir():
            return []
        return sorted(each for each in folder.glob("@*") if each.name[1:].isdecimal() and int(each.name[1:]) > self.of)


def workers_of(settings: CollectorSpec, cores: int) -> int:
    """Return how many workers there are: as many as were set, else one for every two cores. The ticks need the rest."""
    return settings.workers or max(1, min(MOST, cores // 2))


def cores(quota: Path = QUOTA) -> int:
    """Return how many cores this process may use: those it is bound to, and no more than its container's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *_quota(quota)]))


def _quota(file: Path) -> Iterator[int]:
    try:
        most, period = file.read_text(encoding="ascii").split()
        if most != "max":
            yield int(most) // int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no cgroup, or none that we know
        return
