"""Late: what to do with an event whose time lies far before, or after, the time it was ingested."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from headrace.durations import Duration
from headrace.spec import Spec


class LateSpec(Spec):
    """When an event counts as too late or too early, and what becomes of it.

    Lateness is ingest time minus event time, both recorded, so that a rebuild decides the same. An event exactly at the
    edge of a window is inside it.
    """

    window: Duration | None = Field(
        default=timedelta(days=7),
        description="How long after its event time an event may arrive; without one, no event is too late.",
        examples=["7d"],
    )
    too_late: Literal["accept", "quarantine"] = Field(
        default="accept",
        description="What happens past the window: accept merges at any age, quarantine sets the event aside.",
    )
    future_window: Duration | None = Field(
        default=timedelta(hours=1),
        description="How far an event time may lie ahead of ingestion (clocks differ); without one, any.",
        examples=["1h"],
    )
    too_early: Literal["accept", "quarantine"] = Field(
        default="accept",
        description="What happens to an event from further in the future than future_window.",
    )
