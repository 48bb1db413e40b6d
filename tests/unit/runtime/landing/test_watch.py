"""Watching: on a schedule or all the time, and one source's trouble is its own."""

from __future__ import annotations

import dataclasses
import re
import threading
import time
from contextlib import contextmanager

import pytest

from headrace.config.project import load_project
from headrace.runtime.children import children
from headrace.runtime.landing.watch import STEPS_AT_ONCE, Landing
from machine import wait_until


def project(root, **sources: str):
    (root / "connectors").mkdir(parents=True, exist_ok=True)
    (root / "headrace.yaml").write_text("name: lab\n")
    for name, more in sources.items():
        (root / f"landing/{name}").mkdir(parents=True, exist_ok=True)
        (root / f"landing/{name}/a.jsonl").write_text('{"n":1}\n')
        (root / f"connectors/{name}.yaml").write_text(
            f"source_id: {name}\npattern: batch_file\nlocation: landing/{name}/\n"
            f"files: {{every: 20ms, settle: 0s}}\n{more}\n"
        )
    return load_project(root)


@contextmanager
def watching(project):
    stop = threading.Event()
    landing = Landing(project, stop)
    thread = threading.Thread(target=landing.run)
    thread.start()
    try:
        yield landing
    finally:
        stop.set()
        thread.join()
        landing.close()


def done(landing, source: str) -> int:
    return landing.manifest.counts().get(source, {}).get("done", 0)


def answered(landing, source: str):
    """Ask for a look at a source, as its job does, and return the answer."""
    number = landing.manifest.ask(source)
    wait_until(lambda: landing.manifest.answered(source, number) is not None)
    return landing.manifest.answered(source, number)


def test_a_source_with_a_schedule_is_looked_at_when_its_job_asks(tmp_path):
    shop = project(tmp_path, nightly="schedule: '0 3 * * *'", steady="")
    with watching(shop) as landing:
        wait_until(lambda: done(landing, "steady") == 1)
        assert done(landing, "nightly") == 0, "not before it is asked"
        assert answered(landing, "nightly") == (True, "1 file taken, 1 rows")
        assert answered(landing, "nightly") == (True, "no new file")
        (tmp_path / "landing/nightly/b.json").write_text("[")
        (tmp_path / "landing/nightly/c.json").write_text("[1, 2]")
        told = answered(landing, "nightly")
        assert not told.ok
        assert told.message.startswith("1 file taken, 2 rows; 1 failed: headrace files list --state failed; b.json: ")
        (tmp_path / "landing/nightly").rename(tmp_path / "landing/gone")
        assert not answered(landing, "nightly").ok
        assert "does not exist" in landing.problems["nightly"]


def test_what_was_asked_of_a_process_that_ended_is_done_by_the_next(tmp_path):
    shop = project(tmp_path, nightly="schedule: '0 3 * * *'")
    landing = Landing(shop)
    number = landing.manifest.ask("nightly")
    landing.close()
    with watching(shop) as landing:
        wait_until(lambda: landing.manifest.answered("nightly", number) is not None)
        assert done(landing, "nightly") == 1


def test_the_trouble_of_one_source_is_told_and_is_nobody_elses(tmp_path):
    shop = project(tmp_path, orders="", clicks="")
    (tmp_path / "landing/clicks/a.jsonl").unlink()
    (tmp_path / "landing/clicks").rmdir()
    with watching(shop) as landing:
        wait_until(lambda: done(landing, "orders") == 1 and "clicks" in landing.problems)
        assert "does not exist" in landing.problems["clicks"]
        (tmp_path / "landing/clicks").mkdir()
        wait_until(lambda: not landing.problems)


class Hung:
    """A place whose store does not answer what it is asked by `method`, until it does."""

    def __init__(self, place, method: str):
        self._place, self._method = place, method
        self.asked, self.answer = threading.Event(), threading.Event()

    def __getattr__(self, name: str):
        def hanging(*arguments):
            self.asked.set()
            self.answer.wait()
            return getattr(self._place, name)(*arguments)

        return hanging if name == self._method else getattr(self._place, name)


def hang(landing, method: str, *names: str) -> list[Hung]:
    places = [Hung(landing.sources[name].place, method) for name in names]
    for name, place in zip(names, places, strict=True):
        landing.sources[name] = dataclasses.replace(landing.sources[name], place=place)
    return places


@pytest.mark.parametrize("method", ["listing", "open"])
def test_stores_that_do_not_answer_keep_no_other_source_waiting(tmp_path, method):
    names = [f"hung{number}" for number in range(STEPS_AT_ONCE + 1)]
    stop = threading.Event()
    landing = Landing(project(tmp_path, orders="", **dict.fromkeys(names, "")), stop)
    places = hang(landing, method, *names)
    thread = threading.Thread(target=landing.run)
    thread.start()
    try:
        wait_until(lambda: all(place.asked.is_set() for place in places))
        (tmp_path / "landing/orders/b.jsonl").write_text('{"n":2}\n')
        wait_until(lambda: done(landing, "orders") == 2)
        assert all(done(landing, name) == 0 for name in names)
        assert landing.troubles(time.monotonic()) == {}
        for secs, about in ((30, r"\d+ s"), (7_200, "12[0-9] min")):
            troubles = landing.troubles(time.monotonic() + secs)
            assert set(troubles) == set(names)
            assert all(re.fullmatch(f"landing/{name}/ has not answered for {about}", troubles[name]) for name in names)
        for place in places:
            place.answer.set()
        wait_until(lambda: all(done(landing, name) == 1 for name in names))
    finally:
        stop.set()
        for place in places:
            place.answer.set()
        thread.join()
        landing.close()


def test_the_end_waits_for_no_store(tmp_path, monkeypatch):
    monkeypatch.setattr("headrace.runtime.landing.watch.END_SECS", 0.1)
    stop = threading.Event()
    landing = Landing(project(tmp_path, orders=""), stop)
    (place,) = hang(landing, "listing", "orders")
    ends: list[bool] = []
    thread = threading.Thread(target=lambda: ends.append(landing.run()))
    thread.start()
    try:
        assert place.asked.wait(30)
        stop.set()
        thread.join(30)
        assert ends == [False]
    finally:
        place.answer.set()
        thread.join()
        wait_until(lambda: not any(each.name == "land-orders" for each in threading.enumerate()))
        landing.close()


def test_a_place_that_may_not_be_watched_is_a_problem_from_the_start(tmp_path):
    shop = project(tmp_path, orders="")
    (tmp_path / "connectors/orders.yaml").write_text("source_id: orders\npattern: batch_file\nlocation: /etc\n")
    landing = Landing(load_project(tmp_path))
    assert landing.sources == {}
    assert "leads out of the project" in landing.problems["orders"]
    landing.close()
    assert shop.name == "lab"


def test_a_source_is_taken_by_one_process_at_a_time(tmp_path):
    shop = project(tmp_path, orders="")
    first, second = Landing(shop), Landing(shop)
    with first._lock(first.sources["orders"], wait=False) as mine:
        assert mine
        with second._lock(second.sources["orders"], wait=False) as theirs:
            assert not theirs
    second.scan(second.sources["orders"])
    assert done(second, "orders") == 1
    first.close()
    second.close()


def test_up_has_the_child_where_files_are_watched_and_only_there(tmp_path):
    watched = project(tmp_path / "a", orders="")
    assert [child.name for child in children(watched, collector=False).intake] == ["landing"]
    (tmp_path / "a/connectors/orders.yaml").write_text("source_id: orders\npattern: batch_file\n")
    assert children(load_project(tmp_path / "a"), collector=False).intake == ()
