import json

import pytest

from headrace.cli.main import main
from living import ORDERS, lived, messages, orders, project_of, sqlite_bus, write_source


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return left.value.code or 0


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "connectors").mkdir()
    (tmp_path / "headrace.yaml").write_text("name: shop\n")
    return tmp_path


def test_a_clean_project_exits_0(folder, capsys):
    assert run("check", "--project", str(folder)) == 0
    assert capsys.readouterr().out == "0 errors, 0 warnings\n"
    assert run("check", "--json", "--project", str(folder)) == 0
    assert json.loads(capsys.readouterr().out) == {"faults": []}


def test_an_error_exits_1_and_a_warning_0(folder, capsys):
    source = folder / "connectors/orders.yaml"
    source.write_text("source_id: orders\npattern: event_streaming\n")
    assert run("check", "--project", str(folder)) == 0
    assert capsys.readouterr().out.endswith("\n0 errors, 1 warning\n")
    source.write_text("source_id: orders\npattern: event_streaming\nowners: me\n")
    assert run("check", "--json", "--project", str(folder)) == 1
    faults = json.loads(capsys.readouterr().out)["faults"]
    assert faults[0].keys() == {"severity", "file", "line", "message", "fix"}
    error = {
        "severity": "error",
        "file": "connectors/orders.yaml",
        "line": 3,
        "message": "unknown key 'owners'",
        "fix": "did you mean 'owner'?",
    }
    assert error in faults
    assert run("check", "--project", str(folder)) == 1
    text = capsys.readouterr().out
    assert "connectors/orders.yaml:3: error\n  unknown key 'owners'\n  fix: did you mean 'owner'?\n" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_an_environment_that_does_not_exist_exits_2(folder, capsys):
    assert run("check", "--env", "lokal", "--project", str(folder)) == 2
    assert "did you mean 'local'?" in capsys.readouterr().err


def test_a_contract_that_silver_cannot_follow_is_told_before_up_does(tmp_path, capsys):
    project = project_of(tmp_path, "orders", "visits")
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages(orders(0, 2)))
        lived(project, bus)
    assert run("check", "--project", str(tmp_path)) == 0
    changed = {**ORDERS, "properties": {**ORDERS["properties"], "amount": {"type": "string"}}}
    write_source(tmp_path, "orders", schema=changed)
    capsys.readouterr()
    assert run("check", "--json", "--project", str(tmp_path)) == 0, "a plan can do it"
    (fault,) = [each for each in json.loads(capsys.readouterr().out)["faults"] if "silver.orders" in each["message"]]
    assert (fault["severity"], fault["file"], fault["line"]) == ("warning", "connectors/orders.yaml", 3)
    assert fault["message"] == "column amount of silver.orders is double, and the contract now says string"
    assert "amount_v2" in fault["fix"]
    assert "headrace plan --history all" in fault["fix"]
    write_source(tmp_path, "visits", schema=changed)  # which no message came to: nothing to decide again
    assert run("check", "--json", "--project", str(tmp_path)) == 1
