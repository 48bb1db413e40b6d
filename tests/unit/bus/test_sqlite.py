"""What the SQLite bus promises beyond the seam: crashes, full disks, damage, retention, many processes."""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from headrace.bus import chunks
from headrace.bus.base import Once, Subscription
from headrace.bus.sqlite import SqliteBus
from headrace.errors import BusError, InputError, InternalError, SpaceError
from machine import small_disk

if TYPE_CHECKING:
    from pathlib import Path

BIG = 1 << 40
READER = Subscription("orders", "reader")


def batch(*payloads: bytes) -> pa.RecordBatch:
    return pa.record_batch({"payload": pa.array(payloads, pa.binary())})


def noise(rows: int, size: int) -> pa.RecordBatch:
    return batch(*(os.urandom(size) for _ in range(rows)))


def drain(bus: SqliteBus, rows: int = 1000, topic: str = "orders") -> list[dict]:
    got = []
    while pulled := bus.pull(topic, "reader", rows, BIG):
        got += pulled.batch.to_pylist()
        bus.ack(topic, "reader", pulled.receipt)
    return got


def test_a_topic_is_never_a_path(tmp_path):
    with pytest.raises(InputError):
        SqliteBus(tmp_path / "bus").lag("../orders", "reader")
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_topic_is_told(tmp_path):
    bus = SqliteBus(tmp_path)
    bus.publish("Orders", batch(b"x"))
    bus.close()
    (tmp_path / "Orders.db").rename(tmp_path / "orders.db")
    with pytest.raises(BusError, match="holds the topic 'Orders'"):
        bus.publish("orders", batch(b"x"))


def test_another_object_continues_where_acks_ended(tmp_path):
    bus = SqliteBus(tmp_path)
    bus.publish("orders", batch(b"0", b"1", b"2", b"3"))
    bus.subscribe(READER)
    bus.ack("orders", "reader", bus.pull("orders", "reader", 2, BIG).receipt)
    bus.pull("orders", "reader", 1, BIG)
    again = SqliteBus(tmp_path)
    again.subscribe(READER)
    assert [row["offset"] for row in drain(again)] == [2, 3]


def test_nacks_are_counted_across_objects(tmp_path):
    policy = Subscription("orders", "reader", max_deliveries=3, dead_letter_topic="orders.dead")
    SqliteBus(tmp_path).publish("orders", batch(b"bad"))
    for _ in range(3):
        bus = SqliteBus(tmp_path)
        bus.subscribe(policy)
        bus.nack("orders", "reader", bus.pull("orders", "reader", 1, BIG).receipt)
        bus.close()
    assert SqliteBus(tmp_path).lag("orders.dead", "reader").messages == 1


def test_times_of_ingestion_rise_and_do_not_stay_with_a_clock_that_was_wrong(tmp_path):
    clock = Clock()
    bus = SqliteBus(tmp_path, clock=clock)
    bus.subscribe(READER)
    right = clock.now
    for ahead in (dt.timedelta(0), dt.timedelta(minutes=-20), dt.timedelta(days=400), dt.timedelta(minutes=1)):
        clock.now = right + ahead
        bus.publish("orders", batch(b"0"))
    assert [row["ingest_time"] - right for row in drain(bus)] == [
        dt.timedelta(0),
        dt.timedelta(0),
        dt.timedelta(days=400),
        dt.timedelta(minutes=1),
    ]


def test_who_subscribes_does_not_wait_for_dead_letters_nor_they_for_it(tmp_path, monkeypatch):
    bus = SqliteBus(tmp_path)
    bus.publish("orders", batch(b"bad"))
    bus.subscribe(Subscription("orders", "reader", max_deliveries=1, dead_letter_topic="orders.dead"))
    pulled = bus.pull("orders", "reader", 1, BIG)
    publish = bus.publish

    def beside(*arguments):
        other = threading.Thread(target=bus.subscribe, args=[Subscription("orders", "another")], daemon=True)
        other.start()
        other.join(60)
        assert not other.is_alive()
        assert bus.pull("orders", "reader", 1, BIG) is None, "what is being buried is handed out to nobody"
        return publish(*arguments)

    monkeypatch.setattr(bus, "publish", beside)
    bus.nack("orders", "reader", pulled.receipt)
    assert (bus.lag("orders", "reader").messages, bus.lag("orders.dead", "reader").messages) == (0, 1)


def test_a_dead_letter_that_cannot_be_kept_is_given_back(tmp_path, monkeypatch):
    bus = SqliteBus(tmp_path)
    bus.publish("orders", batch(b"bad"))
    bus.subscribe(Subscription("orders", "reader", max_deliveries=1, dead_letter_topic="orders.dead"))

    def full(*_):
        raise SpaceError("the disk is full")

    monkeypatch.setattr(bus, "publish", full)
    with pytest.raises(SpaceError):
        bus.nack("orders", "reader", bus.pull("orders", "reader", 1, BIG).receipt)
    assert bus.pull("orders", "reader", 1, BIG).batch.column("payload").to_pylist() == [b"bad"]


def test_large_publishes_lie_in_bounded_chunks_and_come_back_whole(tmp_path):
    bus = SqliteBus(tmp_path)
    sent = noise(300, 100_000)
    assert bus.publish("orders", sent).messages == 300
    with sqlite3.connect(tmp_path / "orders.db") as connection:
        sizes = connection.execute("SELECT rows, bytes FROM chunks").fetchall()
    assert len(sizes) > 5
    assert max(size for _, size in sizes) <= chunks.CHUNK_BYTES
    bus.subscribe(READER)
    assert [row["payload"] for row in drain(bus, rows=97)] == sent.column("payload").to_pylist()


def test_wide_attributes_bound_a_chunk_too(tmp_path):
    pairs = pa.array([[("header", "h" * 100_000)]] * 200, pa.map_(pa.string(), pa.string()))
    parts = list(chunks.encode(pa.record_batch({"payload": pa.array([b"x"] * 200), "attributes": pairs})))
    assert sum(part.rows for part in parts) == 200
    assert max(part.rows for part in parts) <= chunks.CHUNK_BYTES // 100_000


def test_a_message_of_50_mb_passes_between_its_neighbours(tmp_path):
    bus = SqliteBus(tmp_path)
    giant = os.urandom(1 << 20) * 50
    bus.publish("orders", batch(b"before", giant, b"after"))
    bus.subscribe(READER)
    sizes = []
    while pulled := bus.pull("orders", "reader", 100, 1 << 20):
        sizes.append([len(payload) for payload in pulled.batch.column("payload").to_pylist()])
    assert sizes == [[6], [len(giant)], [5]]
    bus.seek("orders", "reader", {})
    assert bus.pull("orders", "reader", 3, BIG).batch.column("payload")[1].as_py() == giant


def test_messages_published_one_by_one_are_pulled_together(tmp_path):
    bus = SqliteBus(tmp_path)
    for number in range(50):
        bus.publish("orders", batch(str(number).encode()))
    bus.subscribe(READER)
    assert bus.pull("orders", "reader", 100, BIG).batch.num_rows == 50


def test_a_topic_deleted_and_made_again_has_another_partition(tmp_path):
    bus = SqliteBus(tmp_path)
    bus.subscribe(READER)
    bus.publish("orders", batch(b"old"))
    (old,) = drain(bus)
    for left in ("", "-wal", "-shm"):
        (tmp_path / f"orders.db{left}").unlink()
    assert bus.publish("orders", batch(b"new")).messages == 1
    (new,) = drain(bus)
    assert (new["payload"], new["offset"]) == (b"new", old["offset"])
    assert new["partition"] != old["partition"]
    assert len(new["partition"]) == 8


def test_the_log_of_a_deleted_topic_is_not_replayed_into_the_new_one(tmp_path):
    bus = SqliteBus(tmp_path)
    bus.publish("orders", batch(b"old"))
    (tmp_path / "orders.db").unlink()
    assert (tmp_path / "orders.db-wal").stat().st_size
    another = SqliteBus(tmp_path)
    another.publish("orders", batch(b"new"))
    another.subscribe(READER)
    assert [row["payload"] for row in drain(another)] == [b"new"]


def test_a_moved_folder_opens(tmp_path):
    bus = SqliteBus(tmp_path / "here")
    bus.publish("orders", batch(b"a"))
    bus.close()
    (tmp_path / "here").rename(tmp_path / "there")
    moved = SqliteBus(tmp_path / "there")
    moved.subscribe(READER)
    assert [row["payload"] for row in drain(moved)] == [b"a"]


def test_a_position_past_the_end_is_an_older_copy(tmp_path):
    bus = SqliteBus(tmp_path)
    bus.publish("orders", batch(b"a"))
    bus.subscribe(READER)
    (row,) = drain(bus)
    with pytest.raises(BusError, match="older copy") as refused:
        bus.seek("orders", "reader", {row["partition"]: 2})
    assert "headrace doctor --repair" in refused.value.fix


# retention


class Clock:
    now = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now


def retained(folder: Path) -> int:
    with sqlite3.connect(folder / "orders.db") as connection:
        return connection.execute("SELECT coalesce(sum(rows), 0) FROM chunks").fetchone()[0]


def test_what_all_have_acked_is_deleted_after_its_time(tmp_path):
    clock = Clock()
    bus = SqliteBus(tmp_path, retention_secs=60, clock=clock)
    bus.subscribe(READER)
    bus.subscribe(Subscription("orders", "slow"))
    bus.publish("orders", batch(b"0", b"1"))
    bus.publish("orders", batch(b"2"))
    drain(bus)
    clock.now += dt.timedelta(seconds=61)
    bus.publish("orders", batch(b"3"))
    drain(bus)
    assert retained(tmp_path) == 4, "the slow reader has not acked yet"
    bus.ack("orders", "slow", bus.pull("orders", "slow", 1, BIG).receipt)
    assert retained(tmp_path) == 4, "half a chunk is acked"
    bus.ack("orders", "slow", bus.pull("orders", "slow", 1, BIG).receipt)
    assert retained(tmp_path) == 2
    bus.ack("orders", "slow", bus.pull("orders", "slow", 2, BIG).receipt)
    assert retained(tmp_path) == 1, "the newest is too young"
    clock.now += dt.timedelta(seconds=61)
    bus.publish("orders", batch(b"4"))
    drain(bus)
    bus.ack("orders", "slow", bus.pull("orders", "slow", 2, BIG).receipt)
    assert retained(tmp_path) == 1
    bus.seek("orders", "slow", {})
    assert [row["offset"] for row in bus.pull("orders", "slow", 9, BIG).batch.to_pylist()] == [4]


def test_offsets_go_on_when_nothing_is_retained(tmp_path):
    bus = SqliteBus(tmp_path, retention_secs=-1)
    bus.subscribe(READER)
    bus.publish("orders", batch(b"0", b"1"))
    drain(bus)
    assert retained(tmp_path) == 0
    assert bus.lag("orders", "reader") == (0, None)
    bus.close()
    bus.publish("orders", batch(b"2"))
    assert [row["offset"] for row in drain(bus)] == [2]


def test_a_topic_without_subscriptions_keeps_everything(tmp_path):
    bus = SqliteBus(tmp_path, retention_secs=-1)
    bus.publish("orders", batch(b"0"))
    bus.publish("orders", batch(b"1"))
    assert retained(tmp_path) == 2


# space


def fill(bus: SqliteBus) -> int:
    for taken in range(10_000):
        try:
            bus.publish("orders", noise(100, 1000))
        except SpaceError:
            return taken
    raise AssertionError("never full")


def test_a_topic_at_its_limit_takes_nothing_and_goes_on_with_space(tmp_path):
    bus = SqliteBus(tmp_path, max_topic_bytes=2 << 20, retention_secs=-1)
    bus.subscribe(READER)
    taken = fill(bus)
    assert bus.lag("orders", "reader").messages == taken * 100
    with pytest.raises(SpaceError, match="reached its limit of 2,097,152 bytes"):
        bus.publish("orders", noise(100, 1000))
    assert [row["offset"] for row in drain(bus)] == list(range(taken * 100))
    bus.publish("orders", batch(b"after"))
    assert [(row["offset"], row["payload"]) for row in drain(bus)] == [(taken * 100, b"after")]


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", 4 << 20) as folder:
        yield folder


def test_a_full_disk_takes_nothing_and_goes_on_with_space(disk):
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(1 << 20))
    bus = SqliteBus(disk / "bus")
    bus.subscribe(READER)
    taken = fill(bus)
    assert taken
    with (disk / "last").open("wb", buffering=0) as last:
        try:
            while last.write(bytes(4096)):
                pass
        except OSError:
            pass
    for _ in range(3):
        with pytest.raises(SpaceError, match="the disk is full; nothing was taken"):
            bus.publish("orders", noise(100, 1000))
    with pytest.raises(SpaceError, match="the disk is full"):
        bus.publish("another", batch(b"x"))
    assert [row["offset"] for row in drain(bus)] == list(range(taken * 100)), "reading goes on, acks are only a hint"
    again = SqliteBus(disk / "bus")
    assert again.lag("orders", "other").messages == taken * 100
    ballast.unlink()
    assert bus.publish("orders", batch(b"after")).messages == 1
    assert bus.publish("another", batch(b"x")).messages == 1
    fresh = SqliteBus(disk / "bus")
    fresh.subscribe(Subscription("orders", "check"))
    rows = fresh.pull("orders", "check", 1 << 20, BIG).batch
    assert rows.column("offset").to_pylist() == list(range(taken * 100 + 1))
    for each in (bus, again, fresh):
        each.close()


# damage


def subscribe_and_drain(bus: SqliteBus) -> None:
    bus.subscribe(READER)
    drain(bus)


def damaged(folder: Path, harm) -> BusError:
    bus = SqliteBus(folder)
    bus.publish("orders", noise(2000, 1000))
    bus.close()
    harm(folder / "orders.db")
    bus = SqliteBus(folder)
    with pytest.raises(BusError) as refused:
        subscribe_and_drain(bus)
    assert "orders.db" in refused.value.at
    assert "headrace doctor --repair" in refused.value.fix
    return refused.value


def test_a_file_that_is_no_database_is_told(tmp_path):
    assert "is damaged" in damaged(tmp_path, lambda path: path.write_bytes(b"hello" * 5000)).message


def test_an_empty_file_is_told(tmp_path):
    assert "is damaged" in damaged(tmp_path, lambda path: path.write_bytes(b"")).message


def test_a_truncated_file_is_told(tmp_path):
    assert "is damaged" in damaged(tmp_path, lambda path: os.truncate(path, path.stat().st_size // 2)).message


def test_a_flipped_byte_in_a_chunk_is_told(tmp_path):
    def flip(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))

    assert "is damaged" in damaged(tmp_path, flip).message


def test_missing_messages_are_told(tmp_path):
    def lose(path: Path) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE topic SET next_offset = next_offset + 5")

    assert "are missing" in damaged(tmp_path, lose).message


def test_a_topic_of_a_later_version_is_told(tmp_path):
    bus = SqliteBus(tmp_path)
    bus.publish("orders", batch(b"x"))
    bus.close()
    with sqlite3.connect(tmp_path / "orders.db") as connection:
        connection.execute("UPDATE topic SET format = 99")
    with pytest.raises(BusError, match="format 99") as refused:
        bus.publish("orders", batch(b"x"))
    assert "upgrade" in refused.value.fix


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BusError, match="cannot be written"):
        SqliteBus(tmp_path / "file" / "bus").publish("orders", batch(b"x"))


# many at once

PUBLISHER = """
import sys, os, pyarrow as pa
from pathlib import Path
from headrace.bus.sqlite import SqliteBus
bus = SqliteBus(Path(sys.argv[1]))
who, rounds, rows = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for n in range(rounds):
    payload = pa.array([f"{who}-{n}-{r}".encode() for r in range(rows)])
    told = bus.publish("orders", pa.record_batch({"payload": payload}))
    sys.stdout.write(f"{told.first_message_id} {told.last_message_id} {who}-{n}\\n")
    sys.stdout.flush()
"""


def publisher(folder: Path, who: str, rounds: int, rows: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PUBLISHER, str(folder), who, str(rounds), str(rows)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def acked(lines: list[str], rows: int) -> dict[str, str]:
    """Return message id -> payload of all messages that a publisher was told are durable."""
    told = {}
    for line in lines:
        first, last, name = line.split()
        stem, _, low = first.rpartition("-")
        assert int(last.rpartition("-")[2]) == int(low) + rows - 1
        told |= {f"{stem}-{int(low) + row}": f"{name}-{row}" for row in range(rows)}
    return told


def on_topic(folder: Path) -> dict[str, str]:
    bus = SqliteBus(folder)
    bus.subscribe(Subscription("orders", "check"))
    got = {}
    while pulled := bus.pull("orders", "check", 10_000, BIG):
        assert pulled.batch.column("offset").to_pylist() == list(range(len(got), len(got) + pulled.batch.num_rows))
        got |= {row["message_id"]: row["payload"].decode() for row in pulled.batch.to_pylist()}
    bus.close()
    return got


def test_processes_publish_at_once(tmp_path):
    processes = [publisher(tmp_path, f"p{number}", 40, 25) for number in range(3)]
    told = {}
    for process in processes:
        lines = process.communicate()[0].splitlines()
        assert process.returncode == 0
        told |= acked(lines, 25)
    assert len(told) == 3 * 40 * 25
    assert on_topic(tmp_path) == told


@pytest.mark.slow
def test_kill_9_loses_nothing_that_was_acked(tmp_path):
    told = {}
    for number, after in enumerate((1, 2, 7, 13, 29)):  # acks seen before the kill; where it lands is chance
        process = publisher(tmp_path, f"r{number}", 1_000_000, 40)
        lines = [process.stdout.readline() for _ in range(after)]
        process.kill()
        lines += process.stdout.read().splitlines(keepends=True)
        process.wait()
        process.stdout.close()
        told |= acked([line for line in lines if line.endswith("\n")], 40)
    got = on_topic(tmp_path)
    assert told.items() <= got.items()
    assert len(got) % 40 == 0, "a publish is all or none"


def test_threads_publish_and_pull_on_one_object(tmp_path):
    bus = SqliteBus(tmp_path)
    bus.subscribe(READER)
    got, failed = [], []

    def publish(who: int) -> None:
        for number in range(40):
            bus.publish("orders", batch(f"{who}-{number}".encode()))

    def read() -> None:
        try:
            while len(got) < 120:
                got.extend(drain(bus, rows=3))
        except Exception as error:  # noqa: BLE001 (told to the main thread)
            failed.append(error)

    threads = [threading.Thread(target=publish, args=(who,)) for who in range(3)] + [threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
    assert [row["offset"] for row in got] == list(range(120))
    assert len({row["payload"] for row in got}) == 120


# numbered producers


def counted(first: int, rows: int) -> pa.RecordBatch:
    return batch(*(str(number).encode() for number in range(first, first + rows)))


def test_what_a_producer_published_is_remembered_by_other_objects(tmp_path):
    SqliteBus(tmp_path).publish("orders", counted(0, 5), once=Once("file", 0))
    again = SqliteBus(tmp_path)
    assert again.publish("orders", counted(0, 8), once=Once("file", 0)).messages == 3
    again.subscribe(READER)
    assert [row["payload"] for row in drain(again)] == [str(number).encode() for number in range(8)]


def test_a_topic_of_before_producers_were_numbered_goes_on(tmp_path):
    old = SqliteBus(tmp_path)
    old.publish("orders", batch(b"old"))
    old.close()
    with sqlite3.connect(tmp_path / "orders.db") as connection:
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'producers'").fetchone()
    bus = SqliteBus(tmp_path)
    assert bus.publish("orders", counted(0, 2), once=Once("file", 0)).messages == 2
    assert bus.publish("orders", counted(0, 3), once=Once("file", 0)).messages == 1
    bus.subscribe(READER)
    assert [row["payload"] for row in drain(bus)] == [b"old", b"0", b"1", b"2"]


def test_a_producer_is_remembered_when_its_messages_are_deleted_and_forgotten_a_year_later(tmp_path):
    clock = Clock()
    bus = SqliteBus(tmp_path, retention_secs=60, clock=clock)
    bus.subscribe(READER)
    bus.publish("orders", counted(0, 3), once=Once("file", 0))
    clock.now += dt.timedelta(days=364)
    bus.publish("orders", counted(0, 3), once=Once("another", 0))
    drain(bus)
    drain(bus)
    assert bus.publish("orders", counted(0, 3), once=Once("file", 0)).messages == 0
    clock.now += dt.timedelta(days=2)
    bus.publish("orders", counted(0, 3), once=Once("a third", 0))
    assert bus.publish("orders", counted(0, 3), once=Once("another", 0)).messages == 0
    assert bus.publish("orders", counted(7, 3), once=Once("file", 7)).messages == 3


def test_where_the_disk_is_full_a_number_is_not_taken_either(tmp_path):
    bus = SqliteBus(tmp_path, max_topic_bytes=400_000)
    sent = noise(100, 1000)
    bus.publish("orders", sent, once=Once("file", 0))
    bus.publish("orders", sent, once=Once("file", 100))
    with pytest.raises(SpaceError):
        bus.publish("orders", noise(1000, 1000), once=Once("file", 200))
    roomy = SqliteBus(tmp_path)
    assert roomy.publish("orders", sent, once=Once("file", 200)).messages == 100


@pytest.mark.parametrize("table", ["producers", "topic"])
def test_the_number_and_the_messages_are_one_transaction(tmp_path, table):
    bus = SqliteBus(tmp_path)
    bus.publish("orders", counted(0, 2), once=Once("file", 0))
    with sqlite3.connect(tmp_path / "orders.db") as connection:
        connection.execute(f"CREATE TRIGGER cut BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, 'cut'); END")
    with pytest.raises(InternalError, match="cut"):
        bus.publish("orders", counted(2, 2), once=Once("file", 2))
    with sqlite3.connect(tmp_path / "orders.db") as connection:
        connection.execute("DROP TRIGGER cut")
    assert bus.lag("orders", "reader").messages == 2
    assert bus.publish("orders", counted(0, 4), once=Once("file", 0)).messages == 2


def test_two_that_publish_the_same_numbers_at_once_publish_them_once(tmp_path):
    def publish() -> None:
        bus = SqliteBus(tmp_path)
        for first in range(0, 400, 10):
            bus.publish("orders", counted(first, 10), once=Once("file", first))

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bus = SqliteBus(tmp_path)
    bus.subscribe(READER)
    assert [row["payload"] for row in drain(bus)] == [str(number).encode() for number in range(400)]


NUMBERED = """
import os, random, sys, threading
from pathlib import Path
import pyarrow as pa
from headrace.bus.base import Once
from headrace.bus.sqlite import SqliteBus
bus = SqliteBus(Path(sys.argv[1]))
rows, new = map(int, sys.argv[2:])
ends = None
for first in range(0, 20_000, rows):
    payload = [str(number).encode() for number in range(first, min(first + rows, 20_000))]
    told = bus.publish("orders", pa.record_batch({"payload": pa.array(payload)}), once=Once("file", first))
    if new > 0 >= new - told.messages:  # from here on, at any moment
        ends = threading.Timer(random.uniform(0.0, 0.02), os.kill, (os.getpid(), 9))
        ends.start()
    new -= told.messages
if ends:
    ends.join()
print("done", flush=True)
"""


def test_a_producer_killed_anywhere_that_starts_from_its_first_message_loses_and_doubles_nothing(tmp_path):
    chance, ends = random.Random(3), []
    for life in range(8):
        rows, new = chance.choice([7, 50, 333]), chance.randint(1, 2_000) if life < 7 else 100_000
        command = [sys.executable, "-c", NUMBERED, str(tmp_path), str(rows), str(new)]
        ended = subprocess.run(command, capture_output=True, text=True, env=os.environ | _path(), check=False)
        assert (ended.returncode, ended.stdout) in {(-signal.SIGKILL, ""), (0, "done\n")}, ended.stderr
        ends.append(ended.returncode)
    assert (ends[0], ends[-1]) == (-signal.SIGKILL, 0), "those between may find that all is published"
    bus = SqliteBus(tmp_path)
    bus.subscribe(READER)
    assert [row["payload"] for row in drain(bus, rows=5000)] == [str(number).encode() for number in range(20_000)]


def _path() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(sys.path)}
