"""The ways into the platform that the shop knows: the collector's HTTP, straight onto the bus, and files that land."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Protocol

import httpx
import pyarrow as pa

from headrace.disk import disk_error, make_folder, sync
from headrace.errors import BusError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headrace.bus.base import Bus

NDJSON = {"content-type": "application/x-ndjson"}
LINES_A_REQUEST = 500
PATIENCE_SECS = 30.0


class Door(Protocol):
    """A way in."""

    def send(self, source: str, payloads: list[bytes]) -> None:
        """Return once these messages are durable.

        Raises `BusError` or `SpaceError` where some are not, yet; they may be sent again.
        """
        ...


class BusDoor:
    """Straight onto the topic of each source."""

    def __init__(self, bus: Bus, topics: Mapping[str, str]) -> None:
        self._bus, self._topics = bus, topics

    def send(self, source: str, payloads: list[bytes]) -> None:
        """See `Door.send`."""
        self._bus.publish(self._topics[source], batch_of(payloads))


class CollectorDoor:
    """POSTs of NDJSON to the collector of a running project."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=PATIENCE_SECS, trust_env=False)

    def send(self, source: str, payloads: list[bytes]) -> None:
        """See `Door.send`."""
        for first in range(0, len(payloads), LINES_A_REQUEST):
            body = b"\n".join(payloads[first : first + LINES_A_REQUEST]) + b"\n"
            try:
                answer = self._client.post(f"/v1/events/{source}", content=body, headers=NDJSON)
            except httpx.HTTPError as problem:
                raise BusError(
                    f"the collector cannot be reached: {problem}", at=str(self._client.base_url)
                ) from problem
            if answer.status_code != httpx.codes.ACCEPTED:
                raise BusError(f"the collector answers {answer.status_code}: {answer.text[:200]}", at=str(answer.url))

    def close(self) -> None:
        """Close its connections."""
        self._client.close()


class FolderDoor:
    """Files that land in a folder, a message a line; whoever watches it takes them from there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, source: str, payloads: list[bytes]) -> None:
        """See `Door.send`; durable is the file."""
        self.drop(f"{source}-{time.time_ns()}", payloads)

    def drop(self, name: str, payloads: list[bytes], written_at: float | None = None) -> None:
        """Write a file under this name, all at once."""
        try:
            make_folder(self._folder)
            unfinished = self._folder / f"{name}.tmp"
            unfinished.write_bytes(b"".join(payload + b"\n" for payload in payloads))
            if written_at is not None:
                os.utime(unfinished, (written_at, written_at))
            sync(unfinished)
            unfinished.replace(self._folder / f"{name}.ndjson")
            sync(self._folder)
        except OSError as problem:
            raise disk_error(problem, str(self._folder)) from problem


def batch_of(payloads: list[bytes]) -> pa.RecordBatch:
    """Return messages ready to publish."""
    return pa.record_batch({"payload": pa.array(payloads, pa.binary())})


def is_taken(host: str, port: int) -> bool:
    """Return whether somebody else listens on a port already."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError:
            return True
    return False
