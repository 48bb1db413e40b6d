"""The quickstart and every how-to, typed as they stand: each command does what its page says. See `transcripts`."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil

import pytest

from transcripts import ROOT, Shell, Step, Write, matches, missing_programs, steps, unmarked

PAGES = [ROOT / "docs/quickstart.md", *sorted((ROOT / "docs/howto").glob("*.md"))]


class Demos:
    """Runs `headrace demo --once --dir NAME …`, once: a page that begins as another gets a copy of what that made.

    Of the pages that begin so, the first to come (in whatever worker) runs it; others wait for it.
    """

    def __init__(self, folder):
        self._folder = folder

    def run(self, shell, command):
        name = re.fullmatch(r"headrace demo --once --dir (\w+).*", command)
        if name is None:
            return shell.run(command)
        kept = self._folder / hashlib.sha256(command.encode()).hexdigest()[:16]
        with kept.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (kept / "printed").exists():
                shutil.copytree(kept / name[1], shell.folder / name[1])
                shell.code = 0
                return (kept / "printed").read_text()
            printed = shell.run(command)
            if shell.code == 0:
                shutil.copytree(shell.folder / name[1], kept / name[1])
                (kept / "printed").write_text(printed)
            return printed


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    base = tmp_path_factory.getbasetemp()  # of a worker it lies in that of the run
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "demos"
    folder.mkdir(exist_ok=True)
    return Demos(folder)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_does_what_the_page_says(page, tmp_path, demos):
    if missing := missing_programs(page):
        pytest.skip(f"this machine has no {', '.join(missing)}")
    todo = steps(page)
    assert sum(isinstance(each, Step) for each in todo) > 3
    shell = Shell(tmp_path)
    try:
        for each in todo:
            if isinstance(each, Write):
                shell.write(*each)
                continue
            printed = demos.run(shell, each.command)
            if each.output is None:
                assert shell.code == 0, f"$ {each.command}\n{printed}"
            else:
                expected = "\n".join(each.output)
                assert matches(printed.splitlines(), each.output), (
                    f"$ {each.command}\n{printed}--- page ---\n{expected}"
                )
    finally:
        shell.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_page_says_what_it_is(page):
    assert not unmarked(page), "give the block a language: console, sh, yaml, text, …"
