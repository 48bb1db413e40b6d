"""Files that cannot be published: exit code 2 with what, where and what to type; what came before is durable."""

from __future__ import annotations

import gzip
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from headrace.cli.init import scaffold
from headrace.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOLD: dict[str, tuple[list[str], str, str, str]] = {  # arguments; what (a part), where, and what to type (a part)
    "no such file": (["missing.jsonl"], "does not exist", "missing.jsonl", "ls "),
    "a folder": (["folder.jsonl"], "is a folder", "folder.jsonl", "headrace publish orders folder.jsonl/*"),
    "a folder without a suffix": (["sample"], "is a folder", "sample", "headrace publish orders sample/*"),
    "no suffix": (["events"], "does not say its format", "events", "--format"),
    "a suffix that is none": (["events.dat"], "does not say its format", "events.dat", "--format"),
    "a format that is none": (["--format", "orc", "events.dat"], "no format 'orc'", "--format", "ndjson"),
    "a format misspelt": (["--format", "ndjsn", "events.dat"], "no format 'ndjsn'", "--format", "'ndjson'"),
    "no Parquet": (["text.parquet"], "cannot be read", "text.parquet", "fetch"),
    "an empty Parquet file": (["empty.parquet"], "the file is empty", "empty.parquet", "leave it out"),
    "no gzip": (["text.jsonl.gz"], "gzip data is damaged", "text.jsonl.gz", "fetch"),
    "a CSV file without a header": (["bare.csv"], "is a row, not a header", "bare.csv:1", "columns"),
    "a table of a source that has one": (["--dataset", "items", "ok.jsonl"], "has no tables", "--dataset", "leave"),
    "an attribute without a value": (["--attribute", "x", "ok.jsonl"], "is not an attribute", "--attribute", "key="),
    "an environment that is none": (["--env", "prod", "ok.jsonl"], "no environment 'prod'", "--env", "local"),
    "a good file beside a missing one": (["ok.jsonl", "no.jsonl"], "does not exist", "no.jsonl", "ls "),
}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a new project with odd files in it; commands run in its folder."""
    root = tmp_path / "shop"
    scaffold(root)
    monkeypatch.chdir(root)
    (root / "folder.jsonl").mkdir()
    for name in ("events", "events.dat", "text.parquet", "text.jsonl.gz"):
        (root / name).write_text("Quoth the raven\n")
    for name in ("empty.parquet", "empty.jsonl", "empty.csv", "empty.jsonl.gz"):
        (root / name).touch()
    (root / "bare.csv").write_bytes(b"1,2\n3,4\n")
    (root / "ok.jsonl").write_text('{"order_id": "o-1"}\n')
    return root


@pytest.fixture
def headrace(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any]]:
    """Return what runs a command with --json: its exit code, and the document that it printed."""

    def run(*arguments: str) -> tuple[int, Any]:
        code: Any = 0
        try:
            main([*arguments, "--json"])
        except SystemExit as exit_:
            code = exit_.code
        return code or 0, json.loads(capsys.readouterr().out)

    return run


def test_each_says_what_where_and_what_to_type_and_publishes_nothing(shop: Path, headrace: Callable[..., Any]):
    for name, (arguments, what, where, fix) in TOLD.items():
        code, document = headrace("publish", "orders", *arguments)
        error = document["error"]
        assert (name, code, error["kind"]) == (name, 2, "user")
        assert what in error["message"], name
        assert error["at"] == where, name
        assert fix in error["fix"], name
    code, document = headrace("publish", "ordres", "ok.jsonl")
    assert (code, document["error"]["fix"]) == (2, "did you mean 'orders'?")
    assert headrace("status")[1]["sources"]["orders"]["lag"] == 0


def test_a_file_with_nothing_in_it_is_no_error(shop: Path, headrace: Callable[..., Any]):
    for name in ("empty.jsonl", "empty.csv", "empty.jsonl.gz"):
        code, document = headrace("publish", "orders", name)
        assert (name, code, document["messages"]) == (name, 0, 0)


def test_a_truncated_gzip_keeps_what_came_before_and_says_how_to_go_on(shop: Path, headrace: Callable[..., Any]):
    draw = random.Random(7)
    lines = [json.dumps({"order_id": f"o-{draw.randrange(10**9)}"}).encode() for _ in range(50_000)]
    whole = gzip.compress(b"\n".join(lines))
    (shop / "orders.jsonl.gz").write_bytes(whole[: len(whole) // 2])

    code, document = headrace("publish", "orders", "orders.jsonl.gz")
    assert code == 2
    assert document["error"]["at"] == "orders.jsonl.gz"
    assert "ends early" in document["error"]["message"]
    durable = headrace("status")[1]["sources"]["orders"]["lag"]
    assert 0 < durable < len(lines)
    assert f"--skip {durable}" in document["error"]["message"]

    (shop / "orders.jsonl.gz").write_bytes(whole)
    assert headrace("publish", "orders", "orders.jsonl.gz", "--skip", str(durable))[0] == 0
    assert headrace("status")[1]["sources"]["orders"]["lag"] == len(lines)


def test_a_json_array_cut_short_keeps_its_whole_elements(shop: Path, headrace: Callable[..., Any]):
    (shop / "cut.json").write_text('[{"order_id": "o-1"}, {"order_id": "o-2"}, {"order_id": ')
    code, document = headrace("publish", "orders", "cut.json")
    assert code == 2
    assert (document["error"]["at"], "--skip 2" in document["error"]["message"]) == ("cut.json", True)
    assert headrace("status")[1]["sources"]["orders"]["lag"] == 2
    (shop / "cut.json").write_text('[{"order_id": "o-1"}, {"order_id": ')
    said = headrace("publish", "orders", "cut.json")[1]["error"]["message"]
    assert "after 1 complete element; 1 message before that is durable, go on after it with --skip 1" in said


def test_a_state_of_another_format_takes_no_message(shop: Path, headrace: Callable[..., Any]):
    assert headrace("publish", "orders", "ok.jsonl")[0] == 0
    mark = shop / ".headrace/local/format"
    known = mark.read_text()
    mark.write_text("99\n")
    code, document = headrace("publish", "orders", "ok.jsonl")
    assert (code, "format 99" in document["error"]["message"]) == (2, True)
    mark.write_text(known)
    assert headrace("status")[1]["sources"]["orders"]["lag"] == 1


def test_bytes_of_anything_named_jsonl_are_messages_that_can_be_judged(shop: Path, headrace: Callable[..., Any]):
    noise = random.Random(7).randbytes(20_000)
    (shop / "noise.jsonl").write_bytes(noise)
    code, document = headrace("publish", "orders", "noise.jsonl")
    assert (code, document["messages"]) == (0, noise.count(b"\n") + (not noise.endswith(b"\n")))
