"""The child processes of `up`: heard, started again, ended for sure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from headrace.runtime.child import Child
from machine import wait_until

MODULE = "a_child_of_the_tests"


@pytest.fixture
def child(tmp_path, monkeypatch):
    made = []

    def make(body: str, *arguments: str) -> Child:
        (tmp_path / f"{MODULE}.py").write_text(dedent(body))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
        made.append(Child("test", MODULE, arguments, tmp_path / "logs" / "child.log"))
        return made[-1]

    yield make
    for each in made:
        each.stop(0.5)


LISTENS = """
    import os, signal, sys, threading
    from headrace.runtime.child import say, when_parent_ends
    done = threading.Event()
    when_parent_ends(done.set)
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    if len(sys.argv) > 2:
        while os.path.exists(sys.argv[2]) and not done.wait(0.02):
            pass
    say(listening="here", given=sys.argv[1:])
    done.wait()
    open(sys.argv[1], "w").write("ended in order")
"""


def test_what_a_child_says_is_heard_and_sigterm_ends_it_in_order(child, tmp_path):
    one = child(LISTENS, str(tmp_path / "end"))
    one.start()
    wait_until(lambda: one.said)
    assert one.said == {"listening": "here", "given": [str(tmp_path / "end")]}
    assert one.problem == ""
    one.stop()
    assert one.pid is None
    assert (tmp_path / "end").read_text() == "ended in order"


def test_a_child_that_dies_is_started_again_and_its_problem_shown_meanwhile(child, tmp_path):
    silent = tmp_path / "silent"
    one = child(LISTENS, str(tmp_path / "end"), str(silent))
    one.start()
    wait_until(lambda: one.said)
    first = one.pid
    silent.touch()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: "code -9" in one.problem)
    silent.unlink()
    wait_until(lambda: one.pid not in (None, first) and one.said and not one.problem)


def test_the_reason_that_a_child_gives_for_its_end_is_its_problem(child):
    one = child(
        """
        from headrace.runtime.child import say
        say(problem="port 8080 is taken")
        raise SystemExit(1)
        """
    )
    one.start()
    wait_until(lambda: one.problem == "port 8080 is taken")


def test_a_child_that_cannot_be_started_is_tried_again(child, tmp_path):
    one = child(LISTENS, str(tmp_path / "end"))
    (tmp_path / "logs").write_text("no folder")
    one.start()
    wait_until(lambda: "could not be started" in one.problem)
    (tmp_path / "logs").unlink()
    wait_until(lambda: one.said and not one.problem)


def test_what_is_not_text_is_not_listened_to(child):
    one = child(
        r"""
        import sys, time
        from headrace.runtime.child import say
        sys.stdout.buffer.write(b"\xff\xfe not text\n")
        say(listening="here")
        time.sleep(60)
        """
    )
    one.start()
    wait_until(lambda: one.said == {"listening": "here"})


def test_a_child_that_does_not_listen_is_killed(child):
    one = child(
        """
        import signal, time
        from headrace.runtime.child import say
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say(deaf=True)
        time.sleep(60)
        """
    )
    one.start()
    wait_until(lambda: one.said)
    pid = one.pid
    one.stop(0.3)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_child_ends_when_its_parent_is_killed(child, tmp_path):
    child(LISTENS)
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from headrace.runtime.child import Child\n"
            f"c = Child('x', {MODULE!r}, [{str(tmp_path / 'end')!r}], Path({str(tmp_path / 'log')!r})); c.start()\n"
            "while not c.said: time.sleep(0.02)\n"
            "print(c.pid, flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or _gone(pid))
    assert (tmp_path / "end").read_text() == "ended in order"


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
