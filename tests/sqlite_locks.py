"""Whether a SQLite file is in use, asked as another process would that opens it."""

from __future__ import annotations

import subprocess
import sys

SHARED = 128  # where SQLite keeps the lock that says that a file's shared memory is in use
TAKE = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int(sys.argv[2]))"


def is_in_use(path):
    """Return whether anybody holds the lock: the shared memory of a file that nobody has in use is cut off."""
    taking = [sys.executable, "-c", TAKE, f"{path}-shm", str(SHARED)]
    return subprocess.run(taking, capture_output=True, check=False).returncode != 0
