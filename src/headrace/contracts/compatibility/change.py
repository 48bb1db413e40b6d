"""A change between two versions of a contract, and what it does to readers and writers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What a change does in one direction. `undecided` is to be treated as breaking."""

    COMPATIBLE = "compatible"
    BREAKING = "breaking"
    UNDECIDED = "undecided"


class ContentModel(StrEnum):
    """What writers are taken to write, and readers to refuse, beyond the properties that a schema declares.

    `open`, ours: writers write only what is declared; readers pass over the rest unless their schema forbids it.
    `strict`, Confluent's: whatever the schema does not forbid may be written. `lenient`, Confluent's variant: as
    `open`, and readers pass over undeclared properties even where their schema forbids them.
    """

    OPEN = "open"
    STRICT = "strict"
    LENIENT = "lenient"

    @property
    def closed_writers(self) -> bool:
        """Whether writers write only the properties that their schema declares."""
        return self is not ContentModel.STRICT

    @property
    def open_readers(self) -> bool:
        """Whether readers pass over undeclared properties though their schema forbids them."""
        return self is ContentModel.LENIENT


OPEN = ContentModel.OPEN
STRICT = ContentModel.STRICT
LENIENT = ContentModel.LENIENT


@dataclass(frozen=True, slots=True)
class Change:
    """One change between an old and a new version.

    `pointer` is the JSON pointer (`#/properties/amount`) of the changed place in the new version, or in the old one
    where the new has no such place. `backward`: can a reader with the new version read what was written under the old
    one; `forward`: can a reader with the old version read what is written under the new one. An example is there
    exactly where the verdict of its direction is `breaking`: a whole document, valid under the writer's version and not
    under the reader's, as a validator said. `why` says it in plain words, `fix` the smallest change to type.
    """

    pointer: str
    rule: str
    backward: Verdict
    forward: Verdict
    why: str
    backward_example: Any = None
    forward_example: Any = None
    fix: str = ""

    def breaks(self, *, backward: bool, forward: bool) -> bool:
        """Whether a direction that is asked for is not known to be compatible."""
        return (backward and self.backward is not Verdict.COMPATIBLE) or (
            forward and self.forward is not Verdict.COMPATIBLE
        )
