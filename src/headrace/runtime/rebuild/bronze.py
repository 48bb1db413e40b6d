"""Bronze as a bus: what was taken once, handed out again in the order in which it was taken."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from headrace.bus.base import PATIENCE_SECS, Lag, Pulled
from headrace.errors import InternalError, LakeError
from headrace.runtime.tick import subscription
from headrace.words import message_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from headrace.bus.base import Once, Published, Subscription
    from headrace.lake.reader import LakeReader

READ_ROWS = 100_000  # a batch of most sources: it need not be cut, nor put together from two
READ_BYTES = 256 << 20


@dataclass
class _Reading:
    """How far a source is read: the next to hand out, the next not acked, the end; and what was read ahead."""

    source: str
    next: int
    acked: int
    end: int
    borders: tuple[int, ...]
    ahead: pa.Table | None = None
    ahead_from: int = 0


class BronzeBus:
    """The messages of some sources, from one number up to another, out of a pinned reader. Nothing can be published.

    It is replayable: `seek` goes back to what was not acked, whatever offsets it names. A pull never crosses a border.
    """

    replayable = True

    def __init__(
        self, lake: LakeReader, ranges: Mapping[str, range], borders: Mapping[str, Sequence[int]] | None = None
    ) -> None:
        """`ranges` are the sequence numbers of each source; `borders` those at which a new pull must begin."""
        self._lake = lake
        self._readings = {
            subscription(name): _Reading(name, each.start, each.start, each.stop, tuple((borders or {}).get(name, ())))
            for name, each in ranges.items()
        }
        self._lock = threading.Lock()  # over the reader: several threads pull

    def at(self, source: str) -> int:
        """Return the sequence number of the message that the next pull of a source begins with."""
        return self._readings[subscription(source)].next

    def publish(
        self,
        topic: str,  # noqa: ARG002
        messages: pa.RecordBatch,  # noqa: ARG002
        once: Once | None = None,  # noqa: ARG002
        patience_secs: float = PATIENCE_SECS,  # noqa: ARG002
    ) -> Published:
        """Refuse: bronze is changed by commits alone."""
        self._refuse()

    def subscribe(self, subscription: Subscription) -> None:
        """Every source has its subscription already."""

    def pull(self, topic: str, name: str, max_rows: int, max_bytes: int) -> Pulled | None:  # noqa: ARG002
        """Return what follows, in the order of bronze. Raises `LakeError` where bronze lacks a message."""
        reading = self._readings[name]
        end = min((border for border in reading.borders if border > reading.next), default=reading.end)
        upto = min(reading.next + max_rows, end, reading.end)
        if reading.next >= upto:
            return None
        if reading.ahead is None or reading.next >= reading.ahead_from + len(reading.ahead):
            reading.ahead, reading.ahead_from = self._read(reading), reading.next
        rows = reading.ahead.slice(reading.next - reading.ahead_from, upto - reading.next)
        reading.next += len(rows)
        return Pulled(rows.combine_chunks().to_batches()[0], (reading.next,))

    def ack(self, topic: str, name: str, receipt: object) -> None:  # noqa: ARG002
        """Move on to the message after these."""
        if not isinstance(receipt, tuple):
            raise InternalError(f"{receipt!r} is not a receipt of this bus")
        self._readings[name].acked = receipt[0]

    def nack(self, topic: str, name: str, receipt: object) -> None:  # noqa: ARG002
        """Refuse: nothing gives messages back here."""
        self._refuse()

    def seek(self, topic: str, name: str, positions: Mapping[str, int]) -> None:  # noqa: ARG002
        """Go back to the first message that was not acked."""
        reading = self._readings[name]
        reading.next, reading.ahead = reading.acked, None

    def lag(self, topic: str, name: str) -> Lag:  # noqa: ARG002
        """Return how many are not acked yet."""
        reading = self._readings[name]
        return Lag(reading.end - reading.acked, None)

    def close(self) -> None:
        """The reader is its opener's to close."""

    def _read(self, reading: _Reading) -> pa.Table:
        """Read some of bronze ahead: fewer rows where they are large, one at least."""
        count = READ_ROWS
        while True:
            upto = min(reading.next + count, reading.end)
            columns = ", ".join(f'"{name}"' for name in message_schema().names)
            with self._lock:
                found = self._lake.arrow(
                    f"SELECT {columns}, seq FROM lake.bronze.messages WHERE source = '{reading.source}' "
                    f"AND seq >= {reading.next} AND seq < {upto}",
                    READ_BYTES if count > 1 else 1 << 40,
                )
            if found is None:
                count = max(1, count // 4)
                continue
            if len(found) != upto - reading.next:
                raise LakeError(
                    f"bronze holds {len(found):,} of the {upto - reading.next:,} messages from number "
                    f"{reading.next:,} on",
                    at=f"bronze.messages, {reading.source}",
                    fix="restore the lake's data from a backup",
                )
            return _ordered(found).cast(message_schema())

    @staticmethod
    def _refuse() -> NoReturn:
        raise InternalError("bronze can only be read")


def _ordered(found: pa.Table) -> pa.Table:
    """Return messages by their number, without it.

    Files mostly give them in that order already; where they do not, only their numbers are sorted: DuckDB would sort
    payloads, at a third of what reading them takes.
    """
    seqs = found["seq"].to_numpy()
    rows = found.drop_columns(["seq"])
    return rows if (np.diff(seqs) > 0).all() else rows.take(np.argsort(seqs))
