"""The child processes of a project's `up`: what takes events in, and what sends them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from headrace.runtime.child import Child
from headrace.runtime.landing.watched import is_watched

if TYPE_CHECKING:
    from headrace.config.project import Project


class Children(NamedTuple):
    """`intake` ends before the bus is drained, `outlets` end after."""

    intake: tuple[Child, ...]
    outlets: tuple[Child, ...]


def children(project: Project, *, collector: bool = True) -> Children:
    """Return the children that a project needs, none of them started; `collector=False`: without that one."""
    intake, outlets = [], []
    if collector and project.collector.enabled:
        intake.append(_child(project, "collector", "headrace.collector.process"))
    if any(map(is_watched, project.sources.values())):
        intake.append(_child(project, "landing", "headrace.runtime.landing"))
    if project.push.gold or any(source.spec.serving.push for source in project.sources.values()):
        outlets.append(_child(project, "relay", "headrace.runtime.relay"))
    return Children(tuple(intake), tuple(outlets))


def _child(project: Project, name: str, module: str) -> Child:
    """Return a child whose module takes the project's folder and the environment."""
    log = project.state / "logs" / f"{name}.log"
    return Child(name, module, (str(project.root), project.environment), log)
