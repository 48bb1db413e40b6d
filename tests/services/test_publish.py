"""`headrace publish` as it is typed: what is durable, what it says, what it refuses."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from headrace.bus.base import Subscription
from headrace.bus.sqlite import SqliteBus

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}


@pytest.fixture
def shop(tmp_path) -> Path:
    root = tmp_path / "shop"
    for folder in ("connectors", "schemas"):
        (root / folder).mkdir(parents=True)
    (root / "headrace.yaml").write_text("name: shop\n")
    (root / "schemas" / "row.json").write_text(json.dumps(SCHEMA))
    streaming = "ingestion: {pattern: event_streaming, message_format: %s}\nschema: {file: schemas/row.json}\n"
    (root / "connectors" / "orders.yaml").write_text("source_id: orders\n" + streaming % "json")
    (root / "connectors" / "visits.yaml").write_text("source_id: visits\n" + streaming % "csv")
    tables = "[{name: users, schema_file: schemas/row.json}, {name: items, schema_file: schemas/row.json}]"
    (root / "connectors" / "shopdb.yaml").write_text(
        f"source_id: shopdb\ningestion:\n  pattern: database_cdc\n  tables: {tables}\n"
    )
    return root


def publish(shop: Path, *arguments: str, piped: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "headrace", "publish", *arguments]
    return subprocess.run(command, cwd=shop, input=piped, capture_output=True, check=False)


def on_topic(shop: Path, topic: str) -> list[dict]:
    bus = SqliteBus(shop / ".headrace" / "local" / "bus")
    bus.subscribe(Subscription(topic, "test"))
    rows = []
    while pulled := bus.pull(topic, "test", 100_000, 1 << 30):
        rows += pulled.batch.to_pylist()
    bus.close()
    return rows


def test_files_and_stdin_are_published_in_order(shop):
    (shop / "a.jsonl").write_bytes(b'{"id":1}\n\n{"id":2}')
    (shop / "b.json").write_bytes(b'[{"id":3}, "x"]')
    done = publish(shop, "orders", "a.jsonl", "b.json", "-", "--attribute", "by=me", piped=b'{"id":4}\n')
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"published 6 messages in ")
    assert done.stdout.rstrip().endswith(b"/s), durable")
    assert b"1 message without content among them: quarantined as empty_message" in done.stderr
    rows = on_topic(shop, "orders")
    assert [row["payload"] for row in rows] == [b'{"id":1}', b"", b'{"id":2}', b'{"id":3}', b'"x"', b'{"id":4}']
    assert {tuple(row["attributes"]) for row in rows} == {(("by", "me"),)}


def test_json_says_what_was_published(shop):
    done = publish(shop, "orders", "--json", piped=b'{"id":1}\n{"id":22}\n')
    document = json.loads(done.stdout)
    assert set(document) == {"source", "topic", "messages", "seconds", "messages_per_second", "bytes"}
    assert (document["source"], document["topic"]) == ("orders", "orders")
    assert (document["messages"], document["bytes"]) == (2, 17)
    assert document["messages_per_second"] > 0


def test_an_unknown_source_is_told_with_the_nearest(shop):
    done = publish(shop, "ordres", piped=b"{}\n")
    assert done.returncode == 2
    assert b"did you mean 'orders'" in done.stderr
    assert not (shop / ".headrace").exists()


def test_a_missing_file_stops_before_the_first_message(shop):
    (shop / "a.jsonl").write_bytes(b"{}\n")
    done = publish(shop, "orders", "a.jsonl", "nowhere.jsonl")
    assert done.returncode == 2
    assert b"nowhere.jsonl" in done.stderr
    assert on_topic(shop, "orders") == []


def test_a_damaged_file_says_how_to_go_on(shop):
    lines = [json.dumps({"id": n, "noise": os.urandom(100).hex()}).encode() for n in range(20_000)]
    packed = gzip.compress(b"\n".join(lines) + b"\n")
    (shop / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    done = publish(shop, "orders", "a.jsonl.gz")
    assert done.returncode == 2
    sent = [row["payload"] for row in on_topic(shop, "orders")]
    assert sent == lines[: len(sent)]
    assert sent
    assert f"{len(sent):,} messages before that are durable, go on after them with --skip {len(sent)}" in str(
        done.stderr
    )
    (shop / "a.jsonl.gz").write_bytes(packed)
    assert publish(shop, "orders", "a.jsonl.gz", "--skip", str(len(sent))).returncode == 0
    assert [row["payload"] for row in on_topic(shop, "orders")] == lines


def test_csv_carries_its_header_and_json_to_a_csv_source_says_so(shop):
    (shop / "a.csv").write_bytes(b"id\n1\n")
    (shop / "b.jsonl").write_bytes(b'{"id":2}\n')
    assert publish(shop, "visits", "a.csv", "b.jsonl").returncode == 0
    assert publish(shop, "visits", piped=b"id\n3\n").returncode == 0
    expected = [
        (b"1", {"content-type": "text/csv", "csv-header": "id"}),
        (b'{"id":2}', {"content-type": "application/json"}),
        (b"3", {"content-type": "text/csv", "csv-header": "id"}),
    ]
    assert [(row["payload"], dict(row["attributes"])) for row in on_topic(shop, "visits")] == expected


def test_a_file_may_be_written_in_another_dialect_than_the_source_says(shop):
    (shop / "a.tsv").write_bytes(b"id\tn\n1\t2\n")
    (shop / "b.csv").write_bytes(b"id;n\n1;2\n")
    (shop / "c.csv").write_bytes(b"id,n\n1,2\n")
    done = publish(shop, "visits", "a.tsv", "b.csv", "c.csv")
    assert done.returncode == 0, done.stderr
    told = [dict(row["attributes"]).get("csv-dialect") for row in on_topic(shop, "visits")]
    assert [json.loads(each)["delimiter"] if each else None for each in told] == ["\t", ";", None]


def test_a_source_with_several_tables_needs_one_named(shop):
    assert b"--dataset users or items" in publish(shop, "shopdb", piped=b"{}\n").stderr
    assert b"did you mean 'users'" in publish(shop, "shopdb", "--dataset", "usres", piped=b"{}\n").stderr
    assert publish(shop, "shopdb", "--dataset", "users", piped=b"{}\n").returncode == 0
    (row,) = on_topic(shop, "shopdb")
    assert dict(row["attributes"]) == {"dataset": "users"}
    refused = publish(shop, "orders", "--dataset", "users", piped=b"{}\n")
    assert refused.returncode == 2
    assert b"has no tables" in refused.stderr


@pytest.mark.parametrize("wrong", [["--attribute", "novalue"], ["--format", "ndjsn"], ["a.log"]])
def test_wrong_options_are_told(shop, wrong):
    (shop / "a.log").write_bytes(b"{}\n")
    done = publish(shop, "orders", *wrong, piped=b"{}\n")
    assert done.returncode == 2
    assert b"fix:" in done.stderr


def test_what_a_slow_producer_sent_is_durable_when_it_is_interrupted(shop):
    # A child hears Ctrl-C even where this run does not, as in the background of a shell.
    hears = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{hears}\nfrom headrace.cli.main import main\nmain(['publish', 'orders'])"
    command = [sys.executable, "-c", code]
    running = subprocess.Popen(command, cwd=shop, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    running.stdin.write(b'{"id":1}\n{"id":2}\n')
    running.stdin.flush()
    bus = SqliteBus(shop / ".headrace" / "local" / "bus")
    for _ in range(600):
        if bus.lag("orders", "test").messages:
            break
        assert running.poll() is None
        running_wait(running)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 130
    assert b"2 messages before that are durable" in told
    assert bus.lag("orders", "test").messages == 2
    bus.close()


def running_wait(running: subprocess.Popen[bytes]) -> None:
    try:
        running.wait(0.1)
    except subprocess.TimeoutExpired:
        return
