"""Silver of which files are really gone or damaged: made anew from bronze, or left as it is."""

from __future__ import annotations

import os
import shutil

import pytest

from headrace.runtime.doctor.examine import examine, repair
from headrace.runtime.verify import verify
from living import (
    ORDERS,
    changed_behind_its_back,
    messages,
    project_of,
    rows,
    run_out,
    silver,
    sqlite_bus,
    ticking,
    totals,
)
from striking import cut_off_at

DATED = {
    "type": "object",
    "required": ["id"],
    "properties": {
        **ORDERS["properties"],
        "day": {"type": "string", "format": "date"},
        "raw": {"type": ["object", "string"]},
    },
}
MORE = "  bronze_to_silver:\n  - deduplication: {key: [id], version_by: version}\nevent_time: day\n"


def event(number, version=1, day=1):
    return {"id": f"o{number}", "version": version, "day": f"2026-10-{day:02d}", "raw": {"n": number}}


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory):
    """Return the folder of a project of two days, of which the first has a file of deletes."""
    root = tmp_path_factory.mktemp("silver") / "project"
    project = project_of(root, schema=DATED, more=MORE)
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, _):
        for batch in ([event(n, day=1 + n % 2) for n in range(20)], [event(2, version=2), event(3, 2, day=2)]):
            bus.publish("orders", messages(batch))
            run_out(tick, ["orders"])
    return root


@pytest.fixture
def project(lived_in, tmp_path):
    shutil.copytree(lived_in, tmp_path / "project")
    return project_of(tmp_path / "project", schema=DATED, more=MORE)


def files(project, folder):
    return sorted((project.state / "lake" / "data" / folder).rglob("*.parquet"))


def state(project):
    return totals(project), silver(project), rows(project, "SELECT * FROM lake.silver.orders ORDER BY _seq")


def flipped(path):
    content = bytearray(path.read_bytes())
    content[40:60] = bytes(20)
    path.write_bytes(content)


DAMAGES = {
    "gone": (os.unlink, "*_event_date=2026-10-01/orders*"),
    "cut short": (lambda path: os.truncate(path, 100), "*_event_date=2026-10-02/orders*"),
    "overwritten": (flipped, "*_event_date=2026-10-01/orders*"),
    "its deletes are gone": (os.unlink, "*delete*"),
}


@pytest.mark.parametrize(("harm", "which"), DAMAGES.values(), ids=DAMAGES)
def test_a_table_of_which_a_file_is_lost_is_made_anew_as_it_was(project, harm, which):
    before = state(project)
    path = next(path for path in files(project, "silver") if path.match(which))
    harm(path)
    (found,) = examine(project)
    assert (found.what, found.file) == ("a data file of silver.orders", path)
    assert "from bronze" in found.remedy
    ((_, refused),) = repair(project)
    assert not refused
    assert not list(examine(project))
    assert state(project) == before
    assert verify(project, from_bronze=True).holds
    aside = [each.name for each in (project.state / "lake").rglob("*") if "damaged" in str(each) and each.is_file()]
    assert aside == ([] if harm is os.unlink else [path.name]), "what is left of it is kept"
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, lake):  # ... and goes on as it was
        bus.publish("orders", messages([event(2), event(4), event(5, 2, day=1), event(90)]))
        run_out(tick, ["orders"])
        lake.maintain(frozenset, 60)
    assert totals(project)["orders"] == {"accepted": 26, "silver": 21, "superseded": 3, "duplicate": 2}
    assert verify(project, from_bronze=True).holds


def test_what_bronze_does_not_make_as_it_was_takes_no_ones_place(project):
    path = next(path for path in files(project, "silver") if path.match("*_event_date=2026-10-01/orders*"))
    path.rename(f"{path}.kept")
    changed_behind_its_back(
        project, "UPDATE lake.bronze.messages SET payload = replace(payload::VARCHAR, '1,', '7,')::BLOB WHERE seq = 4"
    )
    ((_, refused),) = repair(project)
    assert "2026-10-01 has other values" in refused
    (left,) = examine(project)
    assert left.file == path
    path.with_name(f"{path.name}.kept").rename(path)
    assert not list(examine(project))
    assert len(silver(project)) == 20


def test_without_bronze_nothing_is_made(project):
    before = state(project)
    lost, raw = files(project, "silver")[0], files(project, "bronze")[0]
    for path in (lost, raw):
        path.rename(f"{path}.kept")
    refused = {each.what: why for each, why in repair(project)}
    assert "bronze" in refused["a data file of silver.orders"]
    for path in (lost, raw):
        path.with_name(f"{path.name}.kept").rename(path)
    assert state(project) == before


@pytest.mark.parametrize("point", ["lake.replace.before", "lake.replace.after", "lake.commit.after"])
def test_cut_off_it_is_all_or_nothing(project, point):
    before = state(project)
    next(path for path in files(project, "silver") if path.match("*_event_date=2026-10-01/orders*")).unlink()
    with cut_off_at(point, after="lake.replace.before"):
        list(repair(project))
    assert bool(list(examine(project))) == (point != "lake.commit.after")
    assert not [refused for _, refused in repair(project) if refused]
    assert state(project) == before
    assert verify(project, from_bronze=True).holds
