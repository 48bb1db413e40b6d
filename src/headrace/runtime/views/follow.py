"""Following a source: what is committed from here on, as it is committed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from headrace.errors import LakeError
from headrace.lake.catalog import CATALOG
from headrace.runtime.views.recent import START

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

POLL_SECS = 0.2
LOOK_ANYWAY_SECS = 5.0
PAGE = 2_000
MOST_FAILURES = 10  # in a row, a poll apart: it will not heal by itself


def follow(
    lake: Path,
    read: Callable[[int, int], dict[str, Any]],
    cursor: int,
    over: Callable[[], bool] = lambda: False,
    page: int = PAGE,
) -> Iterator[list[dict[str, Any]]]:
    """Yield what is committed to the lake in a folder after a cursor, as it is committed, until `over`.

    Nothing is missed or yielded twice. `read` takes a cursor and a limit to a document of `good` or `bad`. An `up` that
    starts, stops or was never started, and a lake that is busy for a moment, are waited for; one that was removed and
    made anew is read from its start. Between commits an empty list is yielded, so that the caller has a turn.
    """
    seen: _Mark = ()
    looked_at = 0.0
    failures = 0
    while not over():
        now = _mark(lake)
        if now != seen or time.monotonic() - looked_at > LOOK_ANYWAY_SECS:
            if now[:1] != seen[:1] and seen[:1] not in {(), (None,)}:
                cursor = START  # another catalog is in its place
            looked_at = time.monotonic()
            try:
                document = read(cursor, page)
            except LakeError:
                failures += 1
                if failures >= MOST_FAILURES:
                    raise
            else:
                failures = 0
                cursor, events = document["cursor"], document["events"]
                # A full page may not be the last one: look again at once, whatever was committed meanwhile.
                seen = now if len(events) < page else now[:1]
                yield events
                continue
        yield []
        time.sleep(POLL_SECS)


_Mark = tuple[object, ...]


def _mark(folder: Path) -> _Mark:
    """Return which catalog is in a folder, and what changes with every commit to it: a look costs no query."""
    marks: list[object] = []
    for name in (CATALOG, f"{CATALOG}-wal"):
        try:
            found = (folder / name).stat()
        except OSError:
            marks += [None, None]
        else:
            marks += [found.st_ino, (found.st_size, found.st_mtime_ns)]
    return tuple(marks)
