"""From the steps of an upcast to what `Upcast` does: the way over the versions, and what is wrong with it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from headrace.stages import paths
from headrace.stages.sql import SqlKernel
from headrace.stages.upcast import Compute, Extract, Fill, Upcast
from headrace.stages.upcast_hop import ASIDE, Compiler, Hop, Shape, UpcastFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from headrace.contracts.versions import Version
    from headrace.stages.upcast import UpcastStep


def upcast_of(versions: Sequence[Version], steps: Mapping[str, Sequence[UpcastStep]]) -> Upcast:
    """Return the way from the first of some versions to the last, over all between; `check_upcasts` found no error."""
    return way(versions, steps).upcast


class Way(NamedTuple):
    """The compiled way from one version to another, and what is wrong with it."""

    upcast: Upcast
    faults: tuple[UpcastFault, ...]


def way(versions: Sequence[Version], steps: Mapping[str, Sequence[UpcastStep]], word: str = "upcast") -> Way:
    """Compile the way over some versions by the steps from each, by its name; faults speak of the key `word`."""
    shape = _shape(versions[0])
    hops = list(_hops(versions, steps, shape, word))
    faults = [fault for hop in hops for fault in hop.faults]
    if all(fault.warning for fault in faults):
        place = versions[-2 if word == "upcast" else -1].name
        key = (word, place) if steps.get(versions[-2].name) else ()
        faults += _unprovided(versions, shape, hops, key, f"{word}: {{{place}: […]}}")
    return Way(
        Upcast([op for hop in hops for op in hop.ops], versions[-1].contract.arrow_schema(), shape.origin),
        tuple(faults),
    )


def check_upcasts(versions: Sequence[Version], steps: Mapping[str, Sequence[UpcastStep]]) -> list[UpcastFault]:
    """Return what keeps events of every version that is still taken from the newest, each with the step to add.

    Each hop is looked at once, from what its version has; that what the newest requires is there, from every version.
    """
    faults: dict[UpcastFault, None] = {}
    for start, version in enumerate(versions[:-1]):
        if version.lifecycle == "retired":
            continue
        faults |= dict.fromkeys(way(versions[start:], steps).faults)
    return list(faults)


def older_name(name: str, versions: Sequence[Version], steps: Mapping[str, Sequence[UpcastStep]]) -> str | None:
    """Return what a column of the last of some versions is called in the first; None where it is computed or absent."""
    for version in reversed(versions[:-1]):
        for step in reversed(steps.get(version.name, ())):
            if step.rename and name in step.rename.values():
                name = next(old for old, new in step.rename.items() if new == name)
            elif (step.set and name in step.set) or (step.default and name in step.default):
                return None
    return name if name in {column.name for column in versions[0].contract.columns} else None


def _shape(version: Version) -> Shape:
    schema = version.contract.arrow_schema()
    origin = {each.name: paths.Path(each.name, (), each.type).json() for each in schema}
    return Shape({each.name: each for each in schema}, origin)


def _hops(
    versions: Sequence[Version], steps: Mapping[str, Sequence[UpcastStep]], shape: Shape, word: str
) -> Iterator[Hop]:
    """Compile each hop; `shape` is carried along, and ends as that of the last version."""
    kernel = SqlKernel(isolate_errors=True)
    for here, there in itertools.pairwise(versions):
        place = (word, here.name if word == "upcast" else there.name)
        yield Compiler(here, there, shape, kernel, place).hop(steps.get(here.name, ()))


def _unprovided(
    versions: Sequence[Version], shape: Shape, hops: Sequence[Hop], key: tuple[str, ...], place: str
) -> Iterator[UpcastFault]:
    """Return the columns that the last version requires, and that events of the first have not, or not always."""
    first, last = versions[0], versions[-1]
    made = {op.name.removeprefix(ASIDE) for hop in hops for op in hop.ops if isinstance(op, Fill | Compute | Extract)}
    for wanted in last.contract.arrow_schema():
        if wanted.nullable or not shape.fields[wanted.name].nullable or wanted.name in made:
            continue
        fix = f"add `- default: {{{wanted.name}: …}}` to `{place}`"
        if wanted.name not in shape.origin:
            message = f"{last.name} requires {wanted.name}, and events of {first.name} have none"
            yield UpcastFault(first.name, key, message, fix)
        else:
            message = (
                f"{last.name} requires {wanted.name}, which {first.name} does not: events without it are quarantined"
            )
            yield UpcastFault(first.name, key, message, fix, warning=True)
