"""Regular expressions as sets of texts: how long these are, and whether all that some match another matches, too.

An expression is read as ECMA-262 writes it, and matches somewhere in a text. What has more than characters, classes,
groups, choices, counts and anchors is not read: of that nothing is said. Which characters a class takes is asked of
the validator. Bounded: what is large is left undecided.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import NamedTuple

from headrace.contracts.compatibility.alphabet import symbols_of
from headrace.contracts.compatibility.expression import Unread, is_anchored, lengths_of, tree_of
from headrace.contracts.compatibility.machine import Machine
from headrace.contracts.compatibility.strings import SHAPES

NOTHING = r"[^\s\S]"
"""What matches no text at all."""

_MOST_STEPS = 6_000
_MOST_LENGTH = 64


class Difference(NamedTuple):
    """What one set of texts has beyond another: `found` is such a text, None where there is none, if it is `known`."""

    known: bool
    found: str | None = None


@lru_cache(4096)
def lengths(pattern: str) -> tuple[int, float]:
    """Return how short and how long a text can be that matches a pattern."""
    tree = tree_of(pattern)
    if tree is None:
        return 0, math.inf
    least, most = lengths_of(tree)
    return least, most if is_anchored(tree) else math.inf


def within(narrow: frozenset[str], wide: str, least: int = 0, most: float = math.inf) -> bool:
    """Whether every text of so many characters that matches all of some patterns surely matches another."""
    if wide in narrow:
        return True
    found = beyond(narrow, wide, least, most)
    return found.known and found.found is None


def matches_all(pattern: str) -> bool:
    """Whether a pattern surely matches every text."""
    return pattern == "" or within(frozenset(), pattern)


@lru_cache(4096)
def languages(own: frozenset[str], formats: frozenset[str]) -> frozenset[str]:
    """Return patterns that every text matches which matches some of its own, and has some formats."""
    return own | {SHAPES[name] for name in formats if name in SHAPES}


@lru_cache(4096)
def beyond(narrow: frozenset[str], wide: str, least: int = 0, most: float = math.inf) -> Difference:
    """Return a shortest text that matches all of some patterns, and not another. What is not read says less."""
    target = _machine(wide)
    if target is None:
        return Difference(known=False)
    read = [each for each in map(_machine, sorted(narrow)) if each is not None]
    machines = [*read, target]
    try:
        symbols = symbols_of({each for machine in machines for each in machine.classes})
    except Unread:
        return Difference(known=False)
    return _search(machines, symbols, min(least, _MOST_LENGTH), most)


def _search(machines: list[Machine], symbols: list[tuple[str, frozenset[str]]], least: int, most: float) -> Difference:
    """Go through the states of all machines at once, a character a round: the first text that is found is shortest."""
    start = tuple(machine.start for machine in machines)
    seen = set[tuple[tuple[frozenset[int], ...], int]]()  # not where it starts: `$^` matches there alone
    current: list[tuple[tuple[frozenset[int], ...], str]] = [(start, "")]
    steps = 0
    for length in itertools.count():
        following: list[tuple[tuple[frozenset[int], ...], str]] = []
        for states, written in current:
            *narrow, wide = (
                machine.accepts(state, at_start=not written) for machine, state in zip(machines, states, strict=True)
            )
            if length >= least and all(narrow) and not wide:
                return Difference(known=True, found=written)
            if length >= most:
                continue
            for character, classes in symbols:
                steps += 1
                if steps > _MOST_STEPS:
                    return Difference(known=False)
                reached = tuple(machine.step(state, classes) for machine, state in zip(machines, states, strict=True))
                if not all(reached[:-1]):
                    continue
                place = (reached, min(length + 1, least))
                if place not in seen:
                    seen.add(place)
                    following.append((reached, written + character))
        if not following:
            return Difference(known=True)
        current = following
    raise AssertionError


@lru_cache(1024)
def _machine(pattern: str) -> Machine | None:
    tree = tree_of(pattern)
    try:
        return None if tree is None else Machine(tree)
    except Unread:
        return None
