"""The blocks of an Avro file: found, unpacked in bounded memory whatever the codec, and held to what may come out."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import pyarrow as pa

from headrace.connectors.varint import signed_at
from headrace.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MAGIC = b"Obj\x01"
SYNC_BYTES = 16
MAX_HEADER_BYTES = 4 << 20
MAX_BLOCK_BYTES = 64 << 20
"""How large a block may be, packed or not: it is held in memory whole."""
_STEP_BYTES = 1 << 20
_XZ_BYTES = 256 << 20  # what unpacking may take for itself: the strongest setting of xz takes 65 MiB


class Header(NamedTuple):
    """What an Avro file says of itself, and `sync`, the mark between its blocks."""

    meta: Mapping[str, bytes]
    sync: bytes


class Block(NamedTuple):
    """The records of one block, unpacked, and how many it says they are; `upto`: bytes of the file so far."""

    records: int
    data: bytes
    upto: int


class AvroBlocks:
    """The blocks of one file, from front to back: any stream will do.

    Everything here raises `InputError` where the file is damaged, ends early, or holds a block beyond its bound.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._taken = 0
        self.header = self._header()
        codec = self.header.meta.get("avro.codec", b"null").decode("utf-8", "replace")
        if codec not in CODECS:
            raise InputError(
                f"the file is packed as {codec!r}, and only {', '.join(CODECS)} are read",
                at=name,
                fix="write it with one of them",
            )
        self._codec = codec

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks; each may be held to its bounds before it is looked at."""
        while (records := self._long(may_end=True)) is not None:
            size = self._long() or 0
            if records < 0 or size < 0:
                raise self._damaged("a block of negative size")
            if size > MAX_BLOCK_BYTES:
                raise self._too_large(f"takes {size:,} bytes, and at most {MAX_BLOCK_BYTES:,} are taken")
            packed = self._bytes(size)
            if self._bytes(SYNC_BYTES) != self.header.sync:
                raise self._damaged("a block does not end where it says")
            yield Block(records, self._unpacked(packed), self._taken)

    def _unpacked(self, packed: bytes) -> bytes:
        try:
            data = CODECS[self._codec](packed)
        except (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError, IndexError) as error:
            raise self._damaged(f"a block's {self._codec} data does not unpack: {error}") from error
        if len(data) > MAX_BLOCK_BYTES:
            raise self._too_large(f"unfolds to more than {MAX_BLOCK_BYTES:,} bytes")
        return data

    def _header(self) -> Header:
        if self._bytes(len(MAGIC)) != MAGIC:
            raise self._damaged("it does not start as one")
        meta: dict[str, bytes] = {}
        while count := self._long():
            if count < 0:
                count, _ = -count, self._long()
            for _ in range(count):
                key = self._text().decode("utf-8", "replace")
                meta[key] = self._text()
        return Header(meta, self._bytes(SYNC_BYTES))

    def _text(self) -> bytes:
        size = self._long() or 0
        if size < 0 or self._taken + size > MAX_HEADER_BYTES:
            raise self._damaged(f"its header is larger than {MAX_HEADER_BYTES >> 20} MiB")
        return self._bytes(size)

    def _long(self, *, may_end: bool = False) -> int | None:
        number = b""
        while not number or number[-1] >= 0x80:
            byte = self._file.read(1)
            if not byte and may_end and not number:
                return None
            if not byte or len(number) > 10:
                raise self._damaged("it ends early" if not byte else "a number has more than ten bytes")
            number += byte
            self._taken += 1
        return signed_at(number, 0)[0]

    def _bytes(self, size: int) -> bytes:
        data = self._file.read(size)
        self._taken += len(data)
        if len(data) != size:
            raise self._damaged("it ends early")
        return data

    def _damaged(self, what: str) -> InputError:
        return InputError(f"the Avro file cannot be read: {what}", at=self._name, fix="fetch the file again")

    def _too_large(self, what: str) -> InputError:
        return InputError(
            f"a block of the Avro file {what}",
            at=self._name,
            fix="write the file with smaller blocks (a smaller sync interval)",
        )


# Each returns at most a little more than MAX_BLOCK_BYTES, whatever was packed.


def _deflated(packed: bytes) -> bytes:
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    data = unpacking.decompress(packed, MAX_BLOCK_BYTES + 1)
    return _whole(data, ended=unpacking.eof)


def _bzip2(packed: bytes) -> bytes:
    unpacking = bz2.BZ2Decompressor()
    data = unpacking.decompress(packed, MAX_BLOCK_BYTES + 1)
    return _whole(data, ended=unpacking.eof)


def _xz(packed: bytes) -> bytes:
    unpacking = lzma.LZMADecompressor(memlimit=_XZ_BYTES)
    data = unpacking.decompress(packed, MAX_BLOCK_BYTES + 1)
    return _whole(data, ended=unpacking.eof)


def _zstandard(packed: bytes) -> bytes:
    data = bytearray()
    with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as unpacking:
        while len(data) <= MAX_BLOCK_BYTES and (step := unpacking.read(_STEP_BYTES)):
            data += step
    return bytes(data)


def _snappy(packed: bytes) -> bytes:
    body, checksum = packed[:-4], packed[-4:]
    size, shift, at = 0, 0, 0
    while True:
        size |= (body[at] & 0x7F) << shift
        shift += 7
        if body[at] < 0x80 or shift > 28:
            break
        at += 1
    if size > MAX_BLOCK_BYTES:
        return bytes(MAX_BLOCK_BYTES + 1)
    data = bytes(pa.Codec("snappy").decompress(body, decompressed_size=size, asbytes=True))
    if zlib.crc32(data).to_bytes(4, "big") != checksum:
        raise ValueError("its checksum is another")
    return data


def _whole(data: bytes, *, ended: bool) -> bytes:
    if not ended and len(data) <= MAX_BLOCK_BYTES:
        raise EOFError("it ends early")
    return data


CODECS: Mapping[str, Callable[[bytes], bytes]] = {
    "null": bytes, "deflate": _deflated, "bzip2": _bzip2, "xz": _xz, "zstandard": _zstandard, "snappy": _snappy,
}  # fmt: skip
