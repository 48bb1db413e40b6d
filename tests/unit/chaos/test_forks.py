"""Children: what they said reaches us however they end."""

import subprocess
import sys
from textwrap import dedent

ENDS = """
import os, signal, threading
from headrace.chaos.forks import Child

def killed(say):
    say(at=1)
    os.kill(os.getpid(), signal.SIGKILL)

def failed(say):
    raise ValueError("no")

assert Child(lambda say: say(at=1)).wait(10) == ("ended", [{"at": 1}], "")
assert Child(killed).wait(10)[:2] == ("killed", [{"at": 1}])
end = Child(failed).wait(10)
assert end.end == "failed" and end.why.endswith("ValueError: no\\n")
assert Child(lambda say: threading.Event().wait()).wait(10, kill_after_secs=0.01).end == "killed"
assert Child(lambda say: threading.Event().wait()).wait(0.05).end == "stuck"
"""


def test_every_end_is_told():
    """In a process of its own: one that forks has no other threads."""
    done = subprocess.run([sys.executable, "-c", dedent(ENDS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
