"""A project that has lived: orders in several batches and versions, some broken, with two marts.

What every test would ask of it anew is asked once: a copy has the same files, so a plan of one holds for each.
"""

import shutil

import pytest

from headrace.config.project import load_project
from headrace.runtime.plan.making import Ask, plan
from headrace.runtime.verify import verify
from living import project_of, rows
from planning import MART, TOTAL, change, publish, with_amount, write_models


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory):
    root = tmp_path_factory.mktemp("planned")
    project = project_of(root, "orders", "visits")
    write_models(project, daily=MART, total=TOTAL)
    halves = [{"id": f"o{n}", "version": 1, "amount": n / 2} for n in range(12)]
    publish(project, *halves[:8], {"no": "id"}, limit=5)
    visits = [{"id": f"v{n}", "version": version, "amount": 0.5} for n in (1, 2) for version in (1, 2)]
    publish(project, *visits, source="visits")
    publish(
        project, *halves[8:], halves[3], {"id": "o1", "version": 2, "amount": 7}, {"id": "o2", "version": 0}, limit=4
    )
    return root


@pytest.fixture
def project(lived_in, tmp_path):
    return load_project(shutil.copytree(lived_in, tmp_path / "copy"))


@pytest.fixture(scope="session")
def silver_before(lived_in):
    """The digest of each silver table, which is what bronze makes."""
    found = verify(load_project(lived_in), from_bronze=True)
    assert found.holds
    return found.silver


@pytest.fixture(scope="session")
def integer_plan(lived_in, tmp_path_factory):
    """The plan of all history where amounts become integers; its replay writes nothing to the lake."""
    project = load_project(shutil.copytree(lived_in, tmp_path_factory.mktemp("integers") / "copy"))
    batches = rows(project, "SELECT * FROM lake.ops.batches ORDER BY ALL")
    snapshots = rows(project, "SELECT max(snapshot_id) AS newest FROM lake.snapshots()")
    found = plan(change(project, with_amount(type="integer")), Ask(history=True, examples=2))
    assert rows(project, "SELECT * FROM lake.ops.batches ORDER BY ALL") == batches
    assert rows(project, "SELECT max(snapshot_id) AS newest FROM lake.snapshots()") == snapshots
    assert not (project.state / "rebuild").exists()
    return found
