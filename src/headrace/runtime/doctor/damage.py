"""One thing that is damaged: what is lost with it, and what is done about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REPAIR = "headrace doctor --repair"


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that is not what it should be.

    `lost` says, in sentences, what is lost and what is not. `remedy` says what a repair does, and is empty where none
    is safe: then `fix` says what a person can do. `mend` does it: nothing is deleted, what is replaced is moved aside.
    """

    what: str
    file: Path
    problem: str
    lost: str
    remedy: str = ""
    fix: str = REPAIR
    mend: Callable[[], object] | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        """Return all of it in one paragraph."""
        return f"{self.file}: {self.what} is damaged: {self.problem}. {self.lost}. {self.fix}"
