"""Counting in the bytes of many texts at once: what shows how many members and strings a JSON text has."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Counts = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

NULL_TEXT = "\x01"
NULL_RAW = '"\\u0001"'
"""Stand in `fields` for a member that is null, in columns of text and of raw JSON.

No proven document holds this string: it can only be written with that escape, which is left to the exact reader.
"""

_CHUNK_BYTES = 1 << 18  # what stays in a core's cache
_QUOTE, _COLON, _COMMA, _OPENER, _CLOSER, _SPACE, _BACKSLASH = 34, 58, 44, 0x7B, 0x7D, 32, 92
_MINUS, _BRACKET = 45, 91
_AFTER_DIGITS = np.zeros(256, dtype=np.bool_)
_AFTER_DIGITS[[*b".eE"]] = True


class Counted(NamedTuple):
    """What the bytes of each text hold, escaped quotes not counted.

    Quotes before a colon, quotes, and whether there is what counting cannot tell: a comma before a closing bracket,
    whitespace before a colon, or the mark of null.
    """

    colons: Counts
    quotes: Counts
    hazards: Flags


def count_bytes(texts: pa.Array, *, written: bool = False) -> Counted:
    """Count in each text; nulls count nothing. What DuckDB has `written` has no hazards."""
    colons, quotes = (np.zeros(len(texts), dtype=np.int64) for _ in range(2))
    hazards = np.zeros(len(texts), dtype=np.bool_)
    for rows, here, borders in _chunks(texts):
        quote, colon = here == _QUOTE, here == _COLON
        marks = _unescape(here, quote)
        quotes[rows] = _per_row(quote, borders)
        colons[rows] = _per_row(quote[:-1] & colon[1:], borders)
        if written:
            continue
        blank, comma, closer = here <= _SPACE, here == _COMMA, (here | 0x20) == _CLOSER
        loose = (colon | closer)[2:] & blank[1:-1] & (quote | blank | comma)[:-2]
        loose |= closer[2:] & comma[1:-1]
        places = np.flatnonzero(loose) + 2
        if len(places):
            places = places[~_within_strings(quote, places, borders)]
        for these in (places, marks):
            hazards[np.searchsorted(borders, these, side="right") - 1 + rows.start] = True
    return Counted(colons, quotes, hazards)


def count_quotes(texts: pa.Array) -> tuple[Counts, Flags]:
    """Count the quotes of each text, escaped or not, and say which have a backslash."""
    quotes, escaped = np.zeros(len(texts), dtype=np.int64), np.zeros(len(texts), dtype=np.bool_)
    for rows, here, borders in _chunks(texts):
        quotes[rows] = _per_row(here == _QUOTE, borders)
        slashes = np.flatnonzero(here == _BACKSLASH)
        escaped[np.searchsorted(borders, slashes, side="right") - 1 + rows.start] = True
    return quotes, escaped


def count_openers(texts: pa.Array) -> Counts:
    """Count the opening brackets of each text, those within strings too."""
    openers = np.zeros(len(texts), dtype=np.int64)
    for rows, here, borders in _chunks(texts):
        openers[rows] = _per_row((here | 0x20) == _OPENER, borders)
    return openers


def have_fractions(texts: pa.Array) -> Flags:
    """Say which texts, written without whitespace, may hold a number with a fraction or exponent."""
    found = np.zeros(len(texts), dtype=np.bool_)
    for rows, here, borders in _chunks(texts):
        digit = here - np.uint8(48) < 10
        first = digit | (here == _MINUS)
        begins = (here == _COLON) | (here == _COMMA) | (here == _BRACKET)
        places = np.concatenate((np.flatnonzero(begins[:-1] & first[1:]) + 1, borders[:-1][first[borders[:-1]]]))
        while len(places := places[places < len(here) - 1]):
            places += 1
            more = digit[places]
            ends = places[~more]
            stops = ends[_AFTER_DIGITS[here[ends]]]
            found[np.searchsorted(borders, stops, side="right") - 1 + rows.start] = True
            places = places[more]
    return found


def too_deep(texts: pa.Array, max_depth: int) -> Flags:
    """Say which texts nest deeper; each must be valid JSON."""
    deep = count_openers(texts) > max_depth
    some = np.flatnonzero(deep)
    if not len(some):
        return deep
    for rows, here, borders in _chunks(texts.take(pa.array(some))):
        either = here | 0x20
        quote = here == _QUOTE
        _unescape(here, quote)
        places = np.flatnonzero((either == _OPENER) | (either == _CLOSER))
        step = np.where(either[places] == _OPENER, 1, -1) * ~_within_strings(quote, places, borders)
        # Each text holds as many closing as opening brackets, so that the next begins at 0 again.
        below = np.searchsorted(places, borders[:-1])
        deep[some[rows]] = np.maximum.reduceat(np.cumsum(step), below) > max_depth
    return deep


def _chunks(texts: pa.Array) -> Iterator[tuple[slice, npt.NDArray[np.uint8], Counts]]:
    """Yield which texts, their bytes, and where in these each text begins and ends."""
    rows = len(texts)
    buffer = texts.buffers()[1]
    if not rows or buffer is None:
        return
    offsets = np.frombuffer(buffer, dtype=np.int32)[texts.offset : texts.offset + rows + 1].astype(np.int64)
    data = np.frombuffer(texts.buffers()[2] or b"", dtype=np.uint8)
    first = 0
    while first < rows:
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + _CHUNK_BYTES, side="right")) - 1)
        begin, end = offsets[first], offsets[last]
        if end - begin > 2:
            yield slice(first, last), data[begin:end], offsets[first : last + 1] - begin
        first = last


def _unescape(here: npt.NDArray[np.uint8], quote: Flags) -> Counts:
    """Take the escaped quotes from `quote`; return where the mark of null may be."""
    slashes = np.flatnonzero(here == _BACKSLASH)
    if not len(slashes):
        return slashes.astype(np.int64)
    # In a run of backslashes, the first, third, fifth escapes what follows.
    begins = np.concatenate(([True], np.diff(slashes) > 1))
    run = np.maximum.accumulate(np.where(begins, np.arange(len(slashes)), 0))
    after = slashes[(np.arange(len(slashes)) - run) % 2 == 0] + 1
    quote[after[after < len(here)]] = False
    marks = after[after < len(here) - 5]
    for place, byte in enumerate(NULL_RAW[2:-1].encode()):
        marks = marks[here[marks + place] == byte]
    found: Counts = marks.astype(np.int64)
    return found


def _within_strings(quote: Flags, places: Counts, borders: Counts) -> Flags:
    """Say which places are within strings, for texts that are valid JSON; places are in order."""
    before = np.cumsum(_per_row(quote, np.concatenate(([0], places, [len(quote)])))[:-1])
    owner = np.searchsorted(borders, places, side="right") - 1
    upto = np.concatenate(([0], np.cumsum(_per_row(quote, borders))))
    within: Flags = (before - upto[owner]) % 2 == 1
    return within


def without_escapes(texts: pa.Array) -> pa.Array:
    """Return the texts with escaped backslashes and quotes blanked: each quote that is left bounds a string."""
    return pc.replace_substring(pc.replace_substring(texts, "\\\\", "__"), '\\"', "__")


def _per_row(flags: Flags, borders: Counts) -> Counts:
    """Return how many flags are set between borders, by counting bits."""
    bits = np.packbits(flags, bitorder="little")
    bits_of_64 = np.zeros((int(borders[-1]) >> 6) + 1, dtype="<u8")
    bits_of_64.view(np.uint8)[: len(bits)] = bits
    upto = np.zeros(len(bits_of_64), dtype=np.int64)
    np.cumsum(np.bitwise_count(bits_of_64[:-1]), dtype=np.int64, out=upto[1:])
    whole = borders >> 6
    below = (np.uint64(1) << (borders & 63).astype(np.uint64)) - np.uint64(1)
    before = upto[whole] + np.bitwise_count(bits_of_64[whole] & below)
    counted: Counts = np.diff(before)
    return counted


def sums(values: Counts | Flags, borders: Counts) -> Counts:
    """Return the sum of the values between each two borders."""
    upto = np.concatenate(([0], np.cumsum(values, dtype=np.int64)))
    summed: Counts = upto[borders[1:]] - upto[borders[:-1]]
    return summed
