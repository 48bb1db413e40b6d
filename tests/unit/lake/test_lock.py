"""One process at a time, and no lock that outlives a full disk."""

from __future__ import annotations

import subprocess
import sys

import pytest

from headrace.errors import BusyError, LakeError
from headrace.lake.lock import FileLock


def taken(path):
    return FileLock(path, what="taken by {process}", fix="wait for {process}")


def test_a_second_holder_is_told_who_has_it(tmp_path):
    lock = taken(tmp_path / "x.lock")
    with pytest.raises(BusyError, match=r"taken by \d+"):
        taken(tmp_path / "x.lock")
    lock.release()
    taken(tmp_path / "x.lock").release()


def test_a_disk_that_takes_no_byte_leaves_no_lock_behind(tmp_path):
    program = (
        "import resource, signal, sys; from pathlib import Path; from headrace.lake.lock import FileLock\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "path = Path(sys.argv[1]); hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))\n"
        "FileLock(path, what='taken', fix='').release()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
        "FileLock(path, what='taken', fix='').release()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "x.lock")], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_place_without_room_for_a_file_is_an_error_of_ours(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LakeError):
        taken(tmp_path / "file" / "x.lock")
