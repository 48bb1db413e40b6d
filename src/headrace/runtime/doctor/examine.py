"""Looking at all of an environment's files, and mending what can be mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.runtime.doctor import gold, lake, small, topics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.config.project import Project
    from headrace.runtime.doctor.damage import Damage


def examine(project: Project, *, deep: bool = True) -> Iterator[Damage]:
    """Yield what is damaged, in the order in which it is mended; beside a running `up`, it disturbs nobody.

    Not `deep`, it takes a bounded time: headers, small files whole, the existence and size of the others, and the index
    of messages that wait.
    """
    if not project.state.is_dir():
        return
    yield from small.small(project, deep=deep)
    broken = list(lake.catalog(project, deep=deep))
    yield from broken
    positions = None
    if not broken:
        yield from lake.files(project, deep=deep)
        try:
            positions = lake.positions(project)
        except HeadraceError:
            positions = None  # what is wrong was said above
    yield from topics.topics(project, positions, deep=deep)
    yield from gold.gold(project, deep=deep)


def at_start(project: Project) -> dict[str, str]:
    """Return what is damaged as far as a start looks, a sentence each; nothing that is found here keeps it from one."""
    found: dict[str, str] = {}
    try:
        for each in examine(project, deep=False):
            found[each.what] = str(each)
    except HeadraceError as problem:
        found["files"] = str(problem)
    return found


def repair(project: Project) -> Iterator[tuple[Damage, str]]:
    """Mend what can be mended, and yield each with what kept it from that, if anything did.

    What is damaged is looked for again after each: with the lake mended, a topic tells more. Nothing may run meanwhile.
    """
    tried: set[tuple[str, str]] = set()
    while True:
        one = next((each for each in examine(project) if (each.what, each.problem) not in tried), None)
        if one is None:
            return
        tried.add((one.what, one.problem))
        refused = ""
        if one.mend is None:
            refused = "nothing that is safe can be done by itself"
        else:
            try:
                one.mend()
            except HeadraceError as error:
                refused = str(error)
        yield one, refused
