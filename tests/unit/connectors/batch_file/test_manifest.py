"""The manifest: one current entry a path, history behind it, shared by processes."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from headrace.connectors.batch_file.decisions import Found
from headrace.connectors.batch_file.manifest import Answer, Manifest, as_json
from headrace.errors import ExternalError

A = Found("a.csv", 10, "v1", 5.0)


@pytest.fixture
def manifest(tmp_path):
    manifest = Manifest(tmp_path / "landing/manifest.db")
    yield manifest
    manifest.close()


def taken(manifest, found=A, digest="d", rows=3, source="orders"):
    manifest.note(source, found, 1.0)
    entry = manifest.current(source)[found.path]
    told = {"digest": digest, "rows": rows, "taken": rows, "settings": "s", "started": 1.5, "ended": 2.0}
    return manifest.change(entry, state="done", **told)


def test_a_file_is_noted_and_noted_anew_where_it_changes_before_it_is_taken(manifest):
    manifest.note("orders", A, 1.0)
    manifest.note("orders", A._replace(size=11), 2.0)
    (entry,) = manifest.entries()
    assert (entry.state, entry.size, entry.seen) == ("waiting", 11, 2.0)


def test_a_version_that_was_taken_stays_behind_the_new_one(manifest):
    taken(manifest)
    manifest.note("orders", A._replace(version="v2"), 3.0)
    assert [(each.version, each.state, each.rows) for each in manifest.entries("orders")] == [
        ("v1", "superseded", 3),
        ("v2", "waiting", None),
    ]
    assert manifest.current("orders")["a.csv"].version == "v2"
    assert manifest.counts() == {"orders": {"waiting": 1, "reading": 0, "done": 0, "failed": 0, "superseded": 1}}


def test_a_version_that_was_half_taken_says_so(manifest):
    manifest.note("orders", A, 1.0)
    manifest.change(manifest.current("orders")["a.csv"], state="reading", rows=9, taken=4)
    manifest.note("orders", A._replace(version="v2"), 3.0)
    assert manifest.entries()[0].message == "4 rows were taken before it changed"


def test_a_twin_has_the_same_bytes_read_in_the_same_way_and_was_taken_whole(manifest):
    first = taken(manifest)
    manifest.note("orders", A._replace(path="b.csv"), 3.0)
    entry = manifest.current("orders")["b.csv"]._replace(settings="s")
    assert manifest.twin(entry, "d").id == first.id
    assert manifest.twin(entry, "other") is None
    assert manifest.twin(entry._replace(settings="other"), "d") is None
    manifest.change(first, taken=1)
    assert manifest.twin(entry, "d") is None
    taken(manifest, source="clicks", digest="e")
    assert manifest.twin(entry, "e") is None


def test_a_file_that_was_only_touched_keeps_its_entry(manifest):
    first = taken(manifest)
    manifest.note("orders", A._replace(version="v2"), 3.0)
    manifest.same_again(manifest.current("orders")["a.csv"], first)
    (entry,) = manifest.entries()
    assert (entry.id, entry.state, entry.version, entry.rows) == (first.id, "done", "v2", 3)


def test_retry_is_for_what_failed_or_for_one_path(manifest):
    taken(manifest)
    manifest.note("orders", A._replace(path="b.csv"), 1.0)
    manifest.change(manifest.current("orders")["b.csv"], state="failed", message="damaged", fix="fetch it")
    assert manifest.retry("orders", None, 9.0) == 1
    assert manifest.retry("orders", "a.csv", 9.0) == 1
    assert manifest.retry("orders", "c.csv", 9.0) == 0
    assert {each.path: (each.state, each.message) for each in manifest.entries()} == {
        "a.csv": ("waiting", ""),
        "b.csv": ("waiting", ""),
    }


def test_what_is_asked_is_answered_once_and_for_all_that_was_asked_before(manifest):
    assert manifest.asked("orders") is None
    first, second = manifest.ask("orders"), manifest.ask("orders")
    assert manifest.asked("orders") == second
    assert manifest.asked("clicks") is None
    assert manifest.answered("orders", first) is None
    manifest.answer("orders", second, Answer(ok=True, message="3 files"))
    assert manifest.answered("orders", first) == manifest.answered("orders", second) == (True, "3 files")
    assert manifest.asked("orders") is None
    third = manifest.ask("orders")
    assert manifest.answered("orders", third) is None
    manifest.answer("orders", third, Answer(ok=False, message="403"))
    assert manifest.answered("orders", third) == (False, "403")


def test_threads_and_other_objects_share_it(manifest, tmp_path):
    def note(name: str) -> None:
        mine = Manifest(tmp_path / "landing/manifest.db")
        for number in range(50):
            mine.note(name, A._replace(path=str(number)), 1.0)
        mine.close()

    threads = [threading.Thread(target=note, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: counts["waiting"] for name, counts in manifest.counts().items()} == dict.fromkeys("abcd", 50)


def test_what_is_shown_has_times_and_no_insides(manifest):
    shown = as_json(taken(manifest))
    assert shown["started"] == "1970-01-01T00:00:01.500+00:00"
    assert not {"id", "version", "settings"} & set(shown)


def test_a_damaged_file_is_an_error_of_the_world(tmp_path):
    (tmp_path / "manifest.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ExternalError, match="manifest"):
        Manifest(tmp_path / "manifest.db")
    assert sqlite3.sqlite_version
