"""The lines of a JSON text that pointers lead to, found in one pass: a large schema has many changes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from headrace.contracts.refs import unescaped

if TYPE_CHECKING:
    from collections.abc import Iterable

_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_BLANK = re.compile(r"[\s\ufeff]*")
_KEY = re.compile(rf"\s*({_STRING})\s*:\s*", re.DOTALL)
_PLAIN = re.compile(rf"{_STRING}|[^\s,\]}}]*", re.DOTALL)
_NEXT = re.compile(r"\s*,?\s*")
_READER = json.JSONDecoder(strict=False)
"""Reads a value to know where it ends: nothing that looks at brackets and quotes in Python is as fast."""


def lines_of(text: str, pointers: Iterable[str]) -> dict[str, int]:
    """Return the line, from 1, of the member or item that each JSON pointer leads to, or of the nearest around it.

    A pointer begins with a slash, or with `#/`. The text is one valid JSON document: of any other, lines mean nothing.
    """
    wanted: dict[str, Any] = {}
    places: dict[tuple[str, ...], int] = {}
    steps = {pointer: _steps(pointer) for pointer in pointers}
    for path in steps.values():
        below = wanted
        for step in path:
            below = below.setdefault(step, {})
    _look(text, _past(_BLANK, text, 0), wanted, (), places)
    lines: dict[int, int] = {0: 1}
    line, last = 1, 0
    for place in sorted(places.values()):
        line += text.count("\n", last, place)
        lines[place] = line
        last = place
    return {pointer: lines[_nearest(path, places)] for pointer, path in steps.items()}


def _steps(pointer: str) -> tuple[str, ...]:
    steps = pointer.removeprefix("#").split("/")[1:]
    return tuple(unescaped(step) for step in steps)


def _nearest(path: tuple[str, ...], places: dict[tuple[str, ...], int]) -> int:
    return next((places[path[:size]] for size in range(len(path), 0, -1) if path[:size] in places), 0)


def _look(
    text: str, at: int, wanted: dict[str, Any], path: tuple[str, ...], places: dict[tuple[str, ...], int]
) -> int:  # fmt: skip
    """Note where each wanted member of the value at a place begins; return where the value ends."""
    first = text[at : at + 1]
    if first not in {"{", "["}:
        return _plain(text, at)
    if not wanted:
        return _over(text, at)
    at = _past(_BLANK, text, at + 1)
    index = 0
    while at < len(text) and text[at] not in "]}":
        begin, name = at, str(index)
        if first == "{":
            key = _KEY.match(text, at)
            if key is None:
                return len(text)
            at, name = key.end(), json.loads(key[1], strict=False)
        if name in wanted:
            places[*path, name] = begin
            at = _look(text, at, wanted[name], (*path, name), places)
        else:
            at = _over(text, at)
        following = _past(_NEXT, text, at)
        if following == begin:
            return len(text)
        at, index = following, index + 1
    return at + 1


def _over(text: str, at: int) -> int:
    """Return where the value at a place ends."""
    if text[at : at + 1] not in {"{", "["}:
        return _plain(text, at)
    try:
        return _READER.raw_decode(text, at)[1]
    except (ValueError, RecursionError):
        return len(text)


def _plain(text: str, at: int) -> int:
    return _past(_PLAIN, text, at)


def _past(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Return where a pattern that may match nothing ends, from a place on."""
    found = pattern.match(text, at)
    return len(text) if found is None else found.end()
