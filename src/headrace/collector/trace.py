"""Correlation: the trace and the request that an event belongs to, from the client's header or made here."""

from __future__ import annotations

import random
import re

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[\x21-\x7e]*)?")
_REQUEST = re.compile(r"[A-Za-z0-9._:/=+-]{1,128}")

_random = random.Random()  # noqa: S311 - seeded by the system; an id, not a secret


def traceparent(given: str | None) -> str:
    """Return the client's W3C `traceparent`, or one that starts a trace where it sent none that is well-formed."""
    if given is not None and len(given) <= 128 and _PARENT.fullmatch(given):
        return given
    return f"00-{_random.getrandbits(128) | 1:032x}-{_random.getrandbits(64) | 1:016x}-00"


def request_id(given: str | None) -> str:
    """Return the client's `X-Request-Id`, or one made here where it sent none that is fit to be logged."""
    if given is not None and _REQUEST.fullmatch(given):
        return given
    return f"{_random.getrandbits(64):016x}"
