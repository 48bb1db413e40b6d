"""Jobs beside a running `up` and without one: listed, run, remembered; faults in headrace.yaml point at their line."""

from __future__ import annotations

import datetime as dt
import json
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack

import pytest

from headrace.config.jobs import Job
from headrace.config.project import load_project
from headrace.errors import BusyError
from headrace.runtime import control
from headrace.runtime.jobs.freshness import Age, stale
from headrace.runtime.jobs.history import JobHistory
from headrace.runtime.jobs.scheduler import Jobs, Outcome
from headrace.schedule import Schedule
from living import Clock, lived, messages, orders, project_of, running, sqlite_bus
from machine import wait_until
from typed import headrace_in


def headrace(project, *arguments):
    done = headrace_in(project, *arguments)
    return done.returncode, json.loads(done.stdout) if "--json" in arguments else done.stdout + done.stderr


def said(project, text):
    (project.root / "headrace.yaml").write_text(f"name: lab\ndefaults: {{freshness_secs: 0}}\n{text}")
    return load_project(project.root)


@pytest.fixture
def started():
    """Return a function that runs `up` in a thread; it is stopped and joined at the end."""
    with ExitStack() as ups:
        yield lambda project, **options: ups.enter_context(running(project, **options))[0]


def test_without_up_jobs_run_here_and_nothing_comes_next(tmp_path):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(orders(0, 5)))
    lived(project)
    code, listed = headrace(project, "jobs", "list", "--json")
    assert (code, listed["running"]) == (0, False)
    assert [(each["name"], each["schedule"], each["next"], each["last"]) for each in listed["jobs"]] == [
        ("build", "10s", None, None),
        ("compaction", "30s", None, None),
        ("expiry", "60s", None, None),
        ("freshness", "* * * * *", None, None),
    ]
    code, run = headrace(project, "jobs", "run", "expiry", "--json")
    assert (code, run["status"], run["slot"]) == (0, "ok", None)
    assert "expired snapshots" in run["message"]
    code, text = headrace(project, "jobs", "history")
    assert code == 0
    assert "expiry      ok" in text
    code, text = headrace(project, "jobs", "run", "expire")
    assert (code, "did you mean 'expiry'?" in text) == (2, True)


def test_inside_up_jobs_run_by_themselves_and_when_asked(tmp_path, started):
    project = project_of(tmp_path)
    project = said(project, "jobs: {compaction: {schedule: 1s, jitter: 0}, expiry: {schedule: 1s, jitter: 0}}\n")
    up = started(project, build_every_secs=None)
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(orders(0, 50)))
    history = JobHistory(project.state)
    wait_until(lambda: any(each["status"] == "ok" for each in history.runs("expiry")))
    assert history.runs("expiry")[-1]["slot"] is not None
    listed = control.ask(project.state, {"verb": "jobs"})
    assert {each["name"]: each["schedule"] for each in listed} == {
        "build": None,
        "compaction": "1s",
        "expiry": "1s",
        "freshness": "* * * * *",
    }
    assert {each["name"] for each in listed if each["next"]} == {"compaction", "expiry", "freshness"}
    wait_until(lambda: up.progress.messages == 50)
    told = [headrace(project, "jobs", "run", "build", "--json") for _ in range(2)]
    assert [(code, run["job"], run["status"]) for code, run in told] == [(0, "build", "ok"), (0, "build", "nothing")]
    assert control.ask(project.state, {"verb": "jobs"})[0]["last"]["message"] == "published b1"
    assert up.progress.upkeep == ""


def test_a_source_that_is_too_old_is_a_failing_run_that_says_by_how_much(tmp_path):
    project = project_of(tmp_path)
    file = tmp_path / "connectors/orders.yaml"
    file.write_text(file.read_text() + "monitoring: {sla_minutes: 0}\n")
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(orders(0, 5)))
    lived(project)
    code, run = headrace(project, "jobs", "run", "freshness", "--json")
    assert (code, run["status"]) == (1, "failed")
    assert "orders: the newest data is" in run["message"]
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(orders(5, 6)))
    assert (
        "orders: the oldest message that waits is"
        in headrace(project, "jobs", "run", "freshness", "--json")[1]["message"]
    )
    file.write_text(file.read_text().replace("sla_minutes: 0", "sla_minutes: 60"))
    code, run = headrace(project, "jobs", "run", "freshness", "--json")
    assert (code, run["status"], run["message"]) == (0, "ok", "1 source within sla_minutes")


def test_how_stale_is_decided_purely():
    now = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
    hour, ago = dt.timedelta(hours=1), lambda minutes: now - dt.timedelta(minutes=minutes)
    ages = [
        Age("fresh", hour, ago(60)),
        Age("old", hour, ago(75)),
        Age("waits", hour, ago(1), ago(61)),
        Age("never", hour, None),
    ]
    assert stale(now, ages) == [
        "old: the newest data is 15m too old (sla_minutes is 60)",
        "waits: the oldest message that waits is 1m too old (sla_minutes is 60)",
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('jobs:\n  build: {schedule: "61 * * * *"}\n', 4, "'61 * * * *' is not a schedule (Bad minute)"),
        ("jobs:\n  build: {timezone: Europe/Berlim}\n", 4, "'Europe/Berlim' is not a time zone"),
        ("jobs:\n  biuld: {schedule: 5m}\n", 4, "unknown key 'biuld' in jobs"),
        ("jobs:\n  build:\n    retries: 99\n", 5, "jobs.build.retries"),
        ("jobs:\n  expiry: {schedule: hourly}\n", 4, "'hourly' is not a schedule"),
    ],
)
def test_faults_point_at_their_line(tmp_path, text, line, message):
    project = project_of(tmp_path)
    (tmp_path / "headrace.yaml").write_text(f"name: lab\ndefaults: {{freshness_secs: 0}}\n{text}")
    code, found = headrace(project, "check", "--json")
    (fault,) = [each for each in found["faults"] if each["severity"] == "error"]
    assert (code, fault["file"], fault["line"]) == (1, "headrace.yaml", line)
    assert message in fault["message"]
    assert fault["fix"]


class Work:
    """A job whose runs a test lets end."""

    def __init__(self):
        self.started, self.go, self.runs = threading.Semaphore(0), threading.Semaphore(0), 0

    def __call__(self):
        self.runs += 1
        self.started.release()
        assert self.go.acquire(timeout=60)
        return Outcome("ok", f"run {self.runs}")


def jobs_with(state, work, clock, timeout=dt.timedelta(minutes=5), retries=0):
    state.mkdir(exist_ok=True)
    one = Job("build", Schedule("1m"), timeout, retries, dt.timedelta())
    return Jobs({"build": one}, {"build": work}, JobHistory(state), clock)


def test_a_job_never_runs_twice_at_once_and_what_came_meanwhile_is_one_run(tmp_path):
    clock, work = Clock(), Work()
    mine, other = (jobs_with(tmp_path, work, clock) for _ in range(2))
    mine.history.know(["build"], clock())
    clock.now += dt.timedelta(minutes=1)
    for each in (mine, other, mine):
        each.start_due()
    assert work.started.acquire(timeout=60)
    clock.now += dt.timedelta(minutes=5)
    other.start_due()
    with pytest.raises(BusyError, match="the job build is running"):
        other.run("build")
    work.go.release()
    wait_until(lambda: mine.history.runs()[0]["status"] == "ok")
    wait_until(lambda: other.start_due() or work.started.acquire(timeout=0.1))
    work.go.release()
    wait_until(lambda: len(mine.history.runs()) == 2 and mine.history.runs()[0]["status"] == "ok")
    mine.start_due()
    mine.close()
    other.close()
    assert work.runs == 2
    assert [(each["missed"], each["message"]) for each in mine.history.runs()] == [(4, "run 2"), (0, "run 1")]


def test_jobs_that_are_closed_while_one_looks_what_is_due_start_none(tmp_path):
    clock, work = Clock(), Work()
    jobs = jobs_with(tmp_path, work, lambda: closing() or clock())
    closing = lambda: None  # noqa: E731
    jobs.history.know(["build"], clock())
    clock.now += dt.timedelta(minutes=1)
    closing = jobs.close
    jobs.start_due()
    assert not jobs.history.runs()
    assert not [each.name for each in threading.enumerate() if each.name == "job-build"]


def is_free(jobs):
    try:
        jobs.history.lock("build").release()
    except BusyError:
        return False
    return True


def test_a_run_that_takes_too_long_is_said_to_and_keeps_its_place(tmp_path):
    clock, work = Clock(), Work()
    jobs = jobs_with(tmp_path, work, clock, timeout=dt.timedelta(milliseconds=50))
    assert jobs.run("build")["status"] == "timed out"
    with pytest.raises(BusyError):
        jobs.run("build")
    work.go.release(2)
    wait_until(lambda: is_free(jobs))
    assert [each["status"] for each in jobs.history.runs()] == ["timed out"]


def test_what_raises_is_a_failed_run_with_its_reason(tmp_path):
    def work():
        raise ValueError("no luck")

    jobs = jobs_with(tmp_path, work, Clock())
    run = jobs.run("build")
    assert (run["status"], run["message"]) == ("failed", "ValueError: no luck")
    assert jobs.run("build")["status"] == "failed"


def test_a_run_whose_process_is_killed_is_interrupted_and_its_slot_is_tried_again(tmp_path):
    clock = Clock()
    script = (
        "import sys, time, datetime as dt\nfrom pathlib import Path\n"
        "from headrace.runtime.jobs.history import JobHistory\nfrom headrace.runtime.jobs.slots import Run\n"
        "history = JobHistory(Path(sys.argv[1]))\nlock = history.lock('build')\n"
        "at = dt.datetime.fromisoformat(sys.argv[2])\nhistory.begin('build', Run('build', at), at)\n"
        "print('begun', flush=True)\ntime.sleep(600)\n"
    )
    jobs = jobs_with(tmp_path, lambda: Outcome("ok"), clock, retries=1)
    jobs.history.know(["build"], clock())
    clock.now += dt.timedelta(minutes=1)
    running = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), clock().isoformat()], stdout=subprocess.PIPE, text=True
    )
    assert running.stdout.readline() == "begun\n"
    assert jobs.history.past()["build"].status == "running"
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert jobs.history.past()["build"].status == "interrupted"
    clock.now += dt.timedelta(seconds=30)
    jobs.start_due()
    wait_until(lambda: jobs.history.runs()[0]["status"] == "ok")
    assert [(each["attempt"], each["status"]) for each in jobs.history.runs()] == [(2, "ok"), (1, "interrupted")]
