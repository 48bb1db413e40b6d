"""Late: what to do with an event whose time lies far before, or after, the time it was ingested."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from headrace import words
from headrace.durations import Duration, format_duration
from headrace.spec import Spec
from headrace.stages.base import Outcome
from headrace.stages.rejections import in_row_order, none_rejected, rejections

_NAIVE = pa.timestamp("us")  # UTC without its name: no time zone database is needed to compute or print it


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


@dataclass(frozen=True)
class Late:
    """The stage: sets aside, or lets by, what came outside of its windows. Rows without an event time stay."""

    spec: LateSpec

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        """Take a batch with INGEST_TIME and EVENT_TIME; the columns stay as they are."""
        event, ingest = (batch.column(name).cast(_NAIVE) for name in (words.EVENT_TIME, words.INGEST_TIME))
        spec = self.spec
        stays = pa.repeat(True, len(batch))
        parts = []
        if spec.too_late == "quarantine" and spec.window is not None:
            # The window is taken from the ingest time, which is near now; lateness itself could overflow.
            late = pc.fill_null(pc.less(event, pc.subtract(ingest, _duration(spec.window))), False)
            stays = pc.and_not(stays, late)
            if pc.any(late).as_py():
                parts.append(_reject(batch, late, event, "too_late", "before", spec.window))
        if spec.too_early == "quarantine" and spec.future_window is not None:
            early = pc.fill_null(pc.greater(event, pc.add(ingest, _duration(spec.future_window))), False)
            stays = pc.and_not(stays, early)
            if pc.any(early).as_py():
                parts.append(_reject(batch, early, event, "too_early", "after", spec.future_window))
        if not parts:
            return Outcome(batch, none_rejected(), none_rejected())
        return Outcome(batch.filter(stays), in_row_order(parts), none_rejected())


def _reject(
    batch: pa.RecordBatch, mask: pa.Array, event: pa.Array, code: str, side: str, window: timedelta
) -> pa.RecordBatch:
    value = _text(event.filter(mask))
    reason = pc.binary_join_element_wise(
        "the event time",
        value,
        f"lies more than {format_duration(window)} {side} the ingest time",
        _text(batch.column(words.INGEST_TIME).cast(_NAIVE).filter(mask)),
        " ",
    )
    rows = batch.column(words.ROW).filter(mask)
    quoted = pc.binary_join_element_wise('"', value, '"', "")
    return rejections(rows, stage="late", code=code, reason=reason, value=quoted)


def _text(times: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(pc.replace_substring(times.cast(pa.string()), " ", "T"), "Z", "")


def _duration(window: timedelta) -> pa.Scalar:
    return pa.scalar(window, pa.duration("us"))
