"""One round of a push, decided purely: what to send now, and what to note once it is answered.

Rows are taken in the order of the outbox. A row that fails becomes a *letter*: noted durably, tried again later, and in
the end a dead letter. The position passes it, so that one bad event holds up nobody; only what has the same key waits
behind it. While no attempt succeeds at all the push is *down*: one probe at a time, a new row and an old letter by
turns, and all the rest waits in the outbox.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from headrace.connectors.endpoint import Answer
    from headrace.connectors.push import RetrySpec

LETTERS = 1_000  # that wait for another try; with so many, a push takes no new rows
REQUEST_BYTES = 4 << 20


class Row(NamedTuple):
    """A row of the outbox, as a push sends it."""

    seq: int
    id: str
    kind: str
    dataset: str
    key: str
    at: dt.datetime
    trace_id: str | None
    data: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A row that was not delivered. Times are Unix seconds; `dead`: only `headrace push retry` tries it again."""

    row: Row
    attempts: int = 0
    first_at: float | None = None
    next_at: float = 0.0
    problem: str = ""
    dead: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request: new rows in their order, or one letter."""

    rows: tuple[Row, ...]
    letter: Letter | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """What a round sends, and which rows go behind a letter with their key; `taken` rows are then accounted for."""

    attempts: tuple[Attempt, ...] = ()
    behind: tuple[Row, ...] = ()
    taken: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """What a round came to: letters to note, letters that are over, how many events were delivered.

    `alive`: the endpoint took or judged at least one request. `pause_secs`: how long it asked to be left alone.
    """

    letters: tuple[Letter, ...] = ()
    gone: tuple[int, ...] = ()
    delivered: int = 0
    dead: int = 0
    alive: bool = True
    problem: str = ""
    pause_secs: float = 0.0


@dataclass
class Held:
    """The letters of a push that wait for another try, in the order of the outbox."""

    letters: dict[int, Letter] = field(default_factory=dict)

    def first_of_keys(self) -> list[Letter]:
        """Return the letters that may be tried: of each key the first, the longest waiting before others."""
        first: dict[str, Letter] = {}
        for each in sorted(self.letters.values(), key=lambda letter: letter.row.seq):
            first.setdefault(each.row.key, each)
        return sorted(first.values(), key=lambda letter: (letter.next_at, letter.row.seq))

    def keys(self) -> frozenset[str]:
        """Return the keys that wait for a letter."""
        return frozenset(each.row.key for each in self.letters.values())


def choose(
    held: Held, fresh: Sequence[Row], now: float, *, concurrency: int, max_events: int, failures: int, longest: float
) -> Choice:
    """Return what to send now. `failures` counts the rounds since the endpoint last answered: above zero it is down.

    No letter waits for more than `longest` seconds; one that is to was noted by a clock that was set back since.
    """
    ready = held.first_of_keys()
    keys = held.keys()
    if failures:
        return _probe(ready, keys, fresh, failures, full=len(held.letters) >= LETTERS)
    due = [each for each in ready if not now < each.next_at <= now + longest][: max(1, concurrency // 2)]
    attempts = [Attempt((each.row,), each) for each in due]
    behind: list[Row] = []
    closed: set[str] = set()
    current: list[Row] = []
    taken = size = 0
    for row in fresh:
        if len(held.letters) + len(behind) >= LETTERS:
            break
        if row.key in keys:
            behind.append(row)
            taken += 1
            continue
        if current and (len(current) >= max_events or size + len(row.data) > REQUEST_BYTES):
            attempts.append(Attempt(tuple(current)))
            closed |= {each.key for each in current}
            current, size = [], 0
        if row.key in closed or len(attempts) >= concurrency + len(due):
            break
        current.append(row)
        size += len(row.data)
        taken += 1
    if current:
        attempts.append(Attempt(tuple(current)))
    return Choice(tuple(attempts), tuple(behind), taken)


def _probe(ready: Sequence[Letter], keys: frozenset[str], fresh: Sequence[Row], failures: int, *, full: bool) -> Choice:
    new = bool(fresh) and not full and fresh[0].key not in keys
    if new and (failures % 2 or not ready):
        return Choice((Attempt((fresh[0],)),), (), 1)
    if ready:
        return Choice((Attempt((ready[0].row,), ready[0]),))
    return Choice()


def settle(
    choice: Choice, answers: Sequence[Answer], now: float, retry: RetrySpec, chance: Callable[[], float] = random.random
) -> Settled:
    """Return what to note of a round, one answer per attempt."""
    letters = [Letter(row) for row in choice.behind]
    gone: list[int] = []
    delivered = 0
    for attempt, answer in zip(choice.attempts, answers, strict=True):
        if answer.verdict == "delivered":
            delivered += len(attempt.rows)
            gone += [attempt.letter.row.seq] if attempt.letter else []
            continue
        for row in attempt.rows:
            letter = attempt.letter or Letter(row)
            letters.append(_failed(letter, answer, now, retry, alone=len(attempt.rows) == 1, chance=chance))
    verdicts = {answer.verdict for answer in answers}
    problems = [answer.problem for answer in answers if answer.verdict == "failed"]
    return Settled(
        letters=tuple(letters),
        gone=tuple(gone),
        delivered=delivered,
        dead=sum(each.dead for each in letters),
        alive=verdicts != {"failed"},
        problem=problems[0] if problems else "",
        pause_secs=max((answer.retry_after_secs for answer in answers), default=0.0),
    )


def _failed(
    letter: Letter, answer: Answer, now: float, retry: RetrySpec, *, alone: bool, chance: Callable[[], float]
) -> Letter:
    attempts = letter.attempts + 1
    first = now if letter.first_at is None else letter.first_at
    failed = replace(letter, attempts=attempts, first_at=first, problem=answer.problem, next_at=now)
    if answer.verdict == "refused":
        return replace(failed, dead=alone)  # of several, it is not known which one was refused: each goes alone next
    spent = retry.max_attempts is not None and attempts >= retry.max_attempts
    old = now - first >= retry.give_up_after.total_seconds()
    return replace(
        failed, dead=spent or old, next_at=now + max(pause_of(attempts, retry, chance), answer.retry_after_secs)
    )


def pause_of(failures: int, retry: RetrySpec, chance: Callable[[], float] = random.random) -> float:
    """Return how long to wait after so many failures in a row: twice as long each time, with jitter."""
    longest = retry.longest_delay.total_seconds()
    pause: float = min(longest, retry.first_delay.total_seconds() * 2 ** min(failures - 1, 30))
    return pause * (0.5 + chance() / 2)


def held_after(held: Held, settled: Settled) -> Held:
    """Return the letters that wait once a round is noted."""
    letters = {seq: each for seq, each in held.letters.items() if seq not in settled.gone}
    letters |= {each.row.seq: each for each in settled.letters}
    return Held({seq: each for seq, each in letters.items() if not each.dead})


def next_due(held: Held) -> float | None:
    """Return when the next letter may be tried; None where none waits."""
    return min((each.next_at for each in held.first_of_keys()), default=None)


def rows_of(found: Sequence[Mapping[str, object]]) -> list[Row]:
    """Return rows as they were read from a table."""
    return [Row(*(each[name] for name in Row._fields)) for each in found]  # type: ignore[arg-type]
