"""The table of evidence that `headrace add` shows."""

import json
from contextlib import suppress

from headrace.cli.add import _table
from headrace.cli.main import main
from headrace.cli.output import Output
from headrace.contracts.inference.schema import Field


def test_fields_within_one_object_can_be_told_apart_in_80_columns(capsys):
    within = "checkout.customer.address.delivery"
    fields = [Field(f"{within}.{name}", "string", 9, 9, 0, {"string": 9}, ("x" * 50,)) for name in ("street", "city")]
    _table(Output(as_json=False), fields)
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ["checkout…ess.delivery.street", "checkout…dress.delivery.city"]
    assert max(map(len, rows)) < 80


def test_what_to_type_next_can_be_typed(tmp_path, capsys):
    (tmp_path / "headrace.yaml").write_text("name: lab\n")
    (tmp_path / "my sample.csv").write_text("id,at\n1,2026-01-01T00:00:00Z\n")
    with suppress(SystemExit):
        main(["add", "orders", "--from", str(tmp_path / "my sample.csv"), "--json", "--project", str(tmp_path)])
    assert json.loads(capsys.readouterr().out)["next"][-1] == f"headrace publish orders '{tmp_path}/my sample.csv'"
