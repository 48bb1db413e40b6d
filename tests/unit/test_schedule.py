"""Slots: cron by the clocks of a zone, with the hours that summer time skips and repeats; intervals by elapsed time."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schedule import Schedule, parse_schedule

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text):
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def slots(text, zone, start, end):
    schedule, found, at = Schedule(text, zone), [], utc(start)
    while (at := schedule.following(at)) is not None and at <= utc(end):
        found.append(at.strftime("%d %H:%M"))
    return found


def test_cron_is_by_the_clocks_of_its_zone():
    assert slots("0 3 * * *", "Europe/Berlin", "2026-07-01", "2026-07-03") == ["01 01:00", "02 01:00"]
    assert slots("0 3 * * *", "UTC", "2026-07-01", "2026-07-03") == ["01 03:00", "02 03:00"]
    assert slots("30 9 * * MON-FRI", "Asia/Kolkata", "2026-07-03", "2026-07-07") == ["03 04:00", "06 04:00"]


def test_what_falls_into_the_hour_that_is_skipped_is_due_once_when_it_is():
    # Berlin, 29 March 2026: 02:00 becomes 03:00, at 01:00 UTC.
    assert slots("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", "2026-03-30T12:00") == ["29 01:00", "30 00:30"]
    assert slots("0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", "2026-03-29T12:00") == ["29 01:00"]
    assert slots("30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00", "2026-03-29T12:00") == ["29 01:00", "29 01:30"]


def test_what_falls_into_the_hour_that_comes_twice_is_due_once():
    # Berlin, 25 October 2026: 03:00 becomes 02:00, at 01:00 UTC.
    assert slots("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", "2026-10-26T12:00") == ["25 00:30", "26 01:30"]
    # Asked between the two passes of the clock, the next is tomorrow's.
    assert Schedule("30 2 * * *", "Europe/Berlin").following(utc("2026-10-25T01:10")) == utc("2026-10-26T01:30")


def test_fields_with_a_star_count_elapsed_time():
    assert len(slots("*/15 * * * *", "Europe/Berlin", "2026-10-24T22:00", "2026-10-25T23:00")) == 25 * 4
    assert len(slots("*/15 * * * *", "Europe/Berlin", "2026-03-28T23:00", "2026-03-29T22:00")) == 23 * 4


def test_an_interval_has_its_slots_at_its_multiples():
    every = Schedule("90s", "Europe/Berlin")
    assert every.following(utc("2026-01-01T00:00:00")) == utc("2026-01-01T00:01:30")
    assert every.following(utc("2026-01-01T00:01:30")) == utc("2026-01-01T00:03:00")
    assert every.latest(utc("2026-01-01T00:02:59"), utc("2026-01-01T00:00:00")) == utc("2026-01-01T00:01:30")
    assert every.latest(utc("2026-01-01T00:01:29"), utc("2026-01-01T00:00:00")) is None
    assert every.count(utc("2027-01-01"), utc("2026-01-01")) == 1_000


def test_a_schedule_may_come_late():
    assert Schedule("0 0 * 2 MON#5", "UTC").following(utc("2026-01-01")) == utc("2044-02-29")


@pytest.mark.parametrize("text", ["* * * * *", "0 3 * * *", "*/5 8-18 * * MON-FRI", "30s", "1h30m", "0 0 L * *"])
def test_what_can_be_read(text):
    assert parse_schedule(text) == text


@pytest.mark.parametrize("text", ["", "hourly", "61 * * * *", "* * * *", "0 0 30 2 *", "0s", "-5m", "500ms"])
def test_what_cannot_says_what_to_write(text):
    with pytest.raises(ValueError, match=r"write five fields, such as|give 1s or more"):
        parse_schedule(text)


TEXTS = st.sampled_from(
    ["* * * * *", "*/7 * * * *", "0 * * * *", "30 2 * * *", "0,30 1-3 * * *", "15 2 * * SUN", "0 0 1 * *", "45s", "7m"]
)
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca"]
)
INSTANTS = st.integers(0, 365 * 86_400).map(lambda each: utc("2026-01-01") + dt.timedelta(seconds=each))


@given(TEXTS, ZONES, INSTANTS, st.timedeltas(dt.timedelta(), dt.timedelta(hours=36)))
def test_the_latest_slot_is_the_last_of_those_that_follow(text, zone, start, length):
    schedule, end = Schedule(text, zone), start + length
    found, at = [], start
    while (at := schedule.following(at)) is not None and at <= end:
        found.append(at)
    assert found == sorted(set(found))
    assert all(start < each <= end for each in found)
    assert schedule.latest(end, start) == (found[-1] if found else None)
    assert schedule.count(end, start, most=10_000) == len(found)


@given(TEXTS, ZONES, INSTANTS, INSTANTS)
def test_slots_do_not_depend_on_who_asks_from_where(text, zone, one, other):
    schedule = Schedule(text, zone)
    early, late = sorted((one, other))
    slot = schedule.following(early)
    if slot is not None and slot > late:
        assert schedule.following(late) == slot
    assert schedule.latest(late, dt.datetime(2020, 1, 1, tzinfo=dt.UTC)) == schedule.latest(
        late, dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    )


@given(ZONES.filter(lambda zone: zone != "UTC"), st.dates(dt.date(2026, 1, 1), dt.date(2026, 12, 31)))
def test_a_daily_job_runs_once_on_every_day_of_every_zone(zone, day):
    here = ZoneInfo(zone)
    start = dt.datetime.combine(day, dt.time(), here).astimezone(dt.UTC)
    end = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), here).astimezone(dt.UTC)
    microsecond = dt.timedelta(microseconds=1)
    assert Schedule("30 2 * * *", zone).count(end - microsecond, start - microsecond) == 1
