"""Regular expressions as sets of texts: how long these are, and whether all that some match another matches, too.

An expression is read as ECMA-262 writes it, and matches somewhere in a text. What has more than characters, classes,
groups, choices, counts and anchors is not read: of that nothing is said. Which characters a class takes is asked of
the validator. Bounded: what is large is left undecided.
"""

from __future__ import annotations

import itertools
import math
from functools import cache, lru_cache
from typing import Any, NamedTuple

from headrace.contracts.compatibility.strings import SHAPES, matches

NOTHING = r"[^\s\S]"
"""What matches no text at all."""

_MOST_STATES = 1_200
_MOST_STEPS = 6_000
_MOST_LENGTH = 64
_NAMED = frozenset("dDwWsS")
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_LITERAL = frozenset("^$\\.*+?()[]{}|/-@#%&,:;<=>!~'\"`_ ")
_HEX = frozenset("0123456789abcdefABCDEF")
_ASCII = 128
_LAST = 0x10FFFF


class Class(NamedTuple):
    """Characters: those of the ranges and of the named classes, or all others. `text` is how it is written."""

    text: str
    ranges: tuple[tuple[int, int], ...]
    names: tuple[tuple[str, bool], ...] = ()
    denied: bool = False


class _Unread(Exception):  # noqa: N818 - it ends the reading, and is no error
    pass


class Difference(NamedTuple):
    """What one set of texts has beyond another: `found` is such a text, None where there is none, if it is `known`."""

    known: bool
    found: str | None = None


@lru_cache(4096)
def lengths(pattern: str) -> tuple[int, float]:
    """Return how short and how long a text can be that matches a pattern."""
    tree = _tree(pattern)
    if tree is None:
        return 0, math.inf
    least, most = _lengths(tree)
    return least, most if _is_anchored(tree) else math.inf


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
        symbols = _symbols({each for machine in machines for each in machine.classes})
    except _Unread:
        return Difference(known=False)
    return _search(machines, symbols, min(least, _MOST_LENGTH), most)


def _search(machines: list[_Machine], symbols: list[tuple[str, frozenset[str]]], least: int, most: float) -> Difference:
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


class _Machine:
    """A pattern's states: where each leads without a character, at an anchor, and by the characters of a class."""

    def __init__(self, tree: Any) -> None:
        self.free: list[list[int]] = []
        self.anchored: list[list[tuple[str, int]]] = []
        self.taking: list[list[tuple[str, int]]] = []
        self.classes: set[Class] = set()
        first, last = self._state(), self._state()
        any_ = Class("[\\s\\S]", ((0, _LAST),))
        if not _begins(tree, "begin", 0):
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
            raise _Unread
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


@lru_cache(1024)
def _machine(pattern: str) -> _Machine | None:
    tree = _tree(pattern)
    try:
        return None if tree is None else _Machine(tree)
    except _Unread:
        return None


def _symbols(classes: set[Class]) -> list[tuple[str, frozenset[str]]]:
    """Return a character for each set of classes that some character may be in; together they stand for all."""
    found: dict[frozenset[str], str] = {}
    taken = {each.text: _ascii(each) for each in classes}
    for code in sorted(range(_ASCII), key=lambda code: (not chr(code).isalnum(), not chr(code).isprintable(), code)):
        found.setdefault(frozenset(text for text, members in taken.items() if code in members), chr(code))
    names = sorted({name for each in classes for name, _ in each.names})
    open_ = [name for name in names if _beyond_ascii(name) is None]
    if len(open_) > 4:
        raise _Unread
    ends = sorted({end for each in classes for low, high in each.ranges for end in (low, high + 1) if end > _ASCII})
    for code in [_ASCII, *(end for end in ends if end <= _LAST)]:
        for said in itertools.product((False, True), repeat=len(open_)):
            having = {name: bool(_beyond_ascii(name)) for name in names} | dict(zip(open_, said, strict=True))
            members = frozenset(each.text for each in classes if _has(each, code, having))
            found.setdefault(members, chr(code) if not 0xD800 <= code < 0xE000 else "\ue000")
    return [(character, members) for members, character in found.items()]


def _has(of: Class, code: int, having: dict[str, bool]) -> bool:
    found = any(low <= code <= high for low, high in of.ranges)
    found = found or any(having.get(name, False) != denied for name, denied in of.names)
    return found != of.denied


@cache
def _ascii(of: Class) -> frozenset[int]:
    """Return which characters of ASCII are of a class, as it was read; raise where the validator says otherwise."""
    named = {name: {code for code in range(_ASCII) if matches(f"^{name}$", chr(code))} for name, _ in of.names}
    mine = frozenset(
        code for code in range(_ASCII) if _has(of, code, {name: code in members for name, members in named.items()})
    )
    if any(matches(f"^{of.text}$", chr(code)) is not (code in mine) for code in range(_ASCII)):
        raise _Unread
    return mine


@cache
def _beyond_ascii(name: str) -> bool | None:
    """Whether a named class, that of digits say, has all or none of the characters beyond ASCII; None for some."""
    others = "".join(chr(code) for code in range(_ASCII, 0xFFFE) if not 0xD800 <= code < 0xE000)
    if name == "." and matches("^.*$", others):
        return True
    return False if name in {"\\d", "\\w", "\\s"} and matches(name, others) is False else None


@lru_cache(4096)
def _tree(pattern: str) -> Any:
    """Return a pattern as a tree; None where it is not read."""
    reading = _Reading(pattern)
    try:
        tree = reading.choice(0)
    except (_Unread, IndexError, ValueError):
        return None
    return tree if reading.at == len(pattern) else None


class _Reading:
    """Reads a pattern from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def choice(self, depth: int) -> Any:
        if depth > 40:
            raise _Unread
        found = [self._row(depth)]
        while self._next() == "|":
            self.at += 1
            found.append(self._row(depth))
        return found[0] if len(found) == 1 else ("one", found)

    def _next(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def _row(self, depth: int) -> Any:
        found = []
        while self._next() not in {"", "|", ")"}:
            found.append(self._counted(self._item(depth)))
        return ("all", found)

    def _item(self, depth: int) -> Any:
        character = self._next()
        self.at += 1
        if character in {"^", "$"}:
            return ("begin" if character == "^" else "end",)
        if character == "(":
            if self._next() == "?":
                if self.text[self.at + 1] != ":":
                    raise _Unread
                self.at += 2
            inner = self.choice(depth + 1)
            if self._next() != ")":
                raise _Unread
            self.at += 1
            return inner
        if character == "[":
            return ("class", self._class())
        if character == ".":
            return ("class", Class(".", (), ((".", False),)))
        if character == "\\":
            start = self.at - 1
            ranges, names = self._escape()
            return ("class", Class(self.text[start : self.at], ranges, names))
        if character in "*+?{}]":
            raise _Unread
        text = character if character.isalnum() or ord(character) >= _ASCII else f"\\x{ord(character):02x}"
        return ("class", Class(text, ((ord(character), ord(character)),)))

    def _escape(self) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[str, bool], ...]]:
        character = self.text[self.at]
        self.at += 1
        if character in _NAMED:
            return (), ((f"\\{character.lower()}", character.isupper()),)
        if character in "pP":
            if self._next() != "{":
                raise _Unread
            end = self.text.index("}", self.at)
            name = self.text[self.at : end + 1]
            self.at = end + 1
            return (), ((f"\\p{name}", character == "P"),)
        if character in _CONTROL:
            code = ord(_CONTROL[character])
        elif character in "xu":
            count = 2 if character == "x" else 4
            digits = self.text[self.at : self.at + count]
            if len(digits) < count or not all(each in _HEX for each in digits):
                raise _Unread
            code = int(digits, 16)
            self.at += count
        elif character in _LITERAL:
            code = ord(character)
        else:
            raise _Unread
        return ((code, code),), ()

    def _class(self) -> Class:
        start = self.at - 1
        denied = self._next() == "^"
        self.at += denied
        ranges: list[tuple[int, int]] = []
        names: list[tuple[str, bool]] = []
        if self._next() == "]":
            raise _Unread
        while self._next() != "]":
            mine, named = self._member()
            names += named
            if mine and self._next() == "-" and self.text[self.at + 1] != "]":
                self.at += 1
                last, others = self._member()
                if others or last[0][0] < mine[0][0]:
                    raise _Unread
                mine = ((mine[0][0], last[0][0]),)
            ranges += mine
        self.at += 1
        return Class(self.text[start : self.at], tuple(ranges), tuple(names), denied)

    def _member(self) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[str, bool], ...]]:
        character = self.text[self.at]
        self.at += 1
        if character == "\\":
            return self._escape()
        if character == "[" or (character in "&-~" and self._next() == character):
            raise _Unread  # sets within sets, to some
        return ((ord(character), ord(character)),), ()

    def _counted(self, item: Any) -> Any:
        character = self._next()
        if character not in {"*", "+", "?", "{"}:
            return item
        if item[0] in {"begin", "end"}:
            raise _Unread
        self.at += 1
        if character == "{":
            end = self.text.index("}", self.at)
            first, comma, last = self.text[self.at : end].partition(",")
            self.at = end + 1
            if not first.isdecimal() or (last and not last.isdecimal()):
                raise _Unread
            least, most = int(first), (int(last) if last else None) if comma else int(first)
            if most is not None and most < least:
                raise _Unread
        else:
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[character]
        if self._next() == "?":
            self.at += 1
        if self._next() in {"*", "+", "?", "{"}:
            raise _Unread
        return ("counted", item, least, most)


def _lengths(node: Any) -> tuple[int, float]:
    word, *rest = node
    if word == "class":
        return 1, 1
    if word in {"begin", "end"}:
        return 0, 0
    if word == "counted":
        least, most = _lengths(rest[0])
        top = math.inf if rest[2] is None else rest[2]
        return least * rest[1], 0 if not most or not top else most * top
    each = [_lengths(inner) for inner in rest[0]]
    if word == "all":
        return sum(least for least, _ in each), sum(most for _, most in each)
    return min(least for least, _ in each), max(most for _, most in each)


def _is_anchored(node: Any) -> bool:
    """Whether what a pattern matches is surely the whole text."""
    word, *rest = node
    if word == "one":
        return all(_is_anchored(each) for each in rest[0])
    if word != "all" or not rest[0]:
        return False
    if len(rest[0]) == 1:
        return _is_anchored(rest[0][0])
    return _begins(rest[0][0], "begin", 0) and _begins(rest[0][-1], "end", -1)


def _begins(node: Any, anchor: str, side: int) -> bool:
    """Whether a part of a pattern surely begins, or ends, with an anchor."""
    word, *rest = node
    if word == anchor:
        return True
    if word == "one":
        return all(_begins(each, anchor, side) for each in rest[0])
    return word == "all" and bool(rest[0]) and _begins(rest[0][side], anchor, side)
