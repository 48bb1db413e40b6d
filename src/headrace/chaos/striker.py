"""The striker: what passes fault points in a life, counts them for all lives, and strikes where it was told to."""

from __future__ import annotations

import errno
import mmap
import os
import signal
import struct
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from headrace import fault_points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from headrace.chaos.schedule import Fault

_CELL = struct.Struct("Q")


class Passed:
    """How often each point was passed, in memory that children share with us: it outlives them."""

    def __init__(self) -> None:
        self._cells = mmap.mmap(-1, _CELL.size * len(fault_points.POINTS))
        self._place = {point: at * _CELL.size for at, point in enumerate(fault_points.POINTS)}

    def add(self, point: str) -> None:
        """Count one passing. Two processes that do so at once may count one: it is told, not decided by."""
        at = self._place[point]
        _CELL.pack_into(self._cells, at, _CELL.unpack_from(self._cells, at)[0] + 1)

    def counts(self) -> Counter[str]:
        """Return the points that were passed, with how often."""
        counts = Counter({point: _CELL.unpack_from(self._cells, at)[0] for point, at in self._place.items()})
        return +counts


class Striker:
    """Watches the points of this process, from all its threads, until it ends."""

    def __init__(self, faults: Iterable[Fault], passed: Passed, say: Callable[..., None]) -> None:
        self._faults = {(fault.point, fault.nth): fault for fault in faults}
        self._passed = passed
        self._mine: Counter[str] = Counter()
        self._say = say
        self._lock = threading.Lock()

    def watch(self) -> None:
        """Begin."""
        fault_points.watch(self)

    def __call__(self, point: str) -> None:
        """Pass a point."""
        with self._lock:
            self._mine[point] += 1
            self._passed.add(point)
            fault = self._faults.get((point, self._mine[point]))
            if fault is None:
                return
            self._say(struck=f"{fault.strike} {point} #{fault.nth}")
            if fault.strike == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
                threading.Event().wait()
        if fault.strike == "full":
            raise OSError(errno.ENOSPC, "No space left on device")
        time.sleep(fault.secs)
