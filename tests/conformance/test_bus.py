"""What every bus promises; the last section holds for replayable ones only."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from headrace.bus.base import Bus, Once, Subscription
from headrace.bus.registry import BUSES, open_bus
from headrace.errors import ConfigError, InputError, InternalError
from headrace.words import message_schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BIG = 1 << 40


class Clock:
    """A clock that tests move by hand."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(kind: str, folder: Path, clock: Clock) -> Bus:
    options = {"sqlite": {"folder": folder}, "memory": {"seed": 7}}[kind]
    return open_bus(kind, clock=clock, **options)


@pytest.fixture(params=sorted(BUSES))
def bus(request, tmp_path, clock) -> Iterator[Bus]:
    bus = opened(request.param, tmp_path / "bus", clock)
    yield bus
    bus.close()


@pytest.fixture(params=sorted(kind for kind in BUSES if kind != "memory"))
def replayable(request, tmp_path, clock) -> Iterator[Bus]:
    bus = opened(request.param, tmp_path / "bus", clock)
    assert bus.replayable
    yield bus
    bus.close()


def messages(*payloads: bytes, **attributes: str) -> pa.RecordBatch:
    columns = {"payload": pa.array(payloads, pa.binary())}
    if attributes:
        pairs = [list(attributes.items())] * len(payloads)
        columns["attributes"] = pa.array(pairs, pa.map_(pa.string(), pa.string()))
    return pa.record_batch(columns)


def numbered(count: int, start: int = 0) -> pa.RecordBatch:
    return messages(*(str(number).encode() for number in range(start, start + count)))


def drain(bus: Bus, topic="orders", name="reader", *, rows=1000, ack=True, **kwargs) -> list[dict]:
    got = []
    while pulled := bus.pull(topic, name, rows, kwargs.get("size", BIG)):
        got += pulled.batch.to_pylist()
        if ack:
            bus.ack(topic, name, pulled.receipt)
    return got


def payloads(rows: list[dict]) -> list[bytes]:
    return [row["payload"] for row in rows]


def once(rows: list[dict]) -> list[bytes]:
    """Return the payloads of distinct messages, sorted by number."""
    return sorted({row["message_id"]: row["payload"] for row in rows}.values(), key=int)


# every bus


def test_every_message_published_is_handed_out(bus):
    bus.subscribe(Subscription("orders", "reader"))
    told = bus.publish("orders", numbered(10))
    bus.publish("orders", numbered(10, 10))
    assert told.messages == 10
    got = drain(bus)
    assert once(got) == [str(number).encode() for number in range(20)]
    assert {told.first_message_id, told.last_message_id} <= {row["message_id"] for row in got}


def test_batches_have_the_columns_of_messages(bus, clock):
    bus.publish("orders", messages(b"a"))
    bus.publish("orders", messages(b"b", colour="red", size=""))
    bus.subscribe(Subscription("orders", "reader"))
    rows = {}
    while pulled := bus.pull("orders", "reader", 10, BIG):
        assert pulled.batch.schema.equals(message_schema())
        pulled.batch.validate(full=True)
        rows |= {row["payload"]: row for row in pulled.batch.to_pylist()}
    assert rows[b"a"]["attributes"] is None
    assert dict(rows[b"b"]["attributes"]) == {"colour": "red", "size": ""}
    assert {row["ingest_time"] for row in rows.values()} == {clock.now}
    assert len({row["message_id"] for row in rows.values()}) == 2
    assert all((row["offset"] is None) != bus.replayable for row in rows.values())


def test_payloads_pass_untouched(bus):
    odd = [b"", b"\x00", b"\xff\xfe not utf-8", b"\xef\xbb\xbf{}", b"a\nb\r\n", "ü".encode(), b"x" * 100_000]
    bus.publish("orders", messages(*odd))
    bus.subscribe(Subscription("orders", "reader"))
    got = {row["message_id"]: row["payload"] for row in drain(bus)}
    assert sorted(got.values()) == sorted(odd)


@pytest.mark.parametrize("cast", [pa.large_binary(), pa.string(), pa.binary_view()])
def test_other_binary_layouts_are_taken(bus, cast):
    bus.publish("orders", pa.record_batch({"payload": pa.array(["a", "b"], pa.string()).cast(pa.binary()).cast(cast)}))
    bus.subscribe(Subscription("orders", "reader"))
    assert {row["payload"] for row in drain(bus)} == {b"a", b"b"}


def test_a_slice_publishes_only_its_rows(bus):
    bus.publish("orders", numbered(100).slice(40, 3))
    bus.subscribe(Subscription("orders", "reader"))
    assert once(drain(bus)) == [b"40", b"41", b"42"]


def test_an_empty_publish_is_nothing(bus):
    assert bus.publish("orders", numbered(0)) == (0, "", "")
    assert bus.lag("orders", "reader") == (0, None)


@pytest.mark.parametrize(
    "wrong",
    [
        pa.record_batch({"body": pa.array([b"a"])}),
        pa.record_batch({"payload": pa.array([b"a"]), "key": pa.array(["k"])}),
        pa.record_batch({"payload": pa.array([b"a", None])}),
        pa.record_batch({"payload": pa.array([1.5])}),
        pa.record_batch({"payload": pa.array([b"a"]), "attributes": pa.array(["k"])}),
    ],
)
def test_what_is_not_messages_is_refused(bus, wrong):
    with pytest.raises(InputError) as refused:
        bus.publish("orders", wrong)
    assert refused.value.fix
    assert bus.lag("orders", "reader").messages == 0


@pytest.mark.parametrize(
    "name", ["", "..", "../orders", "a/b", "/etc/passwd", ".hidden", "-x", "a\n", "a\0", "é", "a b", "x" * 201]
)
def test_a_topic_is_a_name_and_never_a_path(bus, name):
    with pytest.raises(InputError, match="is not the name of a topic"):
        bus.publish(name, numbered(1))


@pytest.mark.parametrize(
    "name", ["orders", "orders.dead", "clicks-v1", "Orders_2", "1a", "a..b", "a.db-wal", "x" * 200]
)
def test_names_of_cloud_topics_are_fine(bus, name):
    bus.publish(name, numbered(1))
    assert bus.lag(name, "reader").messages == 1


def test_pull_ends_with_none_and_sees_what_comes_later(bus):
    bus.subscribe(Subscription("orders", "reader"))
    assert bus.pull("orders", "reader", 10, BIG) is None
    bus.publish("orders", numbered(3))
    assert once(drain(bus)) == [b"0", b"1", b"2"]
    assert bus.pull("orders", "reader", 10, BIG) is None
    bus.publish("orders", numbered(1, 3))
    assert b"3" in payloads(drain(bus))


def test_pulls_may_run_ahead_of_acks(bus):
    bus.publish("orders", numbered(10))
    bus.subscribe(Subscription("orders", "reader"))
    assert once(drain(bus, rows=3, ack=False)) == [str(number).encode() for number in range(10)]


def test_max_rows_is_honoured(bus):
    bus.publish("orders", numbered(10))
    bus.publish("orders", numbered(10, 10))
    bus.subscribe(Subscription("orders", "reader"))
    sizes = []
    while pulled := bus.pull("orders", "reader", 7, BIG):
        sizes.append(pulled.batch.num_rows)
    assert max(sizes) == 7
    assert sum(sizes) >= 20


def test_max_bytes_is_honoured_but_one_message_always_comes(bus):
    bus.publish("orders", messages(*(bytes([byte]) * 100 for byte in range(10)), b"z" * 1000))
    bus.subscribe(Subscription("orders", "reader"))
    got = {}
    while pulled := bus.pull("orders", "reader", 100, 250):
        rows = pulled.batch.to_pylist()
        assert sum(map(len, payloads(rows))) <= 250 or len(rows) == 1
        got |= {row["message_id"]: row["payload"] for row in rows}
    assert len(got) == 11


def test_subscriptions_are_independent(bus):
    bus.publish("orders", numbered(5))
    bus.subscribe(Subscription("orders", "one"))
    bus.subscribe(Subscription("orders", "two"))
    assert len(once(drain(bus, name="one"))) == 5
    assert len(once(drain(bus, name="two"))) == 5
    assert (bus.lag("orders", "one").messages, bus.lag("orders", "two").messages) == (0, 0)


def test_subscribing_again_changes_nothing_but_the_policy(bus):
    bus.publish("orders", numbered(5))
    bus.subscribe(Subscription("orders", "reader"))
    drain(bus)
    bus.subscribe(Subscription("orders", "reader", max_deliveries=9))
    assert bus.lag("orders", "reader").messages == 0


def test_pull_without_a_subscription_is_our_bug(bus):
    bus.publish("orders", numbered(1))
    with pytest.raises(InternalError, match="no subscription 'nobody'"):
        bus.pull("orders", "nobody", 1, 1)


def test_lag_counts_what_is_not_acked_and_names_the_oldest(bus, clock):
    bus.subscribe(Subscription("orders", "reader"))
    assert bus.lag("orders", "reader") == (0, None)
    first = clock.now
    bus.publish("orders", numbered(4))
    clock.now += dt.timedelta(minutes=1)
    bus.publish("orders", numbered(6, 4))
    assert bus.lag("orders", "reader") == (10, first)
    drain(bus, ack=False)
    assert bus.lag("orders", "reader") == (10, first)


def test_lag_is_known_without_topic_and_subscription(bus):
    assert bus.lag("orders", "nobody") == (0, None)
    bus.publish("orders", numbered(4))
    assert bus.lag("orders", "nobody").messages == 4


def test_a_filter_keeps_messages_with_these_attributes(bus):
    bus.subscribe(Subscription("orders", "reader", filter={"status": "suspicious", "region": "eu"}))
    bus.publish("orders", messages(b"1", b"2", status="suspicious", region="eu"))
    bus.publish("orders", messages(b"3", status="suspicious", region="us"))
    bus.publish("orders", messages(b"4", status="fine", region="eu"))
    bus.publish("orders", messages(b"5"))
    assert once(drain(bus)) == [b"1", b"2"]
    assert bus.lag("orders", "reader").messages == 0


def test_nacked_messages_come_again_and_do_not_block_new_ones(bus):
    bus.subscribe(Subscription("orders", "reader", max_deliveries=3))
    bus.publish("orders", numbered(5))
    for _ in range(7):
        pulled = bus.pull("orders", "reader", 5, BIG)
        bus.nack("orders", "reader", pulled.receipt)
    bus.publish("orders", numbered(5, 5))
    got = drain(bus, rows=5)
    assert once(got) == [str(number).encode() for number in range(10)]
    assert bus.lag("orders", "reader").messages == 0


def test_a_greedy_nacker_still_sees_new_messages(bus):
    bus.subscribe(Subscription("orders", "reader"))
    bus.publish("orders", messages(b"bad"))
    bus.publish("orders", numbered(20))
    seen = set()
    for _ in range(200):
        if not (pulled := bus.pull("orders", "reader", 1, BIG)):
            break
        (payload,) = pulled.batch.column("payload").to_pylist()
        seen.add(payload)
        (bus.nack if payload == b"bad" else bus.ack)("orders", "reader", pulled.receipt)
    assert len(seen) == 21


def test_a_message_nacked_too_often_becomes_a_dead_letter(bus):
    bus.subscribe(Subscription("orders", "reader", max_deliveries=3, dead_letter_topic="orders.dead"))
    bus.publish("orders", messages(b"bad", colour="red"))
    nacked = 0
    while pulled := bus.pull("orders", "reader", 10, BIG):
        nacked += 1
        assert nacked < 50
        bus.nack("orders", "reader", pulled.receipt)
    assert bus.lag("orders", "reader").messages == 0
    bus.subscribe(Subscription("orders.dead", "reader"))
    dead = {row["message_id"]: row for row in drain(bus, topic="orders.dead")}
    (row,) = dead.values()
    assert row["payload"] == b"bad"
    attributes = dict(row["attributes"])
    assert attributes.pop("dead_letter_of").startswith("orders-")
    assert attributes == {"colour": "red"}
    assert nacked >= 3


def test_only_what_the_filter_keeps_becomes_a_dead_letter(bus):
    policy = {"max_deliveries": 1, "dead_letter_topic": "orders.dead"}
    bus.subscribe(Subscription("orders", "reader", filter={"kind": "a"}, **policy))
    pairs = pa.array([[("kind", "a")], [("kind", "b")], [("kind", "a")]], pa.map_(pa.string(), pa.string()))
    bus.publish("orders", pa.record_batch({"payload": pa.array([b"1", b"2", b"3"]), "attributes": pairs}))
    while pulled := bus.pull("orders", "reader", 10, BIG):
        bus.nack("orders", "reader", pulled.receipt)
    bus.subscribe(Subscription("orders.dead", "reader"))
    assert once(drain(bus, topic="orders.dead")) == [b"1", b"3"]


def test_after_a_seek_what_was_not_acked_comes_again(bus):
    bus.publish("orders", numbered(10))
    bus.subscribe(Subscription("orders", "reader"))
    drain(bus, ack=False)
    bus.seek("orders", "reader", {})
    assert once(drain(bus)) == [str(number).encode() for number in range(10)]


def test_numbered_messages_are_taken_once_however_often_they_come(bus):
    bus.subscribe(Subscription("orders", "reader"))
    assert bus.publish("orders", numbered(5), once=Once("file", 0)).messages == 5
    assert bus.publish("orders", numbered(5), once=Once("file", 0)) == (0, "", "")
    told = bus.publish("orders", numbered(7, 3), once=Once("file", 3))
    assert told.messages == 5
    assert bus.publish("orders", numbered(2, 1), once=Once("file", 1)) == (0, "", "")
    assert bus.publish("orders", numbered(0), once=Once("file", 10)) == (0, "", "")
    assert bus.publish("orders", numbered(1, 10), once=Once("file", 10)).messages == 1
    got = {row["message_id"]: row["payload"] for row in drain(bus)}
    assert sorted(got.values(), key=int) == [str(number).encode() for number in range(11)]
    assert (got[told.first_message_id], got[told.last_message_id]) == (b"5", b"9")


def test_producers_and_topics_count_for_themselves(bus):
    for topic in ("orders", "clicks"):
        for producer in ("a", "b", ""):
            assert bus.publish(topic, numbered(3), once=Once(producer, 0)).messages == 3
    assert bus.publish("orders", numbered(3)).messages == 3
    assert bus.publish("orders", numbered(3), once=Once("b", 0)).messages == 0
    assert bus.lag("orders", "reader").messages == 12
    assert bus.lag("clicks", "reader").messages == 9


def test_a_gap_in_the_numbers_is_told_and_nothing_of_it_is_taken(bus):
    bus.publish("orders", numbered(3, 40), once=Once("relay", 40))  # where it is not known, any number is the first
    with pytest.raises(InputError, match="expects message 43 of producer 'relay' next, and was given 44") as refused:
        bus.publish("orders", numbered(3, 44), once=Once("relay", 44))
    assert "publish from 43 on" in refused.value.fix
    assert bus.lag("orders", "reader").messages == 3
    assert bus.publish("orders", numbered(2, 43), once=Once("relay", 43)).messages == 2


def test_a_receipt_of_another_bus_is_our_bug(bus):
    bus.subscribe(Subscription("orders", "reader"))
    for take in (bus.ack, bus.nack):
        with pytest.raises(InternalError, match="not a receipt"):
            take("orders", "reader", "receipt")


def test_an_unknown_kind_is_told():
    with pytest.raises(ConfigError, match="did you mean 'memory'"):
        open_bus("memroy")


# a replayable bus


def test_offsets_are_dense_and_in_order(replayable):
    replayable.publish("orders", numbered(5))
    replayable.publish("orders", numbered(5, 5))
    replayable.subscribe(Subscription("orders", "reader"))
    got = drain(replayable, rows=3)
    assert [(row["offset"], row["payload"]) for row in got] == [(n, str(n).encode()) for n in range(10)]
    assert len({row["partition"] for row in got}) == 1


def test_partition_and_offset_make_the_message_id(replayable):
    told = replayable.publish("orders", numbered(2))
    replayable.subscribe(Subscription("orders", "reader"))
    rows = drain(replayable)
    assert [row["message_id"] for row in rows] == [f"orders-{row['partition']}-{row['offset']}" for row in rows]
    assert (told.first_message_id, told.last_message_id) == (rows[0]["message_id"], rows[1]["message_id"])


def test_ingest_time_never_goes_back(replayable, clock):
    start = clock.now
    replayable.publish("orders", numbered(1))
    clock.now -= dt.timedelta(hours=1)
    replayable.publish("orders", numbered(1, 1))
    clock.now += dt.timedelta(hours=2)
    replayable.publish("orders", numbered(1, 2))
    replayable.subscribe(Subscription("orders", "reader"))
    times = [row["ingest_time"] for row in drain(replayable)]
    assert times == [start, start, clock.now]


def test_nothing_is_handed_out_twice_by_one_object(replayable):
    replayable.publish("orders", numbered(100))
    replayable.subscribe(Subscription("orders", "reader"))
    assert payloads(drain(replayable, rows=7, ack=False)) == [str(number).encode() for number in range(100)]
    assert replayable.pull("orders", "reader", 10, BIG) is None


def test_seek_goes_back_and_forth(replayable):
    replayable.publish("orders", numbered(10))
    replayable.subscribe(Subscription("orders", "reader"))
    partition = drain(replayable)[0]["partition"]
    for offset in (4, 0, 9, 10):
        replayable.seek("orders", "reader", {partition: offset})
        assert replayable.lag("orders", "reader").messages == 10 - offset
        assert [row["offset"] for row in drain(replayable, rows=3)] == list(range(offset, 10))


def test_seek_without_the_partition_starts_at_the_oldest(replayable):
    replayable.publish("orders", numbered(3))
    replayable.subscribe(Subscription("orders", "reader"))
    drain(replayable)
    replayable.seek("orders", "reader", {"another0": 2})
    assert [row["offset"] for row in drain(replayable)] == [0, 1, 2]


def test_receipts_from_before_a_seek_mean_nothing(replayable):
    replayable.publish("orders", numbered(10))
    replayable.subscribe(Subscription("orders", "reader", max_deliveries=1, dead_letter_topic="dead"))
    pulled = replayable.pull("orders", "reader", 10, BIG)
    replayable.seek("orders", "reader", {})
    replayable.ack("orders", "reader", pulled.receipt)
    assert replayable.lag("orders", "reader").messages == 10
    replayable.nack("orders", "reader", pulled.receipt)
    assert len(drain(replayable)) == 10
    assert replayable.lag("dead", "reader").messages == 0


def test_acks_out_of_order_keep_the_cursor_at_the_first_open_message(replayable):
    replayable.publish("orders", numbered(9))
    replayable.subscribe(Subscription("orders", "reader"))
    first, second, third = (replayable.pull("orders", "reader", 3, BIG) for _ in range(3))
    replayable.ack("orders", "reader", third.receipt)
    replayable.ack("orders", "reader", second.receipt)
    assert replayable.lag("orders", "reader").messages == 9
    replayable.ack("orders", "reader", first.receipt)
    replayable.ack("orders", "reader", first.receipt)
    assert replayable.lag("orders", "reader").messages == 0


def test_lag_moves_with_the_acks(replayable, clock):
    replayable.publish("orders", numbered(4))
    clock.now += dt.timedelta(minutes=1)
    replayable.publish("orders", numbered(6, 4))
    replayable.subscribe(Subscription("orders", "reader"))
    replayable.ack("orders", "reader", replayable.pull("orders", "reader", 5, BIG).receipt)
    assert replayable.lag("orders", "reader") == (5, clock.now)


def test_a_nacked_part_is_handed_out_in_smaller_pieces_and_counted_by_message(replayable):
    replayable.subscribe(Subscription("orders", "reader", max_deliveries=2, dead_letter_topic="dead"))
    replayable.publish("orders", numbered(6))
    replayable.nack("orders", "reader", replayable.pull("orders", "reader", 6, BIG).receipt)
    replayable.ack("orders", "reader", replayable.pull("orders", "reader", 2, BIG).receipt)
    replayable.nack("orders", "reader", replayable.pull("orders", "reader", 2, BIG).receipt)
    replayable.ack("orders", "reader", replayable.pull("orders", "reader", 2, BIG).receipt)
    assert replayable.lag("orders", "reader").messages == 0
    replayable.subscribe(Subscription("dead", "reader"))
    assert payloads(drain(replayable, topic="dead")) == [b"2", b"3"]
