"""One process at a time: an advisory lock on a file, gone with the process that held it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from headrace.disk import disk_error, make_folder
from headrace.errors import BusyError

if TYPE_CHECKING:
    from pathlib import Path


class FileLock:
    """Held from construction to `release`; never survives its process, however that ends."""

    def __init__(self, path: Path, *, what: str, fix: str) -> None:
        """Take the lock, or raise `BusyError`; `{process}` in `what` and `fix` is the holder's process id.

        Raises `SpaceError` or `LakeError` where the disk has no file for it.
        """
        try:
            make_folder(path.parent)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as problem:
            raise disk_error(problem, str(path)) from problem
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            holder = os.pread(self._handle, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._handle)
            what, fix = (text.replace("{process}", holder) for text in (what, fix))
            raise BusyError(what, at=str(path), fix=fix) from problem
        with contextlib.suppress(OSError):  # who holds it is only told; a full disk must not keep it held for ever
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let others take it."""
        os.close(self._handle)
