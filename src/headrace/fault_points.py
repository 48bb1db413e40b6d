"""Fault points: the named places right before and right after every durable step, where chaos may strike.

A step is passed as `reach("bus.publish.before")`, then the write that lasts, then `reach("bus.publish.after")`. Nobody
listens unless `watch` says so: then a pass is one comparison with None. Names are stable; `docs/concepts/chaos.md` has
them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS: Final = {
    "bus.create": "the file of a new topic gets its name",
    "bus.publish": "messages, and the number that their producer comes to next, are committed to their topic",
    "bus.ack": "the cursor of a subscription moves on",
    "bus.retain": "messages that everybody acked are deleted from their topic",
    "bus.salvage": "a new file takes the place of a damaged topic, with what could be read of it",
    "tick.bronze": "a batch's raw messages are staged",
    "tick.commit": "a tick is committed: the batches of some sources, with their positions",
    "tick.ack": "the bus is told of a batch that is committed",
    "lake.create": "the catalog of a new lake gets its name",
    "lake.file": "a Parquet file of ours is written, synced, and its name in its folder too",
    "lake.sync": "a written Parquet file is synced",
    "lake.register": "the files of a commit are named in the catalog's open transaction",
    "lake.delete": "rows of silver are deleted in the catalog's open transaction",
    "lake.commit": "a transaction of the catalog is committed",
    "lake.decide": "history that was decided again takes its place, in the catalog's open transaction",
    "lake.replace": "tables made anew from bronze take the place of damaged ones, in the catalog's open transaction",
    "lake.compact": "small files of a table are merged into larger ones",
    "lake.expire": "snapshots that nobody can read any more are dropped from the catalog",
    "lake.clean": "files that no snapshot names are removed",
    "lake.copy": "the copy of the catalog gets its name",
    "lake.restore": "the copy of the catalog takes the place of a damaged one",
    "lake.keys": "what the newest commits added to the index of keys is in a file",
    "lake.keys_state": "the index of keys says which files it has, and which rows these hold",
    "lake.reference": "a version of reference data gets its name",
    "deployment.record": "the project's files are recorded as what is deployed",
    "gold.branch": "gold's catalog is copied for a build",
    "gold.build": "dbt builds and tests the models on the branch",
    "gold.sync": "what the branch names is synced",
    "gold.adopt": "the branch becomes a catalog of its own name",
    "gold.publish": "the file that says what is published is replaced",
    "gold.sweep": "catalogs and files of builds that are not kept are removed",
    "spool.put": "a segment of the collector's spool gets its name",
    "spool.drop": "a segment that was published is removed",
    "relay.note": "what became of a push's round is noted",
    "landing.note": "what became of a landed file is noted in the manifest",
}
"""Every durable step, and what it does."""

POINTS: Final = tuple(f"{step}.{side}" for step in STEPS for side in ("before", "after"))
"""Every point: the step has not begun to last, or lasts already and nobody was told."""

_watcher: Callable[[str], None] | None = None


def reach(point: str) -> None:
    """Pass a point. Raises, pauses or ends the process where the watcher says so; does nothing where there is none."""
    if _watcher is not None:
        _watcher(point)


def watch(watcher: Callable[[str], None] | None) -> None:
    """Have every pass of a point, in any thread of this process, call `watcher`; None: nobody."""
    global _watcher  # noqa: PLW0603 - one process, one watcher: that is what makes a pass cost nothing
    _watcher = watcher
