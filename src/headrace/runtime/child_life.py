"""The life of a child of `up`, from within (`child` is its parent's side): it is told when to end, and says why it did.

It ends on SIGTERM or SIGINT, and once its parent is gone; each lets it finish what it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.config.project import load_project
from headrace.errors import HeadraceError
from headrace.runtime.child import say, when_parent_ends

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.config.project import Project

log = logging.getLogger("headrace.child")


class Ending:
    """Whether this process was asked to end; may be asked before there is an event loop, and from any thread.

    `asked` is for those who wait in threads, `asked_within` for those in the event loop.
    """

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heard = asyncio.Event()

    def ask(self) -> None:
        """Ask it to end."""
        self.asked.set()
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile
                self._loop.call_soon_threadsafe(self._heard.set)

    async def asked_within(self, secs: float | None = None) -> bool:
        """Wait until it is asked, for so long at most; return whether it was."""
        self._loop = asyncio.get_running_loop()
        if not self.asked.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), secs)
        return self.asked.is_set()


def when_asked() -> Ending:
    """Return what is asked by the signals, and once the parent is gone. Called in the main thread, first of all."""
    ending = Ending()
    when_parent_ends(ending.ask)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.ask())
    return ending


def run_child(live: Callable[[Project, Ending], None], folder: str, environment: str) -> int:
    """Load a project and `live` until asked to end; return the exit code: 2 after an error that the parent was told."""
    ending = when_asked()
    try:
        live(load_project(Path(folder), environment), ending)
    except HeadraceError as problem:
        say(problem=str(problem))
        log.error("%s", problem)
        return 2
    return 0
