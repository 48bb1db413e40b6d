"""Making files survive a power cut, and saying who must act where a disk refuses."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

from headrace.errors import LakeError, SpaceError

if TYPE_CHECKING:
    from pathlib import Path

_FULL_SYNC = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync alone does not reach the platter


def sync(path: Path) -> None:
    """Make durable the bytes of a file, whoever wrote them, or the names in a folder. Raises `OSError`."""
    handle = os.open(path, os.O_RDONLY)
    try:
        if _FULL_SYNC is not None:
            fcntl.fcntl(handle, _FULL_SYNC)
        else:
            os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, each durable in its parent. Raises `OSError`."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        sync(each.parent)


def is_full(problem: OSError) -> bool:
    """Say whether the operating system means that a disk, or a share of it, is full."""
    if problem.errno is not None:
        return problem.errno in {errno.ENOSPC, errno.EDQUOT}
    text = str(problem)  # of Arrow, which knows no numbers
    return "No space left" in text or "quota" in text.lower()


def disk_error(problem: OSError, at: str) -> LakeError | SpaceError:
    """Map what the operating system says of a disk to who must act."""
    if is_full(problem):
        return SpaceError("the disk is full", at=at, fix="free some space: nothing is lost, work goes on by itself")
    return LakeError(f"the lake's disk refuses: {problem}", at=at, fix="check the disk and its permissions")
