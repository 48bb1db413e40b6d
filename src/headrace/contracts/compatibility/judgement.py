"""Whether a chain of versions keeps to a mode of evolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.contracts.compatibility.change import OPEN, Change, ContentModel
from headrace.contracts.compatibility.json_schema import compare
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_DIRECTIONS = {"backward": (True, False), "forward": (False, True), "full": (True, True), "none": (False, False)}


class Pair(NamedTuple):
    """The changes from an earlier version of the chain, by its place, to the newest."""

    earlier: int
    changes: tuple[Change, ...]
    breaking: tuple[Change, ...]


@dataclass(frozen=True)
class Judgement:
    """What a mode says of the newest version of a chain; `pairs` are ordered from the nearest earlier version on."""

    mode: str
    pairs: tuple[Pair, ...]

    @property
    def allowed(self) -> bool:
        """Whether nothing breaks that the mode forbids; what is undecided counts as breaking."""
        return not any(pair.breaking for pair in self.pairs)


def directions(mode: str) -> tuple[bool, bool, bool]:
    """Return what a mode asks for: (backward, forward, transitive).

    `backward_compatible` and its like are what the seeds call `backward`. Raises ContractError for an unknown mode.
    """
    word = mode.removesuffix("_transitive").removesuffix("_compatible")
    if word not in _DIRECTIONS:
        raise ContractError(f"unknown mode {mode!r}", fix="backward, forward, full (each also _transitive), or none")
    return (*_DIRECTIONS[word], mode.endswith("_transitive"))


def judge(
    chain: Sequence[Mapping[str, Any]],
    mode: str,
    *,
    model: ContentModel = OPEN,
    comparing: Callable[[Any, Any], tuple[Change, ...]] | None = None,
) -> Judgement:
    """Judge the last version of a chain (oldest first) against the one before it, or against all where transitive.

    `comparing` compares two versions that are no JSON Schemas. A chain of one version is always allowed.
    """
    backward, forward, transitive = directions(mode)
    *earlier, newest = chain
    places = range(len(earlier) - 1, -1, -1) if transitive else range(len(earlier) - 1, len(earlier) - 2, -1)
    pairs = []
    for place in places if earlier else ():
        if comparing is None:
            changes = compare(earlier[place], newest, model=model)
        else:
            changes = comparing(earlier[place], newest)
        breaking = tuple(change for change in changes if change.breaks(backward=backward, forward=forward))
        pairs.append(Pair(place, changes, breaking))
    return Judgement(mode, tuple(pairs))
