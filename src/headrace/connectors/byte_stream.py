"""A file, or what is piped in, as a stream of plain bytes, decompressed in bounded memory."""

from __future__ import annotations

import io
import select
import time
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from headrace.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK_BYTES = 8 << 20
STEP_BYTES = 64 << 10  # what a decompressor is asked for at once: where it fails, no more than this is lost before
PIPE_WAIT_SECS = 0.2

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
NAMES = {"gzip": "gzip", "zstd": "zstd", "bz2": "bz2", "bzip2": "bz2"}  # what a user may call them
RATIO_FROM_BYTES = 64 << 20  # a small file of one repeated line may well shrink a thousandfold
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}


class Bounds(NamedTuple):
    """How much may come out of what is compressed; 0: as much as there is."""

    unpacked_bytes: int = 0
    ratio: int = 0

    def hold(self, unpacked: int, packed: int, name: str, what: str = "compressed file") -> None:
        """Raise `InputError` where more comes out of a file than it may hold; `packed` is what was read of it."""
        if self.unpacked_bytes and unpacked > self.unpacked_bytes:
            raise InputError(
                f"more than {self.unpacked_bytes:,} bytes come out of the {what}",
                at=name,
                fix=f"split the {what}, or raise max_unpacked_bytes of the source",
            )
        if self.ratio and unpacked > RATIO_FROM_BYTES and unpacked > self.ratio * max(1, packed):
            raise InputError(
                f"the {what} unfolds to more than {self.ratio:,} times its size, as a bomb does",
                at=name,
                fix="look at it; where it is what it should be, raise max_unpacked_ratio of the source",
            )


UNBOUNDED = Bounds()


class ByteStream:
    """The bytes of a file, a block at a time; `name` is what errors call it, `taken` counts plain bytes so far.

    Compression is as told, or else known by the suffix of the name, or else by the first bytes. What a pipe gives
    slowly becomes a block once it has paused for PIPE_WAIT_SECS, so that a message is not held back until a block is
    full.
    """

    def __init__(
        self, source: Path | BinaryIO, *, name: str = "", compression: str | None = None, bounds: Bounds = UNBOUNDED
    ) -> None:
        self.name = name or (str(source) if isinstance(source, Path) else "stdin")
        self.taken = 0
        self._source = source
        self._compression = compression
        self._bounds = bounds
        self._suffix = Path(self.name).suffix.lower() if name or isinstance(source, Path) else ""

    def blocks(self) -> Iterator[bytes]:
        """Yield blocks of about BLOCK_BYTES. Raises `InputError` where the bytes end early, after all before that."""
        if not isinstance(self._source, Path):
            raw: Any = self._source
            file = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)
            try:
                yield from self._blocks(file)
            finally:
                if file is not raw and not file.closed:
                    file.detach()  # what was given stays open, and is its owner's to close
            return
        try:
            file = self._source.open("rb")
        except OSError as error:
            raise InputError(
                f"the file cannot be read: {error.strerror}", at=self.name, fix=f"see what is there: ls -l {self.name}"
            ) from error
        with file:
            yield from self._blocks(file)

    def _blocks(self, file: io.BufferedReader) -> Iterator[bytes]:
        compression = self._compression if self._compression is not None else COMPRESSIONS.get(self._suffix)
        try:
            head = file.peek(4)[:4]
            if compression is None:
                compression = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")
            if compression and not head:
                compression = ""  # an empty file is not a truncated one
            if not compression:
                yield from map(self._count, _plain(file))
                return
            for block in self._decompressed(file, compression):
                yield self._count(block)
                self._bounds.hold(self.taken, file.tell(), self.name)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            what = f"the {compression} data is damaged or ends early" if compression else "reading failed"
            reason = error.strerror if isinstance(error, OSError) else None
            raise InputError(
                f"{what}, after {self.taken:,} bytes of content: {reason or error}",
                at=self.name,
                fix="fetch the file again",
            ) from error

    def _count(self, block: bytes) -> bytes:
        self.taken += len(block)
        return block

    @staticmethod
    def _decompressed(file: io.BufferedReader, compression: str) -> Iterator[bytes]:
        import pyarrow as pa

        stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), compression)
        block = bytearray()
        try:
            while step := stream.read(STEP_BYTES):
                block += step
                if len(block) >= BLOCK_BYTES:
                    yield bytes(block)
                    block.clear()
        except OSError:
            if block:
                yield bytes(block)
            raise
        if block:
            yield bytes(block)


def _plain(file: io.BufferedReader) -> Iterator[bytes]:
    ready = _readiness(file)
    if ready is None:
        while block := file.read(BLOCK_BYTES):
            yield block
        return
    while part := file.read1(BLOCK_BYTES):
        parts, size, since = [part], len(part), time.monotonic()
        ended = False
        while size < BLOCK_BYTES and time.monotonic() - since < PIPE_WAIT_SECS and ready(PIPE_WAIT_SECS):
            if not (part := file.read1(BLOCK_BYTES)):
                ended = True
                break
            parts.append(part)
            size += len(part)
        yield b"".join(parts)
        if ended:
            return


def _readiness(file: io.BufferedReader) -> Callable[[float], bool] | None:
    """Return how to ask a pipe or terminal whether it has more, None for what never makes a reader wait."""
    try:
        handle = file.fileno()
    except (OSError, io.UnsupportedOperation):
        return None
    if file.seekable():
        return None
    return lambda wait_secs: bool(select.select([handle], [], [], wait_secs)[0])
