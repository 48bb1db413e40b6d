"""A machine that reads texts as a pattern does: where each of its states leads by which characters.

A set of states is an integer with a bit for each: a thousand of them take 150 bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.compatibility.expression import LAST, Class, Unread, begins

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_STATES = 1_200


class Machine:
    """A pattern's states: where each leads without a character, at an anchor, and by the characters of a class."""

    def __init__(self, tree: Any) -> None:
        self._free: list[list[int]] = []
        self._anchored: list[list[tuple[str, int]]] = []
        self._taking: list[list[tuple[str, int]]] = []
        self.classes: set[Class] = set()
        first, last = self._state(), self._state()
        any_ = Class("[\\s\\S]", ((0, LAST),))
        if not begins(tree, "begin", 0):
            self._takes(first, any_, first)
        end = self._add(tree, self._beside(first))
        self._free[end].append(last)
        self._takes(last, any_, last)
        self._takers = sum(1 << state for state, taking in enumerate(self._taking) if taking)
        self._known: dict[tuple[int, frozenset[str]], int] = {}
        self._closed: dict[int, int] = {}
        self._ending = {at_start: self._before(last, at_start=at_start) for at_start in (False, True)}
        self.start = self._closure(first, at_start=True)

    def weight(self, states: int) -> int:
        """Return how many of some states there are to go on from."""
        return (states & self._takers).bit_count()

    def step(self, states: int, classes: frozenset[str]) -> int:
        """Return where a character of these classes leads."""
        key = (states, classes)
        found = self._known.get(key)
        if found is None:
            found = 0
            for state in _bits(states & self._takers):
                for text, to in self._taking[state]:
                    if text in classes:
                        found |= self._leads(to)
            self._known[key] = found
        return found

    def accepts(self, states: int, *, at_start: bool) -> bool:
        """Whether a text that ends here matches."""
        return bool(states & self._ending[at_start])

    def _leads(self, state: int) -> int:
        found = self._closed.get(state)
        if found is None:
            found = self._closed[state] = self._closure(state, at_start=False)
        return found

    def _closure(self, state: int, *, at_start: bool) -> int:
        """Return where a state leads without a character, before the end of a text."""
        found, waiting = 1 << state, [state]
        while waiting:
            state = waiting.pop()
            further = [to for word, to in self._anchored[state] if word == "begin"] if at_start else []
            for to in [*self._free[state], *further]:
                if not found >> to & 1:
                    found |= 1 << to
                    waiting.append(to)
        return found

    def _before(self, last: int, *, at_start: bool) -> int:
        """Return which states lead to the last one without a character, at the end of a text."""
        leading: list[list[int]] = [[] for _ in self._free]
        for state, (free, anchored) in enumerate(zip(self._free, self._anchored, strict=True)):
            for to in [*free, *(to for word, to in anchored if word == "end" or at_start)]:
                leading[to].append(state)
        found, waiting = 1 << last, [last]
        while waiting:
            for state in leading[waiting.pop()]:
                if not found >> state & 1:
                    found |= 1 << state
                    waiting.append(state)
        return found

    def _state(self) -> int:
        if len(self._free) >= MOST_STATES:
            raise Unread
        self._free.append([])
        self._anchored.append([])
        self._taking.append([])
        return len(self._free) - 1

    def _beside(self, state: int) -> int:
        found = self._state()
        self._free[state].append(found)
        return found

    def _takes(self, state: int, of: Class, to: int) -> None:
        self.classes.add(of)
        self._taking[state].append((of.text, to))

    def _add(self, node: Any, at: int) -> int:
        """Add what a part of a pattern matches from a state on; return the state after it."""
        word, *rest = node
        if word == "class":
            to = self._state()
            self._takes(at, rest[0], to)
            return to
        if word in {"begin", "end"}:
            to = self._state()
            self._anchored[at].append((word, to))
            return to
        if word == "all":
            for each in rest[0]:
                at = self._add(each, at)
            return at
        if word == "one":
            to = self._state()
            for each in rest[0]:
                self._free[self._add(each, self._beside(at))].append(to)
            return to
        inner, least, most = rest
        for _ in range(least):
            before, at = at, self._add(inner, at)
            if at == before:
                break  # nothing is nothing, however often: `(){1000000000}`
        if most is None:
            loop = self._beside(at)
            self._free[self._add(inner, loop)].append(loop)
            return self._beside(loop)
        to = self._state()
        for _ in range(most - least):
            self._free[at].append(to)
            at = self._add(inner, self._beside(at))
        self._free[at].append(to)
        return to


def _bits(states: int) -> Iterator[int]:
    while states:
        lowest = states & -states
        yield lowest.bit_length() - 1
        states ^= lowest
