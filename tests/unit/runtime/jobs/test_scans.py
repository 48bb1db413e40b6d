"""Scans: a source with a schedule is a job like the others, and one whose store is silent keeps nobody waiting."""

from __future__ import annotations

import dataclasses
import datetime as dt
import threading
from contextlib import closing, contextmanager
from types import SimpleNamespace

from headrace.config.project import load_project
from headrace.runtime.jobs.actions import listing, past_runs, run_now
from headrace.runtime.jobs.history import JobHistory
from headrace.runtime.jobs.scans import scans
from headrace.runtime.jobs.scheduler import Jobs
from headrace.runtime.landing.watch import Landing, manifest_of
from headrace.runtime.state import open_state
from headrace.schedule import Schedule
from machine import wait_until

START = dt.datetime(2026, 11, 21, 1, tzinfo=dt.UTC)


def project(root, *names: str):
    (root / "connectors").mkdir(exist_ok=True)
    (root / "headrace.yaml").write_text("name: lab\ndefaults: {timezone: Europe/Berlin}\n")
    for name in names:
        (root / f"landing/{name}").mkdir(parents=True)
        (root / f"landing/{name}/a.jsonl").write_text('{"n":1}\n{"n":2}\n')
        (root / f"connectors/{name}.yaml").write_text(
            f"source_id: {name}\npattern: batch_file\nlocation: landing/{name}/\n"
            f"schedule: '0 3 * * *'\nfiles: {{settle: 0s}}\n"
        )
    return load_project(root)


def test_without_up_a_scan_is_run_here_and_remembered_with_what_it_took(tmp_path):
    shop = project(tmp_path, "orders")
    assert shop.jobs["scan:orders"].schedule == Schedule("0 3 * * *", "Europe/Berlin")
    row = run_now(shop, "scan:orders")
    assert (row["status"], row["message"]) == ("ok", "1 file taken, 2 rows")
    (tmp_path / "landing/orders/b.json").write_text("[")
    row = run_now(shop, "scan:orders")
    assert row["status"] == "failed"
    assert row["message"].startswith("no new file; 1 failed: headrace files list --state failed; b.json: ")
    (tmp_path / "landing/orders").rename(tmp_path / "landing/gone")
    assert "does not exist" in run_now(shop, "scan:orders")["message"]
    assert [each["status"] for each in past_runs(shop, "scan:orders", 9)] == ["failed", "failed", "ok"]
    assert [each["name"] for each in listing(shop)["jobs"]][-1] == "scan:orders"


@contextmanager
def up(shop, silent: str = ""):
    """Take files as a child of `up` does, with its jobs beside it; the place of one source does not answer."""
    stop, answer = threading.Event(), threading.Event()
    now = [START]
    open_state(shop.state)
    landing = Landing(shop, stop)
    if silent:
        place = landing.sources[silent].place
        mute = SimpleNamespace(name=place.name, heard=0.0, listing=lambda: answer.wait() and place.listing())
        landing.sources[silent] = dataclasses.replace(landing.sources[silent], place=mute)
    thread = threading.Thread(target=landing.run)
    thread.start()
    child = SimpleNamespace(name="landing", pid=1, problem="")
    jobs = Jobs(shop.jobs, scans(shop, stop, [child]), JobHistory(shop.state), lambda: now[0])
    jobs.history.know(shop.jobs, START)
    try:
        yield jobs, now, stop
    finally:
        stop.set()
        answer.set()
        jobs.close()
        thread.join()
        landing.close()


def test_within_up_each_slot_is_one_scan_by_the_process_that_takes_files(tmp_path):
    shop = project(tmp_path, "orders")
    with up(shop) as (jobs, now, _):
        jobs.start_due()
        assert jobs.history.runs("scan:orders") == []
        now[0] = START + dt.timedelta(days=2, hours=1)
        jobs.start_due()
        wait_until(lambda: [each["status"] for each in jobs.history.runs("scan:orders")] == ["ok"])
        (row,) = jobs.history.runs("scan:orders")
        assert row["slot"].startswith("2026-11-23T02:00")
        assert (row["missed"], row["message"]) == (2, "1 file taken, 2 rows")
        jobs.start_due()
        assert len(jobs.history.runs("scan:orders")) == 1


def test_a_silent_store_keeps_its_own_run_waiting_and_no_other(tmp_path):
    shop = project(tmp_path, "mute", "orders")
    with up(shop, silent="mute") as (jobs, now, stop):
        now[0] = START + dt.timedelta(hours=2)
        jobs.start_due()
        wait_until(lambda: [each["status"] for each in jobs.history.runs("scan:orders")] == ["ok"])
        now[0] += dt.timedelta(days=1)
        jobs.start_due()
        wait_until(lambda: [each["status"] for each in jobs.history.runs("scan:orders")] == ["ok", "ok"])
        assert [each["status"] for each in jobs.history.runs("scan:mute")] == ["running"]
        stop.set()
        jobs.close()
        assert [each["status"] for each in jobs.history.runs("scan:mute")] == ["interrupted"]
    with closing(manifest_of(shop)) as manifest:
        assert manifest.asked("mute") == 1, "what was cut off is gone on with by the next"


def test_a_process_that_does_not_run_fails_the_scan(tmp_path):
    shop = project(tmp_path, "orders")
    child = SimpleNamespace(name="landing", pid=None, problem="it ended with code 1")
    outcome = scans(shop, threading.Event(), [child])["scan:orders"]()
    assert outcome.status == "failed"
    assert "it ended with code 1" in outcome.message
