"""A child's life from within: it lives until it is asked, and says why it ended early."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading

import pytest

from headrace.runtime.child_life import Ending
from living import project_of

LIVES = """
import sys
from headrace.errors import LakeError
from headrace.runtime.child import say
from headrace.runtime.child_life import run_child

def live(project, ending):
    say(alive=sorted(project.sources))
    ending.asked.wait()
    if "fails" in sys.argv:
        raise LakeError("the lake is gone", fix="look for it")

sys.exit(run_child(live, *sys.argv[1:3]))
"""


@pytest.fixture
def started(tmp_path):
    with contextlib.ExitStack() as made:

        def start(folder, *more):
            command = [sys.executable, "-c", LIVES, str(folder), "local", *more]
            pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
            one = made.enter_context(subprocess.Popen(command, text=True, **pipes))
            made.callback(one.kill)
            return one

        yield start


def test_it_lives_until_it_is_asked_and_says_what_goes_wrong(tmp_path, started):
    root = project_of(tmp_path).root
    terminated, orphaned = started(root), started(root, "fails")
    for one in (terminated, orphaned):
        assert json.loads(one.stdout.readline()) == {"alive": ["orders"]}
        assert one.poll() is None
    terminated.terminate()
    orphaned.stdin.close()
    assert [terminated.wait(60), orphaned.wait(60)] == [0, 2]
    assert json.loads(orphaned.stdout.readline()) == {"problem": "the lake is gone. look for it"}
    assert "the lake is gone" in orphaned.stderr.read(), "and to its log"


def test_who_waits_in_an_event_loop_hears_it_from_any_thread_before_or_meanwhile():
    early, late = Ending(), Ending()
    early.ask()

    async def heard() -> list[bool]:
        before = [await early.asked_within(), await late.asked_within(0.001)]
        threading.Timer(0.05, late.ask).start()
        return [*before, await late.asked_within()]

    assert asyncio.run(heard()) == [True, False, True]
    late.ask()  # the loop has closed
