"""Upkeep removes what is nobody's, and nothing else, wherever the lake lies."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing

import pytest

from headrace.lake.catalog import CATALOG
from headrace.lake.ducklake import DuckLake
from living import lived, messages, orders, project_of, silver, sqlite_bus


@pytest.fixture
def project(tmp_path):
    """Return a project whose state lies elsewhere, behind a link, and holds ten events that are days old."""
    project = project_of(tmp_path / "project")
    (tmp_path / "disk").mkdir()
    (tmp_path / "project/.headrace").symlink_to(tmp_path / "disk")
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(orders(0, 10)))
        lived(project, bus)
    aged(tmp_path)
    return project


def aged(folder):
    long_ago = time.time() - 4 * 86_400
    for path in folder.rglob("*.parquet"):
        os.utime(path, (long_ago, long_ago))


def cleaned(folder):
    with closing(DuckLake(folder)) as lake:
        return lake.maintain(frozenset, 60)["removed_files"]


def test_files_behind_a_link_are_somebodys_and_are_found_when_the_project_moves(project, tmp_path):
    lake = project.state / "lake"
    nobodys = lake / "data/silver/orders/left-behind.parquet"
    shutil.copy(next((lake / "data/silver/orders").rglob("*.parquet")), nobodys)
    aged(tmp_path / "disk")
    assert cleaned(lake) == 1
    assert not nobodys.exists()
    before = silver(project)
    assert len(before) == 10
    shutil.move(tmp_path / "disk", tmp_path / "other")
    (tmp_path / "project/.headrace").unlink()
    (tmp_path / "project/.headrace").symlink_to(tmp_path / "other")
    assert silver(project) == before


def test_names_that_an_earlier_version_wrote_through_a_link_are_left_alone(project):
    lake = project.state / "lake"
    with closing(sqlite3.connect(lake / CATALOG)) as catalog:
        catalog.execute(
            "UPDATE ducklake_data_file SET path_is_relative = 0, path = ? || '/silver/orders/' || path "
            "WHERE table_id = (SELECT table_id FROM ducklake_table WHERE table_name = 'orders')",
            [str(lake / "data")],
        )
        catalog.commit()
    assert len(silver(project)) == 10
    assert cleaned(lake) == 0
    assert len(silver(project)) == 10


@pytest.mark.parametrize("name", ["lake[1]", "lake?"])
def test_a_folder_whose_name_is_a_pattern_has_no_claim_to_what_that_matches(tmp_path, name):
    other = tmp_path / "lake1" / "data" / "of-another.parquet"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"whatever")
    aged(tmp_path)
    cleaned(tmp_path / name)
    assert other.exists()
