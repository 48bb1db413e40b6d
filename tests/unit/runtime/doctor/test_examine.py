"""The doctor over a whole environment: it says what is lost with each file, and finds the way out."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import sqlite3
from contextlib import closing

import pytest

from headrace.config.project import load_project
from headrace.errors import LakeError
from headrace.lake.ducklake import DuckLake
from headrace.runtime.deployment import now
from headrace.runtime.doctor.examine import at_start, examine, repair
from headrace.runtime.doctor.topics import mend
from headrace.runtime.jobs.history import JobHistory
from headrace.runtime.state import open_state
from headrace.runtime.views.status import status
from living import (
    KEYED,
    Clock,
    lived,
    messages,
    orders,
    project_of,
    rows,
    run_out,
    silver,
    sqlite_bus,
    ticking,
    totals,
    write_source,
)
from striking import cut_off_at

COMMITTED, WAITING = 120, 60


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory):
    """Return the folder of a project with two topics, one of them read by two sources; some of both waits."""
    root = tmp_path_factory.mktemp("damage") / "project"
    project_of(root, "orders", "refunds", more=KEYED)
    write_source(root, "audit", more="")
    file = root / "connectors/audit.yaml"
    file.write_text(file.read_text().replace("message_format: json", "message_format: json, topic: orders"))
    project = load_project(root)
    open_state(project.state)
    with sqlite_bus(project) as bus:
        for first in range(0, COMMITTED, 20):
            bus.publish("orders", messages(orders(first, first + 20)))
        bus.publish("refunds", messages(orders(0, 5)))
        lived(project, bus)
        copied(project)
        for first in range(COMMITTED, COMMITTED + WAITING, 20):
            bus.publish("orders", messages(orders(first, first + 20)))
        bus.publish("refunds", messages(orders(5, 9)))
    return root


@pytest.fixture
def project(lived_in, tmp_path):
    return load_project(shutil.copytree(lived_in, tmp_path / "project"))


def copied(project):
    lake = DuckLake(project.state / "lake")
    lake.keep_copy()
    lake.close()


def topic(project):
    return project.state / "bus/orders.db"


def spoil_chunk(project, first):
    """Change the data of a chunk, so that its checksum is wrong."""
    with closing(sqlite3.connect(topic(project))) as connection:
        connection.execute("UPDATE chunks SET data = zeroblob(length(data)) WHERE first_offset = ?", (first,))
        connection.commit()


def found(project, **options):
    return {each.what: each for each in examine(project, **options)}


def mended(project):
    done = list(repair(project))
    assert not any(refused for _, refused in done), done
    assert found(project) == {}
    return [each.what for each, _ in done]


def test_nothing_is_found_where_nothing_is_damaged(project):
    assert found(project) == {}
    assert at_start(project) == {}
    assert list(repair(project)) == []


def test_damage_before_what_is_committed_loses_nothing(project):
    spoil_chunk(project, 20)
    assert found(project) == {}, "nobody needs it any more"
    lived(project)
    assert totals(project)["orders"]["accepted"] == COMMITTED + WAITING


def test_damage_in_what_waits_is_told_to_the_message_and_the_others_come_to_silver(project):
    spoil_chunk(project, 140)
    (each,) = examine(project)
    assert each.what == "topic orders"
    assert "20 acknowledged messages cannot be read, at offsets 140 to 159; 40 that wait can be read" in each.lost
    assert f"the {COMMITTED} before offset {COMMITTED} are in the lake" in each.lost
    assert mended(project) == ["topic orders"]
    lived(project)
    expected = [row["id"] for row in orders(0, COMMITTED + WAITING) if not 140 <= int(row["id"][1:]) < 160]
    assert [row["id"] for row in silver(project)] == sorted(expected)
    assert totals(project)["audit"]["accepted"] == COMMITTED + WAITING - 20, "no source takes anything twice"
    assert len(rows(project, "FROM lake.bronze.messages WHERE source = 'audit'")) == COMMITTED + WAITING - 20


def test_sources_that_are_not_equally_far_each_go_on_where_they_were(project):
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, _):
        run_out(tick, ["audit"])
    spoil_chunk(project, 140)
    (each,) = examine(project)
    assert "at offsets 140 to 159" in each.lost
    mended(project)
    lived(project)
    ledgers = totals(project)
    assert ledgers["audit"]["accepted"] == COMMITTED + WAITING
    assert ledgers["orders"]["accepted"] == COMMITTED + WAITING - 20


@pytest.mark.parametrize("twice", [False, True])
def test_a_topic_that_does_not_tell_its_epoch_gives_nothing_that_is_committed_again(twice, project):
    """Also where the lake knows of another epoch: its file was mended before, or made anew."""
    lived(project)
    if twice:
        mend(load_project(project.root), "orders")
        with sqlite_bus(project) as bus:
            bus.publish("orders", messages(orders(COMMITTED + WAITING, COMMITTED + WAITING + 30)))
        lived(project)
    before = totals(project)
    with closing(sqlite3.connect(topic(project))) as connection:
        connection.execute("DELETE FROM topic")
        connection.commit()
    assert mended(project) == ["topic orders"]
    lived(project)
    assert totals(project) == before


def test_a_topic_does_not_grow_for_ever_for_a_source_that_was_taken_away(tmp_path):
    project = project_of(tmp_path, "orders")
    write_source(tmp_path, "audit")
    file = tmp_path / "connectors/audit.yaml"
    text = file.read_text().replace("message_format: json", "message_format: json, topic: orders")
    clock = Clock(now() - dt.timedelta(days=2))

    def come(first, last):
        found = load_project(tmp_path)
        with sqlite_bus(found, clock=clock) as bus:
            bus.publish("orders", messages(orders(first, last)))
            lived(found, bus)
            with closing(sqlite3.connect(found.state / "bus/orders.db")) as topic:
                kept = [row[0] for row in topic.execute("SELECT first_offset FROM chunks ORDER BY 1")]
        return found, kept

    file.write_text(text)
    project, _ = come(0, 20)
    assert list(examine(project)) == []
    file.unlink()
    project, _ = come(20, 40)
    (found,) = examine(project)
    assert (found.what, found.mend is not None) == ("topic orders", True)
    assert "20 messages are kept for it alone" in found.problem
    assert "connectors/audit.yaml" in found.fix
    assert ("come back" in found.lost, "come back" in found.remedy) == (False, True)
    file.write_text(text.replace("topic: orders", "topic: audits"))
    (moved,) = examine(load_project(tmp_path))
    assert "audit, which takes topic audits now" in moved.problem
    assert [refused for _, refused in repair(project)] == [""]
    clock.now = now()
    file.write_text(text)
    project, kept = come(40, 45)
    assert kept == [40]
    assert totals(project)["audit"]["accepted"] == 20 + 5


def test_a_damaged_topic_stops_its_own_sources_only_and_status_tells(project):
    os.truncate(topic(project), 9000)
    told = status(project)
    assert told["refunds"].balanced
    assert told["refunds"].lag == 4
    assert "headrace doctor" in told["orders"].unbalanced[0]
    assert "orders" in at_start(project)["topic orders"]


def test_a_catalog_comes_back_from_its_copy_and_what_came_since_from_the_bus(project):
    lived(project)  # after the copy
    before = totals(project), silver(project)
    lake = project.state / "lake"
    for log in lake.glob("catalog.db-*"):
        log.unlink()
    os.truncate(lake / "catalog.db", 30_000)
    (each,) = examine(project, deep=False)
    assert each.lost == "Nothing is lost: the bus still has all that was committed since its copy was made"
    assert mended(project) == ["the lake's catalog"]
    lived(project)
    assert (totals(project), silver(project)) == before
    assert list((lake / "data.damaged-1").rglob("*.parquet")), "what the copy does not name is kept"


@pytest.mark.parametrize("point", ["bus.salvage", "lake.restore"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_repair_that_is_cut_off_is_ended_by_the_next_or_by_the_next_start(project, point, side):
    lived(project)  # after the copy
    before = totals(project), silver(project)
    if point == "bus.salvage":
        with closing(sqlite3.connect(topic(project))) as connection:
            connection.execute("DELETE FROM topic")
            connection.commit()
    else:
        (project.state / "lake" / "catalog.db").unlink()
    with cut_off_at(f"{point}.{side}"):
        list(repair(project))
    mended(project)
    lived(project)
    assert (totals(project), silver(project)) == before


def test_what_the_bus_no_longer_has_is_said_before_a_copy_is_put_back(project):
    lived(project)
    with closing(sqlite3.connect(topic(project))) as connection:
        connection.execute("DELETE FROM chunks WHERE first_offset < 140")  # retained no longer
        connection.commit()
    os.unlink(project.state / "lake/catalog.db")  # noqa: PTH108
    (each,) = (each for each in examine(project) if "catalog" in each.what)
    assert "20 of topic orders" in each.lost


def test_a_catalog_without_a_copy_is_left_to_a_person(project):
    os.unlink(project.state / "lake/catalog.copy")  # noqa: PTH108
    os.truncate(project.state / "lake/catalog.db", 100)
    each = found(project)["the lake's catalog"]
    assert each.mend is None
    assert "backup" in each.fix
    assert any("nothing that is safe" in refused for _, refused in repair(project))


def test_a_data_file_that_is_gone_is_told_with_what_it_held(project):
    path = next((project.state / "lake/data/bronze").rglob("source=refunds/**/*.parquet"))
    path.unlink()
    (each,) = examine(project, deep=False)
    assert (each.file, each.problem) == (path, "it is gone")
    assert "The bytes of 5 messages as they came" in each.lost
    told = status(project)
    assert not told["refunds"].balanced
    assert told["orders"].balanced


@pytest.mark.parametrize(("table", "fails"), [("positions", "`headrace up` cannot start"), ("ledger", "what needs")])
def test_a_file_of_our_own_records_is_told_with_what_fails_without_it(project, table, fails):
    next((project.state / "lake/data/ops" / table).rglob("*.parquet")).unlink()
    (each,) = examine(project, deep=False)
    assert each.what == f"a data file of ops.{table}"
    assert fails in each.lost


def test_small_files_are_moved_aside_and_made_anew(project):
    JobHistory(project.state)
    (project.state / "jobs.db").write_bytes(os.urandom(5000))
    (project.state / "format").write_bytes(b"\xff\xfe")
    (project.state / "gold").mkdir(exist_ok=True)
    (project.state / "gold/published.json").write_text('{"format": 1, "pa')
    with pytest.raises(LakeError, match="format is damaged"):
        open_state(project.state)
    assert set(found(project)) == {
        "the history of jobs",
        "the mark of the state's format",
        "the file of published builds",
    }
    mended(project)
    assert (project.state / "jobs.db.damaged-1").exists()
    assert json.loads((project.state / "gold/published.json").read_text())["past"] == []
    JobHistory(project.state)
    open_state(project.state)


def test_tokens_that_cannot_be_read_let_nobody_in_and_are_left_to_a_person(project):
    (project.state / "tokens.json").write_text("")
    (each,) = examine(project)
    assert each.mend is None
    assert (project.state / "tokens.json").exists()
