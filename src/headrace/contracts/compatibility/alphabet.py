"""Which characters stand for all: one for each set of classes that some character may be in, as the validator says."""

from __future__ import annotations

import itertools
from functools import cache
from typing import TYPE_CHECKING

from headrace.contracts.compatibility.expression import ASCII, LAST, Unread
from headrace.contracts.compatibility.strings import matches

if TYPE_CHECKING:
    from headrace.contracts.compatibility.expression import Class


def symbols_of(classes: set[Class]) -> list[tuple[str, frozenset[str]]]:
    """Return a character for each set of classes that some character may be in; together they stand for all."""
    found: dict[frozenset[str], str] = {}
    taken = {each.text: _ascii(each) for each in classes}
    for code in sorted(range(ASCII), key=lambda code: (not chr(code).isalnum(), not chr(code).isprintable(), code)):
        found.setdefault(frozenset(text for text, members in taken.items() if code in members), chr(code))
    names = sorted({name for each in classes for name, _ in each.names})
    open_ = [name for name in names if _beyond_ascii(name) is None]
    if len(open_) > 4:
        raise Unread
    ends = sorted({end for each in classes for low, high in each.ranges for end in (low, high + 1) if end > ASCII})
    for code in [ASCII, *(end for end in ends if end <= LAST)]:
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
    named = {name: {code for code in range(ASCII) if matches(f"^{name}$", chr(code))} for name, _ in of.names}
    mine = frozenset(
        code for code in range(ASCII) if _has(of, code, {name: code in members for name, members in named.items()})
    )
    if any(matches(f"^{of.text}$", chr(code)) is not (code in mine) for code in range(ASCII)):
        raise Unread
    return mine


@cache
def _beyond_ascii(name: str) -> bool | None:
    """Whether a named class, that of digits say, has all or none of the characters beyond ASCII; None for some."""
    others = "".join(chr(code) for code in range(ASCII, 0xFFFE) if not 0xD800 <= code < 0xE000)
    if name == "." and matches("^.*$", others):
        return True
    return False if name in {"\\d", "\\w", "\\s"} and matches(name, others) is False else None
