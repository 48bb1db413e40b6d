"""Lines: newline-delimited messages, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.connectors.records import Carry, batches, ends_in_empty_line, is_empty_line, lines_ending, newlines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

    from headrace.connectors.byte_stream import ByteStream


def read_lines(stream: ByteStream, blocks: Iterable[bytes], attributes: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Yield a message for each line: LF or CRLF ends one, the last needs no end.

    An empty line at the very end is no message; any other empty line is an empty message. Invalid UTF-8, a byte-order
    mark and lines of many megabytes pass untouched.
    """
    carry = Carry(stream)
    for block in blocks:
        if b"\n" not in block:
            carry.keep(block)
            continue
        data = carry.joined(block)
        at = newlines(data)
        if ends_in_empty_line(data):  # perhaps the very last one: decided when more comes
            at = at[:-1]
        used = int(at[-1]) + 1 if len(at) else 0
        carry.keep(data[used:])
        yield from batches(lines_ending(data, at), attributes)
    rest = carry.joined()
    if rest and not is_empty_line(rest):
        data = rest if rest.endswith(b"\n") else rest + b"\n"
        yield from batches(lines_ending(data, newlines(data)), attributes)
