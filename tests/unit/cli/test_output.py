import json

from headrace.cli.output import Output


def test_json_is_one_document_and_notes_are_silent(capsys):
    output = Output(as_json=True)
    output.note("working")
    output.show({"a": "é", "when": None}, lambda: output.line("never"))
    shown = capsys.readouterr()
    assert (json.loads(shown.out), shown.err) == ({"a": "é", "when": None}, "")
    assert "é" in shown.out


def test_text_goes_to_stdout_and_notes_to_stderr(capsys):
    output = Output(as_json=False)
    output.note("working")
    output.show({}, lambda: output.line("[bold]done[/]", "bold green"))
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("[bold]done[/]\n", "working\n")


def test_a_table_shows_numbers_to_the_right_and_nothing_as_a_dash(capsys):
    Output(as_json=False).table(["name", "rows"], [["orders", 12345], ["[x]", None], ["ok", True]], right=["rows"])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "name      rows",
        "orders  12,345",
        "[x]          -",
        "ok         yes",
    ]
