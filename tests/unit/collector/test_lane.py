"""A lane: what waits shares a commit, and when the bus fails nothing is lost, doubled or out of order."""

import asyncio
import contextlib
import json
import sqlite3
import struct
import threading
import time
import zlib
from pathlib import Path

import pytest

from headrace.bus.base import Subscription
from headrace.bus.memory import MemoryBus
from headrace.bus.sqlite import SqliteBus
from headrace.collector import spool as spooling
from headrace.collector.lane import REPLAY_SECS, Lane, Parcel
from headrace.collector.spool import Room, Spool, topics_in
from headrace.errors import BusError, InputError, SpaceError
from headrace.http.problems import Refused
from living import messages


class FailingBus:
    """A bus that fails while `problem` is set, after it took the messages if `too_late`; counts what it is asked."""

    def __init__(self, inner):
        self.inner, self.problem, self.publishes = inner, None, 0
        self.too_late, self.pause_secs = False, 0.0
        self.gate = threading.Event()
        self.gate.set()

    def publish(self, topic, batch, once=None, patience_secs=0.0):
        self.gate.wait(60)
        time.sleep(self.pause_secs)
        self.publishes += 1
        if self.problem is not None and not self.too_late:
            raise self.problem
        published = self.inner.publish(topic, batch, once, patience_secs)
        if self.problem is not None:
            raise self.problem
        return published


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


def test_order_is_kept_while_the_spool_holds_something(bus, tmp_path, monkeypatch):
    monkeypatch.setattr("headrace.collector.lane.RETRY_FIRST_SECS", 2.0)
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


def test_a_bus_that_another_process_holds_is_left_for_the_spool_until_it_lets_go(bus, tmp_path):
    async def run():
        spool = Spool(tmp_path / "spool", "orders", Room(1 << 20))
        lane = Lane(bus, "orders", spool, asyncio.get_running_loop(), patience_secs=0.05)
        assert (await send(lane, parcel(1)))[0].first_message_id
        with contextlib.closing(sqlite3.connect(tmp_path / "bus/orders.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # held until all of these are acknowledged
            for number in (2, 3, 4):
                assert await send(lane, parcel(number)) == [(None, None)]
            assert "busy for 0.05 seconds" in lane.tally.problem
            lane._retry_at = 0.0  # so that the next one tries the spool, and finds the bus still held
            assert await send(lane, parcel(5)) == [(None, None)]
            other.execute("ROLLBACK")
        await until_empty(lane)
        assert (await send(lane, parcel(6)))[0].last_message_id.endswith("-5")
        assert (lane.tally.spooled_messages, lane.tally.replayed_messages) == (4, 4)
        end(lane)

    asyncio.run(run())
    assert on_the_bus(bus) == [1, 2, 3, 4, 5, 6]


def test_those_who_come_while_a_long_spool_is_published_do_not_wait_for_its_end(bus, tmp_path):
    bus.pause_secs = 0.6 * REPLAY_SECS

    class Closing(Spool):
        def put(self, *batch):
            super().put(*batch)
            bus.gate.clear()  # it is published further when the test says so

    async def run():
        spool = Closing(tmp_path / "spool", "orders", Room(1 << 20))
        for number in range(6):
            spool.put(messages([{"n": number}]))
        lane = Lane(bus, "orders", spool, asyncio.get_running_loop())
        lane.send(first := parcel(6))
        bus.gate.set()
        assert (await asyncio.wait_for(first.done, 60)) == (None, None)
        assert lane.spooled_segments
        bus.gate.set()
        await until_empty(lane)
        end(lane)

    asyncio.run(run())
    assert on_the_bus(bus) == [0, 1, 2, 3, 4, 5, 6]


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


async def until_empty(lane):
    async with asyncio.timeout(30):
        while lane.spooled_segments:
            await asyncio.sleep(0.01)


def end(lane):
    lane.close()
    lane.join()


def test_what_the_bus_took_before_it_failed_is_not_taken_again_from_the_spool(bus, tmp_path):
    async def run():
        lane = Lane(bus, "orders", Spool(tmp_path / "spool", "orders", Room(1 << 20)), asyncio.get_running_loop())
        assert (await send(lane, parcel(1)))[0].last_message_id.endswith("-0")
        bus.problem, bus.too_late = BusError("the answer got lost"), True
        assert await send(lane, parcel(2, 3), parcel(4)) == [(None, None)] * 2
        bus.problem = None
        await until_empty(lane)
        assert (await send(lane, parcel(5)))[0].last_message_id.endswith("-4")
        assert (lane.tally.spooled_messages, lane.tally.problem) == (3, "")
        end(lane)

    asyncio.run(run())
    assert on_the_bus(bus) == [1, 2, 3, 4, 5]


def test_nothing_else_comes_under_the_numbers_of_what_was_refused_and_yet_taken(bus):
    async def run():
        lane = Lane(bus, "orders", None, asyncio.get_running_loop())
        await send(lane, parcel(1))
        for number, problem in ((2, BusError("the answer got lost")), (4, MemoryError())):
            bus.problem, bus.too_late = problem, True
            assert (await send(lane, parcel(number)))[0].status in {500, 503}
            bus.problem = None
            assert (await send(lane, parcel(number + 1)))[0].first_message_id
        bus.problem, bus.too_late = BusError("gone"), False
        assert (await send(lane, parcel(99)))[0].status == 503
        bus.problem = None  # and its numbers leave no gap
        assert (await send(lane, parcel(6)))[0].first_message_id
        end(lane)

    asyncio.run(run())
    assert on_the_bus(bus) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("is_down", [False, True])
def test_an_older_copy_of_the_topic_does_not_hold_up_the_lane(bus, tmp_path, is_down):
    path, older = tmp_path / "bus/orders.db", tmp_path / "older.db"

    async def run():
        lane = Lane(bus, "orders", Spool(tmp_path / "spool", "orders", Room(1 << 20)), asyncio.get_running_loop())
        await send(lane, parcel(1))
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(f"VACUUM INTO '{older}'")
        await send(lane, parcel(2))
        if is_down:
            bus.problem = BusError("gone")
            await send(lane, parcel(3))
        bus.inner.close()
        for each in path.parent.glob("orders.db*"):
            each.unlink()
        older.rename(path)
        bus.problem = None
        await send(lane, parcel(4))
        await until_empty(lane)
        assert (await send(lane, parcel(5)))[0].first_message_id
        end(lane)

    asyncio.run(run())
    assert on_the_bus(bus) == ([1, 3, 4, 5] if is_down else [1, 4, 5])


def test_a_bug_in_publishing_the_spool_leaves_the_lane_to_take_more(bus, tmp_path):
    async def run():
        lane = Lane(bus, "orders", Spool(tmp_path / "spool", "orders", Room(1 << 20)), asyncio.get_running_loop())
        bus.problem = BusError("gone")
        await send(lane, parcel(1))
        bus.problem = MemoryError()
        async with asyncio.timeout(30):
            while lane.tally.problem != "MemoryError":
                await asyncio.sleep(0.01)
        lane._retry_at = 0.0  # so that the next group tries the spool itself
        assert await send(lane, parcel(2)) == [(None, None)]
        bus.problem = None
        await until_empty(lane)
        end(lane)

    asyncio.run(run())
    assert on_the_bus(bus) == [1, 2]


def test_a_lane_goes_on_when_nobody_is_left_to_answer(bus):
    loop = asyncio.new_event_loop()

    async def of(number):
        return parcel(number)

    first, second = (loop.run_until_complete(of(number)) for number in (1, 2))
    lane = Lane(bus, "orders", None, loop)
    bus.gate.clear()
    lane.send(first)
    while not lane._queue.empty():
        pass
    loop.close()
    lane.send(second)
    bus.gate.set()
    end(lane)
    assert on_the_bus(bus) == [1, 2]


def test_a_client_that_went_away_does_not_harm_the_others(bus):
    async def run():
        lane = Lane(bus, "orders", None, asyncio.get_running_loop())
        bus.gate.clear()
        gone, stays = parcel(1), parcel(2)
        lane.send(gone)
        lane.send(stays)
        gone.done.cancel()
        bus.gate.set()
        assert (await asyncio.wait_for(stays.done, 60)).first_message_id
        lane.close()
        lane.join()

    asyncio.run(run())
    assert on_the_bus(bus) == [1, 2]


def test_a_bus_that_does_not_number_gives_no_ids():
    class Unnumbered(MemoryBus):
        def publish(self, *args):
            return super().publish(*args)._replace(first_message_id="a-x", last_message_id="b-y")

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
        bus.inner.publish("orders", batch, once=segment.once)
        found.append(json.loads(batch.column("payload")[0].as_py())["n"])
        again.drop(segment)
    assert (found, damaged, room.taken) == ([0, 2], 1, 0)
    assert [each.suffix for each in tmp_path.glob("orders/*")] == [".damaged"]


def test_a_segment_that_is_whole_and_no_batch_is_set_aside(tmp_path):
    spool = Spool(tmp_path, "orders", Room(1 << 20))
    spool.put(messages([{"n": 1}]))
    (path,) = tmp_path.glob("orders/*.segment")
    for data in (b"no Arrow at all", b""):
        path.write_bytes(struct.pack(">8sIQ", b"HRSPOOL1", zlib.crc32(data), len(data)) + data)
        again = Spool(tmp_path, "orders", Room(1 << 20))
        with pytest.raises(InputError, match="damaged"):
            again.oldest()
        assert again.oldest() is None


def test_what_was_refused_does_not_come_back_though_it_could_not_be_removed(tmp_path, monkeypatch):
    room = Room(1 << 20)
    spool = Spool(tmp_path, "orders", room)
    spool.put(messages([{"n": 1}]))

    def fail(path, **_):
        if path.suffix != spooling.DRAFT:
            raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(spooling, "sync", fail)
        broken.setattr(Path, "unlink", fail)
        for _ in range(2):
            with pytest.raises(BusError, match="cannot be written"):
                spool.put(messages([{"n": 2}]))
    assert (len(spool), room.taken) == (1, 3 * 4096)  # they still lie there
    spool.put(messages([{"n": 3}]))
    assert (len(spool), room.taken) == (2, 2 * 4096)
    again = Spool(tmp_path, "orders", Room(1 << 20))
    assert len(again) == 2
    found = []
    while (waiting := again.oldest()) is not None:
        found.append(json.loads(waiting[1].column("payload")[0].as_py())["n"])
        again.drop(waiting[0])
    assert found == [1, 3]
