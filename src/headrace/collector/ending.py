"""When a process of the collector is to end: asked by a signal, or by the end of its parent."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading

from headrace.runtime.child import when_parent_ends


class Ending:
    """Whether this process was asked to end; may be asked before there is an event loop, and from any thread."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heard = asyncio.Event()

    def ask(self) -> None:
        """Ask it to end."""
        self._asked.set()
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile
                self._loop.call_soon_threadsafe(self._heard.set)

    def wait(self, secs: float) -> bool:
        """Wait for so long at most, where there is no event loop; return whether it was asked."""
        return self._asked.wait(secs)

    async def asked_within(self, secs: float) -> bool:
        """Wait for so long at most; return whether it was asked."""
        self._loop = asyncio.get_running_loop()
        if not self._asked.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), secs)
        return self._asked.is_set()


def when_asked() -> Ending:
    """Return what is asked by SIGTERM and SIGINT, and once the parent is gone. Called in the main thread, first."""
    ending = Ending()
    when_parent_ends(ending.ask)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.ask())
    return ending
