"""Too late, too early, and exactly at the edge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from pydantic import ValidationError

from headrace import words
from headrace.durations import format_duration, parse_duration
from headrace.stages.late import Late, LateSpec

INGEST = datetime(2024, 6, 10, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def batch(lateness: list[timedelta | None]) -> pa.RecordBatch:
    instant = pa.timestamp("us", "UTC")
    return pa.RecordBatch.from_pydict(
        {
            "id": pa.array(range(len(lateness)), pa.int64()),
            words.ROW: pa.array(range(len(lateness)), pa.int32()),
            words.INGEST_TIME: pa.array([INGEST] * len(lateness), instant),
            words.EVENT_TIME: pa.array([None if late is None else INGEST - late for late in lateness], instant),
        }
    )


WEEK, HOUR = timedelta(days=7), timedelta(hours=1)
EDGES = [WEEK, WEEK + TICK, timedelta(), -HOUR, -HOUR - TICK, None, timedelta(days=100_000), timedelta(days=-100_000)]


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        ({}, {}),
        ({"too_late": "quarantine"}, {1: "too_late", 6: "too_late"}),
        ({"too_early": "quarantine"}, {4: "too_early", 7: "too_early"}),
        (
            {"too_late": "quarantine", "too_early": "quarantine"},
            {1: "too_late", 4: "too_early", 6: "too_late", 7: "too_early"},
        ),
        ({"window": None, "too_late": "quarantine"}, {}),
        ({"future_window": "1d", "too_early": "quarantine"}, {7: "too_early"}),
        ({"window": "0s", "too_late": "quarantine"}, {0: "too_late", 1: "too_late", 6: "too_late"}),
    ],
)
def test_windows(options: dict[str, str], codes: dict[int, str]):
    came = batch(EDGES)
    kept, rejected, warned = Late(LateSpec.model_validate(options))(came)
    assert {row["row"]: row["code"] for row in rejected.to_pylist()} == codes
    assert rejected.column("row").to_pylist() == sorted(codes)
    assert kept.column("id").to_pylist() == [i for i in range(len(EDGES)) if i not in codes]
    assert kept.schema == came.schema
    assert len(warned) == 0
    assert {row["stage"] for row in rejected.to_pylist()} <= {"late"}


def test_the_reason_says_what_lies_where():
    rejected = Late(LateSpec(window="90m", too_late="quarantine"))(batch([timedelta(hours=2)])).rejected
    assert rejected.to_pylist() == [
        {
            "row": 0,
            "stage": "late",
            "code": "too_late",
            "reason": "the event time 2024-06-10T10:00:00.000000Z lies more than 1h30m before the ingest time "
            "2024-06-10T12:00:00.000000Z",
            "path": None,
            "value": '"2024-06-10T10:00:00.000000Z"',
        }
    ]


def test_an_empty_batch_has_the_same_columns():
    kept, rejected, warned = Late(LateSpec(too_late="quarantine"))(batch([]))
    assert kept.schema == batch([WEEK]).schema
    assert rejected.schema == warned.schema == words.rejection_schema()


@pytest.mark.parametrize(
    ("written", "seconds", "again"),
    [
        ("7d", 604_800, "7d"),
        ("90m", 5_400, "1h30m"),
        ("1h 30m", 5_400, "1h30m"),
        ("60s", 60, "1m"),
        ("1.5h", 5_400, "1h30m"),
        ("500ms", 0.5, "500ms"),
        ("2w", 1_209_600, "14d"),
        (45, 45, "45s"),
        (0.25, 0.25, "250ms"),
        (0, 0, "0s"),
    ],
)
def test_durations(written: object, seconds: float, again: str):
    duration = parse_duration(written)
    assert duration.total_seconds() == seconds
    assert format_duration(duration) == again
    assert parse_duration(again) == duration


@pytest.mark.parametrize(
    "wrong", ["7", "7 days ago", "-7d", -1, True, "", "d", None, [], float("nan"), 1e300, "9" * 99]
)
def test_no_durations(wrong: object):
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(wrong)


def test_a_spec_refuses_what_it_does_not_know():
    with pytest.raises(ValidationError):
        LateSpec.model_validate({"windw": "7d"})
    with pytest.raises(ValidationError):
        LateSpec.model_validate({"too_late": "drop"})
    assert LateSpec.model_validate({"window": "36h"}).model_dump(mode="json")["window"] == "1d12h"
