"""What goes wrong in a real stream: each kind of broken message, how often it is sent, and how it must be refused.

A defect spoils an event that was about to be sent, so the event itself is missing until somebody repairs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

Event = dict[str, Any]


class Defect(NamedTuple):
    """One kind of broken message: the share of a source's messages that have it, and the verdict that it must get."""

    name: str
    share: float
    stage: str
    code: str
    spoil: Callable[[Event], bytes]


def _truncated(event: Event) -> bytes:
    whole = orjson.dumps(event)
    return whole[: len(whole) * 3 // 5]


def _with(field: str, value: Any) -> Callable[[Event], bytes]:
    return lambda event: orjson.dumps({**event, field: value})


def _without(field: str) -> Callable[[Event], bytes]:
    return lambda event: orjson.dumps({name: value for name, value in event.items() if name != field})


TRUNCATED = Defect("truncated", 0.002, "decode", "invalid_json", _truncated)
NO_USER = Defect("no_user", 0.0, "quality", "not_null", orjson.dumps)
"""The clicks of one session that no user is known for: not drawn, sent once."""

DEFECTS: dict[str, tuple[Defect, ...]] = {
    "clickstream": (
        TRUNCATED,
        Defect("wrong_type", 0.002, "contract", "type", lambda event: _with("device", event["device"]["type"])(event)),
        Defect("invalid_enum", 0.003, "contract", "enum", _with("event_type", "pageview")),
        Defect("missing_field", 0.001, "contract", "required", _without("session_id")),
        Defect("clock_ahead", 0.001, "late", "too_early", _with("event_timestamp", "2099-01-01T00:00:00.000Z")),
    ),
    "transactions": (
        TRUNCATED,
        Defect("wrong_type", 0.008, "contract", "type", _with("total_amount", "n/a")),
        Defect("invalid_enum", 0.008, "contract", "enum", _with("status", "COMPLETE")),
        Defect("unknown_field", 0.008, "contract", "additionalProperties", _with("loyalty_points", 120)),
        Defect(
            "wrong_total",
            0.008,
            "quality",
            "expression",
            lambda event: _with("total_amount", round(event["total_amount"] + 10, 2))(event),
        ),
    ),
    "customer_support": (
        TRUNCATED,
        Defect("invalid_enum", 0.02, "contract", "enum", _with("priority", "urgent!!")),
    ),
    "customer_profiles": (
        TRUNCATED,
        Defect("invalid_email", 0.01, "quality", "valid_email", _with("email", "not an address")),
    ),
}

DRIFT_SHARE = 0.01
"""The share of clicks of an app that sends a field which the contract does not have: accepted, and kept in `_extra`."""


def drawn(source: str, rng: Random) -> Defect | None:
    """Return the defect that a message has; mostly none."""
    left = rng.random()
    for defect in DEFECTS[source]:
        left -= defect.share
        if left < 0:
            return defect
    return None
