"""What may wait at once: the sum is bounded, and yet a request that is alone always passes."""

import pytest

from headrace.collector.room import InFlight
from headrace.config.collector import CollectorSpec
from headrace.http.problems import Refused


@pytest.fixture
def room():
    return InFlight(CollectorSpec(max_waiting_bytes=100, max_waiting_bytes_per_source=60))


def refused(held, count):
    with pytest.raises(Refused) as caught:
        held.take(count)
    assert caught.value.status == 429
    return caught.value.reason


def test_the_sum_is_bounded_also_for_a_source_that_has_nothing_on_its_way(room):
    for source in ("a", "b"):
        room.hold(source).take(50)
    third = room.hold("c")
    assert refused(third, 1) == "busy"
    assert room.bytes == 100


def test_a_source_does_not_take_what_is_left_for_others(room):
    room.hold("a").take(50)
    assert refused(room.hold("a"), 11) == "source_busy"
    room.hold("b").take(50)


def test_one_that_is_alone_passes_however_large_and_then_nothing_beside_it(room):
    large = room.hold("a")
    large.take(70)
    large.take(70)  # as its parts come in
    beside = room.hold("b")
    assert refused(beside, 1) == "busy"
    large.release()
    beside.take(1)
    assert refused(large, 140) == "busy"
    beside.release()
    large.take(140)
    large.release()
    assert room.bytes == 0
