"""What is due: a slot once and for ever once, missed slots as one run, no overlap, retries that end."""

from __future__ import annotations

import datetime as dt
import threading
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.config.jobs import BUILT_IN, Job, JobsSpec, building_every, jobs_of
from headrace.errors import LakeError
from headrace.runtime.jobs.history import RUNS_KEPT, JobHistory
from headrace.runtime.jobs.scheduler import Jobs, Outcome
from headrace.runtime.jobs.slots import Past, due, jitter, next_run, pause
from headrace.schedule import Schedule

START = dt.datetime(2026, 3, 28, 12, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


def job(schedule="*/5 * * * *", zone="UTC", retries=0, late=dt.timedelta(), name="build"):
    return Job(name, None if schedule is None else Schedule(schedule, zone), dt.timedelta(minutes=1), retries, late)


def decided(now, one, past):
    return due(now, {one.name: one}, {} if past is None else {one.name: past})


def test_a_job_that_is_new_has_no_past_to_make_up_for():
    one = job()
    assert decided(START, one, None) == []
    assert decided(START + 4 * MINUTE, one, Past(START)) == []
    (run,) = decided(START + 5 * MINUTE, one, Past(START))
    assert (run.slot, run.attempt, run.missed) == (START + 5 * MINUTE, 1, 0)


def test_a_slot_that_was_taken_is_not_due_again():
    past = Past(START, START + 5 * MINUTE, 1, "ok", START + 5 * MINUTE)
    assert decided(START + 9 * MINUTE, job(), past) == []
    assert decided(START + 10 * MINUTE, job(), past)[0].slot == START + 10 * MINUTE


def test_what_was_missed_is_one_run_that_says_so():
    past = Past(START, START + 5 * MINUTE, 1, "ok", START + 5 * MINUTE)
    (run,) = decided(START + 10 * 60 * MINUTE, job(), past)
    assert (run.slot, run.missed) == (START + 600 * MINUTE, 118)


def test_while_it_runs_nothing_starts_and_the_slots_wait():
    running = Past(START, START + 5 * MINUTE, 1, "running")
    assert decided(START + 22 * MINUTE, job(), running) == []
    done = Past(START, START + 5 * MINUTE, 1, "ok", START + 22 * MINUTE)
    (run,) = decided(START + 22 * MINUTE, job(), done)
    assert (run.slot, run.missed) == (START + 20 * MINUTE, 2)


@pytest.mark.parametrize("status", ["failed", "timed out", "interrupted"])
def test_a_failure_is_tried_again_until_its_retries_are_used_up(status):
    one, slot = job("0 3 * * *", retries=2), START + 15 * 60 * MINUTE
    at, attempts = slot, []
    for attempt in (1, 2, 3):
        past = Past(START, slot, attempt, status, at)
        wait = pause(one, attempt)
        assert decided(at + wait - dt.timedelta(microseconds=1), one, past) == []
        attempts += [(each.slot, each.attempt) for each in decided(at + wait, one, past)]
        at += wait
    assert attempts == [(slot, 2), (slot, 3)]
    assert decided(slot + MINUTE, one, Past(START, slot, 1, "ok", slot)) == []


def test_a_new_slot_comes_before_a_retry():
    past = Past(START, START + 5 * MINUTE, 1, "failed", START + 5 * MINUTE)
    (run,) = decided(START + 10 * MINUTE, job(retries=9), past)
    assert (run.slot, run.attempt) == (START + 10 * MINUTE, 1)


def test_jitter_is_the_jobs_own_and_always_the_same():
    late = dt.timedelta(seconds=60)
    jobs = [job(late=late, name=name) for name in ("build", "compaction", "expiry")]
    starts = {jitter(each) for each in jobs}
    assert len(starts) == 3
    assert all(dt.timedelta() <= each < late for each in starts)
    one = jobs[0]
    slot = START + 5 * MINUTE
    assert decided(slot + jitter(one) - dt.timedelta(microseconds=1), one, Past(START)) == []
    assert decided(slot + jitter(one), one, Past(START))[0].slot == slot
    assert next_run(START, one, Past(START)) == slot + jitter(one)


def test_what_has_no_schedule_is_never_due():
    assert decided(START + 99 * MINUTE, job(None), Past(START)) == []
    assert next_run(START, job(None), Past(START)) is None


def test_builds_are_as_often_as_up_was_told():
    jobs = jobs_of(JobsSpec.model_validate({"build": {"schedule": "0 3 * * *"}}), "Europe/Berlin")
    assert jobs["build"].schedule == Schedule("0 3 * * *", "Europe/Berlin")
    assert building_every(jobs, 2.5)["build"].schedule == Schedule("2s500ms")
    assert building_every(jobs, None)["build"].schedule is None
    assert jobs.keys() == BUILT_IN.keys() == JobsSpec.model_fields.keys()
    off = jobs_of(JobsSpec.model_validate({"expiry": {"enabled": False, "retries": 0, "jitter": 0}}), "UTC")["expiry"]
    assert (off.schedule, off.retries, off.jitter) == (None, 0, dt.timedelta())


SCHEDULES = st.sampled_from(["*/5 * * * *", "30 2 * * *", "0 * * * *", "45s", "10m"])
STEPS = st.lists(
    st.tuples(
        st.timedeltas(dt.timedelta(seconds=1), dt.timedelta(hours=8)),
        st.sampled_from(["ok", "failed", "nothing", "killed"]),
        st.integers(1, 3),
    ),
    max_size=25,
)


@given(SCHEDULES, st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]), STEPS, st.integers(0, 2))
def test_never_twice_for_a_slot_and_never_missed_for_ever(tmp_path_factory, schedule, zone, steps, retries):
    """Several processes look at any times, and runs end in any way."""
    one = job(schedule, zone, retries=retries)
    history = JobHistory(tmp_path_factory.mktemp("state"))
    now, taken = START, []
    history.know([one.name], now)
    for length, status, lookers in steps:
        now += length
        begun = []
        for runs in [due(now, {one.name: one}, history.past()) for _ in range(lookers)]:  # all before any starts
            for run in runs:
                lock = history.lock(one.name)
                number = history.begin(one.name, run, now)
                lock.release()
                if number is not None:
                    begun.append(number)
                    taken.append((run.slot, run.attempt))
        assert len(begun) <= 1
        for number in begun:
            if status != "killed":
                history.end(number, status, "", now)
        past = history.past()[one.name]
        assert past.status != "running"  # what was killed is found to be so
        # Nothing up to now is left without a run.
        assert one.schedule.latest(now, after=past.slot or past.since) is None
    assert len(set(taken)) == len(taken)
    assert [slot for slot, _ in taken] == sorted(slot for slot, _ in taken)
    assert all(attempt <= retries + 1 for _, attempt in taken)


def test_a_slot_that_had_nothing_to_do_stays_taken(tmp_path):
    history, one = JobHistory(tmp_path), job()
    history.know([one.name], START)
    now = START + 5 * MINUTE
    (run,) = due(now, {one.name: one}, history.past())
    history.end(history.begin(one.name, run, now), "nothing", "", now)
    assert history.runs() == []
    assert due(now, {one.name: one}, history.past()) == []
    assert history.begin(one.name, run, now) is None  # another process that had decided before


def test_a_retry_that_finds_nothing_to_do_is_not_tried_for_ever(tmp_path):
    history, one = JobHistory(tmp_path), job("0 3 * * *", retries=1)
    history.know([one.name], START)
    now, tried = START + dt.timedelta(hours=16), []
    for status in ("failed", "nothing", "nothing", "nothing"):
        for run in due(now, {one.name: one}, history.past()):
            tried.append(run.attempt)
            history.end(history.begin(one.name, run, now), status, status, now)
        now += MINUTE
    assert tried == [1, 2]
    assert [each["status"] for each in history.runs()] == ["nothing", "failed"]


def test_a_job_whose_start_cannot_be_written_down_is_free_for_its_next_run(tmp_path):
    class Full(JobHistory):
        def begin(self, *_):
            raise LakeError("full")

    one, history = job(), Full(tmp_path)
    with pytest.raises(LakeError):
        Jobs({one.name: one}, {}, history, lambda: START).run(one.name)
    history.lock(one.name).release()


def test_the_history_is_bounded_and_tells_the_newest_first(tmp_path):
    history = JobHistory(tmp_path)
    history.know(["build", "expiry"], START)
    for minute in range(RUNS_KEPT + 30):
        number = history.begin("build", None, START + minute * MINUTE)
        history.end(number, "ok", f"run {minute}", START + minute * MINUTE + dt.timedelta(seconds=3))
    history.end(history.begin("expiry", None, START), "failed", "x" * 10_000, START)
    runs = history.runs("build", 10_000)
    assert len(runs) == RUNS_KEPT
    assert (runs[0]["message"], runs[0]["seconds"], runs[0]["slot"]) == (f"run {RUNS_KEPT + 29}", 3.0, None)
    assert [each["job"] for each in history.runs(limit=2)] == ["expiry", "build"]
    assert len(history.runs("expiry")[0]["message"]) == 2_000


def test_a_clock_that_was_wrong_does_not_stop_a_job_for_years(tmp_path):
    history = JobHistory(tmp_path)
    one, wrong = job(), START + dt.timedelta(days=4_000)
    history.know([one.name], wrong)
    (run,) = due(wrong + 5 * MINUTE, {one.name: one}, history.past())
    history.end(history.begin(one.name, run, wrong), "ok", "", wrong)
    assert due(START + 5 * MINUTE, {one.name: one}, history.past()) == []
    history.know([one.name], START)  # as `up` does when it starts
    (run,) = due(START + 5 * MINUTE, {one.name: one}, history.past())
    assert history.begin(one.name, run, START) is not None


def test_a_clock_that_is_corrected_by_a_little_gives_no_slot_a_second_run(tmp_path):
    one, history = job(), JobHistory(tmp_path)
    history.know([one.name], START)
    (run,) = due(START + 5 * MINUTE, {one.name: one}, history.past())
    history.end(history.begin(one.name, run, START), "ok", "", START)
    history.know([one.name], run.slot - dt.timedelta(seconds=1))
    assert due(START + 5 * MINUTE, {one.name: one}, history.past()) == []
    assert [each["status"] for each in history.runs()] == ["ok"]


def test_a_clock_that_is_set_back_while_jobs_run_does_not_stop_them(tmp_path):
    calls, began, ran = count(), [START + dt.timedelta(days=4_000), START], threading.Semaphore(0)

    def clock():
        return began[0] + 5 * MINUTE * next(calls)

    def act():
        del began[:-1]
        ran.release()
        return Outcome("ok")

    one = job()
    jobs = Jobs({one.name: one}, {one.name: act}, JobHistory(tmp_path), clock)
    scheduler = threading.Thread(target=jobs.schedule)
    scheduler.start()
    try:
        for _ in range(2):
            assert ran.acquire(timeout=60)
    finally:
        jobs.close()
        scheduler.join()
