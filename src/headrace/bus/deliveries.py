"""Deliveries: what has been handed out of a subscription, what came back, and how often."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Span(NamedTuple):
    """Offsets from `first` up to, not with, `end`."""

    first: int
    end: int


class Nacks(NamedTuple):
    """How often each message of a span was given back."""

    span: Span
    times: int


@dataclass(eq=False, slots=True)
class Deliveries:
    """The delivery cursor of one reader: it runs ahead of the acks, so that pulls can be pipelined.

    A seek makes a new one; receipts of the old one then mean nothing any more.
    """

    next: int
    out: set[Span] = field(default_factory=set)
    returned: deque[Span] = field(default_factory=deque)
    last_was_returned: bool = False

    def choose(self, end: int) -> Span | None:
        """Return what to read next, with the topic ending at `end`: in turn, what came back and what is new."""
        new = Span(self.next, end)
        self.last_was_returned = bool(self.returned) and (not self.last_was_returned or new.first >= new.end)
        if self.last_was_returned:
            return self.returned.popleft()
        return new if new.first < new.end else None

    def passed(self, span: Span, upto: int, *, handed_out: bool) -> Span:
        """Note that of the span chosen the messages up to `upto` were read; the rest is read next."""
        read = Span(span.first, upto)
        if self.last_was_returned:
            if upto < span.end:
                self.returned.appendleft(Span(upto, span.end))
        else:
            self.next = upto
        if handed_out:
            self.out.add(read)
        return read

    def unread(self, span: Span) -> None:
        """Take back a choice that could not be read."""
        if self.last_was_returned:
            self.returned.appendleft(span)

    def acked_upto(self) -> int:
        """Return the offset below which nothing is open: neither out, nor returned, nor new."""
        return min([self.next, *(span.first for span in self.out), *(span.first for span in self.returned)])


def counted(known: Iterable[Nacks], given_back: Span) -> list[Nacks]:
    """Return how often each message of a span has been given back, this time included.

    `known` are the earlier counts, of spans that do not overlap; what lies outside of this span is returned as it was.
    """
    counts: list[Nacks] = []
    at = given_back.first
    for (first, end), times in sorted(known):
        if end <= given_back.first or first >= given_back.end:
            counts.append(Nacks(Span(first, end), times))
            continue
        inside = Span(max(first, given_back.first), min(end, given_back.end))
        if first < inside.first:
            counts.append(Nacks(Span(first, inside.first), times))
        if at < inside.first:
            counts.append(Nacks(Span(at, inside.first), 1))
        counts.append(Nacks(inside, times + 1))
        if inside.end < end:
            counts.append(Nacks(Span(inside.end, end), times))
        at = inside.end
    if at < given_back.end:
        counts.append(Nacks(Span(at, given_back.end), 1))
    return sorted(counts)
