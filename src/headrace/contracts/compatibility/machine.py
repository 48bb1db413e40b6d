"""A machine that reads texts as a pattern does: where each of its states leads by which characters."""

from __future__ import annotations

from typing import Any

from headrace.contracts.compatibility.expression import LAST, Class, Unread, begins

_MOST_STATES = 1_200


class Machine:
    """A pattern's states: where each leads without a character, at an anchor, and by the characters of a class."""

    def __init__(self, tree: Any) -> None:
        self.free: list[list[int]] = []
        self.anchored: list[list[tuple[str, int]]] = []
        self.taking: list[list[tuple[str, int]]] = []
        self.classes: set[Class] = set()
        first, last = self._state(), self._state()
        any_ = Class("[\\s\\S]", ((0, LAST),))
        if not begins(tree, "begin", 0):
            self._takes(first, any_, first)
        end = self._add(tree, self._beside(first))
        self.free[end].append(last)
        self._takes(last, any_, last)
        self._last = last
        self._known: dict[tuple[frozenset[int], frozenset[str]], frozenset[int]] = {}
        self.start = self._closure(frozenset({first}), at_start=True, at_end=False)

    def step(self, states: frozenset[int], classes: frozenset[str]) -> frozenset[int]:
        """Return where a character of these classes leads."""
        key = (states, classes)
        if key not in self._known:
            reached = frozenset(to for state in states for text, to in self.taking[state] if text in classes)
            self._known[key] = self._closure(reached, at_start=False, at_end=False)
        return self._known[key]

    def accepts(self, states: frozenset[int], *, at_start: bool) -> bool:
        """Whether a text that ends here matches."""
        return self._last in states or self._last in self._closure(states, at_start=at_start, at_end=True)

    def _closure(self, states: frozenset[int], *, at_start: bool, at_end: bool) -> frozenset[int]:
        found, waiting = set(states), list(states)
        while waiting:
            state = waiting.pop()
            further = [to for word, to in self.anchored[state] if (at_start if word == "begin" else at_end)]
            for to in [*self.free[state], *further]:
                if to not in found:
                    found.add(to)
                    waiting.append(to)
        return frozenset(found)

    def _state(self) -> int:
        if len(self.free) >= _MOST_STATES:
            raise Unread
        self.free.append([])
        self.anchored.append([])
        self.taking.append([])
        return len(self.free) - 1

    def _beside(self, state: int) -> int:
        found = self._state()
        self.free[state].append(found)
        return found

    def _takes(self, state: int, of: Class, to: int) -> None:
        self.classes.add(of)
        self.taking[state].append((of.text, to))

    def _add(self, node: Any, at: int) -> int:
        """Add what a part of a pattern matches from a state on; return the state after it."""
        word, *rest = node
        if word == "class":
            to = self._state()
            self._takes(at, rest[0], to)
            return to
        if word in {"begin", "end"}:
            to = self._state()
            self.anchored[at].append((word, to))
            return to
        if word == "all":
            for each in rest[0]:
                at = self._add(each, at)
            return at
        if word == "one":
            to = self._state()
            for each in rest[0]:
                self.free[self._add(each, self._beside(at))].append(to)
            return to
        inner, least, most = rest
        for _ in range(least):
            at = self._add(inner, at)
        if most is None:
            loop = self._beside(at)
            self.free[self._add(inner, loop)].append(loop)
            return self._beside(loop)
        to = self._state()
        for _ in range(most - least):
            self.free[at].append(to)
            at = self._add(inner, self._beside(at))
        self.free[at].append(to)
        return to
