"""`python -m headrace.runtime.relay PROJECT ENVIRONMENT`: the relay as a child process of `up`.

It says {"pushes": {name: {"delivered", "problem"}}, "problem"}, when that changed, once a second at most.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

if find_spec("sniffio") is None:  # httpcore looks for it with every request: a third of the time of one
    sys.modules["sniffio"] = None  # type: ignore[assignment]

from headrace.bus.sqlite import SqliteBus
from headrace.errors import BusyError
from headrace.file_lock import FileLock
from headrace.runtime.child import say
from headrace.runtime.child_life import run_child
from headrace.runtime.relay import builds
from headrace.runtime.relay.delivery import Delivery, ToEndpoint, ToTopic
from headrace.runtime.relay.feed import Feed
from headrace.runtime.relay.store import GOLD, Store

if TYPE_CHECKING:
    from headrace.config.project import Project
    from headrace.runtime.child_life import Ending

SAY_SECS = 1.0
END_SECS = 5.0  # what a round under way is given at the end; what it would have noted is sent again


def relay(project: Project, ending: Ending) -> None:
    """Send until asked to end."""
    asyncio.run(_relay(project, ending))


async def _relay(project: Project, ending: Ending) -> None:
    loop = asyncio.get_running_loop()
    lock = await _alone(project, ending)
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
    asked = asyncio.ensure_future(ending.asked_within())
    done, _ = await asyncio.wait([asked, *feeding], return_when=asyncio.FIRST_COMPLETED)
    for each in deliveries:
        each.stop()
    if running:
        await asyncio.wait(running, timeout=END_SECS)
    for task in (*running, *feeding, asked):
        task.cancel()
    await asyncio.gather(*running, *feeding, asked, return_exceptions=True)
    feed.close()
    publishing.shutdown()
    storing.submit(store.close).result()
    storing.shutdown()
    bus.close()
    lock.release()
    for task in done - {asked}:
        task.result()  # a bug of ours: the relay ends, and its parent starts it again


async def _alone(project: Project, ending: Ending) -> FileLock | None:
    """Return the lock of the one relay of this environment, once that of a killed `up` has let go; None at the end."""
    while not ending.asked.is_set():
        try:
            return FileLock(
                project.state / "relay.lock",
                what="another relay (process {process}) sends for this environment",
                fix="it ends with its `headrace up`; if it does not: kill {process}",
            )
        except BusyError as busy:
            say(problem=str(busy))
        await ending.asked_within(0.2)
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
    sys.exit(run_child(relay, *sys.argv[1:]))
