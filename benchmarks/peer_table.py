"""A table of figures in a page of Markdown, between two markers: what is outside of them is left as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; columns whose cells are all figures stand to the right."""
    figures = [all(_is_figure(row[at]) for row in rows) for at in range(len(head))]
    lines = [head, ["--:" if each else "---" for each in figures], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _is_figure(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell == "–"


def put(page: Path, name: str, text: str) -> None:
    """Put a text between the markers of a name. Raises `ValueError` where the page has none."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    there = page.read_text(encoding="utf-8")
    before, found, rest = there.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{page} has no '{begin}' with '{end}' after it")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
