"""Durations as people write them: `7d`, `90m`, `1h30m`, `60s`, `500ms`; a bare number is seconds."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_MICROSECONDS = {
    "w": 604_800_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
}
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(ms|w|d|h|m|s)\s*")
_LONGEST = timedelta(days=36_500)
_PATTERN = r"^\s*(\d{1,9}(\.\d{1,6})?\s*(ms|w|d|h|m|s)\s*)+$"


def parse_duration(value: object) -> timedelta:
    """Return the duration that a text such as `7d` or a number of seconds stands for.

    Raises:
        ValueError: The value is no duration, is negative, or is longer than a hundred years.
    """
    match value:
        case timedelta():
            duration = value
        case bool():
            raise ValueError(_wrong(value))
        case int() | float():
            if not (math.isfinite(value) and abs(value) <= _LONGEST.total_seconds()):
                raise ValueError(_wrong(value))
            duration = timedelta(seconds=value)
        case str() if len(value) <= 64 and re.fullmatch(_PATTERN, value):
            parts = _PART.findall(value)
            duration = timedelta(microseconds=sum(float(number) * _MICROSECONDS[unit] for number, unit in parts))
        case _:
            raise ValueError(_wrong(value))
    if not timedelta() <= duration <= _LONGEST:
        raise ValueError(_wrong(value))
    return duration


def format_duration(duration: timedelta) -> str:
    """Return the shortest text that `parse_duration` reads back as the same duration, such as `1d12h`."""
    rest = duration // timedelta(microseconds=1)
    text = ""
    for unit in ("d", "h", "m", "s"):
        number, rest = divmod(rest, _MICROSECONDS[unit])
        text += f"{number}{unit}" if number else ""
    if rest:
        text += f"{rest / 1_000:.3f}".rstrip("0").rstrip(".") + "ms"
    return text or "0s"


def _wrong(value: object) -> str:
    return f"{str(value)[:64]!r} is not a duration: write such as 7d, 12h, 90m, 60s, or a number of seconds"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": _PATTERN}, {"type": "number", "minimum": 0}],
            "examples": ["7d", "90m", "60s"],
        }
    ),
]
"""A field of a Spec: a timedelta, written as text with units or as a number of seconds."""
