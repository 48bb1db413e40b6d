"""Regular expressions as sets of texts: how long these are, and whether all that some match another matches, too.

An expression is read as ECMA-262 writes it, and matches somewhere in a text. What has more than characters, classes,
groups, choices, counts and anchors is not read: of that nothing is said. Which characters a class takes is asked of
the validator. Bounded: what is large is left undecided.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.contracts.compatibility.alphabet import symbols_of
from headrace.contracts.compatibility.expression import Unread, is_anchored, lengths_of, listed_by, states_of, tree_of
from headrace.contracts.compatibility.machine import MOST_STATES, Machine
from headrace.contracts.compatibility.strings import SHAPES, matches

if TYPE_CHECKING:
    from headrace.contracts.compatibility.budget import Budget

NOTHING = r"[^\s\S]"
"""What matches no text at all."""

_MOST_LENGTH = 64
_MOST_LISTED = 50_000
"""How many characters a list of texts may have, however short the pattern is that lists them."""
_TIMES_AS_LONG = 16
"""How many times as many as its pattern it may have otherwise: what is kept of a schema is bounded by its size."""
_AT_ONCE = 16
"""How many states of machines are gone on from in one step."""


class Difference(NamedTuple):
    """What one set of texts has beyond another: `found` is such a text, None where there is none, if it is `known`.

    `spent`: it is not known because finding it out took more steps than there were.
    """

    known: bool
    found: str | None = None
    spent: bool = False

    @property
    def none(self) -> bool:
        """Whether surely no text is beyond the other set."""
        return self.known and self.found is None


_UNREAD = Difference(known=False)
_SPENT = Difference(known=False, spent=True)


def languages(own: frozenset[str], formats: frozenset[str]) -> frozenset[str]:
    """Return patterns that every text matches which matches some of its own, and has some formats."""
    return own | {SHAPES[name] for name in formats if name in SHAPES} if formats else own


class Texts:
    """Answers what one comparison asks of patterns, each question once, and forgets it with the comparison.

    What it answers depends on the patterns and the steps that are left alone: never on what others asked before.
    """

    def __init__(self) -> None:
        self._trees: dict[str, Any] = {}
        self._machines: dict[str, Machine | None] = {}
        self._lengths: dict[str, tuple[int, float]] = {}
        self._lists: dict[str, frozenset[str] | None] = {}
        self._given_up: dict[tuple[frozenset[str], str, int, float], int] = {}
        self._answers: dict[tuple[frozenset[str], str, int, float], Difference] = {}

    def lengths(self, pattern: str) -> tuple[int, float]:
        """Return how short and how long a text can be that matches a pattern."""
        found = self._lengths.get(pattern)
        if found is None:
            tree = self._tree(pattern)
            least, most = (0, math.inf) if tree is None else lengths_of(tree)
            found = least, most if tree is not None and is_anchored(tree) else math.inf
            self._lengths[pattern] = found
        return found

    def within(self, narrow: frozenset[str], wide: str, budget: Budget, least: int = 0, most: float = math.inf) -> bool:
        """Whether every text of so many characters that matches all of some patterns surely matches another."""
        return self.beyond(narrow, wide, budget, least, most).none

    def matches_all(self, pattern: str, budget: Budget) -> bool:
        """Whether a pattern surely matches every text."""
        return pattern == "" or self.within(frozenset(), pattern, budget)

    def beyond(
        self, narrow: frozenset[str], wide: str, budget: Budget, least: int = 0, most: float = math.inf
    ) -> Difference:
        """Return a shortest text that matches all of some patterns, and not another. What is not read says less."""
        if wide in narrow:
            return Difference(known=True)
        question = narrow, wide, min(least, _MOST_LENGTH), most
        if question not in self._answers:
            left = budget.steps_of_texts()
            if left <= self._given_up.get(question, -1):
                return _SPENT
            found = self._searched(*question, budget)
            if found.spent:
                self._given_up[question] = left  # with more steps, it is asked again
                return found
            self._answers[question] = found
        return self._answers[question]

    def _searched(self, narrow: frozenset[str], wide: str, least: int, most: float, budget: Budget) -> Difference:
        lists = [each for each in map(self._list, narrow) if each is not None]
        if lists:
            return self._tried(frozenset.intersection(*lists), narrow, wide, least, most, budget)
        left = budget.steps_of_texts()
        making = sum(map(self._states, (*narrow, wide))) // _AT_ONCE
        if making > left:
            return _SPENT  # a machine that nobody has steps to go through is not made
        target = self._machine(wide)
        if target is None:
            return _UNREAD
        machines = [*(each for each in map(self._machine, sorted(narrow)) if each is not None), target]
        try:
            symbols = symbols_of({each for machine in machines for each in machine.classes})
        except Unread:
            return _UNREAD
        found, steps = _search(machines, symbols, least, most, left - making)
        budget.spend_on_texts(making + steps)
        return found

    def _tried(
        self, texts: frozenset[str], narrow: frozenset[str], wide: str, least: int, most: float, budget: Budget
    ) -> Difference:
        """Try the texts that a pattern lists, one by one."""
        others, known = [pattern for pattern in narrow if self._list(pattern) is None], self._list(wide)
        if known is not None:
            texts -= known
        steps = len(texts) * (len(others) + (known is None)) // _AT_ONCE
        if steps > budget.steps_of_texts():
            return _SPENT
        budget.spend_on_texts(steps)
        kept = sorted((each for each in texts if least <= len(each) <= most), key=lambda each: (len(each), each))
        unsure = False
        for each in kept:
            said = [matches(pattern, each) for pattern in others]
            beyond = known is not None or not matches(wide, each)
            if beyond and False not in said:
                if None not in said and (known is not None or matches(wide, each) is False):
                    return Difference(known=True, found=each)
                unsure = True
        return _UNREAD if unsure else Difference(known=True)

    def _list(self, pattern: str) -> frozenset[str] | None:
        """Return the texts that a pattern lists; None where it is no list."""
        if pattern not in self._lists:
            tree = self._tree(pattern) if "|" in pattern else None
            texts = None if tree is None else listed_by(tree, max(_MOST_LISTED, _TIMES_AS_LONG * len(pattern)))
            self._lists[pattern] = None if texts is None else frozenset(texts)
        return self._lists[pattern]

    def _machine(self, pattern: str) -> Machine | None:
        if pattern not in self._machines:
            tree = self._tree(pattern)
            try:
                self._machines[pattern] = None if tree is None else Machine(tree)
            except Unread:
                self._machines[pattern] = None
        return self._machines[pattern]

    def _states(self, pattern: str) -> int:
        """Return about how many states the machine of a pattern has, which need not be made yet."""
        tree = self._tree(pattern)
        return 0 if tree is None else min(states_of(tree), MOST_STATES)

    def _tree(self, pattern: str) -> Any:
        if pattern not in self._trees:
            self._trees[pattern] = tree_of(pattern)
        return self._trees[pattern]


def _search(
    machines: list[Machine], symbols: list[tuple[str, frozenset[str]]], least: int, most: float, left: int
) -> tuple[Difference, int]:
    """Go through the states of all machines at once, a character a round: the first text that is found is shortest.

    Returns how many of the steps that are left it took, too.
    """
    start = tuple(machine.start for machine in machines)
    seen = set[tuple[tuple[int, ...], int]]()  # not where it starts: `$^` matches there alone
    current: list[tuple[tuple[int, ...], str]] = [(start, "")]
    steps = 0
    for length in itertools.count():
        following: list[tuple[tuple[int, ...], str]] = []
        for states, written in current:
            pairs = list(zip(machines, states, strict=True))
            *narrow, wide = (machine.accepts(state, at_start=not written) for machine, state in pairs)
            if length >= least and all(narrow) and not wide:
                return Difference(known=True, found=written), steps
            if length >= most:
                continue
            steps += len(symbols) * (1 + sum(machine.weight(state) for machine, state in pairs) // _AT_ONCE)
            if steps > left:
                return _SPENT, left
            for character, classes in symbols:
                reached = tuple(machine.step(state, classes) for machine, state in pairs)
                if not all(reached[:-1]):
                    continue
                place = (reached, min(length + 1, least))
                if place not in seen:
                    seen.add(place)
                    following.append((reached, written + character))
        if not following:
            return Difference(known=True), steps
        current = following
    raise AssertionError
