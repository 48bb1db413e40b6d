"""Where pushes get their rows: the outbox of the lake, looked at again whenever something was committed."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

from headrace.connectors.push import GoldPushSpec
from headrace.errors import HeadraceError, LakeError
from headrace.lake.reader import open_reader
from headrace.runtime.relay.rounds import Row, rows_of
from headrace.runtime.relay.store import KINDS

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.connectors.push import TargetSpec
    from headrace.lake.reader import LakeReader
    from headrace.runtime.relay.store import Store

POLL_SECS = 0.2
READ_BYTES = 8 << 20  # of data at once, but always a row


class Feed:
    """Reads the outbox for every push, in one thread; `wake` is set for those who wait when there may be more."""

    def __init__(self, state: Path, store: Store, storing: ThreadPoolExecutor) -> None:
        self._lake = state / "lake"
        self._store = store
        self._storing = storing
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        self._held = ExitStack()
        self._reader: LakeReader | None = None
        self._seen = (-1, -1, -1)
        self._changed = asyncio.Event()
        self.generation = 0
        self.problem = ""

    async def run(self) -> None:
        """Look for commits, and for what other processes noted, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                snapshot = await loop.run_in_executor(self._reading, self._snapshot)
                builds = await loop.run_in_executor(self._storing, self._store.last_build)
                version = await loop.run_in_executor(self._storing, self._store.version)
                self.problem = ""
            except HeadraceError as problem:
                self.problem = str(problem)
                await asyncio.sleep(1.0)
                continue
            if (snapshot, builds, version) != self._seen:
                self._seen = (snapshot, builds, version)
                self.generation += 1
                self._changed.set()
                self._changed = asyncio.Event()
            await asyncio.sleep(POLL_SECS)

    async def more(self, seen: int, patience_secs: float | None) -> None:
        """Return when there may be something new since generation `seen`, or when patience ends."""
        if self.generation != seen:
            return
        try:
            await asyncio.wait_for(self._changed.wait(), patience_secs)
        except TimeoutError:
            return

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

    def _opened(self) -> LakeReader:
        if self._reader is None:
            self._reader = self._held.enter_context(open_reader(self._lake))
        if self._reader is None:
            raise LakeError("nothing was ever committed here", at=str(self._lake), fix="headrace up")
        return self._reader

    def _snapshot(self) -> int:
        return self._opened().snapshot()

    def _rows(self, source: str, push: str, after: int, limit: int) -> list[Row]:
        found = self._opened().rows(
            f"SELECT {', '.join(f'{chr(34)}{name}{chr(34)}' for name in Row._fields)} FROM (FROM lake.ops.outbox "
            "WHERE source = ? AND push = ? AND seq > ? ORDER BY seq LIMIT ?) "
            f"QUALIFY sum(strlen(data)) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) <= {READ_BYTES} "
            "OR row_number() OVER (ORDER BY seq) = 1 ORDER BY seq",
            [source, push, after, limit],
        )
        return rows_of(found)
