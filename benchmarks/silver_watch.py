"""Seeing how fresh silver is: `up` runs, a publisher sends, and a reader beside them looks what is committed.

The reader looks every 50 ms whether the catalog's files have changed, as `headrace good --follow` does, and then asks
which batches are committed (a batch and its rows of silver are one commit).
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from shop_project import start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POLL_SECS = 0.05

Seen = list[tuple[float, int]]
"""When it was seen, and up to which message silver had a source then."""


def lived(
    root: Path, publish: Callable[[], Any], upto: dict[str, int], last_commit_secs: float
) -> tuple[Any, dict[str, Seen]]:
    """Run `up` and publish, until each source is seen up to a message, or for so long; then let `up` drain.

    Return what `publish` does, and what was seen of each source.
    """
    up, _ = start(root, collector=False)
    seen: dict[str, Seen] = {name: [] for name in upto}
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(root, seen, stop))
    watcher.start()
    try:
        done = publish()
        deadline = time.monotonic() + last_commit_secs
        while time.monotonic() < deadline and any(not each or each[-1][1] < upto[name] for name, each in seen.items()):
            time.sleep(POLL_SECS)
        stop.set()
        watcher.join()
        up.send_signal(signal.SIGTERM)
        up.communicate(timeout=600)
    finally:
        stop.set()
        up.kill()
        up.wait()
    return done, seen


def freshness(began: np.ndarray, seen: Seen, per_publish: int) -> np.ndarray:
    """Return how long after its beginning each publish was seen, the last event of it: it is one transaction."""
    times, upto = np.array([each[0] for each in seen]), np.array([each[1] for each in seen])
    last = (np.arange(len(began)) + 1) * per_publish
    found = np.searchsorted(upto, last)
    if found.max() >= len(times):
        raise SystemExit(f"{last[-1]} events were published, and {upto[-1] if len(upto) else 0} were seen in time")
    fresh: np.ndarray = times[found] - began
    return fresh


def _changed(lake: Path) -> tuple[tuple[int, int], ...]:
    """Return what is another value after each commit."""
    found = []
    for each in sorted(lake.glob("catalog.db*")):
        with suppress(FileNotFoundError):  # SQLite removes its log with the last connection
            found.append(each.stat())
    return tuple((each.st_mtime_ns, each.st_size) for each in found)


def _watch(root: Path, seen: dict[str, Seen], stop: threading.Event) -> None:
    """Note, again and again, up to which message each source is committed."""
    from headrace.config.project import load_project
    from headrace.lake.reader import open_reader

    state = load_project(root).state / "lake"
    with open_reader(state) as lake:
        if lake is None:
            raise SystemExit("up has made no lake")
        before: tuple[tuple[int, int], ...] = ()
        while not stop.wait(POLL_SECS):
            if (now := _changed(state)) == before:
                continue
            before = now
            for row in lake.rows("SELECT source, max(next_seq) AS upto FROM lake.ops.batches GROUP BY ALL"):
                if row["source"] in seen:
                    seen[row["source"]].append((time.monotonic(), row["upto"]))
