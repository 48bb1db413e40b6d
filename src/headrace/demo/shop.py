"""The shop: every message that it sends, in the order in which they arrive, and what must become of each.

The same seed and the same days give the same bytes. A message arrives after it was made: a little, a lot where a phone
was offline; some arrive twice; some are broken (`defects`). What was made of them is known here without looking at a
payload, so that the ledger can be held against it.
"""

from __future__ import annotations

import datetime as dt
import heapq
from collections import Counter
from itertools import count
from math import inf
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from headrace.demo.catalogue import products
from headrace.demo.defects import DRIFT_SHARE, NO_USER, Defect, drawn
from headrace.demo.people import change, newcomer, pick
from headrace.demo.rhythm import Rhythm
from headrace.demo.sessions import AS_IN_LIFE, HOUR_MS, TO_WATCH, Pace, Step, Visit, iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SOURCES = ("clickstream", "transactions", "customer_support", "customer_profiles")
KEYS = {
    "clickstream": ("event_id",),
    "transactions": ("transaction_id",),
    "customer_support": ("ticket_id",),
    "customer_profiles": ("user_id", "updated_at"),
}
DAYS = 14
LEAST_EVENTS = 200
PER_CUSTOMER = 40  # messages; so many fewer people
MESSAGES_A_VISIT = 8.1  # with what follows from it, on average

TWICE = 0.02  # of messages: the producer heard no answer, and sent it again
DELAYED = 0.03  # of clicks: they overtake each other on the way
OFFLINE = 0.03  # of visits: the phone sends its clicks when it is back, hours or days later
SIGNS_UP = 0.03  # of visits
CHANGES = 0.05  # of visits: the profile, at the end
OFFLINE_MOST_MS = 72 * HOUR_MS
STEP_MS = 250
UNDER_WAY_MS = 30_000  # live, visits that began this long ago are under way when the stream starts

# The session that the shop lost its user of.
LOST_SESSION = "ses_ccc333"
LOST_EVENT = 1_234_567_896
LOST_CLICKS = 3


class Message(NamedTuple):
    """A message as it is sent: when it arrives (milliseconds since 1970), its key, and what is wrong with it."""

    at: int
    source: str
    payload: bytes
    key: tuple[str, ...]
    defect: Defect | None


class Draft(NamedTuple):
    """An event that is about to be sent. A `profile` is not known yet: it is as all changes before have left it."""

    step: Step
    arrivals: tuple[int, ...]
    defect: Defect | None
    profile: Random | None = None


class Shop:
    """A shop with its history up to the day `until`: exactly `events` messages in the two weeks before."""

    def __init__(self, seed: int, until: dt.date, events: int) -> None:
        self._seed, self._events = seed, events
        self._since = until - dt.timedelta(days=DAYS)
        self._products = products()
        rng = Random(f"{seed}/people")  # noqa: S311 - a shop, not a secret
        people = max(10, events // PER_CUSTOMER)
        ids = [f"usr_{number:06d}" for number in range(1, people + 1)]
        self._profiles = {user: newcomer(user, rng) for user in ids}
        self._people = list(self._profiles)
        self._told: set[str] = set()

    def history(self) -> list[Message]:
        """Return the messages of the two weeks, in order of arrival. Call it once, and before `live`."""
        rng = Random(f"{self._seed}/history")  # noqa: S311
        rhythm = Rhythm(self._since, DAYS)
        opening = _ms(self._since)
        closing = opening + DAYS * 24 * HOUR_MS
        number = _numbers(lambda kind, n: f"{kind}_{n:0{10 if kind == 'evt' else 7}d}")
        known = [Step(opening + row, "customer_profiles", {"user_id": user}) for row, user in enumerate(self._profiles)]
        drafts = [self._draft(step, rng, 0, profile=Random(0)) for step in known]  # noqa: S311
        drafts += self._lost_session(rhythm.draw(rng), rng)
        total = sum(len(draft.arrivals) for draft in drafts)
        newcomers = count(len(self._people) + 1)
        while True:
            visit = self._visit(rhythm.draw(rng), rng, number, AS_IN_LIFE, newcomers, (opening, closing))
            sent = sum(len(draft.arrivals) for draft in visit)
            if total + sent > self._events:
                break
            drafts += visit
            total += sent
        for _ in range(self._events - total):  # people who leave at once
            at = rhythm.draw(rng)
            looker = Visit(rng, self._products, pick(rng, self._people), _session_id(rng), number, AS_IN_LIFE)
            drafts.append(Draft(next(looker.clicks(at, None)), (at,), None))
        return sorted(self._sent(drafts), key=_arrival)

    def live(self, start_ms: int, rate: float) -> Iterator[Message]:
        """Yield messages for ever, in order of arrival: about `rate` a second from `start_ms` on."""
        rng = Random(f"{self._seed}/{start_ms}")  # noqa: S311
        number = _numbers(lambda kind, n: f"{kind}_{start_ms}{n:08d}")
        newcomers = count(start_ms)
        waiting: list[tuple[int, int, Message]] = []
        tie = count()
        now, due = start_ms - UNDER_WAY_MS, 0.0
        while True:
            due += rate * STEP_MS / 1000 / MESSAGES_A_VISIT
            while due >= 1:
                due -= 1
                start = now + int(rng.random() * STEP_MS)
                drafts = self._visit(start, rng, number, TO_WATCH, newcomers, (0, inf))
                for message in self._sent(drafts):
                    if message.at >= start_ms:
                        heapq.heappush(waiting, (message.at, next(tie), message))
            now += STEP_MS
            while waiting and waiting[0][0] < now:
                yield heapq.heappop(waiting)[2]

    def _visit(
        self,
        start: int,
        rng: Random,
        number: Callable[[str], str],
        pace: Pace,
        newcomers: Iterator[int],
        within: tuple[int, float],
    ) -> list[Draft]:
        """Return what one visit sends; all of it happens `within` these instants."""
        opening, closing = within
        profiles: list[Step] = []
        user = self._people[int(rng.random() ** 2 * len(self._people))]  # some come often
        if rng.random() < SIGNS_UP:
            user = f"usr_{next(newcomers):06d}"
            self._profiles[user] = newcomer(user, rng)
            profiles.append(Step(start - 1, "customer_profiles", {"user_id": user}))
        visit = Visit(rng, self._products, user, _session_id(rng), number, pace, closing)
        late = 0
        if rng.random() < OFFLINE:
            late = min(int(rng.random() * OFFLINE_MOST_MS), start - opening)
            steps = list(visit.clicks(start - late, None))
        else:
            steps = list(visit.whole(start))
        if rng.random() < CHANGES:
            profiles.append(Step(steps[-1].at + 1, "customer_profiles", {"user_id": user}))
        return [
            *(self._draft(step, rng, late) for step in steps),
            *(self._draft(step, rng, 0, profile=Random(rng.random())) for step in profiles),  # noqa: S311
        ]

    def _draft(self, step: Step, rng: Random, late: int, profile: Random | None = None) -> Draft:
        at = step.at + late
        clicks = step.source == "clickstream"
        if clicks:
            at += int(rng.random() * 1_500)
            if rng.random() < DELAYED:
                at += int(rng.random() * 30_000)
            if step.event["device"]["type"] != "desktop" and rng.random() < DRIFT_SHARE:
                step.event["experiment"] = {"name": "one_page_checkout", "variant": "b"}
        defect = drawn(step.source, rng)
        again = (at + 200 + int(rng.random() * 8_000),) if rng.random() < TWICE else ()
        return Draft(step, (at, *again), defect, profile)

    def _lost_session(self, start: int, rng: Random) -> list[Draft]:
        """Return the clicks of the session that no user is known for; nothing else is wrong with them."""
        lost = count(LOST_EVENT)
        visit = Visit(rng, self._products, None, LOST_SESSION, lambda _: f"evt_{next(lost)}", AS_IN_LIFE)
        steps = list(visit.clicks(start, None))
        while len(steps) < LOST_CLICKS:
            steps += visit.clicks(steps[-1].at + 60_000, None)
        return [Draft(step, (step.at,), NO_USER) for step in steps[:LOST_CLICKS]]

    def _sent(self, drafts: Iterable[Draft]) -> Iterator[Message]:
        """Yield messages, with each profile as it is by then."""
        for draft in sorted(drafts, key=lambda each: each.step.at):
            at, source, event = draft.step
            if draft.profile is not None:
                event = {**self._profile(event["user_id"], draft.profile), "updated_at": iso(at)}
            key = tuple(event[name] for name in KEYS[source])
            payload = draft.defect.spoil(event) if draft.defect else orjson.dumps(event)
            for arrival in draft.arrivals:
                yield Message(arrival, source, payload, key, draft.defect)

    def _profile(self, user: str, rng: Random) -> dict[str, Any]:
        """Return the profile as it is told now: as it was at first, changed every time after."""
        if user in self._told:
            self._profiles[user] |= change(self._profiles[user], rng)
        self._told.add(user)
        return self._profiles[user]


def fates(messages: Iterable[Message]) -> dict[str, dict[str, int]]:
    """Return what the ledger of each source must say of these messages: accepted, and the fates that there are."""
    seen: dict[str, dict[tuple[str, ...], Counter[bytes]]] = {source: {} for source in SOURCES}
    accepted = Counter[str]()
    quarantined = Counter[str]()
    for message in messages:
        accepted[message.source] += 1
        if message.defect:
            quarantined[message.source] += 1
        else:
            seen[message.source].setdefault(message.key, Counter())[message.payload] += 1
    ledger = {}
    for source, keys in seen.items():
        distinct = sum(len(payloads) for payloads in keys.values())
        ledger[source] = {
            "accepted": accepted[source],
            "silver": len(keys),
            "superseded": distinct - len(keys),
            "duplicate": sum(payloads.total() for payloads in keys.values()) - distinct,
            "quarantined": quarantined[source],
        }
    return ledger


def reasons(messages: Iterable[Message]) -> Counter[tuple[str, str, str]]:
    """Return how many of these messages must be quarantined, by source, stage and code."""
    return Counter((each.source, each.defect.stage, each.defect.code) for each in messages if each.defect)


def _arrival(message: Message) -> tuple[int, str, tuple[str, ...]]:
    return message.at, message.source, message.key


def _ms(day: dt.date) -> int:
    return int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp()) * 1000


def _session_id(rng: Random) -> str:
    return f"ses_{rng.getrandbits(40):010x}"


def _numbers(form: Callable[[str, int], str]) -> Callable[[str], str]:
    """Return a function that numbers things of each kind from 1."""
    counts = Counter[str]()

    def next_of(kind: str) -> str:
        counts[kind] += 1
        return form(kind, counts[kind])

    return next_of
