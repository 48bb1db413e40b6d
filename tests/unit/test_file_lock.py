"""One process at a time, and no lock that outlives a full disk."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from headrace.errors import BusyError, LakeError
from headrace.file_lock import FileLock, hold, hold_if_free


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
        "import resource, signal, sys; from pathlib import Path; from headrace.file_lock import FileLock\n"
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


def test_a_lock_that_is_anothers_is_left_or_tried_again(tmp_path):
    path = tmp_path / "x.lock"
    with taken(path):
        with hold_if_free(path) as mine:
            assert not mine
        answers = iter([True, True, False])
        with hold_if_free(path, lambda: next(answers)) as mine:
            assert not mine
        assert next(answers, None) is None, "it asked as long as it was told to"
    with hold_if_free(path) as mine:
        assert mine
    taken(path).release()


@pytest.mark.parametrize("shared", [False, True])
def test_who_holds_alone_waits_for_all_and_who_shares_for_nobody_that_shares(tmp_path, shared):
    path = tmp_path / "x.lock"
    order = []

    def wait() -> None:
        with hold(path):
            order.append("alone")

    waits = threading.Thread(target=wait)
    with hold(path, shared=shared):
        if shared:
            with hold(path, shared=True):
                pass
        waits.start()
        waits.join(0.05)
        order.append("first")
    waits.join()
    assert order == ["first", "alone"]
