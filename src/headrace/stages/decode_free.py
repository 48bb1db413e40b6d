"""The proof of free JSON: members that a contract keeps as text, or does not know.

DuckDB hands such a member on as text, written anew. orjson reads it strictly and writes it anew too; where both texts
are equal it is JSON without NaN, without a trailing comma, and without a key twice in any object, for the second would
be gone. That text is also what the exact path stores, if no number was respelled on the way: integers never are, and
for a number with a fraction the whole document has to come back as it was, digit by digit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from headrace.stages.decode_counts import have_fractions

if TYPE_CHECKING:
    from headrace.stages.decode_counts import Counts, Flags

_EXPONENT = r"[:,\[][ \t\r\n]*-?[0-9.]+[eE]"  # the exact path writes 1e16 as 1E+16
_BLANKS = b" \t\r\n"
_EXACT_DIGITS = 18


class Free(NamedTuple):
    """Texts of free JSON, none null; the document of each; which are objects or arrays.

    `exact` says that the text itself is stored, so that it must be the exact path's.
    """

    texts: pa.Array
    rows: Counts
    rich: Flags
    exact: bool


def disprove(found: list[Free], docs: pa.Array, proven: Flags) -> None:
    """Take the proof from each document whose free JSON is not certain."""
    careful = np.zeros(len(docs), dtype=np.bool_)
    for free in found:
        open_ = proven[free.rows]
        texts, rows, rich = free.texts, free.rows, free.rich
        if not open_.all():
            texts, rows, rich = texts.filter(pa.array(open_)), rows[open_], rich[open_]
        if not len(rows):
            continue
        check = rich
        if free.exact:
            check = rich if rich.all() else rich | _uncertain(texts)
            careful[rows[have_fractions(texts)]] = True
        some = np.flatnonzero(check)
        bad = [not _comes_back(text) for text in texts.take(pa.array(some)).cast(pa.binary()).to_pylist()]
        proven[rows[some[np.array(bad, dtype=np.bool_)]]] = False
    left = np.flatnonzero(careful & proven)
    if len(left):
        whole = docs.take(pa.array(left))
        exponents = pc.match_substring_regex(whole, _EXPONENT).to_numpy(zero_copy_only=False)
        same = [_comes_back_but_for_blanks(text) for text in whole.cast(pa.binary()).to_pylist()]
        proven[left] = np.array(same, dtype=np.bool_) & ~exponents


def _uncertain(texts: pa.Array) -> Flags:
    """Say of scalars whether they may be written in several ways: strings with escapes, long numbers."""
    long = pc.and_(pc.greater(pc.binary_length(texts), _EXACT_DIGITS), pc.invert(pc.starts_with(texts, '"')))
    flags: Flags = pc.or_(long, pc.match_substring(texts, "\\")).to_numpy(zero_copy_only=False)
    return flags


def _comes_back(text: bytes) -> bool:
    try:
        return orjson.dumps(orjson.loads(text)) == text
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return False


def _comes_back_but_for_blanks(text: bytes) -> bool:
    # A blank that goes from both texts is outside of strings, or was in the same string of both.
    try:
        written = orjson.dumps(orjson.loads(text))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return False
    return written.translate(None, _BLANKS) == text.translate(None, _BLANKS)
