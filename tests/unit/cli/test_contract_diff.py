import json

import pytest

from headrace.cli.main import main
from living import write_source


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return left.value.code or 0


@pytest.fixture
def folder(tmp_path):
    write_source(tmp_path, "orders")
    return tmp_path


def test_a_version_that_breaks_exits_1_and_shows_why(folder, capsys):
    (folder / "schemas/orders").mkdir()
    (folder / "schemas/orders/v1.json").write_text((folder / "schemas/orders.json").read_text())
    document = json.loads((folder / "schemas/orders.json").read_text())
    name = next(name for name, part in document["properties"].items() if part.get("type") == "number")
    document["properties"][name] = {"type": "number", "minimum": 0}
    (folder / "schemas/orders.json").write_text(json.dumps(document, indent=2))
    assert run("contract", "diff", "orders", "--against", "v1", "--project", str(folder)) == 1
    text = capsys.readouterr().out
    assert "minimum-added" in text
    assert "new readers, old events: breaking" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert run("contract", "diff", "orders", "--against", "v1", "--json", "--project", str(folder)) == 1
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"source", "against", "commit", "model", "allowed", "datasets", "faults"}
    (dataset,) = found["datasets"]
    assert (dataset["old"], dataset["new"], dataset["mode"]) == ("v1", "v2", "backward_compatible")
    (change,) = dataset["changes"]
    assert change["pointer"] == f"#/properties/{name}"
    assert f'"{name}"' in (folder / "schemas/orders.json").read_text().splitlines()[change["line"] - 1]
    assert change["backward_example"][name] < 0


@pytest.mark.parametrize("against", ["v7", "-x", "main"])
def test_what_cannot_be_compared_with_exits_2(folder, capsys, against, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    assert run("contract", "diff", "orders", "--against", against, "--project", str(folder)) == 2
    assert "fix:" in capsys.readouterr().err


@pytest.mark.parametrize("against", ["v1", "main"])
def test_a_source_that_does_not_exist_exits_2(folder, capsys, against, monkeypatch):
    """Also outside of a repository: the name is what is wrong first."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    assert run("contract", "diff", "order", "--against", against, "--project", str(folder)) == 2
    assert "no source 'order'" in capsys.readouterr().err


def test_two_files_need_no_project(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.json").write_text('{"properties": {"a": {"type": "number"}}}')
    (tmp_path / "new.json").write_text('{\n"properties": {\n"a": {"type": "integer"}}}')
    assert run("contract", "diff", "old.json", "new.json") == 1
    assert "new.json:3: type-narrowed" in capsys.readouterr().out
    assert run("contract", "diff", "old.json", "new.json", "--mode", "forward", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["source"], found["against"], found["allowed"]) == (None, "old.json", True)
    assert found["datasets"][0]["changes"][0]["backward_example"]["a"] % 1
    assert run("contract", "diff", "old.json", "old.json") == 0
    assert "nothing changed" in capsys.readouterr().out
    assert run("contract", "diff", "old.json", "new.json", "--against", "main") == 2
    assert run("contract", "diff", "old.json", "new.json", "--mode", "sideways") == 2


def test_a_broken_other_source_does_not_stop_it_and_is_not_read(folder, capsys):
    (folder / "schemas/orders").mkdir()
    (folder / "schemas/orders/v1.json").write_text((folder / "schemas/orders.json").read_text())
    (folder / "connectors/broken.yaml").write_text("source_id: broken\nschema: {file: schemas/nope.json\n")
    assert run("contract", "diff", "orders", "--against", "v1", "--project", str(folder)) == 0
    assert "broken" not in capsys.readouterr().err
    (folder / "headrace.yaml").write_text("name: lab\nnaem: shop\n")
    assert run("contract", "diff", "orders", "--against", "v1", "--json", "--project", str(folder)) == 0
    captured = capsys.readouterr()
    assert [(fault["file"], fault["line"]) for fault in json.loads(captured.out)["faults"]] == [("headrace.yaml", 2)]
    assert captured.err == ""
    for against in ("v1", "main"):
        assert run("contract", "diff", "broken", "--against", against, "--project", str(folder)) == 2
        assert "connectors/broken.yaml:" in capsys.readouterr().err
    assert run("contract", "diff", str(folder / "schemas/orders.json"), "--project", str(folder)) == 2
    assert "one file has nothing to be compared with" in capsys.readouterr().err


def test_what_a_source_looks_up_in_others_is_read_with_them(folder):
    from headrace.config.project import assemble

    write_source(folder, "visits")
    alone = assemble(folder, None, {}, only="orders")
    assert [read.origin.document.file for read in alone.reads] == ["connectors/orders.yaml"]
    assert alone.project is None
    write_source(folder, "orders", more="  bronze_to_silver:\n    - enrich: {lookup: silver.visits, on: id}\n")
    assert len(assemble(folder, None, {}, only="orders").reads) == 2
