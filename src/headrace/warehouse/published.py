"""What is published, what can be undone: one small file, replaced atomically, and the pure decisions about it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from headrace.disk import sync
from headrace.errors import LakeError, UserError
from headrace.fault_points import reach
from headrace.sqlite_file import DOCTOR

if TYPE_CHECKING:
    from pathlib import Path

FORMAT_VERSION = 1
KEEP = 10


@dataclass(frozen=True, slots=True)
class Entry:
    """A published build: (gold catalog, gold snapshot, lake snapshot), and what it took to build it.

    `lake_snapshot` is what its models read. `complete_snapshot` is the lake snapshot up to which *every* model has seen
    silver: older than `lake_snapshot` where only a selection was built. `tables` maps `schema.table` to how it is made.
    """

    build: str
    catalog: str
    gold_snapshot: int
    lake_snapshot: int | None
    complete_snapshot: int | None
    published_at: str
    tables: dict[str, str]


@dataclass(frozen=True, slots=True)
class Ledger:
    """The builds that readers and undo can reach: `past` ends with the current one; `undone` is newest last."""

    past: tuple[Entry, ...] = ()
    undone: tuple[Entry, ...] = ()
    last_number: int = 0

    @property
    def current(self) -> Entry | None:
        """What readers see."""
        return self.past[-1] if self.past else None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All of them, oldest first."""
        return (*self.past, *self.undone)

    @property
    def next_build(self) -> str:
        """The name of the next build; never used twice for two published builds."""
        return f"b{self.last_number + 1}"

    def publish(self, entry: Entry, *, keep: int = KEEP) -> Ledger:
        """Return the ledger with `entry` as what readers see; what was undone is given up."""
        number = max(self.last_number, int(entry.build.removeprefix("b")))
        return Ledger((*self.past, entry)[-keep:], (), number)

    def undo(self, to: str | None = None) -> Ledger:
        """Return the ledger one build back, or at the build named (which may be one that was undone)."""
        if self.current is None:
            raise UserError("nothing is published yet, so there is nothing to undo", fix="headrace build")
        names = [entry.build for entry in self.entries]
        if to is None:
            place = len(self.past) - 2
            if place < 0:
                raise UserError(
                    f"{self.current.build} is the oldest build that is kept: there is nothing before it",
                    fix="headrace build publishes a new one",
                )
        elif to in names:
            place = names.index(to)
        else:
            raise UserError(f"no build {to!r} is kept", fix=f"--to takes one of {', '.join(names)}")
        return replace(self, past=self.entries[: place + 1], undone=self.entries[place + 1 :])


def read_ledger(path: Path) -> Ledger:
    """Return the ledger in a file; an empty one where there is no file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Ledger()
    except (OSError, ValueError) as error:
        raise _damaged(path) from error
    if not isinstance(document, dict) or "format" not in document:
        raise _damaged(path)
    if document["format"] != FORMAT_VERSION:
        raise UserError(
            f"written by another version of Headrace (format {document['format']}, this one reads {FORMAT_VERSION})",
            at=str(path),
            fix="use the version of Headrace that wrote it, or a newer one",
        )
    try:
        past, undone = (tuple(Entry(**entry) for entry in document[name]) for name in ("past", "undone"))
        return Ledger(past, undone, document["last_number"])
    except (KeyError, TypeError) as error:
        raise _damaged(path) from error


def forget_snapshots(path: Path) -> None:
    """Let the builds no longer say which snapshots of the lake they read: the next one reads all of silver."""
    ledger = read_ledger(path)
    if ledger.entries:
        past, undone = (
            tuple(replace(each, lake_snapshot=None, complete_snapshot=None) for each in entries)
            for entries in (ledger.past, ledger.undone)
        )
        write_ledger(path, Ledger(past, undone, ledger.last_number))


def _damaged(path: Path) -> LakeError:
    return LakeError("the file of published builds is damaged", at=str(path), fix=f"{DOCTOR} --repair")


def write_ledger(path: Path, ledger: Ledger) -> None:
    """Replace the file: after a crash it holds the old ledger or the new one, whole."""
    document = {
        "format": FORMAT_VERSION,
        "last_number": ledger.last_number,
        "past": [asdict(entry) for entry in ledger.past],
        "undone": [asdict(entry) for entry in ledger.undone],
    }
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
    sync(temporary)
    reach("gold.publish.before")
    temporary.replace(path)
    sync(path.parent)
    reach("gold.publish.after")
