"""Which characters stand for all: one for each set of classes that some character may be in, as the validator says."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING

from headrace.contracts.compatibility.expression import ASCII, LAST, Unread
from headrace.contracts.compatibility.strings import matches

if TYPE_CHECKING:
    from headrace.contracts.compatibility.expression import Class

_LONGEST_CLASS = 4_000
_MOST_LOOKS = 100_000
_RANKED = "".join(
    chr(code)
    for code in sorted(range(ASCII), key=lambda code: (not chr(code).isalnum(), not chr(code).isprintable(), code))
)
"""The characters of ASCII, those first that people like to read."""


def symbols_of(classes: set[Class]) -> list[tuple[str, frozenset[str]]]:
    """Return a character for each set of classes that some character may be in; together they stand for all.

    Raises:
        Unread: the validator reads a class otherwise, or there are too many of them.
    """
    ordered = sorted(classes)
    taken = {each.text: _ascii(each) for each in ordered}
    blocks = [(1 << ASCII) - 1]
    for mine in taken.values():
        blocks = [part for block in blocks for part in (block & mine, block & ~mine) if part]
    found: dict[frozenset[str], str] = {}
    for first in sorted(block & -block for block in blocks):
        found[frozenset(text for text, mine in taken.items() if mine & first)] = _RANKED[first.bit_length() - 1]
    names = sorted({name for each in ordered for name, _ in each.names})
    open_ = [name for name in names if _beyond_ascii(name) is None]
    ends = sorted({end for each in ordered for low, high in each.ranges for end in (low, high + 1) if end > ASCII})
    if len(open_) > 4 or (len(ends) + 1) * len(ordered) << len(open_) > _MOST_LOOKS:
        raise Unread
    ranges = {each.text: _merged(each.ranges) for each in ordered}
    for code in [ASCII, *(end for end in ends if end <= LAST)]:
        for said in itertools.product((False, True), repeat=len(open_)):
            having = {name: bool(_beyond_ascii(name)) for name in names} | dict(zip(open_, said, strict=True))
            members = frozenset(each.text for each in ordered if _has(each, ranges[each.text], code, having))
            found.setdefault(members, chr(code) if not 0xD800 <= code < 0xE000 else "\ue000")
    return [(character, members) for members, character in found.items()]


def _merged(ranges: tuple[tuple[int, int], ...]) -> list[int]:
    """Return where being in some of the ranges begins and ends, in turn."""
    found: list[int] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1]:
            found[-1] = max(found[-1], high + 1)
        else:
            found += [low, high + 1]
    return found


def _has(of: Class, ranges: list[int], code: int, having: dict[str, bool]) -> bool:
    found = bisect_right(ranges, code) % 2 == 1
    found = found or any(having.get(name, False) != denied for name, denied in of.names)
    return found != of.denied


@lru_cache(1024)
def _ascii(of: Class) -> int:
    """Return which characters of ASCII are of a class, as it was read: a bit for each, by its rank.

    Raises `Unread` where the validator says otherwise.
    """
    if len(of.text) > _LONGEST_CLASS:
        raise Unread
    named = {name: {character for character in _RANKED if matches(f"^{name}$", character)} for name, _ in of.names}
    ranges, found = _merged(of.ranges), 0
    for rank, character in enumerate(_RANKED):
        has = _has(of, ranges, ord(character), {name: character in members for name, members in named.items()})
        if matches(f"^{of.text}$", character) is not has:
            raise Unread
        found |= has << rank
    return found


@lru_cache(256)
def _beyond_ascii(name: str) -> bool | None:
    """Whether a named class, that of digits say, has all or none of the characters beyond ASCII; None for some."""
    others = "".join(chr(code) for code in range(ASCII, 0xFFFE) if not 0xD800 <= code < 0xE000)
    if name == "." and matches("^.*$", others):
        return True
    return False if name in {"\\d", "\\w", "\\s"} and matches(name, others) is False else None
