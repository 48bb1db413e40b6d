"""When an event happened: every form that a contract may hold it in."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from headrace import words
from headrace.stages.event_time import EventTime, check_event_time

INGEST = datetime(2024, 6, 1, 12, tzinfo=UTC)


def batch(values: pa.Array, name: str = "at") -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            name: values,
            words.ROW: pa.array(range(10, 10 + len(values)), pa.int32()),
            words.INGEST_TIME: pa.array([INGEST] * len(values), pa.timestamp("us", "UTC")),
        }
    )


def times(values: pa.Array, timezone: str = "UTC") -> list[str]:
    outcome = EventTime("at", timezone)(batch(values))
    assert outcome.kept.schema.field(words.EVENT_TIME).type == pa.timestamp("us", "UTC")
    found = {row[words.ROW]: row[words.EVENT_TIME].isoformat() for row in outcome.kept.to_pylist()}
    found |= {row["row"]: row["code"] for row in outcome.rejected.to_pylist()}
    assert len(found) == len(values) == len(outcome.kept) + len(outcome.rejected)
    return [found[row] for row in sorted(found)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-02-29T10:20:30Z", "2024-02-29T10:20:30+00:00"),
        ("2024-02-29t10:20:30z", "2024-02-29T10:20:30+00:00"),
        ("2024-02-29 10:20:30.5+02:00", "2024-02-29T08:20:30.500000+00:00"),
        ("2024-02-29T10:20:30,123456789-0130", "2024-02-29T11:50:30.123456+00:00"),
        ("2024-02-29T10:20:30+05", "2024-02-29T05:20:30+00:00"),
        (" 2024-02-29T10:20Z ", "2024-02-29T10:20:00+00:00"),
        ("2024-02-29", "2024-02-29T00:00:00+00:00"),
        ("2024-02-29T10:20:30", "2024-02-29T10:20:30+00:00"),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999+00:00"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999+00:00"),
        ("0001-01-01T00:00:00+01:00", "event_time_unparseable"),
        ("9999-12-31T23:59:59-01:00", "event_time_unparseable"),
        ("2023-02-29T10:20:30Z", "event_time_unparseable"),
        ("2024-02-29T25:20:30Z", "event_time_unparseable"),
        ("2024-02-29T10:20:30+99:00", "event_time_unparseable"),
        ("yesterday", "event_time_unparseable"),
        ("now", "event_time_unparseable"),
        ("epoch", "event_time_unparseable"),
        ("infinity", "event_time_unparseable"),
        ("", "event_time_unparseable"),
        ("1700000000", "event_time_unparseable"),
        ("2024-02-29T10:20:30Z; drop", "event_time_unparseable"),
        (None, "event_time_missing"),
    ],
)
def test_texts(text: str | None, expected: str):
    assert times(pa.array([text], pa.string())) == [expected]
    # The same beside a row that only the slow reader takes: the answer may not depend on the neighbours.
    assert times(pa.array([text, "nonsense"], pa.string()))[0] == expected


def test_wall_clocks_at_changes_of_the_clock():
    walls = ["2024-03-10T01:59:59", "2024-03-10T02:30:00", "2024-03-10T03:00:00", "2024-11-03T01:30:00", "2024-07-01"]
    expected = [
        "2024-03-10T06:59:59+00:00",
        "2024-03-10T07:30:00+00:00",  # skipped: the offset from before
        "2024-03-10T07:00:00+00:00",
        "2024-11-03T06:30:00+00:00",  # twice: the second
        "2024-07-01T04:00:00+00:00",
    ]
    assert times(pa.array(walls), "America/New_York") == expected
    naive = pa.array([datetime.fromisoformat(wall) for wall in walls], pa.timestamp("us"))
    assert times(naive, "America/New_York") == expected


def test_dates_are_midnight_where_they_were_written():
    assert times(pa.array([date(2024, 7, 1)]), "Europe/Berlin") == ["2024-06-30T22:00:00+00:00"]
    assert times(pa.array([date(2024, 7, 1)])) == ["2024-07-01T00:00:00+00:00"]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_instants_of_any_unit(unit: str):
    values = pa.array([1_700_000_000], pa.int64()).cast(pa.timestamp("s", "Europe/Berlin"))
    assert times(values.cast(pa.timestamp(unit, "Europe/Berlin"))) == ["2023-11-14T22:13:20+00:00"]


@pytest.mark.parametrize(
    ("number", "kind", "expected"),
    [
        (1_700_000_000, pa.int64(), "2023-11-14T22:13:20+00:00"),
        (1_700_000_000_123, pa.int64(), "2023-11-14T22:13:20.123000+00:00"),
        (1_700_000_000_123_456, pa.int64(), "2023-11-14T22:13:20.123456+00:00"),
        (1_700_000_000_123_456_789, pa.int64(), "2023-11-14T22:13:20.123456+00:00"),
        (-1, pa.int64(), "1969-12-31T23:59:59+00:00"),
        (-(2**63), pa.int64(), "1677-09-21T00:12:43.145224+00:00"),
        (2**64 - 1, pa.uint64(), "event_time_unparseable"),
        (1_700_000_000.25, pa.float64(), "2023-11-14T22:13:20.250000+00:00"),
        (1_700_000_000_123.5, pa.float64(), "2023-11-14T22:13:20.123500+00:00"),
        (float("nan"), pa.float64(), "event_time_unparseable"),
        (float("inf"), pa.float64(), "event_time_unparseable"),
        (1e300, pa.float64(), "event_time_unparseable"),
        (Decimal("1700000000.123456"), pa.decimal128(38, 9), "2023-11-14T22:13:20.123456+00:00"),
        (True, pa.bool_(), "event_time_unparseable"),
    ],
)
def test_numbers(number: object, kind: pa.DataType, expected: str):
    assert times(pa.array([number], kind)) == [expected]


def test_a_path_into_structs():
    values = pa.array([{"at": "2024-01-01T00:00:00Z"}, {"at": None}, None, {"at": "x"}])
    outcome = EventTime("meta.at", "UTC")(batch(values, "meta"))
    assert [row[words.ROW] for row in outcome.kept.to_pylist()] == [10]
    assert outcome.rejected.to_pylist() == [
        {**_rejection(11, "missing"), "reason": "meta.at has no value, and it is the event time"},
        {**_rejection(12, "missing"), "reason": "meta.at has no value, and it is the event time"},
        {**_rejection(13, "unparseable"), "reason": "meta.at cannot be read as a time", "value": '"x"'},
    ]


def _rejection(row: int, code: str) -> dict[str, object]:
    return {"row": row, "stage": "contract", "code": f"event_time_{code}", "path": "$.meta.at", "value": None}


def test_ingest_time_stands_in():
    kept, rejected, warned = EventTime(None, "UTC")(batch(pa.array(["x", None])))
    assert kept.column(words.EVENT_TIME).to_pylist() == [INGEST, INGEST]
    assert len(rejected) == len(warned) == 0


@pytest.mark.parametrize("kind", [pa.string(), pa.int64(), pa.float64(), pa.date32(), pa.timestamp("us")])
def test_an_empty_batch_has_the_same_columns(kind: pa.DataType):
    stage = EventTime("at", "Europe/Berlin")
    some = stage(batch(pa.nulls(2, kind)))
    none = stage(batch(pa.array([], kind)))
    assert none.kept.schema == some.kept.schema
    assert some.rejected.schema == none.rejected.schema == words.rejection_schema()


@pytest.mark.parametrize(
    ("column", "timezone", "message", "fix"),
    [
        ("att", "UTC", "no field 'att'", "did you mean 'at'"),
        ("at", "Europe/Berln", "not a time zone", "Europe/Berlin"),
        ("tags[]", "UTC", "elements of a list", "single field"),
        ("flag", "UTC", "gives no time", "timestamp"),
        ("meta.when", "UTC", "meta has no field 'when'", "at"),
    ],
)
def test_mistakes_are_found_at_load(column: str, timezone: str, message: str, fix: str):
    schema = pa.schema(
        {
            "at": pa.string(),
            "tags": pa.list_(pa.string()),
            "flag": pa.bool_(),
            "meta": pa.struct({"at": pa.int64()}),
        }
    )
    fault = check_event_time(column, timezone, schema)
    assert fault is not None
    assert message in fault[0]
    assert fix in fault[1]
    assert check_event_time("meta.at", "Europe/Berlin", schema) is None
    assert check_event_time(None, "UTC", schema) is None
