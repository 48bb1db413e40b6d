"""The peers' bench: its input, its checker, its costs and its table; no peer is installed here."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

import bench_peers
import peer_answer
import peer_input
import peer_runs
import process_tree

EVENTS = 3_000


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    return peer_input.write_input(tmp_path_factory.mktemp("job"), EVENTS, duplicates=0.1, updates=0.1, invalid=0.03)


@pytest.fixture(scope="module")
def answer(job, tmp_path_factory):
    return peer_answer.expected(job.folder, job.schema, tmp_path_factory.mktemp("scratch"))


def lines(job):
    return [line for file in sorted(job.folder.iterdir()) for line in file.read_bytes().splitlines()]


def test_the_input_has_what_the_bench_says(job, answer, tmp_path):
    assert len(lines(job)) == EVENTS
    assert EVENTS * 0.06 < EVENTS - len(set(lines(job))) < EVENTS * 0.14
    assert EVENTS * 0.015 < answer.rejected < EVENTS * 0.05
    orders = [json.loads(line) for line in set(lines(job)) if line.endswith(b"}")]
    keys = {order["order_id"] for order in orders}
    assert len(orders) - len(keys) > EVENTS * 0.05  # other versions of an order that is there
    assert len({order["ordered_at"][:10] for order in orders}) == peer_input.DAYS
    again = peer_input.write_input(tmp_path / "again", EVENTS, duplicates=0.1, updates=0.1, invalid=0.03)
    assert lines(again) == lines(job)


def written(job, folder, change="true"):
    """Write the job's result by SQL, as a peer that knows nothing of JSON Schema, and return the answer in it."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"""
            CREATE TABLE orders AS
            SELECT order_id, customer_id::BIGINT AS customer_id, ordered_at::TIMESTAMPTZ AS ordered_at,
                updated_at::TIMESTAMPTZ AS updated_at, status, amount::DOUBLE AS amount, currency, email, quantity,
                gift::BOOLEAN AS gift, channel, note, address, left(ordered_at, 10) AS event_date
            FROM read_json('{job.folder}/*.jsonl', format = 'newline_delimited', ignore_errors = true, columns = {{
                order_id: 'VARCHAR', customer_id: 'INT', ordered_at: 'VARCHAR', updated_at: 'VARCHAR',
                status: 'VARCHAR', amount: 'DOUBLE', currency: 'VARCHAR', email: 'VARCHAR', quantity: 'INT',
                gift: 'VARCHAR', gifts: 'BOOLEAN', channel: 'VARCHAR', note: 'VARCHAR',
                address: 'STRUCT(street VARCHAR, city VARCHAR, zip VARCHAR)'}})
            WHERE gifts IS NULL AND status NOT LIKE 'un%'
            QUALIFY row_number() OVER (PARTITION BY order_id ORDER BY updated_at DESC) = 1""")
        connection.execute(f"UPDATE orders SET {change}" if "=" in change else f"DELETE FROM orders WHERE NOT {change}")
        if change == "twice":
            connection.execute("INSERT INTO orders FROM orders LIMIT 1")
        connection.execute(f"COPY orders TO '{folder}' (FORMAT parquet, PARTITION_BY (event_date))")
    return f"(SELECT * EXCLUDE address, unnest(address) FROM read_parquet('{folder}/*/*', hive_partitioning = true))"


def test_the_checker_finds_the_answer_in_what_another_wrote(job, answer, tmp_path):
    assert peer_answer.answer_of(written(job, tmp_path / "out"), f"SELECT {answer.rejected}") == answer


@pytest.mark.parametrize(
    "change",
    [
        "order_id <> (SELECT min(order_id) FROM orders)",
        "amount = amount + 0.01 WHERE order_id = (SELECT min(order_id) FROM orders)",
        "updated_at = updated_at + INTERVAL 1 microsecond WHERE order_id = (SELECT min(order_id) FROM orders)",
        "email = NULL WHERE order_id = (SELECT min(order_id) FROM orders)",
        "note = channel, channel = note WHERE order_id = (SELECT min(order_id) FROM orders)",
        "event_date = '2026-11-01' WHERE event_date = '2026-11-02'",
    ],
)
def test_the_checker_finds_what_is_wrong(job, answer, tmp_path, change):
    assert peer_answer.answer_of(written(job, tmp_path / "out", change), f"SELECT {answer.rejected}") != answer


def test_the_cost_of_a_command_is_that_of_all_it_starts(tmp_path):
    busy = "import time\nuntil = time.process_time() + 0.2\nwhile time.process_time() < until: pass"
    leaves = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {busy!r}])"
    cost = process_tree.run([sys.executable, "-c", leaves], tmp_path / "log", {}, 30, tmp_path)
    assert cost.cpu_seconds > 0.2 or sys.platform != "linux"
    assert cost.peak_memory_mib > 1


def test_a_command_that_fails_or_takes_too_long_is_no_result(tmp_path):
    with pytest.raises(process_tree.FailedError, match="ended with 3: no room"):
        process_tree.run([sys.executable, "-c", "print('no room'); exit(3)"], tmp_path / "log", {}, 30, tmp_path)
    with pytest.raises(process_tree.FailedError, match="not done after 0 s"):
        process_tree.run([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", {}, 0.1, tmp_path)
    assert process_tree.Cost(1, 2, 3).then(process_tree.Cost(1, 1, 9)) == process_tree.Cost(2, 3, 9)


def test_what_a_machine_lacks_is_said(tmp_path):
    spark = replace(peer_runs.peers()["spark"], requires="no-such-program")
    pythons, not_run = bench_peers.prepared({"spark": spark}, tmp_path)
    assert (pythons, not_run) == ({}, {"spark": "no No-such-program on this machine"})


def test_every_peer_is_pinned_and_says_what_it_does_not_do():
    found = peer_runs.peers()
    assert next(iter(found)) == "headrace"
    jobs = {file.parent.name for file in peer_runs.PEERS.glob("*/job.py")}
    assert jobs | {"headrace"} == set(found)
    for name, peer in found.items():
        assert all([peer.settings, peer.durability, peer.restart, peer.lacks]), name
        if name != "headrace":
            pins = peer.requirements.read_text().splitlines()
            assert all("==" in pin and "://" not in pin and "@" not in pin for pin in pins), name
            assert peer.version(), name


def test_the_page_has_a_row_for_each_peer_those_that_did_not_run_too(tmp_path):
    peers = peer_runs.peers()
    right = peer_answer.Answer(9, 1, "12")
    cost, half = process_tree.Cost(2.0, 3.0, 100.0), process_tree.Cost(1.0, 1.5, 100.0)
    wrong = replace(right, checksum="13")
    found = {
        "events": 1_000_000, "bytes_per_event": 440, "rows": 9, "rejected": 1, "runs": 2, **bench_peers.machine(),
        "not_run": {"spark": "no Java on this machine"},
        "peers": {
            "headrace": {"version": "1", **bench_peers.medians(
                [peer_runs.Run(cost, right, {"topic to silver": half})] * 2, 1_000_000, right)},
            "dlt": {"version": "2", **bench_peers.medians(
                [peer_runs.Run(cost, right), peer_runs.Run(cost, wrong)], 1_000_000, right)},
        },
    }  # fmt: skip
    text = bench_peers.page(found, peers)
    rows = {line.split("|")[1].strip(): line for line in reversed(text.splitlines()) if line.startswith("| ")}
    assert rows["Headrace 1"] == "| Headrace 1 | 500,000 | 2.0 (2.0–2.0) | 3.0 | 100 | yes |"
    assert rows["– of it, topic to silver"] == "| – of it, topic to silver | 1,000,000 | 1.0 (1.0–1.0) | 1.5 | 100 |  |"
    assert rows["dlt into DuckDB 2"].endswith("| **no** |")
    assert "not run: no Java on this machine" in text
    assert {peers[name].lacks in text for name in ("headrace", "dlt", "spark")} == {True}
    assert str(Path.home()) not in text
