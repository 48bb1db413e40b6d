"""`python -m headrace.runtime.relay PROJECT ENVIRONMENT`: the relay as a child process of `up`.

It says {"pushes": {name: {"delivered", "problem"}}, "problem"}, when that changed, once a second at most.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if find_spec("sniffio") is None:  # httpcore looks for it with every request: a third of the time of one
    sys.modules["sniffio"] = None  # type: ignore[assignment]

from headrace.bus.sqlite import SqliteBus
from headrace.config.project import load_project
from headrace.errors import BusyError, HeadraceError
from headrace.file_lock import FileLock
from headrace.runtime.child import say, when_parent_ends
from headrace.runtime.relay import builds
from headrace.runtime.relay.delivery import Delivery, ToEndpoint, ToTopic
from headrace.runtime.relay.feed import Feed
from headrace.runtime.relay.store import GOLD, Store

if TYPE_CHECKING:
    from headrace.config.project import Project

SAY_SECS = 1.0
END_SECS = 5.0  # what a round under way is given at the end; what it would have noted is sent again


def main(arguments: list[str]) -> int:
    """Run until asked to end, or until the parent is gone."""
    root, environment = arguments
    try:
        project = load_project(Path(root), environment)
        asyncio.run(_relay(project))
    except HeadraceError as problem:
        say(problem=str(problem))
        return 2
    return 0


async def _relay(project: Project) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)

    def end() -> None:
        loop.call_soon_threadsafe(ended.set)

    when_parent_ends(end)
    lock = await _alone(project, ended)
    if lock is None:
        return
    storing = ThreadPoolExecutor(1, thread_name_prefix="store")
    store = await loop.run_in_executor(storing, Store, project.state)
    await loop.run_in_executor(storing, builds.catch_up, project, store)
    feed = Feed(project.state, store, storing)
    bus = SqliteBus(project.state / "bus")
    publishing = ThreadPoolExecutor(2, thread_name_prefix="publish")
    deliveries: list[Delivery] = [ToEndpoint(project, GOLD, push, feed, store, storing) for push in project.push.gold]
    for source in project.sources.values():
        for push in source.spec.serving.push:
            common = (project, source.id, push, feed, store, storing)
            deliveries.append(
                ToEndpoint(*common) if push.to is not None else ToTopic(*common, bus=bus, publishing=publishing)
            )
    running = [asyncio.ensure_future(each.run()) for each in deliveries]
    feeding = [asyncio.ensure_future(feed.run()), asyncio.ensure_future(_tell(deliveries, feed))]
    ending = asyncio.ensure_future(ended.wait())
    done, _ = await asyncio.wait([ending, *feeding], return_when=asyncio.FIRST_COMPLETED)
    for each in deliveries:
        each.stop()
    if running:
        await asyncio.wait(running, timeout=END_SECS)
    for task in (*running, *feeding, ending):
        task.cancel()
    await asyncio.gather(*running, *feeding, ending, return_exceptions=True)
    feed.close()
    publishing.shutdown()
    storing.submit(store.close).result()
    storing.shutdown()
    bus.close()
    lock.release()
    for task in done - {ending}:
        task.result()  # a bug of ours: the relay ends, and its parent starts it again


async def _alone(project: Project, ended: asyncio.Event) -> FileLock | None:
    """Return the lock of the one relay of this environment, once that of a killed `up` has let go; None at the end."""
    while not ended.is_set():
        try:
            return FileLock(
                project.state / "relay.lock",
                what="another relay (process {process}) sends for this environment",
                fix="it ends with its `headrace up`; if it does not: kill {process}",
            )
        except BusyError as busy:
            say(problem=str(busy))
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), 0.2)
    return None


async def _tell(deliveries: list[Delivery], feed: Feed) -> None:
    """Say how the pushes are doing, when that changed."""
    last: object = None
    while True:
        failing = [f"{each.name}: {each.problem}" for each in deliveries if each.problem]
        problem = feed.problem or "; ".join(failing)
        pushes = {each.name: {"delivered": each.delivered, "problem": each.problem} for each in deliveries}
        if (pushes, problem) != last:
            last = (pushes, problem)
            with suppress(OSError):
                say(pushes=pushes, problem=problem)
        await asyncio.sleep(SAY_SECS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
