"""One at a time: advisory locks on files, gone with the process that held them, however it ends.

`FileLock` tells who comes second who holds it; `hold` waits for its turn; `hold_if_free` goes on without.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from headrace.disk import disk_error, make_folder
from headrace.errors import BusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Self


class FileLock:
    """Held from construction to `release`, or to the end of a `with` block."""

    def __init__(self, path: Path, *, what: str, fix: str) -> None:
        """Take the lock, or raise `BusyError`; `{process}` in `what` and `fix` is the holder's process id.

        Raises `SpaceError` or `LakeError` where the disk has no file for it.
        """
        try:
            make_folder(path.parent)
            self._handle = _open(path)
            mine = _taken(self._handle)
        except OSError as problem:
            raise disk_error(problem, str(path)) from problem
        if not mine:
            holder = os.pread(self._handle, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._handle)
            what, fix = (text.replace("{process}", holder) for text in (what, fix))
            raise BusyError(what, at=str(path), fix=fix)
        with contextlib.suppress(OSError):  # who holds it is only told; a full disk must not keep it held for ever
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, str(os.getpid()).encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def fileno(self) -> int:
        """Return what a child may inherit: the lock is then held until the last process ends that has it."""
        return self._handle

    def release(self) -> None:
        """Let others take it."""
        os.close(self._handle)


@contextlib.contextmanager
def hold(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Wait for a lock, and hold it while the block runs; `shared`: beside others that share it. Raises `OSError`."""
    handle = _open(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def hold_if_free(path: Path, again: Callable[[], bool] = lambda: False) -> Iterator[bool]:
    """Hold a lock while the block runs, unless it is another's; say which. Raises `OSError`.

    While it is another's, `again` waits a moment and says whether to try once more.
    """
    handle = _open(path)
    try:
        mine = _taken(handle)
        while not mine and again():
            mine = _taken(handle)
        yield mine
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _taken(handle: int) -> bool:
    """Take the lock if nobody has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
