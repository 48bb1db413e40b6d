import json
import os

import pytest

from headrace.cli.init import EDITOR_SCHEMA, scaffold
from headrace.cli.main import main
from headrace.config.editor import source_schema
from headrace.config.lint import lint
from headrace.config.project import load_project
from headrace.errors import UserError


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return left.value.code or 0


def test_what_it_writes_checks_clean_and_loads(tmp_path):
    written = scaffold(tmp_path / "my-shop")
    assert written == sorted(
        [
            ".gitignore",
            "README.md",
            "connectors/orders.yaml",
            "connectors/source.schema.json",
            "dbt_project.yml",
            "headrace.yaml",
            "models/marts/fct_daily_orders.sql",
            "models/marts/fct_daily_orders.yml",
            "sample/orders.jsonl",
            "schemas/orders.json",
        ]
    )
    root = tmp_path / "my-shop"
    assert lint(root, environ={}) == []
    project = load_project(root)
    assert project.name == "my-shop"
    (dataset,) = project.source("orders").datasets
    assert (dataset.key, dataset.version_by, dataset.event_time) == (("order_id",), "updated_at", "ordered_at")
    assert ".headrace/" in (root / ".gitignore").read_text().splitlines()
    assert "name: my_shop" in (root / "dbt_project.yml").read_text()
    assert json.loads((root / EDITOR_SCHEMA).read_text()) == source_schema()
    for path in root.rglob("*"):
        assert not path.is_file() or "__name__" not in path.read_text()


def test_the_sample_is_what_its_readme_says(tmp_path):
    scaffold(tmp_path / "shop")
    lines = (tmp_path / "shop/sample/orders.jsonl").read_text().splitlines()
    events, broken = [], 0
    for line in lines:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            broken += 1
            continue
        if "order_id" in event and event["amount"] > 0:
            events.append(event)
        else:
            broken += 1
    distinct = {json.dumps(event, sort_keys=True) for event in events}
    keys = {event["order_id"] for event in events}
    versions = {(event["order_id"], event["updated_at"]) for event in events}
    assert len(versions) == len(distinct)
    numbers = (len(keys), len(distinct) - len(keys), len(events) - len(distinct), broken, len(lines))
    assert numbers == (160, 29, 8, 3, 200)
    said = (tmp_path / "shop/README.md").read_text()
    assert "160 silver, 29 superseded, 8 duplicate and 3 quarantined" in said


def test_a_folder_that_holds_something_is_left_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/mine.txt").write_text("mine")
    assert run("init", "shop") == 2
    assert "error: shop is not empty" in capsys.readouterr().err
    assert names_in(tmp_path / "shop") == ["mine.txt"]
    (tmp_path / "file").write_text("")
    assert run("init", "file") == 2


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "shop").mkdir()
    inode = (tmp_path / "shop").stat().st_ino
    scaffold(tmp_path / "shop")
    assert (tmp_path / "shop").stat().st_ino == inode
    assert lint(tmp_path / "shop", environ={}) == []
    assert names_in(tmp_path) == ["shop"]


@pytest.mark.parametrize("name", ["Shop", "1shop", "sh op", "-"])
def test_a_name_that_cannot_be_one_writes_nothing(tmp_path, name):
    with pytest.raises(UserError, match="cannot name a project"):
        scaffold(tmp_path / name)
    assert names_in(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights_writes_nothing(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="cannot write the project"):
        scaffold(tmp_path / "shop")
    tmp_path.chmod(0o700)
    assert names_in(tmp_path) == []


def test_a_parent_that_is_a_file_is_an_error_of_the_user(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the project"):
        scaffold(tmp_path / "file/shop")


def test_what_it_says(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("init", "shop", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["name"] == "shop"
    assert said["next"][0] == "cd shop"
    assert len(said["files"]) == 10
