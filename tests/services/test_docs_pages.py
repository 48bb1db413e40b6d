"""The quickstart and every how-to, typed as they stand: each command does what its page says. See `transcripts`."""

from __future__ import annotations

import shutil

import pytest

from transcripts import ROOT, Shell, Step, Write, matches, missing_programs, steps, unmarked

PAGES = [ROOT / "docs/quickstart.md", *sorted((ROOT / "docs/howto").glob("*.md"))]


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Return a function that runs a page's first command in an empty folder: once for all pages that begin alike."""
    made = {}

    def begin(command, shell):
        if command not in made:
            first = Shell(tmp_path_factory.mktemp("begun"))
            made[command] = first.folder, first.run(command), first.code
        folder, printed, shell.code = made[command]
        shutil.copytree(folder, shell.folder, dirs_exist_ok=True)
        return printed

    return begin


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_does_what_the_page_says(page, tmp_path, begun):
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
            printed = begun(each.command, shell) if each is todo[0] else shell.run(each.command)
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
