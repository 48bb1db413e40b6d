"""A project that has lived: orders in several batches and versions, some broken, with two marts."""

import shutil

import pytest

from headrace.config.project import load_project
from living import project_of
from planning import MART, TOTAL, publish, write_models


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory):
    root = tmp_path_factory.mktemp("planned")
    project = project_of(root, "orders", "visits")
    write_models(project, daily=MART, total=TOTAL)
    halves = [{"id": f"o{n}", "version": 1, "amount": n / 2} for n in range(12)]
    publish(project, *halves[:8], {"no": "id"}, limit=4)
    publish(project, {"id": "v1", "amount": 0.5}, source="visits")
    publish(
        project, *halves[8:], halves[3], {"id": "o1", "version": 2, "amount": 7}, {"id": "o2", "version": 0}, limit=3
    )
    return root


@pytest.fixture
def project(lived_in, tmp_path):
    return load_project(shutil.copytree(lived_in, tmp_path / "copy"))
