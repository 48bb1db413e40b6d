"""A location stands for what the longest binding says, and never leads out of the project."""

from __future__ import annotations

import pytest

from headrace.config.locations import bound, place_of
from headrace.connectors.batch_file.places import Bucket, Folder
from headrace.errors import ConfigError

BINDINGS = {
    "gs://zone/": "./landing/",
    "gs://zone/deep/": "file:///srv/deep",
    "/mnt/drop": "./drop",
    "gs://raw": "gs://x",
}


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("landing/orders/", "landing/orders/"),
        ("gs://zone/orders/", "./landing/orders/"),
        ("gs://zone/", "./landing/"),
        ("gs://zone/deep/a", "file:///srv/deep/a"),
        ("gs://zone/deeper/a", "./landing/deeper/a"),
        ("gs://zones/a", "gs://zones/a"),
        ("/mnt/drop/x", "./drop/x"),
        ("gs://raw/a/b", "gs://x/a/b"),
    ],
)
def test_the_longest_binding_of_whole_names_decides(location, target):
    assert bound(location, BINDINGS) == target


@pytest.mark.parametrize(
    "location", ["../other", "/etc", "landing/../../x", "file:///etc", "gs://zone/../../etc", "out"]
)
def test_nothing_outside_is_a_place(tmp_path, location):
    project = tmp_path / "project"
    project.mkdir()
    (project / "out").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="leads out of the project") as told:
        place_of(location, project, {"gs://zone/": "./landing/"}, "connectors/a.yaml")
    assert "bindings" in told.value.fix


@pytest.mark.parametrize("location", [".headrace", ".headrace/local", "./landing/../.headrace/", "state", "gs://zone/"])
def test_our_own_state_is_no_place(tmp_path, location):
    (tmp_path / ".headrace/local").mkdir(parents=True)
    (tmp_path / "state").symlink_to(".headrace/local")
    with pytest.raises(ConfigError, match="own state"):
        place_of(location, tmp_path, {"gs://zone/": ".headrace/local", "state": "state"})


def test_a_location_that_became_a_link_within_the_project_is_none(tmp_path):
    (tmp_path / "private").mkdir()
    (tmp_path / "landing").symlink_to("private")
    (tmp_path / "up").symlink_to(".")
    for location in ("landing/", "landing/in", "up/private"):
        with pytest.raises(ConfigError, match="leads out of the project") as told:
            place_of(location, tmp_path, {})
        assert "bindings" in told.value.fix
    assert isinstance(place_of("landing/", tmp_path, {"landing/": "./private"}), Folder)
    (tmp_path.parent / f"{tmp_path.name}-link").symlink_to(tmp_path)
    through = tmp_path.parent / f"{tmp_path.name}-link"
    for location in ("private", str(through / "private"), str(tmp_path / "private"), f"file://{tmp_path}/private"):
        assert isinstance(place_of(location, through, {}), Folder)


def test_a_folder_elsewhere_is_a_place_where_a_binding_names_it(tmp_path):
    project, drop = tmp_path / "project", tmp_path / "drop"
    (drop / "in").mkdir(parents=True)
    (drop / "in/a.csv").touch()
    for location, target in {"gs://zone/in/": str(drop), "/mnt/in": f"file://{drop}"}.items():
        place = place_of(location, project, {location.removesuffix("in/").removesuffix("in"): target})
        assert isinstance(place, Folder)
        assert [each.path for each in place.listing()] == ["a.csv"]


def test_a_uri_that_nothing_binds_is_a_store(tmp_path):
    assert isinstance(place_of("memory://x/y", tmp_path, {}), Bucket)
