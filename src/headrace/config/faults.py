"""What is wrong in a project's files: a fault points at a line and says what to type."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from headrace.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to act on. An `error` keeps the project from loading; a `warning` does not.

    `file` is relative to the project's folder, with forward slashes; `line` counts from 1.
    """

    severity: Literal["error", "warning"]
    file: str
    line: int
    message: str
    fix: str = ""

    def as_error(self) -> ConfigError:
        """Return the exception that stands for this fault."""
        return ConfigError(self.message, at=f"{self.file}:{self.line}", fix=self.fix)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for the nearest of the known words, or all of them where none is near and few are."""
    known = sorted(set(known))
    near = get_close_matches(word, known, n=1, cutoff=0.6) or [name for name in known if len(word) > 2 and word in name]
    if near:
        return f"did you mean '{near[0]}'?"
    return f"one of: {', '.join(known)}" if 0 < len(known) <= 24 else ""
