"""A full disk: no ack without durability, no corruption, and work goes on by itself when space returns."""

from __future__ import annotations

import base64
import random
import shutil
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.errors import SpaceError
from headrace.lake.ducklake import DuckLake
from headrace.lake.references import References
from headrace.runtime.deployment import deploy
from headrace.runtime.loop import Loop
from living import messages, project_of, rows, run_out, sqlite_bus, ticking, totals
from machine import small_disk
from typed import headrace_in

DISK_BYTES = 24 << 20


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", DISK_BYTES) as folder:
        yield folder


def bulky(first, last, *, size=2000):
    """Return events that do not compress."""
    texts = (base64.b64encode(random.Random(number).randbytes(size)).decode() for number in range(first, last))
    return [{"id": text, "version": 1} for text in texts]


def fill(folder: Path, leave: int) -> Path:
    """Fill the disk but for so many bytes."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        while (free := shutil.disk_usage(folder).free) > leave:
            file.write(b"x" * min(free - leave, 1 << 20))
            file.flush()
    return filler


def test_a_publish_on_a_full_disk_is_refused_and_all_that_was_acked_is_there(disk):
    project = project_of(disk)
    acked = 0
    with sqlite_bus(project) as bus:
        while True:
            try:
                bus.publish("orders", messages(bulky(acked, acked + 100)))
            except SpaceError:
                break
            acked += 100
        assert acked > 300
        assert bus.lag("orders", "lake-orders").messages == acked
        file = disk.parent / "more.jsonl"
        file.write_bytes(b"\n".join(messages(bulky(0, 400)).column("payload").to_pylist()) + b"\n")
        told = headrace_in(project, "publish", "orders", file)
        assert told.returncode == 2
        assert "full" in told.stderr
        assert "Traceback" not in told.stderr
        assert bus.lag("orders", "lake-orders").messages == acked
    with sqlite_bus(project) as again:
        assert again.lag("orders", "lake-orders").messages == acked


@pytest.mark.parametrize("leave_kib", [0, 500, 3000, 3350, 3400])
def test_up_stalls_on_a_full_disk_and_recovers_by_itself(disk, leave_kib):
    project = project_of(disk)
    rest = threading.Event()
    with sqlite_bus(project) as bus:
        with ticking(project, bus) as (tick, _):
            bus.publish("orders", messages(bulky(0, 100)))
            run_out(tick, ["orders"])
        loop = Loop(
            bus, lambda: DuckLake(project.state / "lake"), project.sources, lambda lake, on: deploy(project, lake, on)
        )
        bus.publish("orders", messages([*bulky(50, 700), b"{"]))
        filler = fill(disk, leave_kib << 10)
        for _ in range(400):
            loop.step(set(loop._sources))
            if loop.progress.failing:
                break
            rest.wait(0.01)
        assert "full" in loop.progress.failing["orders"]
        filler.unlink()
        for _ in range(3000):
            if not loop.step(set(loop._sources)):
                rest.wait(0.02)
            if loop.progress.messages == 651 and not loop.progress.failing:
                break
        assert not loop.progress.failing
        loop.close()
    assert totals(project) == {"orders": {"accepted": 751, "silver": 700, "duplicate": 50, "quarantined": 1}}
    named = {Path(row["path"]).name for row in rows(project, NAMED)}
    there = {each.name for each in (project.state / "lake/data").rglob("*.parquet")}
    assert there >= named, "a file that the catalog names is gone"
    assert there == named, "what was staged in vain still takes up space"


NAMED = """
SELECT path FROM __ducklake_metadata_lake.ducklake_data_file
UNION ALL SELECT path FROM __ducklake_metadata_lake.ducklake_delete_file
"""


def test_reference_data_is_kept_whole_or_not_at_all(disk):
    store = References(disk)
    table = pa.Table.from_pylist(bulky(0, 1000))
    filler = fill(disk, 256 << 10)
    with pytest.raises(SpaceError):
        store.keep(table)
    assert list((disk / "references").iterdir()) == []
    filler.unlink()
    assert store.load(store.keep(table)).equals(table)
