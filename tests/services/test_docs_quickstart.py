"""docs/quickstart.md and docs/howto/write-a-mart.md, typed as they stand, each in a folder of its own."""

import shutil
from pathlib import Path

import pytest

from transcripts import Shell, matches, steps

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["quickstart.md", "howto/write-a-mart.md"])
def test_each_command_prints_what_the_page_says(page, tmp_path):
    tour = steps(DOCS / page)
    assert len(tour) > 5
    if any("curl " in step.command for step in tour) and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    shell = Shell(tmp_path)
    try:
        for step in tour:
            printed = shell.take(step)
            assert matches(printed, step.output), "\n".join(
                [f"$ {step.command}", *printed, f"--- {page} ---", *step.output]
            )
    finally:
        shell.close()
