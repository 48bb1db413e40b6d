"""Where pushes get their rows: the outbox of the lake, looked at again whenever something was committed."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from headrace.connectors.push import GoldPushSpec
from headrace.errors import HeadraceError, LakeError
from headrace.lake.reader import open_reader
from headrace.runtime.relay.rounds import Row, rows_of
from headrace.runtime.relay.store import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.connectors.push import TargetSpec
    from headrace.lake.reader import LakeReader
    from headrace.runtime.relay.store import Store

POLL_SECS = 0.2
READ_BYTES = 8 << 20  # of data at once, but always a row


class Feed:
    """Reads the outbox for every push, in one thread, and tells each push when there may be more for it.

    A push has a *generation*, which rises when something was committed for it, or another process noted something. One
    query a commit finds whom it concerns, however many pushes there are.
    """

    def __init__(self, state: Path, store: Store, storing: ThreadPoolExecutor) -> None:
        self._lake = state / "lake"
        self._store = store
        self._storing = storing
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        self._held = ExitStack()
        self._reader: LakeReader | None = None
        self._snapshot = -1
        self._noted = (-1, -1)
        self._changed = asyncio.Event()
        self._generation = 0
        self._of_all = 0
        self._of: dict[tuple[str, str], int] = {}
        self.problem = ""

    async def run(self) -> None:
        """Look for commits, and for what other processes noted, until cancelled."""
        while True:
            try:
                await self._look()
                self.problem = ""
                pause = POLL_SECS
            except HeadraceError as problem:
                self.problem = str(problem)
                pause = 1.0
            await asyncio.sleep(pause)

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        since = self._snapshot
        snapshot, concerned = await loop.run_in_executor(self._reading, self._committed_since, since)
        builds = await loop.run_in_executor(self._storing, self._store.last_build)
        version = await loop.run_in_executor(self._storing, self._store.version)
        if (builds, version) != self._noted:
            concerned = None
        elif snapshot == since:
            return
        self._snapshot, self._noted = snapshot, (builds, version)
        self._generation += 1
        if concerned is None:
            self._of_all = self._generation
        else:
            self._of |= dict.fromkeys(concerned, self._generation)
        self._changed.set()
        self._changed = asyncio.Event()

    def generation(self, source: str, push: str) -> int:
        """Return a number that rises when there may be more for a push."""
        return max(self._of_all, self._of.get((source, push), 0))

    async def more(self, source: str, push: str, seen: int, patience_secs: float) -> None:
        """Return when there may be more for a push than at generation `seen`, or when patience ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_secs):
                while self.generation(source, push) == seen:
                    await self._changed.wait()

    async def rows(self, source: str, push: TargetSpec, after: int, limit: int) -> list[Row]:
        """Return the next rows of a push. Raises `LakeError`."""
        loop = asyncio.get_running_loop()
        if isinstance(push, GoldPushSpec):
            return await loop.run_in_executor(self._storing, self._store.builds, KINDS[push.on], after, limit)
        return await loop.run_in_executor(self._reading, self._rows, source, push.name, after, limit)

    def close(self) -> None:
        """Let go of the lake."""
        self._reading.submit(self._held.close).result()
        self._reading.shutdown()

    @contextmanager
    def _reading_lake(self) -> Iterator[LakeReader]:
        """Have the lake open. What fails may be the connection itself, for good: the next time opens it anew."""
        try:
            if self._reader is None:
                self._reader = self._held.enter_context(open_reader(self._lake))
            if self._reader is None:
                raise LakeError("nothing was ever committed here", at=str(self._lake), fix="headrace up")
            yield self._reader
        except LakeError:
            self._reader = None
            self._held.close()
            raise

    def _committed_since(self, since: int) -> tuple[int, list[tuple[str, str]] | None]:
        """Return the latest snapshot, and the pushes that got rows after `since`; None where nobody can tell."""
        with self._reading_lake() as lake:
            snapshot = lake.snapshot()
            if snapshot == since:
                return snapshot, []
            try:
                rows = lake.rows(
                    "SELECT DISTINCT source, push FROM "
                    f"ducklake_table_insertions('lake', 'ops', 'outbox', {since + 1}, {snapshot})"
                )
            except LakeError:  # the first look, or snapshots that have expired meanwhile
                return snapshot, None
        return snapshot, [(row["source"], row["push"]) for row in rows]

    def _rows(self, source: str, push: str, after: int, limit: int) -> list[Row]:
        """Return rows up to `READ_BYTES`. How far that is, sizes alone tell: no more data than that is ever held."""
        with self._reading_lake() as lake:
            (upto,) = lake.rows(
                "SELECT max(seq) AS seq FROM (FROM (SELECT seq, strlen(data) AS bytes FROM lake.ops.outbox "
                "WHERE source = ? AND push = ? AND seq > ? ORDER BY seq LIMIT ?) "
                f"QUALIFY sum(bytes) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) <= {READ_BYTES} "
                "OR row_number() OVER (ORDER BY seq) = 1)",
                [source, push, after, limit],
            )
            if upto["seq"] is None:
                return []
            found = lake.rows(
                f"SELECT {', '.join(f'{chr(34)}{name}{chr(34)}' for name in Row._fields)} FROM lake.ops.outbox "
                "WHERE source = ? AND push = ? AND seq > ? AND seq <= ? ORDER BY seq",
                [source, push, after, upto["seq"]],
            )
        return rows_of(found)
