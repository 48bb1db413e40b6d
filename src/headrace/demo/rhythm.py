"""When people shop: the hours of a day, the days of a week."""

from __future__ import annotations

import datetime as dt
from bisect import bisect
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

# From 0:00 UTC on: nearly nobody at four in the morning, a hump at lunch, most people in the evening.
HOURS = (9, 5, 3, 2, 2, 4, 10, 20, 32, 40, 44, 48, 56, 52, 46, 44, 46, 54, 68, 84, 96, 90, 58, 26)
WEEKDAYS = (0.92, 0.90, 0.94, 0.98, 1.04, 1.22, 1.30)  # from Monday on

HOUR_MS = 3_600_000
LAST_START_MS = HOUR_MS // 4  # within the last hour: a session that starts later would end on the next day


class Rhythm:
    """Draws instants from some days, more of them where people shop more."""

    def __init__(self, first_day: dt.date, days: int) -> None:
        midnight = dt.datetime.combine(first_day, dt.time(), dt.UTC)
        self._start_ms = int(midnight.timestamp()) * 1000
        weights = (
            hour * WEEKDAYS[(first_day + dt.timedelta(days=day)).weekday()] for day in range(days) for hour in HOURS
        )
        self._upto = list(accumulate(weights))

    def draw(self, rng: Random) -> int:
        """Return an instant in milliseconds since 1970."""
        slot = bisect(self._upto, rng.random() * self._upto[-1])
        width = LAST_START_MS if slot % 24 == 23 else HOUR_MS
        return self._start_ms + slot * HOUR_MS + int(rng.random() * width)
