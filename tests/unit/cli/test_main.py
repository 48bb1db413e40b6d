"""The frame: errors become exit codes, help is quick and light."""

import errno
import gc
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from headrace import __version__
from headrace.cli.main import VERBS, kind_and_lead, main
from headrace.errors import BusError, BusyError, ConfigError, InternalError
from living import KEYED, project_of

HEAVY = {"duckdb", "pyarrow", "pydantic", "sqlglot", "jsonschema_rs", "yaml", "ruamel", "dbt", "rich", "numpy"}


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return left.value.code or 0


def test_help_lists_every_verb_on_a_line_of_its_own_within_80_columns(capsys):
    assert run("--help") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for verb in VERBS:
        assert any(line.split()[:1] == [verb.name] and line.endswith(verb.help) for line in lines)


def test_ctrl_c_while_it_is_loaded_is_no_traceback():
    code = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "from headrace.__main__ import run\n"
        "run()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


LOADING = """
import sys
from pathlib import Path
from headrace.cli.main import main
try:
    main(["--help"])
except SystemExit:
    print(*sys.modules)
from headrace.runtime.views.status import status
from headrace.config.project import load_project
load_project(Path(sys.argv[1]))
print(*sys.modules)
"""


def test_what_is_heavy_is_imported_where_it_is_used(tmp_path):
    push = 'serving: {push: [{name: hook, to: "https://example.com/", filter: {id: a}}]}\n'
    project = project_of(tmp_path, more=f"{KEYED}  - data_quality: {{rules: [{{field: id, check: not_null}}]}}\n{push}")
    done = subprocess.run([sys.executable, "-c", LOADING, project.root], capture_output=True, text=True, check=False)
    of_help, of_status = (
        {name.split(".")[0] for name in line.split()} for line in done.stdout.splitlines() if "typer " in line
    )
    assert of_help & HEAVY == set()
    assert "typer" in of_help
    assert {"duckdb", "pydantic"} <= of_status
    assert not of_status & {"sqlglot", "dbt"}, "only expressions need it, and builds"


def test_a_verb_that_only_answers_leaves_the_collection_of_garbage_as_it_was(capsys, tmp_path):
    for name in ("old", "new"):
        (tmp_path / f"{name}.json").write_text("{}")
    assert gc.isenabled()
    assert run("contract", "diff", str(tmp_path / "old.json"), str(tmp_path / "new.json")) == 0
    assert gc.isenabled()
    assert "nothing changed" in capsys.readouterr().out


def test_the_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"headrace {__version__}\n"


def test_a_verb_that_does_not_exist_is_a_usage_error(capsys):
    assert run("chekc") == 2
    assert "Did you mean 'check'" in capsys.readouterr().err


def test_an_option_that_does_not_exist_is_a_usage_error():
    assert run("check", "--jsn") == 2


def test_a_user_error_says_where_and_what_to_type_on_lines_of_their_own(capsys, tmp_path):
    assert run("check", "--project", str(tmp_path)) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        f"error: no headrace.yaml in {tmp_path}",
        f"  at:  {tmp_path}",
        "  fix: headrace init NAME starts a project",
    ]


def test_with_json_an_error_is_json_on_stdout(capsys, tmp_path):
    assert run("check", "--json", "--project", str(tmp_path)) == 2
    shown = capsys.readouterr()
    assert shown.err == ""
    assert json.loads(shown.out) == {
        "error": {
            "message": f"no headrace.yaml in {tmp_path}",
            "at": str(tmp_path),
            "fix": "headrace init NAME starts a project",
            "kind": "user",
        }
    }


def test_who_must_act_has_a_word_of_its_own():
    assert kind_and_lead(ConfigError("x")) == ("user", "error")
    assert kind_and_lead(BusyError("x")) == ("user", "error")
    assert kind_and_lead(BusError("x")) == ("external", "unavailable")
    assert kind_and_lead(InternalError("x")) == ("internal", "internal error")


def test_a_bug_is_shown_as_a_bug_and_not_as_a_wall_of_text(capsys, tmp_path):
    # A folder where a file must be is found by the check itself; a broken working directory is nobody's to foresee.
    code = (
        "import os, sys\n"
        "os.chdir(sys.argv[1])\n"
        "os.rmdir(sys.argv[1])\n"
        "from headrace.cli.main import main\n"
        "main(['check'])\n"
    )
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run([sys.executable, "-c", code, str(gone)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("internal error: FileNotFoundError")
    assert "Traceback" not in done.stderr


def test_a_file_of_somebody_else_is_no_bug(capsys, tmp_path, monkeypatch):
    def refused():
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "a b" / "worker.log"))

    monkeypatch.setattr("headrace.cli.check.run", refused)
    assert run("check") == 2
    assert capsys.readouterr().err.splitlines() == [
        "unavailable: the file cannot be used: Permission denied",
        f"  at:  {tmp_path}/a b/worker.log",
        f"  fix: see whose it is, and that you may write there: ls -ld '{tmp_path}/a b'",
    ]


def test_ctrl_c_exits_130_without_a_word(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from headrace.cli.main import main\n"
        "class Terminal:\n"
        "    def write(self, text): os.kill(os.getpid(), signal.SIGINT)\n"
        "    def flush(self): pass\n"
        "    def isatty(self): return False\n"
        "sys.stdout = Terminal()\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "main(['schema'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [["--help"], ["check"], ["check", "--json"]])
def test_an_answer_that_cannot_be_written_is_no_bug(tmp_path, arguments):
    (tmp_path / "headrace.yaml").write_text("name: shop\n")
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "headrace", *arguments],
            cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[0] == "unavailable: the answer could not be written: No space left on device"
    assert "Traceback" not in ran.stderr


def test_what_a_terminal_cannot_show_is_shown_as_its_number(capsys, monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr("headrace.cli.check.run", lambda: stdout.write("gr\u00fcn · ok\n") and None)
    assert run("check") == 0
    stdout.flush()
    assert stdout.buffer.getvalue() == b"gr\\xfcn \\xb7 ok\n"


def test_a_process_without_standard_streams_works(tmp_path):
    (tmp_path / "headrace.yaml").write_text("name: shop\n")
    closed = f"'{sys.executable}' -m headrace status <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", closed], cwd=tmp_path, check=False).returncode == 0


def test_every_verb_shows_its_help(capsys):
    for verb in ("init", "check", "schema"):
        assert run(verb, "--help") == 0
        assert f"headrace {verb}" in capsys.readouterr().out
