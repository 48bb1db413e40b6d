"""When something is due: a cron expression in a zone, or an interval.

A schedule is a set of instants, its *slots*, the same for everyone who asks: it has no memory and no clock. An
interval has its slots at its multiples since 1970, UTC. Cron has them where the clocks on the wall of its zone say so:
what falls into the hour that summer time skips is due when that hour is skipped, and what falls into the hour that
comes twice is due the first time. Where minute or hour start with `*`, it is elapsed time that counts, as in Debian.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from headrace.durations import parse_duration

SHORTEST = dt.timedelta(seconds=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LOOKS_BACK = (1, 60, 3_600, 86_400, 31 * 86_400, 366 * 86_400)  # seconds; further back only where nothing is found


@dataclass(frozen=True, slots=True)
class Schedule:
    """The slots that a text stands for; `zone` is an IANA name. `parse_schedule` makes sure that it can be read."""

    text: str
    zone: str = "UTC"

    def following(self, after: dt.datetime) -> dt.datetime | None:
        """Return the first slot after an instant, in UTC; None where there is none for fifty years."""
        every = _interval(self.text)
        if every is not None:
            return _EPOCH + ((after - _EPOCH) // every + 1) * every
        from zoneinfo import ZoneInfo

        from cronsim import CronSim

        # Local time alone does not tell the second pass of an hour from its first: slots that lie behind are passed.
        slots = CronSim(self.text, after.astimezone(ZoneInfo(self.zone)))
        return next((slot for each in slots if (slot := each.astimezone(dt.UTC)) > after), None)

    def latest(self, upto: dt.datetime, after: dt.datetime) -> dt.datetime | None:
        """Return the last slot that is later than `after` and not later than `upto`; None where there is none."""
        every = _interval(self.text)
        if every is not None:
            slot = _EPOCH + (upto - _EPOCH) // every * every
            return slot if slot > after else None
        for seconds in _LOOKS_BACK:
            start = max(after, upto - dt.timedelta(seconds=seconds))
            found = self._last_between(start, upto)
            if found is not None or start == after:
                return found
        return self._last_between(after, upto)

    def count(self, upto: dt.datetime, after: dt.datetime, most: int = 1_000) -> int:
        """Return how many slots are later than `after` and not later than `upto`; counting ends at `most`."""
        every = _interval(self.text)
        if every is not None:
            return max(0, min(most, (upto - _EPOCH) // every - (after - _EPOCH) // every))
        counted, slot = 0, self.following(after)
        while counted < most and slot is not None and slot <= upto:
            counted, slot = counted + 1, self.following(slot)
        return counted

    def _last_between(self, after: dt.datetime, upto: dt.datetime) -> dt.datetime | None:
        last, slot = None, self.following(after)
        while slot is not None and slot <= upto:
            last, slot = slot, self.following(slot)
        return last


def parse_schedule(text: str) -> str:
    """Return the text of a schedule as it is written, or raise `ValueError` that says what to write."""
    advice = "write five fields, such as '0 3 * * *' for 3 AM daily, or how often, such as 30s or 5m"
    if len(text.split()) >= 5:
        from cronsim import CronSim, CronSimError

        try:
            CronSim(text, _EPOCH)
        except CronSimError as error:
            raise ValueError(f"{text!r} is not a schedule ({error}): {advice}") from None
        return text
    try:
        every = parse_duration(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a schedule: {advice}") from None
    if every < SHORTEST:
        raise ValueError(f"{text!r} is too often: give 1s or more")
    return text


def _interval(text: str) -> dt.timedelta | None:
    return None if len(text.split()) >= 5 else parse_duration(text)


ScheduleText = Annotated[str, AfterValidator(parse_schedule)]
"""A field of a Spec: cron with five fields, or a duration."""
