"""How much memory the process that takes files may use: a file that wants more fails, and not the process."""

from __future__ import annotations

import os
import re
from pathlib import Path

MOST_BYTES, LEAST_BYTES = 3 << 30, 1 << 30
THREAD_BYTES = 16 << 20  # the stack of a thread counts in full, and what it allocates by itself


def hold_memory(threads: int) -> None:
    """Let what is allocated from now on fail beyond 3 GiB, or half of the machine's memory where that is less.

    The readers of files are bounded by themselves; this is for what a damaged file makes a library ask for. Does
    nothing where the system does not say what a process uses, or has no such limit.
    """
    import resource

    try:
        told = re.search(r"^VmData:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return
    if told is None:
        return
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    more = min(MOST_BYTES, max(LEAST_BYTES, machine // 2))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = int(told[1]) * 1024 + threads * THREAD_BYTES + more
    if hard in {resource.RLIM_INFINITY, -1} or limit < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
