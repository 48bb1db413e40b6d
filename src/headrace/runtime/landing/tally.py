"""What one look at a source's files took, in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from headrace.connectors.batch_file.manifest import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.connectors.batch_file.manifest import Entry, Manifest

TOLD = 3  # failures whose reasons are told


class Tally(NamedTuple):
    """How many files were taken whole (copies of others aside), and their rows; what failed, and why, by path."""

    files: int
    rows: int
    waiting: int
    failed: Mapping[str, str]

    def since(self, before: Tally) -> Tally:
        """Return what came after an earlier one; `waiting` are those that wait now."""
        fresh = {path: why for path, why in self.failed.items() if before.failed.get(path) != why}
        return Tally(self.files - before.files, self.rows - before.rows, self.waiting, fresh)

    def answer(self) -> Answer:
        """Return it as the answer to who asked: it is not ok where a file failed."""
        said = [f"{self.files:,} file{'' if self.files == 1 else 's'} taken, {self.rows:,} rows"]
        if not self.files and not self.rows:
            said = ["no new file"]
        if self.waiting:
            said.append(f"{self.waiting:,} still being written, or out of reach")
        if self.failed:
            said.append(f"{len(self.failed):,} failed: headrace files list --state failed")
        said += [f"{path}: {why}" for path, why in sorted(self.failed.items())[:TOLD]]
        return Answer(not self.failed, "; ".join(said))


def tally(manifest: Manifest, source: str) -> Tally:
    """Return what was ever taken of a source."""
    entries = manifest.entries(source)
    own = [each for each in entries if not is_copy(each)]
    return Tally(
        files=sum(each.ended is not None and each.rows is not None and each.rows == each.taken for each in own),
        rows=sum(each.taken for each in own),
        waiting=sum(each.state == "waiting" for each in entries),
        failed={each.path: each.message for each in entries if each.state == "failed"},
    )


def is_copy(entry: Entry) -> bool:
    """Say whether nothing was taken of a file, since another one has the same bytes."""
    return entry.state == "done" and entry.started is None
