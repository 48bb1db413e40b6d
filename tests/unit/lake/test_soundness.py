"""Whether a lake's files are what its catalog says, and the copy of the catalog that is put back."""

from __future__ import annotations

import os

import pytest

from headrace.errors import LakeError
from headrace.lake import soundness
from headrace.lake.copies import COPY, copy_is_due, restore_copy
from headrace.lake.ducklake import DuckLake
from headrace.lake.reader import open_reader
from headrace.lake.soundness import catalog_trouble, damaged
from living import lived, messages, orders, project_of, rows, sqlite_bus


@pytest.fixture
def project(tmp_path):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(orders(0, 10)))
        lived(project, bus)
        bus.publish("orders", messages(orders(0, 3)))  # some silver rows are read, none replaced
        lived(project, bus)
    return project


def bronze(project):
    return min((project.state / "lake/data/bronze").rglob("*.parquet"))


def cut(path):
    os.truncate(path, path.stat().st_size - 1)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 0xFF
    path.write_bytes(content)


def test_a_sound_lake_is_sound(project):
    lake = project.state / "lake"
    assert catalog_trouble(lake) == ""
    assert damaged(lake / "catalog.db", lake / "data", deep=True) == []


def test_a_lake_that_begins_while_one_looks_for_its_catalog_is_not_damaged(project, monkeypatch):
    lake = project.state / "lake"
    looks = iter([False, True])  # the second is after data was found
    monkeypatch.setattr(soundness, "is_catalog", lambda _: next(looks))
    assert catalog_trouble(lake) == ""


@pytest.mark.parametrize(("harm", "deep", "said"), [
    (os.unlink, False, "it is gone"),
    (cut, False, "and was written with"),
    (flip, True, "it cannot be read"),
])  # fmt: skip
def test_a_data_file_that_is_not_what_was_written_is_found(harm, deep, said, project):
    lake = project.state / "lake"
    harm(bronze(project))
    (found,) = damaged(lake / "catalog.db", lake / "data", deep=deep)
    assert found.file.table == "bronze.messages"
    assert found.file.path == str(bronze(project)) or not os.path.exists(found.file.path)  # noqa: PTH110
    assert said in found.problem


@pytest.mark.parametrize("harm", ["gone", "empty", "cut"])
def test_a_lake_whose_catalog_is_gone_is_not_begun_anew(harm, project):
    """A new one would know nothing, and its upkeep would remove every data file as nobody's."""
    lake = project.state / "lake"
    catalog = lake / "catalog.db"
    for log in lake.glob("catalog.db-*"):
        log.unlink()
    catalog.unlink() if harm == "gone" else os.truncate(catalog, 0 if harm == "empty" else 20_000)
    before = sorted(lake.rglob("*.parquet"))
    with pytest.raises(LakeError, match="catalog cannot be used") as refused:
        DuckLake(lake)
    assert "headrace doctor" in refused.value.fix
    with pytest.raises(LakeError) as refused, open_reader(lake):
        pass
    assert "headrace doctor" in refused.value.fix
    assert sorted(lake.rglob("*.parquet")) == before
    assert catalog.exists() == (harm != "gone")


def test_the_copy_is_the_catalog_as_it_was_and_takes_its_place(project):
    lake = project.state / "lake"
    with sqlite_bus(project) as bus:
        writer = DuckLake(lake)
        writer.keep_copy()
        writer.close()
        assert not copy_is_due(lake)
        bus.publish("orders", messages(orders(20, 25)))
        lived(project, bus)
    assert len(rows(project, "FROM lake.bronze.messages")) == 18
    aside = restore_copy(lake)
    assert aside.exists()
    assert len(rows(project, "FROM lake.bronze.messages")) == 13
    assert (lake / COPY).exists()


def test_a_copy_that_is_not_put_back_whole_leaves_no_catalog_without_its_log(project):
    lake = project.state / "lake"
    writer = DuckLake(lake)
    writer.keep_copy()
    writer.close()
    log = lake / "catalog.db-wal"
    log.write_bytes(b"what was committed since")
    obstacle = lake / "catalog.db.damaged-1-wal"
    obstacle.mkdir()  # the log cannot be moved aside
    with pytest.raises(LakeError, match="cannot be put back"):
        restore_copy(lake)
    assert log.exists()
    with pytest.raises(LakeError, match="it is gone"):
        DuckLake(lake)
    restore_copy(lake)
    assert not log.exists()
    assert len(rows(project, "FROM lake.bronze.messages")) == 13


def test_upkeep_copies_the_catalog(project):
    lake = project.state / "lake"
    (lake / COPY).unlink(missing_ok=True)
    writer = DuckLake(lake)
    writer.maintain(frozenset, 1.0, {"compaction"})
    assert not (lake / COPY).exists()
    writer.maintain(frozenset, 1.0)
    assert (lake / COPY).exists()
    writer.close()
