"""A place where a reader may refuse what a writer wrote, and how a value there stands in its document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from headrace.contracts.compatibility.document import Part
    from headrace.contracts.compatibility.facts import Facts


class Step(NamedTuple):
    """How a value stands in the one around it: its name or index there, and the facts of what is around."""

    above: Step | None
    facts: Facts
    place: str | int


@dataclass(frozen=True)
class Doubt:
    """A place where a value may be refused. `part` is the schema that may refuse it, by its keyword `aspect`.

    `facts` are of the value, or of the object around it where `step` is a step into those very facts. `values` are
    refused for sure; `detail` tells doubts of one keyword apart.
    """

    part: Part
    aspect: str
    why: str
    facts: Facts
    step: Step | None
    values: tuple[Any, ...] = ()
    detail: str | None = None
