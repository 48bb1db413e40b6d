"""When the lake's upkeep has its slots, and how long these may keep a commit that waits."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from headrace.lake.maintenance import TASKS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Set
    from concurrent.futures import Executor, Future

    from headrace.lake.base import Pace
    from headrace.lake.ducklake import DuckLake

EVERY_SECS = 30.0
BUDGET_SECS = 0.5
AGAIN_SECS = 3.0  # where a slot was too short: a tenth of the writer's time, or a little more
EASE_SECS = 5.0  # with no commit: then nobody minds what takes a second or two
WHOLE_SECS = 600.0  # the longest that upkeep leaves out what takes long, for those who wait
WHOLE_SHARE = 0.1  # of the writer's time for what takes long, where it is left out for so long and is not done


class Upkeep:
    """Gives slots of the writer's thread to upkeep.

    While commits come one after the other, what takes long is left for a slot after the last; not for ever. What a slot
    has no time for is gone on with soon.
    """

    def __init__(
        self,
        lake: DuckLake,
        writer: Executor,
        keep: Callable[[], Set[int]],
        forget: Callable[[DuckLake], None] | None,
        every_secs: float | None,
    ) -> None:
        """Keep the snapshots that `keep` names, and let go of what `forget` does; without `every_secs`, when asked."""
        self._lake = lake
        self._writer = writer
        self._keep = keep
        self._forget = forget
        self._every_secs = math.inf if every_secs is None else every_secs
        now = time.monotonic()
        self._next_at = now + self._every_secs
        self._ease_at = now
        self._whole_at = now + WHOLE_SECS

    def due(self, now: float) -> Set[str]:
        """Return what a slot is due for, once: all of it, or what was asked for and is not done; nothing if none is."""
        if now < self._next_at:
            return frozenset()
        self._next_at = now + self._every_secs
        return TASKS if self._every_secs < math.inf else frozenset({"compaction"})

    def committed(self) -> None:
        """Note that there was a commit now: the next may be due soon."""
        self._ease_at = time.monotonic() + EASE_SECS

    def slot(self, tasks: Set[str], *, is_busy: bool) -> Future[Mapping[str, int]]:
        """Let the writer do tasks when it is free; `is_busy`: batches are on their way. Any thread may ask."""
        now = time.monotonic()
        at_ease = not is_busy and now >= self._ease_at
        pace: Pace = "at ease" if at_ease else "overdue" if now >= self._whole_at else "busy"
        slot = self._writer.submit(self._maintain, tasks, pace)
        slot.add_done_callback(self._go_on_soon)
        return slot

    def _go_on_soon(self, slot: Future[Mapping[str, int]]) -> None:
        if not slot.cancelled() and slot.exception() is None and slot.result()["unfinished"]:
            self._next_at = min(self._next_at, time.monotonic() + AGAIN_SECS)

    def _maintain(self, tasks: Set[str], pace: Pace) -> Mapping[str, int]:
        if self._forget is not None and "expiry" in tasks:
            self._forget(self._lake)
        began = time.monotonic()
        is_overdue = began >= self._whole_at
        done = self._lake.maintain(self._keep, BUDGET_SECS, tasks, pace)
        if pace != "busy" and "compaction" in tasks:
            pause = WHOLE_SECS
            if done["unfinished"] and is_overdue:  # a load that leaves no gap: one such slot is never enough
                pause = (time.monotonic() - began) / WHOLE_SHARE
            self._whole_at = time.monotonic() + pause
        return done
