"""A file of hundreds of megabytes is taken in memory that does not grow with it."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

LARGE = os.environ.get("HEADRACE_LARGE_FILES")
MOST_BYTES = 700 << 20

# What `headrace files scan` does, and how much memory it took at most.
MEASURED = """
import resource, sys
from headrace.cli.main import main
try:
    main(["files", "scan", "--json"])
except SystemExit as done:
    assert not done.code, done.code
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024), file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.skipif(not LARGE, reason="writes gigabytes: HEADRACE_LARGE_FILES=1 asks for it")
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "json", "jsonl.bz2"])
def test_memory_is_bounded_whatever_the_size(tmp_path: Path, kind: str):
    (tmp_path / "connectors").mkdir()
    (tmp_path / "landing").mkdir()
    (tmp_path / "headrace.yaml").write_text("name: lab\n")
    (tmp_path / "connectors/orders.yaml").write_text(
        "source_id: orders\npattern: batch_file\nlocation: landing/\nmessage_format: csv\nfiles: {settle: 0s}\n"
    )
    rows = 4_000_000 if kind == "csv" else 2_000_000
    opened = {"gz": gzip.open, "bz2": bz2.open}.get(kind.rpartition(".")[2], open)
    with opened(tmp_path / f"landing/large.{kind}", "wt") as file:
        if kind.startswith("csv"):
            file.write("id;customer;note;at\n")
        file.write("[" if kind == "json" else "")
        for number in range(rows):
            text = json.dumps(f"note {number % 997} " + "x" * (number % 83))
            if kind.startswith("csv"):
                file.write(f"o-{number};c-{number % 9973};{text};2026-11-21 08:00:{number % 60:02d}\n")
            else:
                comma = "," if kind == "json" and number + 1 < rows else ""
                file.write(f'{{"id": "o-{number}", "customer": {number % 9973}, "note": {text}}}{comma}\n')
        file.write("]\n" if kind == "json" else "")
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], cwd=tmp_path, capture_output=True, text=True, env=environ, check=True
    )
    assert json.loads(done.stdout)["rows"] == rows
    assert int(done.stderr.split()[-1]) < MOST_BYTES
