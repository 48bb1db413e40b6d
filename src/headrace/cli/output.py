"""The one seam through which a verb speaks: a JSON document, or text for a terminal of 80 columns.

With `--json` exactly one document goes to stdout and notes are silent; each verb's docstring gives its shape. Without
it, text goes to stdout and notes (progress, hints) to stderr, so that stdout can be piped.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console


_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal acts on, turns the order of letters by or cannot be sent at all; but for tabs and line ends."""
_HALVES = re.compile("[\ud800-\udfff]")


def visible(text: str) -> str:
    """Return a text with its control characters escaped: what a stranger sent must not drive our user's terminal."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def is_interrupt(problem: BaseException) -> bool:
    """Return whether a failure is what somebody made of Ctrl-C, as DuckDB does amid a query."""
    return isinstance(problem, KeyboardInterrupt) or isinstance(problem.__cause__, KeyboardInterrupt)


class Output:
    """Shows a verb's result; made once a verb, from its `--json`."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._console: Console | None = None

    @property
    def console(self) -> Console:
        """A rich console on stdout, made when text is first needed; plain where stdout is not a terminal."""
        if self._console is None:
            from rich.console import Console

            # Where the width is unknown (a pipe), lines stay whole: cutting them would lose what a script greps for.
            width = None if sys.stdout.isatty() else 200
            self._console = Console(highlight=False, soft_wrap=not sys.stdout.isatty(), width=width)
        return self._console

    def show(self, document: Mapping[str, Any], text: Callable[[], None]) -> None:
        """Print the document as JSON, or call `text`, which speaks through `line` and `table`."""
        if self.as_json:
            text_ = json.dumps(document, indent=2, default=str, ensure_ascii=False)
            typer.echo(_HALVES.sub(lambda found: f"\\u{ord(found[0]):04x}", text_))
        else:
            text()

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line of text; `style` is a colour, `bold` and `dim`, in any order, and shows on a terminal only."""
        words = style.split()
        colour = next((word for word in words if word not in {"bold", "dim"}), None)
        typer.secho(visible(text), fg=colour, bold="bold" in words or None, dim="dim" in words or None)

    def wrapped(self, text: str, indent: str = "", style: str = "") -> None:
        """Print a text as lines of at most 80 columns, the first one indented, those that follow a little more."""
        import textwrap

        further = f"{indent}  "
        self.line(
            textwrap.fill(
                text,
                80,
                initial_indent=indent,
                subsequent_indent=further,
                break_on_hyphens=False,
                break_long_words=False,
            ),
            style,
        )

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[str] = ()) -> None:
        """Print rows under headers; columns named in `right` hold numbers. None is shown as a dash."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in columns:
            table.add_column(column, justify="right" if column in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text("-" if cell is None else _cell(cell)) for cell in row))
        self.console.print(table)

    def note(self, text: str) -> None:
        """Print a line for the person at the terminal, on stderr; silent with --json."""
        if not self.as_json:
            typer.echo(visible(text), err=True)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return visible(str(value))
