"""The table of evidence that `headrace add` shows."""

from headrace.cli.add import _table
from headrace.cli.output import Output
from headrace.contracts.inference.schema import Field


def test_fields_within_one_object_can_be_told_apart_in_80_columns(capsys):
    within = "checkout.customer.address.delivery"
    fields = [Field(f"{within}.{name}", "string", 9, 9, 0, {"string": 9}, ("x" * 50,)) for name in ("street", "city")]
    _table(Output(as_json=False), fields)
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ["checkout…ess.delivery.street", "checkout…dress.delivery.city"]
    assert max(map(len, rows)) < 80
