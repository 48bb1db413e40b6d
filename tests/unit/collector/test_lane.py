"""A lane: what waits shares a commit, and when the bus fails nothing is lost, doubled or out of order."""

import asyncio
import json
import threading

import pytest

from headrace.bus.base import Once, Subscription
from headrace.bus.memory import MemoryBus
from headrace.bus.sqlite import SqliteBus
from headrace.collector.lane import Lane, Parcel
from headrace.collector.problems import Refused
from headrace.collector.spool import Room, Spool, topics_in
from headrace.errors import BusError, InputError, SpaceError
from living import messages


class FailingBus:
    """A bus that fails while `problem` is set, and counts what it is asked."""

    def __init__(self, inner):
        self.inner, self.problem, self.publishes = inner, None, 0
        self.gate = threading.Event()
        self.gate.set()

    def publish(self, topic, batch, once=None):
        self.gate.wait(10)
        self.publishes += 1
        if self.problem is not None:
            raise self.problem
        return self.inner.publish(topic, batch, once)


@pytest.fixture
def bus(tmp_path):
    inner = SqliteBus(tmp_path / "bus")
    inner.subscribe(Subscription("orders", "test"))
    yield FailingBus(inner)
    inner.close()


def parcel(*numbers, trace="t"):
    found = [json.dumps({"n": number}).encode() for number in numbers]
    return Parcel(found, [("traceparent", trace)], sum(map(len, found)), asyncio.get_running_loop().create_future())


def on_the_bus(bus):
    found = []
    while (pulled := bus.inner.pull("orders", "test", 1000, 1 << 20)) is not None:
        found += [json.loads(payload)["n"] for payload in pulled.batch.column("payload").to_pylist()]
    return found


async def send(lane, *parcels):
    for each in parcels:
        lane.send(each)
    return await asyncio.wait_for(asyncio.gather(*(each.done for each in parcels), return_exceptions=True), 30)


def test_what_waits_shares_a_commit_and_each_gets_its_own_ids(bus):
    async def run():
        lane = Lane(bus, "orders", None, asyncio.get_running_loop())
        bus.gate.clear()
        first, rest = parcel(0), [parcel(1, 2, 3), parcel(4), parcel(5, 6)]
        lane.send(first)
        while not lane._queue.empty():
            await asyncio.sleep(0.01)
        for each in rest:
            lane.send(each)
        bus.gate.set()
        answers = await asyncio.gather(*(each.done for each in (first, *rest)))
        lane.close()
        lane.join()
        return answers

    answers = asyncio.run(run())
    numbers = [tuple(each.rpartition("-")[2] for each in answer) for answer in answers]
    assert numbers == [("0", "0"), ("1", "3"), ("4", "4"), ("5", "6")]
    assert bus.publishes == 2
    assert on_the_bus(bus) == [0, 1, 2, 3, 4, 5, 6]


def test_order_is_kept_while_the_spool_holds_something(bus, tmp_path):
    room = Room(1 << 20)

    async def run():
        lane = Lane(bus, "orders", Spool(tmp_path / "spool", "orders", room), asyncio.get_running_loop())
        bus.problem = BusError("gone")
        await send(lane, parcel(1))
        await send(lane, parcel(2))
        bus.problem = None  # and the pause after a failure is not over
        later = await send(lane, parcel(3))
        assert later[0].first_message_id is None
        while lane.spooled_segments:
            await asyncio.sleep(0.01)
        assert (await send(lane, parcel(4)))[0].first_message_id.endswith("-3")
        assert (lane.tally.spooled_messages, lane.tally.replayed_messages, lane.tally.problem) == (3, 3, "")
        lane.close()
        lane.join()

    asyncio.run(run())
    assert on_the_bus(bus) == [1, 2, 3, 4]
    assert room.taken == 0


def test_without_room_it_is_refused_and_not_kept_after_all(bus, tmp_path):
    async def run():
        lane = Lane(bus, "orders", Spool(tmp_path / "spool", "orders", Room(4096)), asyncio.get_running_loop())
        bus.problem = SpaceError("the disk is full")
        answers = [(await send(lane, parcel(number)))[0] for number in range(3)]
        assert answers[0].first_message_id is None
        for refused in answers[1:]:
            assert isinstance(refused, Refused)
            assert (refused.status, refused.reason) == (503, "unavailable")
        bus.problem = None
        while lane.spooled_segments:
            await asyncio.sleep(0.01)
        lane.close()
        lane.join()

    asyncio.run(run())
    assert on_the_bus(bus) == [0]


def test_a_bug_answers_everybody_and_the_lane_goes_on(bus):
    async def run():
        lane = Lane(bus, "orders", None, asyncio.get_running_loop())
        bus.problem = ZeroDivisionError("a bug")
        assert (await send(lane, parcel(1)))[0].status == 500
        bus.problem = None
        assert (await send(lane, parcel(2)))[0].last_message_id.endswith("-0")
        lane.close()
        lane.join()

    asyncio.run(run())
    assert on_the_bus(bus) == [2]


def test_a_client_that_went_away_does_not_harm_the_others(bus):
    async def run():
        lane = Lane(bus, "orders", None, asyncio.get_running_loop())
        bus.gate.clear()
        gone, stays = parcel(1), parcel(2)
        lane.send(gone)
        lane.send(stays)
        gone.done.cancel()
        bus.gate.set()
        assert (await asyncio.wait_for(stays.done, 10)).first_message_id
        lane.close()
        lane.join()

    asyncio.run(run())
    assert on_the_bus(bus) == [1, 2]


def test_a_bus_that_does_not_number_gives_no_ids():
    class Unnumbered(MemoryBus):
        def publish(self, topic, batch, once=None):
            return super().publish(topic, batch, once)._replace(first_message_id="a-x", last_message_id="b-y")

    async def run():
        lane = Lane(Unnumbered(7), "orders", None, asyncio.get_running_loop())
        answers = await send(lane, parcel(1, 2))
        lane.close()
        lane.join()
        return answers

    assert asyncio.run(run()) == [(None, None)]


def test_segments_survive_and_what_is_damaged_is_set_aside(tmp_path, bus):
    spool = Spool(tmp_path, "orders", Room(1 << 20))
    for number in range(3):
        spool.put(messages([{"n": number}]))
    paths = sorted(tmp_path.glob("orders/*.segment"))
    data = bytearray(paths[1].read_bytes())
    data[-3] ^= 1
    paths[1].write_bytes(data)
    assert topics_in(tmp_path) == ["orders"]
    room = Room(1 << 20)
    again = Spool(tmp_path, "orders", room)
    assert (len(again), room.taken) == (3, 3 * 4096)
    found = []
    damaged = 0
    while len(again):
        try:
            segment, batch = again.oldest()
        except InputError as problem:
            damaged += "damaged" in str(problem)
            continue
        bus.inner.publish("orders", batch, once=Once(segment.producer, 0))
        found.append(json.loads(batch.column("payload")[0].as_py())["n"])
        again.drop(segment)
    assert (found, damaged, room.taken) == ([0, 2], 1, 0)
    assert [each.suffix for each in tmp_path.glob("orders/*")] == [".damaged"]
