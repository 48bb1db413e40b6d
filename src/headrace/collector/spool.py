"""The spool: where events wait, durably, while the bus cannot take them."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import uuid
import zlib
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from headrace.bus.base import Once, topic_named
from headrace.disk import is_full, make_folder, sync
from headrace.errors import BusError, InputError, SpaceError
from headrace.fault_points import reach

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX, DRAFT, DAMAGED = ".segment", ".draft", ".damaged"
BLOCK_BYTES = 4096  # what a file takes of a disk at least
_HEAD = struct.Struct(">8sIQ")  # magic, checksum, length
_MAGIC = b"HRSPOOL1"


class Segment(NamedTuple):
    """Some messages of one topic, in a file of their own; its name tells how they are numbered, on that topic only."""

    path: Path

    @property
    def once(self) -> Once:
        """The numbers under which they are published, whenever that is tried."""
        producer, _, first = self.path.stem.partition("-")[2].rpartition("-")
        return Once(producer, int(first))


class Room:
    """How much of the disk all topics' spools may take together; several threads may ask."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.taken = 0
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Take some of it, if there is as much."""
        with self._lock:
            if self.taken + count > self.max_bytes:
                return False
            self.taken += count
            return True

    def hold(self, count: int) -> None:
        """Take what is taken already, though it may be more than there is: the room may have been larger once."""
        with self._lock:
            self.taken += count

    def give(self, count: int) -> None:
        """Give it back."""
        with self._lock:
            self.taken -= count


class Spool:
    """The segments of one topic, in the order in which they came. Belongs to one thread.

    A segment is there whole or not at all: what was put survives a crash and a power cut, and half of one is cleared
    away when the spool is opened again.
    """

    def __init__(self, folder: Path, topic: str, room: Room) -> None:
        self._folder = folder / topic_named(topic)
        self._room = room
        self._segments: list[Segment] = []
        self._refused: dict[Path, int] = {}
        self._next = 0
        if self._folder.is_dir():
            for path in sorted(self._folder.iterdir()):
                if path.suffix == DRAFT:
                    path.unlink()
                elif path.suffix == SUFFIX:
                    self._segments.append(Segment(path))
                    self._next = int(path.stem.partition("-")[0]) + 1
                    room.hold(_on_disk(path.stat().st_size))

    def __len__(self) -> int:
        """How many segments wait."""
        return len(self._segments)

    def put(self, batch: pa.RecordBatch, tried: Once | None = None) -> None:
        """Keep messages, durably when this returns. `SpaceError` where they do not fit, `BusError` where it fails.

        `tried` are the numbers under which a bus may have taken them already: they keep these. Others get new ones.
        """
        self.tidy()
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
            writer.write_batch(batch)
        data = sink.getvalue()
        size = _on_disk(_HEAD.size + data.size)
        if not self._room.take(size):
            raise SpaceError(
                f"the spool is full: it holds {self._room.taken:,} of {self._room.max_bytes:,} bytes",
                at=str(self._folder),
                fix="free what keeps the bus from taking events, or raise `collector: {spool_max_bytes: …}`",
            )
        once = tried or Once(f"spool-{uuid.uuid4().hex}", 0)
        path = self._folder / f"{self._next:016d}-{once.producer}-{once.first}{SUFFIX}"
        draft = path.with_suffix(DRAFT)
        is_named = False
        try:
            make_folder(self._folder)
            with draft.open("wb") as file:
                file.write(_HEAD.pack(_MAGIC, zlib.crc32(data), data.size))
                file.write(data)
            sync(draft)
            reach("spool.put.before")
            draft.replace(path)
            is_named = True
            sync(self._folder)
        except OSError as problem:
            if is_named:
                self._refused[path] = size
                self.tidy()
            else:
                self._room.give(size)
                with contextlib.suppress(OSError):
                    draft.unlink(missing_ok=True)
            if is_full(problem):
                raise SpaceError("the disk of the spool is full", at=str(self._folder)) from problem
            raise BusError(f"the spool cannot be written: {problem.strerror}", at=str(self._folder)) from problem
        reach("spool.put.after")
        self._segments.append(Segment(path))
        self._next += 1

    def tidy(self) -> None:
        """Take away what was refused and could not be taken away then: the next process would publish it."""
        for path, size in list(self._refused.items()):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
                del self._refused[path]
                self._room.give(size)

    def oldest(self) -> tuple[Segment, pa.RecordBatch] | None:
        """Return the segment that came first, with its messages; None where none waits.

        One that is damaged is set aside, for a person to look at, and raises `InputError` once.
        """
        while self._segments:
            segment = self._segments[0]
            try:
                data = segment.path.read_bytes()
            except FileNotFoundError:
                self._segments.pop(0)
                raise InputError(
                    "a segment of the spool is gone; the events in it were acknowledged and are not on the bus",
                    at=str(segment.path),
                    fix="publish these events again",
                ) from None
            batch = _read(data)
            if batch is not None:
                return segment, batch
            aside = segment.path.with_suffix(DAMAGED)
            segment.path.replace(aside)
            self._segments.pop(0)
            self._room.give(_on_disk(len(data)))
            raise InputError(
                "a segment of the spool is damaged on disk; the events in it were acknowledged and are not on the bus",
                at=str(aside),
                fix="restore the file from a copy of that disk, or publish these events again",
            )
        return None

    def drop(self, segment: Segment) -> None:
        """Forget a segment that was published; a crash before this is durable only publishes it once more."""
        size = segment.path.stat().st_size
        reach("spool.drop.before")
        segment.path.unlink()  # where that fails, it is published once more, which changes nothing, and dropped then
        reach("spool.drop.after")
        self._segments.remove(segment)
        self._room.give(_on_disk(size))


def topics_in(folder: Path) -> list[str]:
    """Return the topics for which a spool holds segments."""
    if not folder.is_dir():
        return []
    return sorted(each.name for each in folder.iterdir() if each.is_dir() and any(each.glob(f"*{SUFFIX}")))


def _read(data: bytes) -> pa.RecordBatch | None:
    if len(data) < _HEAD.size:
        return None
    magic, checksum, length = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    if magic != _MAGIC or len(body) != length or zlib.crc32(body) != checksum:
        return None
    try:
        return pa.ipc.open_stream(body).read_next_batch()
    except (pa.ArrowInvalid, OSError, StopIteration):  # whole, and yet nothing that we wrote
        return None


def _on_disk(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def writable(folder: Path) -> bool:
    """Whether segments could be written there now."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)
