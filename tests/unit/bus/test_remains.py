"""Damaged topic files: what can be read is kept, in its order; what cannot is named; nothing is made up."""

from __future__ import annotations

import os

import pytest

from headrace.bus.base import Once, Subscription
from headrace.bus.deliveries import Span
from headrace.bus.remains import look, replace, salvage
from headrace.bus.sqlite import SqliteBus
from headrace.bus.topic_file import PAGE_BYTES, TopicFile
from headrace.errors import BusError
from living import messages

MANY = 40  # publishes of ROWS messages each
ROWS = 25


@pytest.fixture
def path(tmp_path):
    bus = SqliteBus(tmp_path)
    for first in range(0, MANY * ROWS, ROWS):
        payloads = [b"%d " % number + os.urandom(100) for number in range(first, first + ROWS)]
        bus.publish("orders", messages(payloads), Once("counter", first))
    bus.close()
    return tmp_path / "orders.db"


def overwrite(path, at, data):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def flip(path, text):
    """Change a byte of the one message that begins so."""
    at = path.read_bytes().index(text)
    overwrite(path, at + len(text), bytes([path.read_bytes()[at + len(text)] ^ 1]))


def numbers(path, since=0):
    """Return the numbers of the messages that a reader of the topic meets, one subscription from `since` on."""
    bus = SqliteBus(path.parent)
    bus.subscribe(Subscription("orders", "reader"))
    found = []
    while (pulled := bus.pull("orders", "reader", 7, 1 << 20)) is not None:
        found += [int(each.split()[0]) for each in pulled.batch.column("payload").to_pylist()]
    bus.close()
    return found


def mended(path, needed=None):
    found = look(path, "orders", needed or {}, deep=True)
    salvaged = salvage(path, "orders", found)
    return found, salvaged, replace(path, "orders", salvaged)


def test_a_sound_file_is_sound(path):
    for deep in (True, False):
        found = look(path, "orders", {}, deep=deep)
        assert (found.problem, found.end, found.kept, found.lost) == ("", MANY * ROWS, MANY * ROWS, ())


@pytest.mark.parametrize("page", [9, 13, 17])
def test_what_lies_on_a_bad_page_is_lost_and_no_more(page, path):
    overwrite(path, page * PAGE_BYTES, bytes(PAGE_BYTES))
    found, salvaged, aside = mended(path)
    lost = {number for first, end in found.lost for number in range(first, end)}
    assert found.problem
    assert 0 < found.gone <= 6 * ROWS
    assert numbers(path) == [number for number in range(MANY * ROWS) if number not in lost]
    after = look(path, "orders", {}, deep=True)
    assert (after.problem, after.epoch, after.end) == ("", salvaged.epoch, MANY * ROWS - found.gone)
    assert after.epoch != found.epoch
    assert aside.exists()


def test_a_flipped_bit_in_a_message_is_found_by_its_checksum(path):
    flip(path, b"510 ")
    found = look(path, "orders", {}, deep=True)
    assert found.lost == (Span(500, 500 + ROWS),)
    assert found.kept == (MANY - 1) * ROWS


@pytest.mark.parametrize("share", [0.3, 0.7, 0.9])
def test_a_file_that_was_cut_short_keeps_what_is_left(share, path):
    os.truncate(path, int(path.stat().st_size * share))
    found, _, _ = mended(path)
    assert found.end == MANY * ROWS
    assert numbers(path) == list(range(found.lost[0].first))
    assert found.lost == (Span(found.lost[0].first, MANY * ROWS),)


@pytest.mark.parametrize("spoil", ["empty", "folder", "noise", "header"])
def test_a_file_that_tells_nothing_makes_an_empty_one(spoil, path):
    if spoil == "folder":
        path.unlink()
        path.mkdir()
    else:
        overwrite(path, 0, os.urandom(4096) if spoil == "noise" else bytes(100))
        if spoil == "empty":
            os.truncate(path, 0)
    found, _, aside = mended(path)
    assert found.problem
    assert (found.epoch, found.end) == (None, None)
    assert numbers(path) == []
    assert aside.exists()


def test_messages_before_the_damage_are_handed_out_and_those_after_it_wait(path):
    flip(path, b"510 ")
    bus = SqliteBus(path.parent)
    bus.subscribe(Subscription("orders", "reader"))
    pulled = bus.pull("orders", "reader", MANY * ROWS, 1 << 30)
    assert len(pulled.batch) == 500
    with pytest.raises(BusError, match="25 messages from here on cannot be read") as refused:
        bus.pull("orders", "reader", MANY * ROWS, 1 << 30)
    assert "offset 500" in refused.value.at
    assert "headrace doctor" in refused.value.fix
    bus.close()


def test_only_what_is_needed_is_copied_and_every_source_finds_its_place(path):
    epoch = look(path, "orders", {}, deep=False).epoch
    found, salvaged, _ = mended(path, {epoch: 130})
    assert found.kept == MANY * ROWS - 130
    assert salvaged.moved(130) == 5  # of the chunk that begins at 125
    assert salvaged.moved(500) == 375
    assert numbers(path) == list(range(125, MANY * ROWS))


def test_what_producers_published_is_not_taken_again(path):
    overwrite(path, 9 * PAGE_BYTES, bytes(PAGE_BYTES))
    mended(path)
    bus = SqliteBus(path.parent)
    assert bus.publish("orders", messages([b"x"]), Once("counter", MANY * ROWS - 1)).messages == 0
    assert bus.publish("orders", messages([b"x"]), Once("counter", MANY * ROWS)).messages == 1
    bus.close()


def test_what_is_published_during_a_repair_is_in_the_new_file(path):
    found = look(path, "orders", {}, deep=True)
    salvaged = salvage(path, "orders", found)
    bus = SqliteBus(path.parent)
    bus.publish("orders", messages([b"9999 late"]))
    replace(path, "orders", salvaged)
    bus.publish("orders", messages([b"10000 later"]))
    bus.close()
    assert numbers(path)[-3:] == [MANY * ROWS - 1, 9999, 10000]


def test_a_repair_that_was_cut_off_is_ended_by_whoever_opens_the_topic(path):
    salvage(path, "orders", look(path, "orders", {}, deep=True))
    path.rename(path.with_name("orders.db.damaged-1"))  # and here its process died
    TopicFile.make(path, "orders")
    assert len(numbers(path)) == MANY * ROWS


def test_what_all_have_acked_is_retained_no_longer_and_not_missed(path):
    bus = SqliteBus(path.parent, retention_secs=0)
    bus.subscribe(Subscription("orders", "lake"))
    for _ in range(4):
        bus.ack("orders", "lake", bus.pull("orders", "lake", 2 * ROWS, 1 << 30).receipt)
    bus.close()
    found = look(path, "orders", {}, deep=True)
    assert (found.problem, found.lost) == ("", ())
    assert found.kept == MANY * ROWS - 8 * ROWS


def test_a_file_that_is_older_than_what_is_committed_is_told(path):
    epoch = look(path, "orders", {}, deep=False).epoch
    found = look(path, "orders", {epoch: MANY * ROWS + 5}, deep=False)
    assert "older than the lake" in found.problem
    assert found.lost == ()


def test_chunks_of_wrong_types_are_not_read(path):
    import sqlite3

    connection = sqlite3.connect(path)
    connection.execute("UPDATE chunks SET rows = 'many' WHERE first_offset = 50")
    connection.execute("UPDATE chunks SET data = 7 WHERE first_offset = 100")
    connection.commit()
    connection.close()
    assert look(path, "orders", {}, deep=True).lost == (Span(50, 75), Span(100, 125))
