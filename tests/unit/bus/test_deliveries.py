"""Who reads what next, and how often it came back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.bus.deliveries import Deliveries, Nacks, Span, counted

spans = st.tuples(st.integers(0, 30), st.integers(1, 10)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))


@given(st.lists(spans, max_size=12))
def test_counts_are_those_of_each_message(given_back):
    known: list[Nacks] = []
    expected: dict[int, int] = {}
    for span in given_back:
        known = counted(known, span)
        for offset in range(*span):
            expected[offset] = expected.get(offset, 0) + 1
    flat = [(offset, times) for span, times in known for offset in range(*span)]
    assert len(flat) == len(dict(flat))
    assert dict(flat) == expected


def test_new_and_returned_messages_take_turns():
    deliveries = Deliveries(0)
    span = deliveries.choose(10)
    read = deliveries.passed(span, 2, handed_out=True)
    deliveries.out.discard(read)
    deliveries.returned.append(read)
    first = deliveries.choose(10)
    assert first == Span(0, 2)
    deliveries.passed(first, 1, handed_out=True)
    assert deliveries.choose(10) == Span(2, 10)
    deliveries.passed(Span(2, 10), 10, handed_out=True)
    assert deliveries.choose(10) == Span(1, 2)
    assert deliveries.acked_upto() == 0


def test_a_choice_that_could_not_be_read_is_chosen_again():
    deliveries = Deliveries(5)
    deliveries.returned.append(Span(0, 5))
    deliveries.unread(deliveries.choose(5))
    assert deliveries.choose(5) == Span(0, 5)
    deliveries.unread(Span(0, 5))
    assert deliveries.acked_upto() == 0
