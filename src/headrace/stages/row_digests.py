"""A row's digest: 128 bits that depend on every value of an event and on the column it is in. Columnar, no SQL.

Each value becomes two 64-bit numbers (lanes) that depend on all of its bytes; these are mixed with two seeds of its
column's name, added up over the row, and the sums are mixed once more. A null adds nothing, so that a column, or a
field of a struct, that is added later leaves the digests of older rows as they were. What makes a value is its type's
plain bytes, never a text that a library prints, so the numbers last: they are kept in the lake (`ops.batches.digests`),
and a test holds some of them.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TRANSPORT = frozenset(
    {words.EVENT_ID, words.INGEST_TIME, words.SEQ, words.TRACE_ID, words.EVENT_DATE, words.ROW, words.KEY_HASH}
)
"""The columns of silver that are no part of an event: how it came here, and where it lies."""

_CHUNK_ROWS = 16_384  # what is computed at a time stays in a core's cache
_LONG_BYTES = 512  # a longer value is hashed by itself: what is looked at side by side must be of about one length
_U64 = np.dtype("<u8")
_ODD, _MIX, _MIX_AGAIN = (np.uint64(each) for each in (0x9E3779B97F4A7C15, 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53))
_HIGH, _ELEMENT, _NULL_ELEMENT = (
    np.uint64(each) for each in (0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F)
)
_HALF, _WORD_BITS = np.uint64(32), np.uint64(64)
# The bytes of a word that belong to a text of which 0 to 8 are left.
_MASKS = np.array([(1 << (8 * size)) - 1 for size in range(9)], _U64)

Lanes = tuple[np.ndarray, np.ndarray]


class RowDigests(NamedTuple):
    """The digest of each row, as two numbers of 64 bits."""

    low: np.ndarray
    high: np.ndarray


class EventDigests(NamedTuple):
    """The digest of each row, and that of its payload alone: what a producer sent, and nothing that we added to it."""

    rows: RowDigests
    payloads: RowDigests


def row_digests(rows: pa.Table | pa.RecordBatch) -> RowDigests:
    """Return the digest of each row of silver; the order of the columns, and `TRANSPORT`, make no difference."""
    return event_digests(rows, ()).rows


def payload_digests(rows: pa.Table | pa.RecordBatch, payload: Iterable[str]) -> RowDigests:
    """Return the digest of each row's columns that are its payload: two rows with the same one are the same event."""
    return event_digests(rows.select(list(payload)), payload).payloads


def event_digests(rows: pa.Table | pa.RecordBatch, payload: Iterable[str]) -> EventDigests:
    """Return both digests of each row of silver, of which these columns are the payload; each value is read once."""
    mine = sorted(payload)
    added = sorted(name for name in rows.schema.names if name not in TRANSPORT and name not in mine)
    table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
    found = [_rows(batch, mine, added) for batch in table.to_batches(max_chunksize=_CHUNK_ROWS)]
    if len(found) == 1:
        return found[0]
    return EventDigests(_together([each.rows for each in found]), _together([each.payloads for each in found]))


def _together(parts: Sequence[RowDigests]) -> RowDigests:
    none = np.zeros(0, _U64)
    low, high = (np.concatenate([none, *(each[lane] for each in parts)]) for lane in (0, 1))
    return RowDigests(low, high)


def _rows(batch: pa.RecordBatch, payload: Sequence[str], added: Sequence[str]) -> EventDigests:
    mine, other = (_sum([(name, batch.column(name)) for name in names], len(batch)) for names in (payload, added))
    payloads = RowDigests(*_mixed(mine, _seeds("payload")))
    for total, term in zip(mine, other, strict=True):
        np.add(total, term, out=total)
    return EventDigests(RowDigests(*_mixed(mine, _seeds(""))), payloads)


def _sum(columns: Iterable[tuple[str, pa.Array]], count: int) -> Lanes:
    """Return the sums of the mixed values of some columns or fields; nulls add nothing."""
    sums = np.zeros(count, _U64), np.zeros(count, _U64)
    for name, column in columns:
        if column.null_count == count:
            continue
        terms = _mixed(_values(column), _seeds(name))
        if column.null_count:
            whole = column.is_valid().to_numpy(zero_copy_only=False)
            for term in terms:
                np.multiply(term, whole, out=term)
        for total, term in zip(sums, terms, strict=True):
            np.add(total, term, out=total)
    return sums


def _values(column: pa.Array) -> Lanes:
    """Return two numbers a value that depend on all of it; what stands for a null is any number."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _values(column.dictionary_decode())
    if pa.types.is_struct(kind):
        return _sum(((kind.field(at).name, child) for at, child in enumerate(column.flatten())), len(column))
    if pa.types.is_map(kind):
        return _values(column.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _lists(column)
    if pa.types.is_decimal(kind):
        return _decimals(column)
    numbers = _numbers(column)
    if numbers is not None:
        return numbers, numbers
    if not (pa.types.is_string(kind) or pa.types.is_binary(kind)):
        column = column.cast(pa.binary() if pa.types.is_large_binary(kind) else pa.string())
    return _texts(column)


def _numbers(column: pa.Array) -> np.ndarray | None:
    """Return values that are 64 bits or fewer as they are; None where they are not."""
    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif pa.types.is_date32(kind) or pa.types.is_time32(kind):
        column = column.view(pa.int32())
    elif pa.types.is_floating(kind):
        # A float that was widened is the same number, and every not-a-number the same.
        doubles = pc.fill_null(column.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False)
        return np.where(np.isnan(doubles), np.nan, doubles).view(_U64)
    elif pa.types.is_temporal(kind):
        column = column.view(pa.int64())
    elif not pa.types.is_integer(kind):
        return None
    if column.null_count:
        column = pc.fill_null(column, 0)
    found: np.ndarray = column.to_numpy(zero_copy_only=False)
    return found.astype(np.int64 if found.dtype.kind == "i" else _U64, copy=False).view(_U64)


def _decimals(column: pa.Array) -> Lanes:
    """Return decimals by the two words of their unscaled number."""
    if column.type.bit_width != 128:
        column = column.cast(pa.decimal128(38, column.type.scale))
    words_ = np.frombuffer(column.buffers()[1], _U64)[2 * column.offset : 2 * (column.offset + len(column))]
    return words_[::2], words_[1::2]


def _lists(column: pa.Array) -> Lanes:
    """Return lists by their length and each element with its place in them."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    elements = column.flatten()  # without what a null list may stand over
    ends = np.cumsum(lengths)
    starts = ends - lengths
    places = (np.arange(len(elements)) - np.repeat(starts, lengths)).astype(_U64) * _ODD
    low, high = _values(elements)
    if elements.null_count:
        whole = elements.is_valid().to_numpy(zero_copy_only=False)
        low, high = np.where(whole, low, _NULL_ELEMENT), np.where(whole, high, _ELEMENT)
    # Mixed before their places are added, so that no value makes up for another's place.
    low, high = _mixed((low, high), _seeds("[]"))
    sums = []
    for terms in _mixed((low + places, high), _seeds("[]")):
        upto = np.concatenate((np.zeros(1, _U64), np.cumsum(terms, dtype=_U64)))
        sums.append(upto[ends] - upto[starts])
    return sums[0] + lengths.astype(_U64) * _ELEMENT, sums[1]


def _texts(column: pa.Array) -> Lanes:
    """Return texts and bytes by their length and their words of eight bytes, little-endian, the last filled with 0."""
    count = len(column)
    _, offsets, data = column.buffers()
    at = np.frombuffer(offsets, np.int32)[column.offset : column.offset + count + 1].astype(np.int64)
    lengths = at[1:] - at[:-1]
    if column.null_count:  # whatever bytes a null stands over are none of its
        lengths[column.is_null().to_numpy(zero_copy_only=False)] = 0
    first, last = int(at[0]), int(at[-1])
    padded = np.zeros((last - first + 31) // 8 * 8, np.uint8)
    if data is not None and last > first:
        padded[: last - first] = np.frombuffer(data, np.uint8)[first:last]
    starts = at[:-1] - first
    long = np.flatnonzero(lengths > _LONG_BYTES)
    short = lengths
    if len(long):
        short = lengths.copy()
        short[long] = 0
    low, high = _words(padded.view(_U64), starts, short)
    for each in long.tolist():
        begin = int(starts[each])
        said = hashlib.blake2b(padded[begin : begin + int(lengths[each])].tobytes(), digest_size=16).digest()
        low[each], high[each] = np.frombuffer(said, _U64)
    return low, high


def _words(data: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> Lanes:
    """Take the words of all texts into two lanes each, in turn, the texts side by side.

    A word changes its lane one to one, and the other lane comes on top of it: a change of one word is never lost, and
    of several only where 128 bits happen to be the same.
    """
    words_ = (lengths + 7) >> 3
    most = int(words_.max(initial=0))
    order = None
    if most and int(words_.min()) != most:  # the longest first: those that go on are always the first ones
        order = np.argsort((most - words_).astype(np.uint8), kind="stable")
        starts, lengths = starts[order], lengths[order]
    going = len(lengths) - np.cumsum(np.bincount(words_, minlength=most + 1))
    lanes = lengths.astype(_U64) * _ODD, np.full(len(lengths), _HIGH, _U64)
    index, shift = starts >> 3, ((starts & 7) << 3).astype(_U64)
    back = _WORD_BITS - shift  # a shift by 64 gives 0, as it should: the word is then all in `ahead`
    ahead = data.take(index)
    for turn in range(most):
        upto, done = int(going[turn]), int(going[turn + 1]) if turn + 1 < most else 0
        here = index[:upto]
        here += 1
        upcoming = data.take(here)
        word = ahead[:upto] >> shift[:upto]
        word |= upcoming << back[:upto]
        word[done:] &= _MASKS.take(lengths[done:upto] - 8 * turn)
        ahead = upcoming
        mine, other = lanes[turn & 1][:upto], lanes[1 - (turn & 1)][:upto]
        mine ^= word
        mine *= _MIX
        mine ^= mine >> _HALF
        mine += other
    if order is None:
        return lanes
    low, high = np.empty_like(lanes[0]), np.empty_like(lanes[1])
    low[order], high[order] = lanes
    return low, high


def _mixed(values: Lanes, seeds: tuple[np.uint64, np.uint64]) -> Lanes:
    """Return two numbers for two, one to one, in which every bit depends on every bit; as MurmurHash3 ends."""
    low = values[0] ^ seeds[0]
    low ^= low >> _HALF
    low *= _MIX
    low ^= low >> _HALF
    low *= _MIX_AGAIN
    low ^= low >> _HALF
    high = values[1] ^ low
    high += seeds[1]
    high *= _ODD
    high ^= high >> _HALF
    return low, high


@cache
def _seeds(name: str) -> tuple[np.uint64, np.uint64]:
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    low, high = np.frombuffer(digest, _U64)
    return low, high
