"""Bad messages through the real commands: each gets its typed reason, the good ones go through, nothing stalls."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from headrace.cli.init import scaffold
from typed import answered

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "n": {"type": "integer"},
        "price": {"type": "number"},
        "note": {"type": "string"},
        "any": {},
        "inner": {"type": "object", "properties": {"tags": {"type": "array", "items": {"type": "string"}}}},
    },
    "additionalProperties": False,
}
MEGABYTES = 50


class Reason(NamedTuple):
    """Why a message is in quarantine."""

    stage: str
    code: str
    path: str | None = None


def _decode(code: str, path: str | None = None) -> Reason:
    return Reason("decode", code, path)


def _contract(code: str, path: str | None = None) -> Reason:
    return Reason("contract", code, path)


BAD: dict[str, tuple[bytes, Reason]] = {
    "invalid UTF-8": (b'{"id":"caf\xe9"}', _decode("invalid_utf8")),
    "a UTF-8 text cut within a character": ('{"id":"é'.encode()[:-1], _decode("invalid_utf8")),
    "a surrogate encoded as bytes": (b'{"id":"\xed\xa0\x80"}', _decode("invalid_utf8")),
    "UTF-16": ('{"id":"x"}'.encode("utf-16").replace(b"\n", b""), _decode("invalid_utf8")),
    "a document cut short": (b'{"id":"x","n":', _decode("invalid_json")),
    "no JSON at all": (b"Segmentation fault (core dumped)", _decode("invalid_json")),
    "an empty line": (b"", _decode("empty_message")),
    "a blank line": (b" \t ", _decode("empty_message")),
    "10,000 levels of arrays": (b'{"id":"x","any":' + b"[" * 10_000 + b"]" * 10_000 + b"}", _decode("too_deep")),
    "10,000 levels of objects": (b'{"any":' * 10_000 + b"1" + b"}" * 10_000, _decode("too_deep")),
    "10,000 levels that never close": (b"[" * 10_000, _decode("too_deep")),
    "NaN": (b'{"id":"x","price":NaN}', _decode("nan_or_infinity")),
    "Infinity": (b'{"id":"x","price":Infinity}', _decode("nan_or_infinity")),
    "-Infinity": (b'{"id":"x","any":{"deep":[-Infinity]}}', _decode("nan_or_infinity")),
    "a key twice": (b'{"id":"x","n":1,"id":"y"}', _decode("duplicate_key", "$.id")),
    "a key twice, once escaped": (b'{"id":"x","n":1,"\\u006e":2}', _decode("duplicate_key", "$.n")),
    "a key twice within": (b'{"id":"x","any":{"a":[{"b":1,"b":1}]}}', _decode("duplicate_key", "$.any.a[0].b")),
    "an integer beyond int64": (b'{"id":"x","n":9223372036854775808}', _contract("out_of_range", "$.n")),
    "an integer of 5,000 digits": (b'{"id":"x","n":' + b"9" * 5000 + b"}", _contract("out_of_range", "$.n")),
    "an integer with an exponent beyond all": (b'{"id":"x","n":1e999999999}', _contract("out_of_range", "$.n")),
    "a number beyond double": (b'{"id":"x","price":1e400}', _contract("out_of_range", "$.price")),
    "a fraction that is no integer": (b'{"id":"x","n":1.5}', _contract("type", "$.n")),
    "a raw NUL in a text": (b'{"id":"x\x00y"}', _decode("invalid_json")),
    "a raw NUL between": (b'{"id":"x"}\x00', _decode("invalid_json")),
    "a raw tab in a text": (b'{"id":"x\ty"}', _decode("invalid_json")),
    "a raw escape in a text": (b'{"id":"\x1b[31mred"}', _decode("invalid_json")),
    "a byte order mark within": (b'{"id":\xef\xbb\xbf"x"}', _decode("invalid_json")),
    "two byte order marks": (b'\xef\xbb\xbf\xef\xbb\xbf{"id":"x"}', _decode("invalid_json")),
    "half a surrogate pair": (b'{"id":"x","note":"\\ud83d"}', _decode("lone_surrogate", "$.note")),
    "half a surrogate pair as a key": (b'{"id":"x","any":{"\\udc00":1}}', _decode("lone_surrogate", "$.any")),
    "a number alone": (b"42", _decode("not_an_object", "$")),
    "a text alone": (b'"id"', _decode("not_an_object", "$")),
    "null alone": (b"null", _decode("not_an_object", "$")),
    "an array": (b'[{"id":"x"}]', _decode("not_an_object", "$")),
    "two documents on a line": (b'{"id":"x"}{"id":"y"}', _decode("multiple_documents")),
    "a comment": (b'{"id":"x"} // y', _decode("invalid_json")),
    "single quotes": (b"{'id':'x'}", _decode("invalid_json")),
    "a trailing comma": (b'{"id":"x",}', _decode("invalid_json")),
    "a leading zero": (b'{"id":"x","n":007}', _decode("invalid_json")),
    "no key": (b'{"n":1}', _contract("required", "$.id")),
    "a null key": (b'{"id":null}', _contract("type", "$.id")),
    "an empty key": (b'{"id":""}', _contract("minLength", "$.id")),
    "a wrong type deep inside": (b'{"id":"x","inner":{"tags":["a",2]}}', _contract("type", "$.inner.tags[1]")),
    "an unknown field": (b'{"id":"x","nn":1}', _contract("additionalProperties", "$.nn")),
    "50 MB of a wrong type": (b'{"id":"x","n":"' + b"9" * (MEGABYTES << 20) + b'"}', _contract("type", "$.n")),
}
LARGE = "y" * (MEGABYTES << 20)
ODD_BUT_GOOD: dict[str, bytes] = {  # by id; each reads as json.loads reads it
    "line separators": '{"id":"line separators","note":"a\u2028b\u2029c\u0085d"}'.encode(),
    "NUL, escaped": b'{"id":"NUL, escaped","note":"a\\u0000b"}',
    "a whole surrogate pair": b'{"id":"a whole surrogate pair","note":"\\ud83d\\ude00"}',
    "carriage return": b'{"id":"carriage return","n":1}\r',
    "blanks around": b' \t{"id":"blanks around"}  ',
    "integer with exponent": b'{"id":"integer with exponent","n":1e5}',
    "largest": b'{"id":"largest","n":9223372036854775807,"price":1.7976931348623157e308}',
    "smallest": b'{"id":"smallest","n":-9223372036854775808,"price":5e-324}',
    "ninety levels": b'{"id":"ninety levels","any":' + b"[" * 90 + b"]" * 90 + b"}",
    "brackets in a text": b'{"id":"brackets in a text","note":"' + b"[" * 10_000 + b'"}',
    "50 MB": json.dumps({"id": "50 MB", "note": LARGE}).encode(),
}


def headrace(folder: Path, *arguments: str, code: int = 0) -> Any:
    """Run a command with --json in a project; return what it says."""
    found, document = answered(*arguments, cwd=folder)
    assert found == code, (arguments, document)
    return document


def drained(folder: Path) -> dict[str, Any]:
    """Run `up` until Ctrl-C, which drains; return the sources' status: each balanced, with nothing waiting."""
    command = [sys.executable, "-m", "headrace", "up", "--no-build"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as up:
        assert up.stderr is not None
        said = up.stderr.readline()
        assert "Ctrl-C" in said, said + up.stderr.read()
        os.kill(up.pid, signal.SIGINT)
        said += up.stderr.read()
    assert up.returncode == 0, said
    sources = headrace(folder, "status")["sources"]
    for source, each in sources.items():
        assert each["balanced"], (source, each["unbalanced"])
        assert each["lag"] == 0, source
    return dict(sources)


def project(folder: Path, message_format: str, schema: dict[str, Any]) -> Path:
    """Start a project and give it one more source, `events`."""
    root = folder / "shop"
    scaffold(root)
    (root / "schemas/events.json").write_text(json.dumps(schema))
    source = {
        "source_id": "events",
        "ingestion": {"pattern": "event_streaming", "message_format": message_format},
        "schema": {"file": "schemas/events.json"},
        "processing": {"bronze_to_silver": [{"deduplication": {"key": ["id"]}}]},
    }
    (root / "connectors/events.yaml").write_text(yaml.safe_dump(source))
    return root


def quarantined(root: Path) -> dict[int, dict[str, Any]]:
    """Return what is in quarantine by its place among the source's messages."""
    listed = headrace(root, "quarantine", "list", "--limit", "100000")
    assert listed["total"] == len(listed["messages"])
    return {each["seq"]: each for each in listed["messages"]}


def test_each_bad_line_has_its_reason_and_the_good_ones_go_through(tmp_path: Path):
    root = project(tmp_path, "json", SCHEMA)
    good = {f"e{number}": json.dumps({"id": f"e{number}", "n": number}).encode() for number in range(1000)}
    lines = [(None, line) for line in [*good.values(), *ODD_BUT_GOOD.values()]]
    lines += [(name, line) for name, (line, _) in BAD.items()]
    random.Random(7).shuffle(lines)
    lines.insert(0, (None, b'\xef\xbb\xbf{"id":"first, after a mark"}'))
    (root / "mixed.jsonl").write_bytes(b"\n".join(line for _, line in lines) + b"\n")

    assert headrace(root, "publish", "events", "mixed.jsonl")["messages"] == len(lines)
    ledger = drained(root)["events"]["ledger"]
    assert (ledger["accepted"], ledger["quarantined"]) == (len(lines), len(BAD))
    assert ledger["silver"] == len(good) + len(ODD_BUT_GOOD) + 1

    found = quarantined(root)
    reasons = {lines[seq][0]: Reason(each["stage"], each["code"], each["path"]) for seq, each in found.items()}
    assert reasons == {name: reason for name, (_, reason) in BAD.items()}
    assert all(each["reason"] and len(each["reason"]) <= 500 for each in found.values())
    assert all(len(each["value"] or "") <= 200 for each in found.values())

    asked = "SELECT id, n, price, note, \"any\" FROM silver.events WHERE id NOT LIKE 'e%'"
    kept = headrace(root, "query", asked)["rows"]
    expected = [json.loads(line) for line in ODD_BUT_GOOD.values()] + [{"id": "first, after a mark"}]
    texts = {each["id"]: each for each in expected}
    assert {row["id"]: row["note"] for row in kept} == {id_: each.get("note") for id_, each in texts.items()}
    assert {row["id"]: row["n"] for row in kept} == {id_: each.get("n") for id_, each in texts.items()}
    assert {row["id"]: row["price"] for row in kept} == {id_: each.get("price") for id_, each in texts.items()}
    (levels,) = [row["any"] for row in kept if row["any"]]
    assert json.loads(levels) == texts["ninety levels"]["any"]


def test_one_bad_event_among_a_thousand_stops_none_of_them(tmp_path: Path):
    root = project(tmp_path, "json", SCHEMA)
    lines = [json.dumps({"id": f"e{number}", "n": number}) for number in range(1000)]
    lines.insert(500, '{"id": "bad", "n": "x"}')
    (root / "events.jsonl").write_text("\n".join(lines))

    assert headrace(root, "publish", "events", "events.jsonl")["messages"] == 1001
    ledger = drained(root)["events"]["ledger"]
    assert (ledger["silver"], ledger["quarantined"]) == (1000, 1)

    (only,) = quarantined(root).values()
    assert (only["stage"], only["code"], only["path"], only["value"]) == ("contract", "type", "$.n", '"x"')
    shown = headrace(root, "quarantine", "show", only["id"])
    assert shown["payload"] == lines[500]


CELLS = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "string"}, "n": {"type": "integer"}, "note": {"type": "string"}},
}
BAD_RECORDS: dict[str, tuple[bytes, Reason]] = {
    "a cell too few": (b"x,1", _decode("ragged_row", "$")),
    "a cell too many": (b"x,1,a,b", _decode("ragged_row", "$")),
    "an empty line": (b"", _decode("empty_message")),
    "invalid UTF-8": (b"x,1,caf\xe9", _decode("invalid_utf8")),
    "a text after a quoted cell": (b'x,1,"a"b', _decode("invalid_csv")),
    "no number": (b"x,one,a", _contract("type", "$.n")),
    "NaN": (b"x,NaN,a", _contract("type", "$.n")),
    "a number beyond int64": (b"x,9223372036854775808,a", _contract("out_of_range", "$.n")),
    "a quote that never closes": (b'x,1,"a', _decode("invalid_csv")),
}
GOOD_RECORDS = {
    b'quoted,1,"a,b"': ("quoted", 1, "a,b"),
    b'newline,2,"a\r\nb"': ("newline", 2, "a\r\nb"),
    b'doubled,3,"say ""hi"""': ("doubled", 3, 'say "hi"'),
    b"absent,,": ("absent", None, ""),
    b'quote within,4,5" nails': ("quote within", 4, '5" nails'),
    "größe,5,\u2028".encode(): ("größe", 5, "\u2028"),
}


def test_each_bad_csv_record_has_its_reason_and_the_good_ones_go_through(tmp_path: Path):
    root = project(tmp_path, "csv", CELLS)
    bad = list(BAD_RECORDS.items())
    records: list[tuple[str | None, bytes]] = [(name, record) for name, (record, _) in bad[:-1]]
    records += [(None, record) for record in GOOD_RECORDS]
    random.Random(7).shuffle(records)
    records.append((bad[-1][0], bad[-1][1][0]))  # last: nothing after it that could close it
    content = b"\r\n".join([b"\xef\xbb\xbfid,n,note", *(record for _, record in records)])
    (root / "cells.csv").write_bytes(content)

    assert headrace(root, "publish", "events", "cells.csv")["messages"] == len(records)
    ledger = drained(root)["events"]["ledger"]
    assert (ledger["silver"], ledger["quarantined"]) == (len(GOOD_RECORDS), len(BAD_RECORDS))

    found = quarantined(root)
    reasons = {records[seq][0]: Reason(each["stage"], each["code"], each["path"]) for seq, each in found.items()}
    assert reasons == {name: reason for name, (_, reason) in BAD_RECORDS.items()}
    rows = headrace(root, "query", "SELECT id, n, note FROM silver.events")["rows"]
    assert sorted(map(tuple, (row.values() for row in rows)), key=str) == sorted(GOOD_RECORDS.values(), key=str)
