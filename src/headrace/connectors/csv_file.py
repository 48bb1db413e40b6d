"""CSV: one message a record, its bytes as they are; the header travels as an attribute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headrace.connectors.records import (
    BYTE_ORDER_MARK,
    Carry,
    Places,
    batches,
    ends_in_empty_line,
    is_empty_line,
    lines_ending,
    newlines,
)
from headrace.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

    from headrace.connectors.byte_stream import ByteStream

MAX_QUOTED_BYTES = 64 << 20  # a quote that is still open after so much was never meant to open a cell


def read_csv(
    stream: ByteStream,
    blocks: Iterable[bytes],
    attributes: Mapping[str, str],
    *,
    delimiter: str = ",",
    quote: str = '"',
    escape: str | None = None,
    header: bool = True,
) -> Iterator[pa.RecordBatch]:
    """Yield a message for each record after the header, which every message carries: attribute `csv-header`.

    Without a `header` the first record is a message too. A quoted cell may hold newlines. A quote within a cell that is
    not quoted is data, and one that never closes harms its own line alone: a ragged or broken record is a message, for
    decode to judge. Raises `InputError` where the header is not UTF-8.
    """
    splitter = _Splitter(delimiter.encode(), quote.encode(), escape.encode() if escape else b"")
    carry = Carry(stream)
    told: dict[str, str] = {}

    def emit(data: bytes, at: Places) -> Iterator[pa.RecordBatch]:
        records = lines_ending(data, at)
        if len(records) and not told:
            told.update({"content-type": "text/csv"}, **attributes)
            if header:
                first = records[0].as_py().removeprefix(BYTE_ORDER_MARK)
                told.setdefault("csv-header", _header(first, stream.name))
                records = records.slice(1)
        yield from batches(records, told)

    for block in blocks:
        if b"\n" not in block:
            carry.keep(block)
            continue
        data = carry.joined(block)
        at, used = splitter.ends(data, last=False)
        carry.keep(data[used:])
        yield from emit(data, at)
    rest = carry.joined()
    if rest and not is_empty_line(rest):
        data = rest if rest.endswith(b"\n") else rest + b"\n"
        at, _ = splitter.ends(data, last=True)
        yield from emit(data, at)


def _header(record: bytes, name: str) -> str:
    try:
        return record.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"the header of the CSV file is not UTF-8: byte {error.start}",
            at=f"{name}:1",
            fix=f"say its encoding: `csv: {{encoding: …}}` under `ingestion:`, or iconv -t UTF-8 {name}",
        ) from error


class _Splitter:
    """Finds where records end: lines without an odd number of quotes at once, the few others one by one."""

    def __init__(self, delimiter: bytes, quote: bytes, escape: bytes) -> None:
        self._delimiter = delimiter
        self._quote = quote
        self._escape = escape

    def ends(self, data: bytes, *, last: bool) -> tuple[Places, int]:
        """Return the newlines that end records, and how many bytes those records take.

        Unless this is the last of the file, an empty line at the end, and a record that may go on, are left for later.
        """
        at = newlines(data)
        if ends_in_empty_line(data):
            at = at[:-1]
        if self._quote and self._quote in data and len(at):
            at = at[self._closing(data, at, last=last)]
        return at, int(at[-1]) + 1 if len(at) else 0

    def _closing(self, data: bytes, at: Places, *, last: bool) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        starts = np.concatenate([[0], at[:-1] + 1])
        quotes = np.flatnonzero(np.frombuffer(data, np.uint8) == self._quote[0])
        counts = np.diff(np.searchsorted(quotes, np.concatenate([starts, [at[-1] + 1]])))
        ends = np.ones(len(at), np.bool_)
        quoted = np.flatnonzero(counts)  # a line without quotes cannot close a cell
        odd = np.flatnonzero(counts % 2) if not self._escape else quoted
        done = 0
        for first in odd.tolist():
            if first < done or not self._open(data[starts[first] : at[first]], inside=False):
                continue
            done = first + 1
            for line in quoted[np.searchsorted(quoted, first, side="right") :].tolist():
                if at[line] - starts[first] > MAX_QUOTED_BYTES:
                    break
                if not self._open(data[starts[line] : at[line]], inside=True):
                    ends[first:line] = False
                    done = line + 1
                    break
            else:
                if not last and len(data) - starts[first] <= MAX_QUOTED_BYTES:
                    ends[first:] = False
                    return ends
        return ends

    def _open(self, line: bytes, *, inside: bool) -> bool:
        """Say whether a quoted cell is open at the end of a line, from the state at its start."""
        at = 0
        while True:
            if not inside:
                if line[at : at + 1] != self._quote:
                    at = line.find(self._delimiter, at)
                    if at < 0:
                        return False
                    at += 1
                    continue
                at += 1
            close = self._close(line, at)
            if close < 0:
                return True
            inside = False
            at = line.find(self._delimiter, close + 1)
            if at < 0:
                return False
            at += 1

    def _close(self, line: bytes, at: int) -> int:
        """Return where the quote stands that closes a cell, from a place within the cell on; -1 where none does."""
        while (close := line.find(self._quote, at)) >= 0:
            if self._escape:
                escapes = len(line[at:close]) - len(line[at:close].rstrip(self._escape))
                if escapes % 2:
                    at = close + 1
                    continue
            elif line[close + 1 : close + 2] == self._quote:
                at = close + 2
                continue
            return close
        return -1
