"""What changes of sources, settings, topics, jobs and pushes: the YAML of before and of now, key by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from headrace.config.files import parse_yaml
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headrace.config.project import Project

NOT_SAID = None


class KeyChange(TypedDict):
    """A key of a file that says something else; null: it is not there."""

    key: str
    was: Any
    now: Any


class Changed(TypedDict):
    """A thing of one layer that is added, changed or removed; `at` is its file."""

    layer: str
    name: str
    action: str
    at: str
    keys: list[KeyChange]


def changed(was: Project | None, now: Project) -> list[Changed]:
    """Return the changes of all these layers; before the first deployment everything is added."""
    then = was.sources if was is not None else {}
    sources = _both(
        "source",
        {name: dict(each.raw) for name, each in then.items()},
        {name: dict(each.raw) for name, each in now.sources.items()},
        lambda name: f"connectors/{name}.yaml",
    )
    topics = _both(
        "topic",
        {each.topic: {} for each in then.values()},
        {each.topic: {} for each in now.sources.values()},
        lambda _: "",
    )
    jobs = _both("job", _jobs(was), _jobs(now), lambda _: "headrace.yaml")
    pushes = _both("push", _pushes(was), _pushes(now), lambda name: f"connectors/{name.partition('/')[0]}.yaml")
    shared = _both("shared", _shared(was), _shared(now), lambda name: f"connectors/{name}.yaml")
    return [*_settings(was, now), *shared, *sources, *topics, *pushes, *jobs]


def differences(was: Any, now: Any, key: str = "") -> Iterator[KeyChange]:
    """Yield the keys below which two documents differ, as deep as they can be told apart."""
    if isinstance(was, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*was, *now]):
            inner = f"{key}.{name}" if key else str(name)
            yield from differences(was.get(name, NOT_SAID), now.get(name, NOT_SAID), inner)
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for index, (left, right) in enumerate(zip(was, now, strict=True)):
            yield from differences(left, right, f"{key}[{index}]")
    elif was != now or type(was) is not type(now):
        yield {"key": key, "was": was, "now": now}


def _both(layer: str, was: Mapping[str, Any], now: Mapping[str, Any], at: Any) -> list[Changed]:
    found: list[Changed] = []
    for name in sorted(was.keys() | now.keys()):
        action = "added" if name not in was else "removed" if name not in now else "changed"
        keys = list(differences(was[name], now[name])) if action == "changed" else []
        if action != "changed" or keys:
            found.append({"layer": layer, "name": name, "action": action, "at": at(name), "keys": keys})
    return found


def _settings(was: Project | None, now: Project) -> list[Changed]:
    if was is None:
        return []
    keys = list(differences(_document(was), _document(now)))
    keys += differences(dict(was.variables), dict(now.variables))
    return (
        [{"layer": "settings", "name": "headrace.yaml", "action": "changed", "at": "headrace.yaml", "keys": keys}]
        if keys
        else []
    )


def _document(project: Project) -> Any:
    try:
        return parse_yaml(project.files["headrace.yaml"].decode("utf-8-sig"), "headrace.yaml").value
    except (ConfigError, KeyError):
        return {}


def _shared(project: Project | None) -> dict[str, Any]:
    return dict(project.shared) if project is not None else {}


def _jobs(project: Project | None) -> dict[str, Any]:
    jobs = project.jobs if project is not None else {}
    return {
        name: {"schedule": str(job.schedule), "timeout": str(job.timeout), "retries": job.retries}
        for name, job in jobs.items()
    }


def _pushes(project: Project | None) -> dict[str, Any]:
    if project is None:
        return {}
    return {
        f"{source.id}/{push.name}": push.model_dump(mode="json", exclude_unset=True)
        for source in project.sources.values()
        for push in source.spec.serving.push
    }
