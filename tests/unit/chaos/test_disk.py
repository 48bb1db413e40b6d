"""The shim: it stands in front of libc in a process that was started with it, and does nothing until it is armed."""

import os
import subprocess
import sys
from textwrap import dedent

import pytest

from headrace.chaos.disk import compiled

ARMING = """
import ctypes, errno, os, sys
root, shadow = sys.argv[1:3]
def arm(shadow="", full=-1, refusals=0, torn=-1, share=0.0):
    begin = ctypes.CDLL(None).headrace_chaos_arm
    begin.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_long, ctypes.c_long, ctypes.c_long, ctypes.c_double]
    begin(root.encode(), shadow.encode(), full, refusals, torn, share)
file = os.open(root + "/file", os.O_RDWR | os.O_CREAT)
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    made = compiled(tmp_path_factory.mktemp("shim"))
    if made.library is None:
        pytest.skip(made.why)
    return made.library


@pytest.fixture
def lived(shim, tmp_path):
    """Run a few lines over an armed folder; return the folder, its shadow and how the process ended."""

    def run(code):
        root, shadow = tmp_path / "root", tmp_path / "shadow"
        for folder in (root, shadow):
            folder.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-S", "-c", ARMING + dedent(code), str(root), str(shadow)],
            env={**os.environ, "LD_PRELOAD": str(shim)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.stderr, done.stderr
        return root, shadow, done

    return run


def test_a_disk_that_fills_takes_what_fits_then_refuses_then_has_space_again(lived):
    root, _, done = lived("""
        arm(full=10, refusals=2)
        assert os.write(file, b"a" * 6) == 6
        assert os.write(file, b"b" * 6) == 4           # what fits
        for _ in range(2):
            try:
                os.write(file, b"c")
                raise SystemExit("it was taken")
            except OSError as full:
                assert full.errno == errno.ENOSPC
        assert os.pwrite(file, b"d", 0) == 1           # what makes no file longer takes no space
        assert os.write(file, b"c") == 1               # somebody made space
        other = os.open(root + "/../beside", os.O_RDWR | os.O_CREAT)
        assert os.write(other, b"x" * 100) == 100
        assert ctypes.CDLL(None).headrace_chaos_refused() == 2
    """)
    assert done.returncode == 0
    assert (root / "file").read_bytes() == b"daaaaabbbbc"


def test_a_torn_write_ends_the_process_in_its_middle(lived):
    root, _, done = lived("""
        arm(torn=2, share=0.5)
        os.write(file, b"aaaa")
        os.pwrite(file, b"bbbb", 4)
        os.write(file, b"never")
    """)
    assert done.returncode == -9
    assert (root / "file").read_bytes() == b"aaaabb"


def test_what_is_synced_is_remembered_and_what_is_not_is_not(lived):
    root, shadow, done = lived("""
        arm(shadow=shadow)
        os.write(file, b"synced"); os.fsync(file); os.write(file, b" and more")
        folder = os.open(root, os.O_RDONLY); os.fsync(folder)
        os.open(root + "/later", os.O_RDWR | os.O_CREAT)
        os.open(root + "/gone", os.O_RDWR | os.O_CREAT); os.unlink(root + "/gone")
    """)
    assert done.returncode == 0
    inode = (root / "file").stat().st_ino
    assert (shadow / f"c.{inode}").read_bytes() == b"synced"
    assert (shadow / f"d.{root.stat().st_ino}").read_text() == f"{inode} file\n"
    assert len(list(shadow.glob("g.*"))) == 1


def test_sqlite_is_seen(lived):
    """Every commit of SQLite that says it is durable was synced through the shim."""
    _, _, done = lived("""
        import sqlite3
        arm(shadow=shadow)
        db = sqlite3.connect(root + "/db", isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL"); db.execute("PRAGMA synchronous=FULL")
        db.execute("CREATE TABLE t AS SELECT 1 AS x")
        wal = os.stat(root + "/db-wal")
        assert open(f"{shadow}/c.{wal.st_ino}", "rb").read() == open(root + "/db-wal", "rb").read()
        os._exit(0)
    """)
    assert done.returncode == 0
