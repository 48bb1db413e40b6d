"""Rounds: a push against endpoints that behave in every way, with a clock and chance of the test's own."""

import datetime as dt
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.connectors.endpoint import Answer
from headrace.connectors.push import RetrySpec
from headrace.runtime.relay import rounds
from headrace.runtime.relay.rounds import Held, Letter, Row, choose, held_after, next_due, pause_of, settle

AT = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
RETRY = RetrySpec(give_up_after="1h", max_attempts=None)
OK, NO, FAILED = Answer("delivered"), Answer("refused", "answered 400"), Answer("failed", "answered 500")


def row(seq, key=None, size=2):
    return Row(seq, f"e{seq}", "silver", "orders", key or f"k{seq}", AT, None, "x" * size)


def seqs(choice):
    return [[each.seq for each in attempt.rows] for attempt in choice.attempts]


def chosen(fresh, held=None, now=0.0, concurrency=4, max_events=1, failures=0):
    return choose(
        held or Held(), fresh, now, concurrency=concurrency, max_events=max_events, failures=failures, longest=3_600
    )


def held(*letters):
    return Held({each.row.seq: each for each in letters})


def test_rows_go_in_order_as_many_as_may():
    choice = chosen([row(seq) for seq in range(9)])
    assert (seqs(choice), choice.taken) == ([[0], [1], [2], [3]], 4)
    choice = chosen([row(seq) for seq in range(9)], max_events=4)
    assert (seqs(choice), choice.taken) == ([[0, 1, 2, 3], [4, 5, 6, 7], [8]], 9)


def test_two_of_one_key_are_never_under_way_at_once():
    choice = chosen([row(0, "a"), row(1, "b"), row(2, "a"), row(3, "c")])
    assert (seqs(choice), choice.taken) == ([[0], [1]], 2)
    choice = chosen([row(0, "a"), row(1, "a"), row(2, "a"), row(3, "c")], max_events=2)
    assert (seqs(choice), choice.taken) == ([[0, 1]], 2)


def test_a_request_is_not_too_large():
    choice = chosen([row(seq, size=rounds.REQUEST_BYTES // 2) for seq in range(4)], max_events=100)
    assert seqs(choice) == [[0, 1], [2, 3]]
    assert seqs(chosen([row(0, size=2 * rounds.REQUEST_BYTES)], max_events=100)) == [[0]]


def test_what_follows_a_letter_of_its_key_waits_behind_it_and_others_go_on():
    waiting = held(Letter(row(0, "a"), 1, 0.0, next_at=100.0))
    choice = chosen([row(1, "b"), row(2, "a"), row(3, "c")], waiting, now=10.0)
    assert (seqs(choice), [each.seq for each in choice.behind], choice.taken) == ([[1], [3]], [2], 3)


def test_letters_are_tried_when_they_are_due_and_in_the_order_of_their_key():
    waiting = held(
        Letter(row(0, "a"), 1, 0.0, 5.0), Letter(row(1, "a"), 0, None, 0.0), Letter(row(2, "b"), 1, 0.0, 50.0)
    )
    assert seqs(chosen([row(9)], waiting, now=10.0)) == [[0], [9]]
    assert seqs(chosen([row(9)], waiting, now=1.0)) == [[9]]
    assert next_due(waiting) == 5.0


def test_a_letter_that_was_noted_by_a_clock_that_is_set_back_since_does_not_wait_for_that_time():
    waiting = held(Letter(row(0), 1, 90_000.0, 90_060.0), Letter(row(1), 1, 3.0, 3_600.0))
    assert seqs(chosen([row(9)], waiting, now=10.0)) == [[0], [9]]


def test_while_nothing_succeeds_there_is_one_probe_at_a_time():
    waiting = held(Letter(row(0, "a"), 1, 0.0, 5.0), Letter(row(1, "b"), 2, 0.0, 3.0))
    assert seqs(chosen([row(7), row(8)], waiting, failures=1)) == [[7]]
    assert seqs(chosen([row(7), row(8)], waiting, failures=2)) == [[1]]
    assert seqs(chosen([row(7, "a")], waiting, failures=1)) == [[1]]
    assert seqs(chosen([row(7)], Held(), failures=2)) == [[7]]
    assert seqs(chosen([], Held(), failures=2)) == []


def test_with_too_many_letters_no_new_rows_are_taken(monkeypatch):
    monkeypatch.setattr(rounds, "LETTERS", 2)
    waiting = held(Letter(row(0), 1, 0.0, 5.0), Letter(row(1), 1, 0.0, 3.0))
    assert seqs(chosen([row(7)], waiting, now=1.0)) == []
    assert seqs(chosen([row(7)], waiting, now=4.0)) == [[1]]
    assert seqs(chosen([row(7)], waiting, failures=1)) == [[1]]


def test_a_refused_event_is_dead_at_once_and_of_several_each_goes_alone():
    one = settle(chosen([row(0)]), [NO], 10.0, RETRY)
    assert [(each.row.seq, each.dead, each.attempts) for each in one.letters] == [(0, True, 1)]
    assert (one.dead, one.alive, one.problem) == (1, True, "")
    two = settle(chosen([row(0), row(1)], max_events=2), [NO], 10.0, RETRY)
    assert [(each.row.seq, each.dead, each.next_at) for each in two.letters] == [(0, False, 10.0), (1, False, 10.0)]
    again = chosen([], held_after(Held(), two), now=10.0, max_events=2)
    assert seqs(again) == [[0], [1]]


def test_retry_after_is_heeded():
    settled = settle(chosen([row(0)]), [Answer("failed", "answered 429", 30.0)], 10.0, RETRY)
    assert settled.pause_secs == 30.0
    assert settled.letters[0].next_at >= 40.0


def test_a_letter_is_dead_after_its_time_or_its_attempts():
    late = Letter(row(0), 5, first_at=0.0, next_at=0.0)
    for retry, now, dead in [
        (RETRY, 3599.0, False),
        (RETRY, 3600.0, True),
        (RetrySpec(max_attempts=6), 1.0, True),
        (RetrySpec(max_attempts=7), 1.0, False),
    ]:
        settled = settle(chosen([], held(late), now=now), [FAILED], now, retry)
        assert settled.letters[0].dead is dead
        assert bool(held_after(held(late), settled).letters) is not dead


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_pauses_double_with_jitter_up_to_the_longest(chance):
    retry = RetrySpec(first_delay="1s", longest_delay="1m")
    pauses = [pause_of(failures, retry, lambda: chance) for failures in range(1, 100)]
    assert pauses[0] == 0.5 + chance / 2
    assert pauses == sorted(pauses)
    assert pauses[-1] == 60 * (0.5 + chance / 2)


@settings(max_examples=150, deadline=None)
@given(
    keys=st.lists(st.sampled_from("abc"), max_size=25),
    concurrency=st.integers(1, 4),
    max_events=st.integers(1, 3),
    seed=st.integers(0, 10_000),
    healthy_after=st.integers(0, 60),
    killed=st.floats(0, 0.4),
)
def test_whatever_the_endpoint_does_each_row_arrives_and_first_arrivals_of_a_key_are_in_order(
    keys, concurrency, max_events, seed, healthy_after, killed
):
    """The loop of `delivery`, over an endpoint that fails at will and a relay that dies before it notes a round."""
    chance = random.Random(seed)
    outbox = [row(seq, key) for seq, key in enumerate(keys)]
    waiting, position, failures, now, turn = Held(), 0, 0, 0.0, 0
    arrived = []
    while (position < len(outbox) or waiting.letters) and turn < 3_000:
        turn += 1
        now += 1000.0
        choice = choose(
            waiting, outbox[position:], now, concurrency=concurrency, max_events=max_events, failures=failures,
            longest=3_600,
        )  # fmt: skip
        under_way = [each.key for attempt in choice.attempts for each in attempt.rows[:1]]
        assert max_events > 1 or len(under_way) == len(set(under_way))
        answers = [OK if turn > healthy_after or chance.random() < 0.5 else FAILED for _ in choice.attempts]
        for attempt, answer in zip(choice.attempts, answers, strict=True):
            arrived += attempt.rows if answer is OK else ()
        if chance.random() < killed:
            failures = 0
            continue
        settled = settle(choice, answers, now, RetrySpec(give_up_after="36500d"), chance.random)
        failures = 0 if settled.alive or not choice.attempts else failures + 1
        position += choice.taken
        waiting = held_after(waiting, settled)
    assert {each.seq for each in arrived} == set(range(len(outbox)))
    for key in set(keys):
        firsts = list(dict.fromkeys(each.seq for each in arrived if each.key == key))
        assert firsts == sorted(firsts)
