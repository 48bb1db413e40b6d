"""The lanes of a worker, and what it finds in spools."""

import asyncio
import json
import time

from headrace.bus.base import Subscription
from headrace.bus.sqlite import SqliteBus
from headrace.collector.lanes import Lanes
from headrace.collector.share import Share
from headrace.collector.spool import Room, Spool
from headrace.config.collector import CollectorSpec
from living import messages


def numbers_on(bus):
    found = []
    while (pulled := bus.pull("orders", "test", 1000, 1 << 20)) is not None:
        found += [json.loads(payload)["n"] for payload in pulled.batch.column("payload").to_pylist()]
    return found


def until_empty(lanes):
    deadline = time.monotonic() + 30
    while lanes.gauges()["spool_segments"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_spools_of_workers_that_are_no_more_are_published_also_where_there_is_no_spool_now(tmp_path):
    folder = tmp_path / "spool"
    bus = SqliteBus(tmp_path / "bus")
    bus.subscribe(Subscription("orders", "test"))
    for number in (1, 2, 3):
        Spool(Share(number, 3).spool(folder), "orders", Room(1 << 20)).put(messages([{"n": number}]))

    async def run(share, size):
        limits = share.limits(CollectorSpec(spool_max_bytes=size))
        own, orphans = share.spool(folder), share.orphans(folder)
        lanes = Lanes(bus, limits, own, asyncio.get_running_loop(), orphans)
        await asyncio.to_thread(until_empty, lanes)
        lanes.close()
        return lanes.totals()["replayed_events"], lanes.gauges()["spool_bytes"], lanes.problem()

    assert asyncio.run(run(Share(2, 2), 1 << 20)) == (1, 0, "")
    assert numbers_on(bus) == [2]
    assert asyncio.run(run(Share(1, 2), 0)) == (2, 0, "")
    assert sorted(numbers_on(bus)) == [1, 3]
    assert asyncio.run(run(Share(), 1 << 20)) == (0, 0, "")
    bus.close()


def test_a_spool_that_holds_more_than_its_room_now_has_gives_back_what_it_held(tmp_path):
    Spool(tmp_path, "orders", Room(1 << 20)).put(messages([{"n": 1}]))
    room = Room(100)
    spool = Spool(tmp_path, "orders", room)
    assert room.taken == 4096
    spool.drop(spool.oldest()[0])
    assert room.taken == 0
