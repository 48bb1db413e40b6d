"""The disk of chaos: `disk.c`, compiled where there is a compiler, loaded in front of libc, armed life by life."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.chaos.schedule import Disk

NEEDS_SHIM = ("full disk", "torn write", "power cut")
"""What cannot be tried without it; a full disk is then only told at fault points."""


class Shim(NamedTuple):
    """The compiled library, or why there is none and what to do about it."""

    library: Path | None
    why: str = ""


def compiled(folder: Path) -> Shim:
    """Compile the shim into a folder."""
    if not sys.platform.startswith("linux"):
        return Shim(None, "these need Linux, whose C library lets another one stand in front of it")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return Shim(None, "there is no C compiler: install one, such as `apt install gcc`")
    library = folder / "disk.so"
    with as_file(files("headrace.chaos") / "disk.c") as source:
        done = subprocess.run(  # noqa: S603 - our own source
            [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl", "-lpthread"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        return Shim(None, f"{compiler} does not compile the disk of chaos: {done.stderr.strip()[:300]}")
    return Shim(library)


def is_loaded() -> bool:
    """Say whether the shim stands in front of this process's C library."""
    return hasattr(ctypes.CDLL(None), "headrace_chaos_arm")


def arm(root: Path, shadow: Path | None, disk: Disk) -> None:
    """Let the disk of this process, below `root`, do what is planned; with a shadow, it remembers what was synced."""
    begin = ctypes.CDLL(None).headrace_chaos_arm
    begin.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_long, ctypes.c_long, ctypes.c_long, ctypes.c_double]
    begin(
        str(root).encode(),
        str(shadow).encode() if shadow is not None else b"",
        -1 if disk.full_after_bytes is None else disk.full_after_bytes,
        disk.refusals,
        -1 if disk.torn_write is None else disk.torn_write,
        disk.torn_share,
    )


def was_full() -> bool:
    """Say whether the disk of this process has refused a write."""
    return bool(ctypes.CDLL(None).headrace_chaos_refused())
