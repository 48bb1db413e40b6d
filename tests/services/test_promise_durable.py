"""Promise 1: every file that a commit names, and its folder, is fsynced before; seen from outside by a profile hook."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.lake.ducklake import DuckLake
from headrace.lake.references import References
from living import messages, orders, project_of, rows, run_out, sqlite_bus, ticking

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="open files are named in /proc")


class Synced:
    """Collects the paths given to os.fsync in this thread."""

    def __init__(self):
        self.paths = set()

    def __call__(self, frame, event, argument):
        if event == "c_call" and argument is os.fsync:
            known = frame.f_locals
            number = known["handle"] if "handle" in known else known["sink"].fileno()
            self.paths.add(Path(f"/proc/self/fd/{number}").readlink())

    def __enter__(self):
        threading.setprofile(self)  # bronze is written by a thread of its own
        sys.setprofile(self)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)
        threading.setprofile(None)


def test_every_file_that_a_commit_names_is_on_the_disk_before(tmp_path):
    project = project_of(tmp_path.resolve())
    synced = Synced()

    class Watched(DuckLake):
        def commit(self, changes):
            for change in changes:
                for file in change.files:
                    assert file.path in synced.paths, "staged, and not durable"
            return super().commit(changes)

    with sqlite_bus(project) as bus, synced, ticking(project, bus, Watched) as (tick, _):
        bus.publish("orders", messages([*orders(0, 5), b"{"]))
        run_out(tick, ["orders"])
        bus.publish("orders", messages([{"id": "o1", "version": 2}, {"id": "o2", "version": 2}]))
        run_out(tick, ["orders"])
    data = project.state / "lake" / "data"
    files = set(data.rglob("*.parquet"))
    assert len(files) == len(rows(project, NAMED))
    assert any("delete" in each.name for each in files), "an update deletes the row that it replaces"
    assert files <= synced.paths
    folders = {folder for file in files for folder in file.parents if folder.is_relative_to(data)}
    assert folders <= synced.paths, "a name in a folder is durable once the folder is"


def test_reference_data_is_on_the_disk_before_a_commit_names_it(tmp_path):
    synced = Synced()
    with synced:
        version = References(tmp_path.resolve() / "lake").keep(pa.table({"code": ["NL"]}))
    folder = tmp_path.resolve() / "lake/references"
    assert [path.name for path in folder.iterdir()] == [f"{version}.parquet"]
    assert {path.suffix for path in synced.paths if path.parent == folder} == {".part"}, "renamed when it is durable"
    assert {folder, folder.parent, folder.parent.parent} <= synced.paths


NAMED = """
SELECT path FROM __ducklake_metadata_lake.ducklake_data_file
UNION ALL SELECT path FROM __ducklake_metadata_lake.ducklake_delete_file
"""
