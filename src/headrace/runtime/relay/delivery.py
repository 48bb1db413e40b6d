"""The life of one push: rounds, pauses, and a word on how it is doing. Whatever happens stays within it."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from headrace.bus.base import Once
from headrace.connectors.endpoint import LONGEST_RETRY_AFTER_SECS
from headrace.connectors.push import PushSpec
from headrace.runtime.relay.rounds import Held, choose, held_after, next_due, pause_of, settle
from headrace.runtime.relay.target import TOPIC_ROWS, Webhook, publish, sent

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from headrace.bus.base import Bus
    from headrace.config.project import Project
    from headrace.connectors.push import TargetSpec
    from headrace.runtime.relay.feed import Feed
    from headrace.runtime.relay.rounds import Row
    from headrace.runtime.relay.store import Progress, Store

Result = TypeVar("Result")

IDLE_SECS = 5.0  # how long a push without work waits before it looks by itself
READ_ROWS = 256


class Delivery(ABC):
    """One push, running until `stop`; `problem` says why it does not get on, if it does not."""

    def __init__(
        self, project: Project, source: str, push: TargetSpec, feed: Feed, store: Store, storing: Executor
    ) -> None:
        self.name = f"{source}/{push.name}" if source else push.name
        self.problem = ""
        self.delivered = 0
        self._project, self._source, self._spec = project, source, push
        self._feed, self._store, self._storing = feed, store, storing
        self._stop = asyncio.Event()
        self._failures = 0
        self._failing_since: float | None = None
        self._seen = -1  # the generation of the feed at the last look
        self._seq = -1

    async def run(self) -> None:
        """Deliver until stopped. A bug or a full disk is this push's trouble, and tried again like any other."""
        begun = False
        while not self._stop.is_set():
            try:
                if not begun:
                    await self._begin(await self._noted(self._store.enrol, self._source, self._spec.name))
                    begun = True
                pause = await self._round()
            except Exception as problem:  # noqa: BLE001 - the edge of this push: the others go on
                pause = await self._troubled(problem)
            if pause:
                await self._wait(pause)
        if begun:
            await self._close()

    def stop(self) -> None:
        """End after the round under way."""
        self._stop.set()

    @abstractmethod
    async def _begin(self, progress: Progress) -> None:
        """Take up where the push stands."""

    @abstractmethod
    async def _round(self) -> float:
        """Do one round; return how long to pause, zero where there is more to do."""

    async def _close(self) -> None:  # noqa: B027 - most hold nothing
        """Let go of what the push holds."""

    async def _troubled(self, problem: Exception) -> float:
        self._fails(str(problem) or type(problem).__name__)
        try:
            assert self._failing_since is not None  # noqa: S101 - set a line above
            await self._noted(self._store.failing, self._source, self._spec.name, self._failing_since, self.problem)
        except Exception:  # noqa: BLE001, S110 - the disk may be what fails: it is said by `problem` all the same
            pass
        return pause_of(self._failures, self._spec.retry)

    def _fails(self, problem: str) -> None:
        self._failures += 1
        self._failing_since = self._failing_since or time.time()
        self.problem = problem

    def _gets_on(self) -> None:
        self._failures, self._failing_since, self.problem = 0, None, ""

    async def _wait(self, secs: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), secs)
        except TimeoutError:
            return

    async def _idle(self, secs: float) -> None:
        """Wait until there may be new rows, or time is up, or the end."""
        waits = [
            asyncio.ensure_future(each)
            for each in (self._stop.wait(), self._feed.more(self._source, self._spec.name, self._seen, secs))
        ]
        _, left = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in left:
            each.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _generation(self) -> int:
        return self._feed.generation(self._source, self._spec.name)

    async def _noted(self, act: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._storing, act, *arguments)


class ToEndpoint(Delivery):
    """A push to an endpoint: at least once, in order per key."""

    async def _begin(self, progress: Progress) -> None:
        spec = self._spec
        self._max_events, self._concurrency = 1, 1
        if isinstance(spec, PushSpec):
            self._max_events, self._concurrency = spec.max_events, spec.concurrency
        self._webhook = Webhook(self._project, self._source, spec, self._max_events, self._concurrency)
        self._fresh: deque[Row] = deque()
        self._seq = progress.seq
        self._failing_since = progress.failing_since
        self._version = -1
        self._held = Held()

    async def _round(self) -> float:
        await self._look()
        now = time.time()
        choice = choose(
            self._held,
            tuple(self._fresh),
            now,
            concurrency=self._concurrency,
            max_events=self._max_events,
            failures=self._failures,
            longest=max(self._spec.retry.longest_delay.total_seconds(), LONGEST_RETRY_AFTER_SECS),
        )
        if not choice.attempts and not choice.behind:
            due = next_due(self._held)
            await self._idle(min(IDLE_SECS, max(0.02, (due or now + IDLE_SECS) - now)))
            return 0.0
        answers = await sent(self._webhook, [attempt.rows for attempt in choice.attempts])
        settled = settle(choice, answers, time.time(), self._spec.retry)
        if not choice.attempts or settled.alive:
            self._gets_on()
            self.problem = settled.problem
        else:
            self._fails(settled.problem)
        seq = self._fresh[choice.taken - 1].seq if choice.taken else self._seq
        await self._noted(self._store.settle, self._source, self._spec.name, seq, settled, self._failing_since)
        for _ in range(choice.taken):
            self._fresh.popleft()
        self._seq, self._held = seq, held_after(self._held, settled)
        self.delivered += settled.delivered
        pause = pause_of(self._failures, self._spec.retry) if self._failures else 0.0
        return max(pause, settled.pause_secs)

    async def _look(self) -> None:
        """Take in new rows, and what `headrace push` did to the letters."""
        if (version := await self._noted(self._store.version)) != self._version:
            self._held = await self._noted(self._store.held, self._source, self._spec.name)
            self._version = version
        enough = self._concurrency * self._max_events
        if len(self._fresh) < enough and (self._fresh or self._seen != self._generation()):
            seen = self._generation()
            after = self._fresh[-1].seq if self._fresh else self._seq
            limit = max(READ_ROWS, 2 * enough)
            found = await self._feed.rows(self._source, self._spec, after, limit)
            self._fresh.extend(found)
            if not found:
                self._seen = seen

    async def _close(self) -> None:
        await self._webhook.close()


class ToTopic(Delivery):
    """A push to a topic: each row once, in the order of the outbox, numbered so that the topic can tell."""

    def __init__(self, *arguments: object, bus: Bus, publishing: Executor) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._bus = bus
        self._publishing = publishing

    async def _begin(self, progress: Progress) -> None:
        self._seq, self._numbered = progress.seq, progress.numbered
        # The epoch is the file's that counts: where it is lost, counting starts anew, and must not be mistaken.
        self._producer = f"relay-{self._store.epoch}-{self._source}-{self._spec.name}"

    async def _round(self) -> float:
        if self._seen == self._generation():
            await self._idle(IDLE_SECS)
            return 0.0
        seen = self._generation()
        rows = await self._feed.rows(self._source, self._spec, self._seq, TOPIC_ROWS)
        if not rows:
            self._seen = seen
            return 0.0
        assert isinstance(self._spec, PushSpec)  # noqa: S101 - only sources have topics
        once = Once(self._producer, self._numbered)
        await asyncio.get_running_loop().run_in_executor(
            self._publishing, publish, self._bus, self._project.name, self._source, self._spec, rows, once
        )
        self._seq, self._numbered = rows[-1].seq, self._numbered + len(rows)
        await self._noted(self._store.published, self._source, self._spec.name, self._seq, self._numbered, len(rows))
        self.delivered += len(rows)
        self._gets_on()
        return 0.0
