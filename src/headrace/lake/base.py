"""The seam to the lake: files staged by any thread, then one transaction that names them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence, Set
    from pathlib import Path

    import numpy as np
    import pyarrow as pa

    from headrace.lake.keys import Entries
    from headrace.lake.tables import Table
    from headrace.stages.dataset import Dataset
    from headrace.stages.merge import Contended


Pace = Literal["busy", "overdue", "at ease"]
"""How long upkeep may keep a commit that waits for it."""


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A durable data file that no snapshot names yet."""

    table: str
    path: Path
    rows: int
    event_date: dt.date | None = None

    @property
    def dataset(self) -> str:
        """The dataset, of a file of silver."""
        return self.table.split(".")[1]


@dataclass(frozen=True, slots=True)
class Removal:
    """Rows of a silver table to take out, by their sequence numbers, and the event dates that they lie in."""

    table: str
    seqs: tuple[int, ...]
    dates: tuple[dt.date, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """All that one source's batch does to the lake; committed whole or not at all.

    `ops` holds rows for the ops tables by table name, in `tables.OPS` layouts. `keys` says what the files hold of each
    silver table that has a key: rows of silver that it does not name are found by a scan.
    """

    source: str
    files: tuple[StagedFile, ...]
    removals: tuple[Removal, ...] = ()
    ops: Mapping[str, pa.Table] = field(default_factory=dict)
    keys: Mapping[str, Entries] = field(default_factory=dict)


class Stored(NamedTuple):
    """What silver knows of some events at a glance, a boolean each.

    `maybe`: False where its key is surely not in silver. `same`: True where just this event, key and payload, is in
    silver or was there before it lost to another: a redelivery. False says nothing.
    """

    maybe: np.ndarray
    same: np.ndarray


class Known(NamedTuple):
    """What silver already knows of some keys.

    `rows`: the silver rows (all columns) of the keys asked for, and maybe others; without columns where there are
    none. `superseded`: which of the digests asked for belong to rows that were superseded before.
    """

    rows: pa.Table
    superseded: frozenset[bytes]


class Position(NamedTuple):
    """How far a source is committed on one partition: the next offset, and how many messages its positions say it took.

    `next_offset` is None on a bus without offsets.
    """

    source: str
    topic: str
    partition: str
    next_offset: int | None
    accepted: int


class Lake(Protocol):
    """Bronze, silver and ops, changed only by `commit`.

    `stage` and `discard` may be called from any thread; all else belongs to one thread, the writer's.
    """

    def stage(self, table: Table, rows: pa.Table, name: str) -> list[StagedFile]:
        """Write rows as durable files, one per partition value; `name` makes their names unique and recognisable."""
        ...

    def discard(self, files: Sequence[StagedFile]) -> None:
        """Remove staged files that will never be committed."""
        ...

    def commit(self, changes: Sequence[Change]) -> None:
        """Make all changes visible in one transaction.

        When it returns, everything named survives a power cut. When it raises, nothing has changed, and the staged
        files are still there for another try. What took place is never raised about, whatever failed after it. Raises
        `InDoubtError` where nobody can say whether it did: then no file may be removed, nor the commit be tried again,
        before `positions` has told.
        """
        ...

    def foresee(self, dataset: Dataset) -> None:
        """Read what questions about a dataset will need: the first one does so otherwise."""
        ...

    def stored(self, dataset: Dataset, events: pa.RecordBatch, hashes: np.ndarray) -> Stored:
        """Return what silver knows of these events; `hashes` are those of their keys (`key.key_hash_sql`)."""
        ...

    def known(self, dataset: Dataset, contended: Contended) -> Known:
        """Return what silver knows of the keys and digests of these rows."""
        ...

    def deploy(self, datasets: Sequence[Dataset]) -> None:
        """Create or extend silver tables for these contracts. Raises `ContractError` where a change is not additive."""
        ...

    def positions(self) -> list[Position]:
        """Return the committed position of every source and partition."""
        ...

    def maintain(
        self, keep: Callable[[], Set[int]], budget_secs: float, tasks: Set[str] = ..., pace: Pace = "at ease"
    ) -> Mapping[str, int]:
        """Compact, expire and clean up for about this long; return what was done, by kind.

        `tasks` may name `compaction` or `expiry` alone. A `pace` of `busy` says that commits come one after the other,
        and wait for the end of it: what takes long is left for another time; `overdue`, that there has been no other
        time for long. `unfinished` is above zero where there was more to do than time.

        Snapshots that `keep` returns, the latest, and those under a live lease stay readable; `keep` is called once the
        leases are read. While there is any lease, no file is replaced or removed.
        """
        ...
