"""The files of a batch on their way: written beside the merges, given up together where the batch fails."""

from __future__ import annotations

from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.lake.base import StagedFile


@dataclass
class Staging:
    """The files of a batch that no snapshot names yet, those still being written included."""

    _files: list[StagedFile]
    _coming: list[Future[list[StagedFile]]] = field(default_factory=list)

    def take(self, coming: Future[list[StagedFile]]) -> None:
        """Add files that are being written."""
        self._coming.append(coming)

    def files(self) -> list[StagedFile]:
        """Return all files, once they are written. Raises what kept one from it."""
        while self._coming:
            self._files += self._coming[-1].result()
            self._coming.pop()
        return self._files

    def given_up(self) -> list[StagedFile]:
        """Return the files that there are, once none is being written any more."""
        wait(self._coming)
        return self._files + [file for each in self._coming if each.exception() is None for file in each.result()]
