"""What tests need of the machine that they run on: patience, a free port, a small disk."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def wait_until(what: Callable[[], Any], secs: float = 120.0, why: str = "it never came to be") -> None:
    """Wait until something is so; fail where it never is."""
    deadline = time.monotonic() + secs
    while not what():
        assert time.monotonic() < deadline, why
        time.sleep(0.03)


_PORTS = itertools.cycle(range(10_000 + os.getpid() % 200 * 100, 10_100 + os.getpid() % 200 * 100))
"""Below those that systems give to whoever asks for any, and each process of tests has its own: a port stays free until
the test binds it, also while what listened there is killed and started again."""


def free_port() -> int:
    """Return a port of this machine that nobody listens on, and that nobody else is given."""
    for port in itertools.islice(_PORTS, 100):
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")


@contextmanager
def not_outliving(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill a process at the end, if it still is there."""
    with process:
        try:
            yield
        finally:
            process.kill()


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """Make a folder on a disk of its own; skip the test where none can be mounted."""
    folder.mkdir()
    if sys.platform != "linux" or shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("a small disk can only be mounted by root on Linux")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
