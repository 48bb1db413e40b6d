"""What the benches of size say on their page, and the repeats of old rows that one of them sends."""

import json
from datetime import timedelta

import pytest

import bench_flatness
import bench_peers
import bench_scaling
import bench_tick
import shop_events

COSTS = {"events_per_second": 50_000, "seconds": 20.0, "cpu_seconds_per_million": 7.5, "peak_memory_mib": 512.4}


def test_a_line_for_each_size_and_each_number_of_sources():
    found = {"by_events": {10_000: COSTS}, "by_sources": {100: COSTS}, "runs": 1, **bench_peers.machine()}
    text = bench_scaling.page(found, 1_000_000)
    assert "| 10,000 | 50,000 | 20.0 | 7.5 | 512 |" in text
    assert "The same 1,000,000 events" in text
    assert "| 100 | 50,000 | 20.0 | 7.5 | 512 |" in text


def test_the_full_table_beside_the_empty_one():
    costs = {**dict.fromkeys(bench_flatness.KEYS, 0.5), "batches": 9}
    found = {
        "events": 1_000_000, "olds": 1_000, "existing_rows": 50_000_000, "runs": 3,
        **dict.fromkeys(bench_flatness.CASES, costs),
        "ratios": dict.fromkeys(bench_flatness.CASES[1:], dict.fromkeys(bench_flatness.KEYS, 1.0)),
        **bench_peers.machine(),
    }  # fmt: skip
    text = bench_flatness.page(found)
    assert "1,000,000 events in 10 batches" in text
    assert "| new keys, empty table | 0.5 | 0.5 | 0.5 | 0.5 | 0.5 | 0.5 |" in text
    assert "| new keys, 50,000,000 rows before | 0.5 |" in text
    assert "1,000 repeats of old rows | 0.5 |" in text
    assert text.count("| – to the empty one | 1.0 × |") == len(bench_flatness.CASES) - 1


@pytest.mark.parametrize("newer", [False, True])
def test_repeats_and_updates_of_old_rows_are_of_rows_that_are_there(newer):
    existing = 800
    since = bench_tick.STREAM_SINCE - timedelta(days=1)
    arguments = {"seed": bench_tick.EXISTING_SEED, "since": str(since), "spacing_micros": 80_000_000_000 // existing}
    there = {row["order_id"]: row for row in shop_events.rows(0, existing, **arguments).to_pylist()}
    sent = [
        json.loads(payload.as_py())
        for batch in bench_flatness.old_messages(existing, 600, 250, newer=newer)
        for payload in batch.column("payload")
    ]
    for order in sent:
        row = there[order["order_id"]]
        came = row["ordered_at"] + timedelta(seconds=newer)
        assert order == row | {"ordered_at": came.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    assert len({order["order_id"] for order in sent}) == len(sent) == 600
