"""Regular expressions as trees: read as ECMA-262 writes them, where they have only what sets of texts can have.

What has more than characters, classes, groups, choices, counts and anchors is not read.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

_NAMED = frozenset("dDwWsS")
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_LITERAL = frozenset("^$\\.*+?()[]{}|/-@#%&,:;<=>!~'\"`_ ")
_HEX = frozenset("0123456789abcdefABCDEF")
ASCII = 128
"""How many characters ASCII has."""
LAST = 0x10FFFF
"""The last character of all."""


class Class(NamedTuple):
    """Characters: those of the ranges and of the named classes, or all others. `text` is how it is written."""

    text: str
    ranges: tuple[tuple[int, int], ...]
    names: tuple[tuple[str, bool], ...] = ()
    denied: bool = False


class Unread(Exception):  # noqa: N818 - it ends the reading, and is no error
    """A pattern has something of which no set of texts is made here, or is too large for one."""


def tree_of(pattern: str) -> Any:
    """Return a pattern as a tree; None where it is not read."""
    reading = _Reading(pattern)
    try:
        tree = reading.choice(0)
    except (Unread, IndexError, ValueError):
        return None
    return tree if reading.at == len(pattern) else None


class _Reading:
    """Reads a pattern from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def choice(self, depth: int) -> Any:
        if depth > 40:
            raise Unread
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
                    raise Unread
                self.at += 2
            inner = self.choice(depth + 1)
            if self._next() != ")":
                raise Unread
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
            raise Unread
        return _one(character)

    def _escape(self) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[str, bool], ...]]:
        character = self.text[self.at]
        self.at += 1
        if character in _NAMED:
            return (), ((f"\\{character.lower()}", character.isupper()),)
        if character in "pP":
            if self._next() != "{":
                raise Unread
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
                raise Unread
            code = int(digits, 16)
            self.at += count
        elif character in _LITERAL:
            code = ord(character)
        else:
            raise Unread
        return ((code, code),), ()

    def _class(self) -> Class:
        start = self.at - 1
        denied = self._next() == "^"
        self.at += denied
        ranges: list[tuple[int, int]] = []
        names: list[tuple[str, bool]] = []
        if self._next() == "]":
            raise Unread
        while self._next() != "]":
            mine, named = self._member()
            names += named
            if mine and self._next() == "-" and self.text[self.at + 1] != "]":
                self.at += 1
                last, others = self._member()
                if others or last[0][0] < mine[0][0]:
                    raise Unread
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
            raise Unread  # sets within sets, to some
        return ((ord(character), ord(character)),), ()

    def _counted(self, item: Any) -> Any:
        character = self._next()
        if character not in {"*", "+", "?", "{"}:
            return item
        if item[0] in {"begin", "end"}:
            raise Unread
        self.at += 1
        if character == "{":
            end = self.text.index("}", self.at)
            first, comma, last = self.text[self.at : end].partition(",")
            self.at = end + 1
            if not first.isdecimal() or (last and not last.isdecimal()):
                raise Unread
            least, most = int(first), (int(last) if last else None) if comma else int(first)
            if most is not None and most < least:
                raise Unread
        else:
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[character]
        if self._next() == "?":
            self.at += 1
        if self._next() in {"*", "+", "?", "{"}:
            raise Unread
        return ("counted", item, least, most)


@lru_cache(1024)
def _one(character: str) -> tuple[str, Class]:
    text = character if character.isalnum() or ord(character) >= ASCII else f"\\x{ord(character):02x}"
    return ("class", Class(text, ((ord(character), ord(character)),)))


def listed_by(tree: Any, most: int) -> list[str] | None:
    """Return the texts that a whole pattern lists, as `^(new|paid)$` does.

    None where it is no such list, or has more than `most` characters and texts in all: `(a|b)` sixteen times over is
    short, and lists 65,536 texts.
    """
    if tree[0] != "all" or len(tree[1]) < 2 or tree[1][0] != ("begin",) or tree[1][-1] != ("end",):
        return None
    return _texts(("all", tree[1][1:-1]), most)


def _texts(node: Any, most: int) -> list[str] | None:
    word, *rest = node
    if word == "class":
        of = rest[0]
        plain = not of.names and not of.denied and len(of.ranges) == 1 and of.ranges[0][0] == of.ranges[0][1]
        return [chr(of.ranges[0][0])] if plain else None
    if word == "one":
        return _either(rest[0], most)
    return _row(rest[0], most) if word == "all" else None


def _either(parts: list[Any], most: int) -> list[str] | None:
    found: list[str] = []
    size = 0
    for each in parts:
        texts = _texts(each, most)
        if texts is None or (size := size + _size(texts)) > most:
            return None
        found += texts
    return found


def _row(parts: list[Any], most: int) -> list[str] | None:
    found: list[str] | None = [""]
    plain: list[str] = []
    for each in parts:
        texts = _texts(each, most)
        if texts is not None and len(texts) == 1:
            plain += texts  # written at once: a long text is not made anew for each of its characters
            continue
        found, plain = _followed(_followed(found, ["".join(plain)], most), texts, most), []
        if found is None:
            return None
    return _followed(found, ["".join(plain)], most)


def _followed(first: list[str] | None, then: list[str] | None, most: int) -> list[str] | None:
    if first is None or then is None:
        return None
    size = len(first) * _size(then) + len(then) * sum(map(len, first))
    return [one + other for one in first for other in then] if size <= most else None


def _size(texts: list[str]) -> int:
    return len(texts) + sum(map(len, texts))


def lengths_of(node: Any) -> tuple[int, float]:
    """Return how short and how long what a part of a pattern matches can be."""
    word, *rest = node
    if word == "class":
        return 1, 1
    if word in {"begin", "end"}:
        return 0, 0
    if word == "counted":
        least, most = lengths_of(rest[0])
        top = math.inf if rest[2] is None else rest[2]
        return least * rest[1], 0 if not most or not top else most * top
    each = [lengths_of(inner) for inner in rest[0]]
    if word == "all":
        return sum(least for least, _ in each), sum(most for _, most in each)
    return min(least for least, _ in each), max(most for _, most in each)


def states_of(node: Any) -> int:
    """Return about how many states a machine has that reads a part of a pattern."""
    word, *rest = node
    if word in {"one", "all"}:
        return 1 + sum(map(states_of, rest[0]))
    if word == "counted":
        times: int = rest[1] + 1 if rest[2] is None else rest[2]
        return 2 + (states_of(rest[0]) + 1) * times
    return 1


def is_anchored(node: Any) -> bool:
    """Whether what a pattern matches is surely the whole text."""
    word, *rest = node
    if word == "one":
        return all(is_anchored(each) for each in rest[0])
    if word != "all" or not rest[0]:
        return False
    if len(rest[0]) == 1:
        return is_anchored(rest[0][0])
    return begins(rest[0][0], "begin", 0) and begins(rest[0][-1], "end", -1)


def begins(node: Any, anchor: str, side: int) -> bool:
    """Whether a part of a pattern surely begins, or ends, with an anchor."""
    word, *rest = node
    if word == anchor:
        return True
    if word == "one":
        return all(begins(each, anchor, side) for each in rest[0])
    return word == "all" and bool(rest[0]) and begins(rest[0][side], anchor, side)
