"""Cases of a source: what has to become of a message, and what does."""

import datetime as dt
import json

import pytest

from headrace.cli.main import main
from headrace.config.project import load_project
from headrace.errors import ConfigError
from headrace.runtime.contract_cases import cases_text, read_cases, run_cases

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
AMOUNT = {"type": "number", "format": "decimal", "precision": 18, "scale": 2}
AT = {"type": "string", "format": "date-time"}
SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}, "amount": AMOUNT, "at": AT}, "required": ["id"]}


@pytest.fixture
def root(tmp_path):
    for folder in ("connectors", "schemas", "tests/contracts"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "headrace.yaml").write_text("name: shop\n")
    (tmp_path / "schemas/orders.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "connectors/orders.yaml").write_text(
        "source_id: orders\npattern: event_streaming\nschema_file: schemas/orders.json\n"
        "processing: {bronze_to_silver: [{data_quality: {rules: [{field: amount, check: positive_number}]}}]}\n"
    )
    return tmp_path


def case(message, **expect):
    return {"name": "a case", "message": message, "expect": expect}


def wrong(root, *cases):
    (root / "tests/contracts/orders.json").write_text(cases_text(cases))
    source = load_project(root, environ={}).source("orders")
    return [each.wrong for each in run_cases(source, read_cases(root, "orders"), NOW)]


def test_a_case_passes_where_all_that_it_says_comes_true(root):
    good = {"id": "a", "amount": 2.50, "at": "2026-01-01T00:00:00+01:00"}
    assert (
        wrong(
            root,
            case(good, fate="silver", values={"amount": 2.5, "at": "2025-12-31T23:00:00.000000Z"}),
            case({"id": "a"}, fate="silver", values={"amount": None}),
            case({"id": 1}, fate="quarantined", stage="contract", code="type", path="$.id"),
            case({"id": "a", "amount": -1}, fate="quarantined", stage="quality", code="positive_number"),
            case("{", fate="quarantined", stage="decode", code="invalid_json"),
        )
        == [()] * 5
    )


def test_a_case_that_differs_says_how(root):
    good = {"id": "a", "amount": 2.5}
    found = wrong(
        root,
        case(good, fate="quarantined"),
        case({"id": 1}, fate="silver"),
        case(good, fate="silver", values={"amount": 2.51, "nothing": 1}),
        case({"id": 1}, fate="quarantined", code="required"),
    )
    assert found[0] == ("expected quarantined, and it is silver",)
    assert found[1][0].startswith("expected silver, and it is quarantined: contract/type, ")
    assert found[2] == ("amount: expected 2.51, and it is 2.50", "silver has no column nothing")
    assert found[3] == ("expected the code required, and it is type",)


def test_cases_that_cannot_be_read_say_where(root):
    with pytest.raises(ConfigError, match="has no cases"):
        read_cases(root, "orders")
    (root / "tests/contracts/orders.json").write_text(
        '{"cases": [\n{"name": "x", "message": 1,\n "expect": {"fat": 1}}]}'
    )
    with pytest.raises(ConfigError) as error:
        read_cases(root, "orders")
    assert error.value.at == "tests/contracts/orders.json:3"
    (root / "tests/contracts/orders.json").write_text("{")
    with pytest.raises(ConfigError, match="not valid JSON"):
        read_cases(root, "orders")


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    out = capsys.readouterr()
    return left.value.code or 0, out.out, out.err


def test_the_verb_exits_1_where_a_case_differs(root, capsys):
    wrong(root, case({"id": "a"}, fate="silver"))
    assert run(capsys, "test", "--project", str(root))[:2] == (0, "orders: ok  a case\n1 passed, 0 failed\n")
    wrong(root, case({"id": "a"}, fate="filtered"))
    code, out, _ = run(capsys, "test", "orders", "--project", str(root))
    assert code == 1
    assert "tests/contracts/orders.json:3: expected filtered, and it is silver" in out
    code, out, _ = run(capsys, "test", "orders", "--json", "--project", str(root))
    document = json.loads(out)
    assert (code, document["failed"], document["sources"]["orders"][0]["passed"]) == (1, 1, False)


def test_add_writes_nothing_dry_and_never_over_what_is_there(root, capsys, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "a", "n": 1}\n{"id": "b", "n": 2}\n')
    sample = ["--from", str(tmp_path / "a.jsonl"), "--project", str(root)]
    code, out, _ = run(capsys, "add", "things", *sample, "--dry-run")
    assert code == 0
    assert "would write:" in out
    assert not (root / "connectors/things.yaml").exists()
    code, out, _ = run(capsys, "add", "things", *sample)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80 + len(str(tmp_path))
    assert "held against the contract: 2 of 2 rows pass" in out
    assert run(capsys, "check", "--project", str(root))[:2] == (0, "0 errors, 0 warnings\n")
    assert run(capsys, "test", "things", "--project", str(root))[0] == 0
    before = (root / "connectors/things.yaml").read_text()
    code, _, err = run(capsys, "add", "things", *sample)
    assert (code, "there already" in err, "headrace test things" in err) == (2, True, True)
    assert (root / "connectors/things.yaml").read_text() == before
    code, out, _ = run(capsys, "add", "more", *sample, "--json")
    document = json.loads(out)
    assert (document["key"]["field"], document["rows"]["kept"], document["written"]) == ("id", 2, True)


def test_export_says_what_it_had_to_leave_out(root, capsys, tmp_path):
    code, out, err = run(capsys, "export", "avro", "orders", "--project", str(root))
    assert code == 0
    assert json.loads(out)["name"] == "orders"
    assert "not in avro: #/properties/amount: that it may be absent and never null" in err
    for form in ("jsonschema", "protobuf", "odcs", "bigquery", "iglu"):
        code, out, _ = run(capsys, "export", form, "orders", "--json", "--project", str(root))
        assert (code, json.loads(out)["form"]) == (0, form)
    target = str(tmp_path / "orders.proto")
    assert run(capsys, "export", "protobuf", "orders", "--output", target, "--project", str(root))[:2] == (0, "")
    code, _, err = run(capsys, "export", "protobuf", "orders", "--output", target, "--project", str(root))
    assert (code, "nothing is overwritten" in err) == (2, True)
    code, _, err = run(capsys, "export", "protobuf", "orders", "--output", str(tmp_path), "--project", str(root))
    assert (code, "this is a folder" in err, "rm " in err) == (2, True, False)
