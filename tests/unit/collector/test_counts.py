"""What several workers count, told as one; what a killed one has counted stays."""

import os

import pytest

from headrace.collector import board
from headrace.collector.counts import Counts, text_of


@pytest.fixture
def shared():
    handle = board.shared(2, board.rows_for(3))
    yield handle
    os.close(handle)


def of(shared, part):
    return Counts(board.opened(shared, part, 2))


def told(counts, name):
    lines = [line for line in text_of(counts).decode().splitlines() if line.startswith(f"headrace_collector_{name} ")]
    return float(lines[0].rpartition(" ")[2])


def test_any_worker_tells_of_all(shared):
    watching, one, two = (of(shared, part) for part in (board.SUPERVISOR, 1, 2))
    assert one.living() == frozenset()
    watching.lives(1, lives=True)
    watching.lives(2, lives=True)
    one.accepted("orders", 3, 100, 0.004)
    two.accepted("orders", 2, 50, 0.5)
    two.refused("", 404, "unknown_source")
    one.note({"waiting_bytes": 5, "draining": True, "unready": False}, {"group_commits": 4})
    two.note({"waiting_bytes": 6, "draining": True, "unready": True}, {"group_commits": 1})
    two.note({"waiting_bytes": 7, "draining": True, "unready": True}, {"group_commits": 3})
    assert text_of(one) == text_of(two) == text_of(watching)
    assert told(one, 'events_total{source="orders"}') == 5
    assert told(one, 'requests_total{reason="unknown_source",source="",status="404"}') == 1
    assert told(one, 'ack_seconds_bucket{le="0.005"}') == 1
    assert told(one, 'ack_seconds_bucket{le="+Inf"}') == told(one, "ack_seconds_count") == 2
    assert told(one, "ack_seconds_sum") == pytest.approx(0.504)
    assert (told(one, "waiting_bytes"), told(one, "group_commits"), told(one, "workers")) == (12, 7, 2)
    assert told(one, "draining") == 1
    assert (one.unready(), two.unready()) == (1, 0), "what it knows of itself is not asked of the board"


def test_a_worker_goes_on_where_the_one_before_it_was_killed(shared):
    watching, one, two = (of(shared, part) for part in (board.SUPERVISOR, 1, 2))
    watching.lives(1, lives=True)
    watching.lives(2, lives=True)
    two.accepted("orders", 2, 50, 0.5)
    two.note({"waiting_bytes": 6, "unready": True, "spool_bytes": 4096}, {"group_commits": 3})
    watching.lives(2, lives=False)
    assert (told(one, "waiting_bytes"), told(one, "spool_bytes"), told(one, "workers")) == (0, 4096, 1)
    assert one.unready() == 0, "those that live take events to the bus"
    again = of(shared, 2)
    again.accepted("orders", 1, 50, 0.5)
    again.note({"waiting_bytes": 0, "unready": False, "spool_bytes": 0}, {"group_commits": 1})
    watching.lives(2, lives=True)
    assert told(one, 'events_total{source="orders"}') == 3
    assert (told(one, "group_commits"), told(one, "spool_bytes")) == (4, 0)


def test_a_part_that_is_full_harms_neither_what_it_has_nor_the_other_parts():
    handle = board.shared(2, 4)
    one, two = (board.opened(handle, part, 2) for part in (1, 2))
    two.put(("mine",), 7)
    for name in "abcdef":
        one.add((name,), 2)
        one.add((name,))
    assert one.of(1) == two.of(1) == {("a",): 3, ("b",): 3, ("c",): 3}
    assert one.of(2) == {("mine",): 7}
    os.close(handle)
