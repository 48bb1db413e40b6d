"""Run as `python -m headrace.runtime.landing PROJECT ENVIRONMENT`: the watched files, taken by a child of `up`.

It says {"files": {source: {state: count}}, "problem"} when that changed.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from headrace.runtime.child import say
from headrace.runtime.child_life import run_child
from headrace.runtime.landing.memory import hold_memory
from headrace.runtime.landing.watch import Landing

if TYPE_CHECKING:
    from headrace.config.project import Project
    from headrace.runtime.child_life import Ending


def watch(project: Project, ending: Ending) -> None:
    """Watch a project's files until asked to end."""
    landing = Landing(project, ending.asked)
    hold_memory(len(landing.sources))
    said: dict[str, object] = {}

    def told() -> None:
        nonlocal said
        troubles = landing.troubles(time.monotonic())
        problem = "; ".join(f"{source}: {reason}" for source, reason in sorted(troubles.items()))
        now: dict[str, object] = {"files": landing.manifest.counts(), "problem": problem}
        if now != said:
            said = now
            say(**now)

    ended = landing.run(told)
    landing.close()
    if not ended:
        os._exit(0)  # the interpreter would wait for the threads that a store's library has of its own


if __name__ == "__main__":
    sys.exit(run_child(watch, *sys.argv[1:]))
