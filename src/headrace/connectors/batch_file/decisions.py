"""What to do with a file that lies in a watched folder: decided from what is seen and what is known, purely."""

from __future__ import annotations

import datetime as dt
from enum import Enum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from headrace.durations import Duration
from headrace.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.connectors.batch_file.manifest import Entry

UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".filepart", ".swp", "~")
"""How the names of files end that somebody is still writing."""


class FilesSpec(Spec):
    """How a folder of files is watched."""

    every: Duration = Field(
        dt.timedelta(seconds=2), description="How often to look for files, where there is no `schedule`."
    )
    settle: Duration = Field(
        dt.timedelta(seconds=2), description="How long a file must lie unchanged before it is taken."
    )
    only: tuple[str, ...] = Field(
        (), description="Globs such as `*.csv.gz` or `2026/*.csv`: only files whose path ends like one (default: all)."
    )
    max_unpacked_bytes: int = Field(
        100 << 30, ge=1, description="How many bytes may come out of one compressed file or archive."
    )
    max_unpacked_ratio: int = Field(
        1000, ge=1, description="How many times its size a compressed file may unfold to, beyond the first 64 MiB."
    )


class Found(NamedTuple):
    """A file as a listing shows it: `version` is another one whenever it changed.

    `modified` is when it was last written, in seconds since 1970; None where files appear whole, as in a bucket. A
    `fault` says why it may not be read.
    """

    path: str
    size: int
    version: str
    modified: float | None
    fault: str = ""


class Step(Enum):
    """What is done with a file in one look at its folder."""

    NOTE = "note that it is there, or changed before it was taken"
    WAIT = "look again later"
    TAKE = "take it, or go on taking it"
    AGAIN = "it changed after it was taken: its new version waits"
    REFUSE = "it may not be read"
    SKIP = "all is done"


def decide(known: Entry | None, found: Found, now: float, settle_secs: float, settings: str) -> Step:
    """Return what to do with a file; `settings` stand for how it would be read now.

    A file that failed is taken up again when it changed, or when it would be read in another way.
    """
    if found.fault:
        refused = known is not None and known.state == "failed" and known.message == found.fault
        return Step.SKIP if refused else Step.REFUSE
    if known is None:
        return Step.NOTE
    changed = (known.size, known.version) != (found.size, found.version)
    match known.state:
        case "waiting" if not changed and known.seen <= now:  # else the clock was set back: it is seen anew
            return Step.TAKE if _settled(found, known.seen, now, settle_secs) else Step.WAIT
        case "reading" if not changed:
            return Step.TAKE if known.settings == settings else Step.NOTE
        case "reading" | "done" if changed:
            return Step.AGAIN
        case "failed" if not changed and known.settings == settings:
            return Step.SKIP
        case "done":
            return Step.SKIP
        case _:
            return Step.NOTE


def is_wanted(path: str, only: Sequence[str]) -> bool:
    """Say whether a path ends as one of these globs says; any path does where there are none."""
    return not only or any(PurePosixPath(path).match(glob) for glob in only)


def is_ignored(path: str) -> bool:
    """Say whether a path is none of a source's files, by the conventions of those who write files."""
    return any(part.startswith((".", "_")) for part in PurePosixPath(path).parts) or path.lower().endswith(UNFINISHED)


def _settled(found: Found, seen: float, now: float, settle_secs: float) -> bool:
    """Say whether nobody writes the file any more, as far as its times tell.

    The clock of whoever wrote it may be ahead: then it is enough that nothing changed since it was seen.
    """
    return found.modified is None or now - found.modified >= settle_secs or now - seen >= settle_secs
