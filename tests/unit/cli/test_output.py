import json

from headrace.cli.output import Output
from headrace.cli.recent import below


def test_json_is_one_document_and_notes_are_silent(capsys):
    output = Output(as_json=True)
    output.note("working")
    output.show({"a": "é", "when": None}, lambda: output.line("never"))
    shown = capsys.readouterr()
    assert (json.loads(shown.out), shown.err) == ({"a": "é", "when": None}, "")
    assert "é" in shown.out


def test_half_of_a_surrogate_pair_is_shown_as_its_escape(capsys):
    Output(as_json=True).show({"a": "\ud800é"}, lambda: None)
    assert json.loads(capsys.readouterr().out) == {"a": "\ud800é"}
    Output(as_json=False).line("\ud800é")
    assert capsys.readouterr().out == "\\ud800é\n"


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


def test_what_a_stranger_sent_does_not_drive_the_terminal(capsys):
    sent = 'a\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202eb\tc\né"\\'
    seen = 'a\\x1b]0;owned\\x07\\x1b[2J\\r\\x9b31m\\u202eb\tc\né"\\'
    output = Output(as_json=False)
    output.line(sent)
    output.note(sent)
    below(sent)
    output.table(["value"], [[sent]])
    shown = capsys.readouterr()
    in_one_line = " ".join(seen.replace("\\r", " ").split())
    assert shown.out.startswith(f"{seen}\n  {in_one_line}\n")
    assert shown.err == f"{seen}\n"
    assert not set("\x1b\x07\r\x9b\u202e") & set(shown.out)
