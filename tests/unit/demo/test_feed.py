"""The feed: what is due is sent, in each source's order, and sent again where a door refuses it."""

import datetime as dt
import itertools
import threading

from headrace.demo.feed import SENT_TOGETHER, Feed
from headrace.demo.shop import Shop
from headrace.errors import SpaceError

UNTIL = dt.date(2026, 11, 21)


class Sieve:
    """A door that refuses every third time, and takes the rest."""

    def __init__(self, enough):
        self.taken, self.refused, self.enough, self.full = {}, 0, enough, threading.Event()
        self._turn = itertools.count(1)

    def send(self, source, payloads):
        if next(self._turn) % 3 == 0:
            self.refused += 1
            raise SpaceError("the disk is full")
        self.taken.setdefault(source, []).extend(payloads)
        if sum(map(len, self.taken.values())) >= self.enough:
            self.full.set()


def opened():
    shop = Shop(3, UNTIL, 400)
    shop.history()
    return shop


def test_what_a_door_refuses_is_sent_again_and_nothing_is_lost():
    door = Sieve(enough=2_000)
    ticks = itertools.count()  # each look at the clock is a second later
    feed = Feed(opened(), 1_000, lambda source: door, clock=lambda: 1_763_700_000 + next(ticks), retry_secs=0.01)
    feed.start()
    assert door.full.wait(60)
    feed.stop()
    assert door.refused > 0
    sent = sum(map(len, door.taken.values()))
    assert feed.sent.total() == sent
    expected = {}
    for message in itertools.islice(opened().live(1_763_700_000_000, 1_000), sent * 2):
        expected.setdefault(message.source, []).append(message.payload)
    for source, payloads in door.taken.items():
        assert payloads == expected[source][: len(payloads)], source


class Gate:
    """A door that takes what comes, and keeps how much came at once."""

    def __init__(self):
        self.sizes, self.counted, self.enough = [], [], threading.Event()
        self.feed = None

    def send(self, source, payloads):
        self.counted.append(self.feed.sent.total())
        self.sizes.append(len(payloads))
        if sum(self.sizes) > 5_000:
            self.enough.set()


def test_what_is_due_at_once_goes_in_parts_each_counted_when_it_is_taken():
    gate = Gate()
    ticks = itertools.count()  # each look at the clock is ten seconds later: it has fallen behind
    gate.feed = Feed(opened(), 1_000, lambda source: gate, clock=lambda: 1_763_700_000 + 10 * next(ticks))
    gate.feed.start()
    assert gate.enough.wait(60)
    gate.feed.stop()
    assert max(gate.sizes) == SENT_TOGETHER
    assert gate.counted == [0, *itertools.accumulate(gate.sizes)][:-1]
