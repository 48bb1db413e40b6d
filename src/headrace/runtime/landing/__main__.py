"""Run as `python -m headrace.runtime.landing PROJECT ENVIRONMENT`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from headrace.runtime.child import say, when_parent_ends
from headrace.runtime.landing.watch import Landing


def main() -> None:
    """Watch a project's files until the parent ends or SIGTERM comes."""
    stop = threading.Event()
    when_parent_ends(stop.set)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    from headrace.config.project import load_project

    landing = Landing(load_project(Path(sys.argv[1]), sys.argv[2]), stop)
    said: dict[str, object] = {}

    def told() -> None:
        nonlocal said
        problem = "; ".join(f"{source}: {reason}" for source, reason in sorted(landing.problems.items()))
        now: dict[str, object] = {"files": landing.manifest.counts(), "problem": problem}
        if now != said:
            said = now
            say(**now)

    ended = landing.run(told)
    landing.close()
    if not ended:
        os._exit(0)  # the interpreter would wait for the threads that a store's library has of its own


if __name__ == "__main__":
    main()
