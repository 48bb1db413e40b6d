"""`make demo`'s script, whole: a new project to published gold, in a temporary folder that it leaves behind."""

import os
import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "demo.sh"


def test_the_demo_ends_well_and_leaves_its_project(tmp_path):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", str(SCRIPT)],
        env={**os.environ, "PATH": path, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = re.search(r"^The project is in (\S+), and stays there", done.stdout, re.MULTILINE)
    assert said, done.stdout
    project = Path(said[1])
    assert project.is_relative_to(tmp_path)
    assert (project / "headrace.yaml").is_file()
    assert re.search(r"^orders +200 +160 +29 +8 +3 +0$", done.stdout, re.MULTILINE)
    assert re.search(r"^2025-01-06 +EUR +14 +13 +3436\.70", done.stdout, re.MULTILINE)


def test_a_step_that_fails_fails_the_demo(tmp_path):
    fake = tmp_path / "bin" / "headrace"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\n[ "$1" = init ] && mkdir shop\n[ "$1" != publish ]\n')
    fake.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(SCRIPT)],
        env={"PATH": f"{fake.parent}{os.pathsep}{os.environ['PATH']}", "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "$ headrace publish" in done.stdout
    assert "$ headrace build" not in done.stdout
