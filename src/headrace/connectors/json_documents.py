"""JSON files that are no lines: one array, one document, or documents one after the other."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from headrace.connectors.json_structure import Structure
from headrace.connectors.jsonl import read_lines
from headrace.connectors.records import BYTE_ORDER_MARK, Carry, batches
from headrace.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from headrace.connectors.byte_stream import ByteStream

BLANK = b" \t\r\n"


def read_json(stream: ByteStream, blocks: Iterable[bytes], attributes: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Yield a message for each element of an array, each document, or each line: whichever the file's start shows.

    A message is the text of its element, byte for byte. Raises `InputError` where the file ends within an array, an
    element or a document, after all that came before.
    """
    blocks = iter(blocks)
    head = next(blocks, b"")
    while b"\n" not in head.removeprefix(BYTE_ORDER_MARK).lstrip(BLANK) and len(head) < 1 << 20:
        block = next(blocks, b"")
        if not block:
            break
        head += block
    kind = _kind(head)
    if kind == "lines":
        yield from read_lines(stream, itertools.chain([head], blocks), attributes)
        return
    head = head.removeprefix(BYTE_ORDER_MARK).lstrip(BLANK)
    if kind == "array":
        head = head[1:]
    yield from _elements(stream, itertools.chain([head], blocks), attributes, in_array=kind == "array")


def _kind(head: bytes) -> Literal["array", "documents", "lines"]:
    """Tell from the first block what a .json file is.

    One array may fill a line. Else, a first line that is complete, or is followed by one that starts an object, is a
    line of many: a broken first line must not swallow its neighbours.
    """
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip(BLANK)
    first, newline, rest = text.partition(b"\n")
    complete = bool(newline) and _is_complete(first)
    if text[:1] == b"[":
        return "lines" if complete and rest.strip(BLANK)[:1] == b"[" else "array"
    if text[:1] == b"{" and newline and not complete and rest[:1] != b"{":
        return "documents"
    return "lines"


def _is_complete(line: bytes) -> bool:
    return Structure(line).is_whole()


def _elements(
    stream: ByteStream, blocks: Iterable[bytes], attributes: Mapping[str, str], *, in_array: bool
) -> Iterator[pa.RecordBatch]:
    carry = Carry(stream)
    count = 0
    wanted = 0  # an element longer than a block is looked at again only once twice as much of it is there
    held = 0
    for block in itertools.chain(blocks, [b""]):
        held += len(block)
        if block and held < wanted:
            carry.keep(block)
            continue
        data = carry.joined(block)
        texts, used, closed = _split(data, in_array=in_array)
        count += len(texts)
        if texts:
            yield from batches(pa.array(texts, pa.binary()), attributes)
        rest = data[used:]
        if closed:
            _nothing_more(stream, rest, blocks)
            return
        carry.keep(rest)
        held = len(rest)
        wanted = 2 * held
    rest = carry.joined().strip(BLANK)
    if rest or in_array:
        place, each = ("its array", "element") if in_array else ("a document", "document")
        raise InputError(
            f"the file ends within {place}, after {count:,} complete {each}{'' if count == 1 else 's'}",
            at=stream.name,
            fix="fetch the file again, or say what it holds: --format ndjson",
        )


def _split(data: bytes, *, in_array: bool) -> tuple[list[bytes], int, bool]:
    """Return the complete elements at the start of the data, the bytes they take, and whether the array closed."""
    scan = Structure(data)
    closed = False
    if in_array:
        shut = np.flatnonzero(scan.depths < 0)
        until = int(shut[0]) if len(shut) else len(scan.at)
        commas = scan.at[:until][(scan.kinds[:until] == ord(",")) & (scan.depths[:until] == 0)]
        ends, closed = commas.tolist(), bool(len(shut))
        starts = [0, *(end + 1 for end in ends)]
        if closed:
            ends.append(int(scan.at[until]))
        texts = [data[start:end].strip(BLANK) for start, end in zip(starts, ends, strict=False)]
        if closed and not texts[-1]:
            texts.pop()  # an empty array, or a comma before its end
        return texts, (ends[-1] + 1 if ends else 0), closed
    ends = (scan.at[(scan.depths == 0) & (scan.steps < 0)] + 1).tolist()
    texts = [data[start:end].strip(BLANK) for start, end in zip([0, *ends], ends, strict=False)]
    return texts, (ends[-1] if ends else 0), False


def _nothing_more(stream: ByteStream, rest: bytes, blocks: Iterable[bytes]) -> None:
    for block in itertools.chain([rest], blocks):
        if block.strip(BLANK):
            raise InputError(
                "something follows the end of the array", at=stream.name, fix="publish it from a file of its own"
            )
