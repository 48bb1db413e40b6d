"""What the benchmarks share: where they work, and how they say what they found."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def options(about: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that every benchmark has; `about` is its docstring."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", type=Path, help="where to work (default: a temporary folder, removed at the end)")
    return parser


def report(given: argparse.Namespace, bench: Callable[[Path], dict[str, Any]]) -> None:
    """Run a benchmark in a folder of its own, which is removed at the end, and print its figures."""
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=given.work))
    try:
        figures = bench(folder)
    finally:
        shutil.rmtree(folder)
    if given.json:
        print(json.dumps(figures, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:32} {value}")
