"""What is wrong with pushes: fields that are not there, endpoints out of bounds, topics that go in a circle."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from headrace.config.faults import did_you_mean
from headrace.config.references import malformed_secrets
from headrace.config.said_versions import said_of
from headrace.connectors.push import is_loopback, refused_address
from headrace.contracts.versions import number_of
from headrace.errors import ConfigError
from headrace.lake import tables
from headrace.secrets.reference import is_reference
from headrace.stages.downcast import check_downcast
from headrace.stages.select import Select, wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from headrace.config.faults import Fault
    from headrace.config.files import Key
    from headrace.config.source import Read, Source
    from headrace.config.source_file import SourceFile
    from headrace.config.validation import Origin
    from headrace.connectors.push import PushesSpec, PushSpec, TargetSpec
    from headrace.contracts.versions import Version
    from headrace.stages.dataset import Dataset


def columns_of(push: PushSpec, datasets: Iterable[Dataset]) -> dict[str, pa.Schema]:
    """Return the columns that a push may look at, by dataset: those of silver, or those of the quarantine."""
    match push.on:
        case "silver":
            return {dataset.name: tables.silver(dataset).columns for dataset in datasets}
        case "quarantined":
            return {"": tables.QUARANTINE.columns}
        case _:
            return {}


def applicable(push: PushSpec, datasets: Iterable[Dataset]) -> dict[str, Select]:
    """Return, by dataset, what selects its rows; a dataset that lacks a field of the filter is not there."""
    selects = {}
    for name, schema in columns_of(push, datasets).items():
        try:
            selects[name] = Select(schema, push.filter, push.where)
        except ConfigError:
            continue
    return selects


def push_faults(spec: SourceFile, datasets: Sequence[Dataset], origin: Origin) -> list[Fault]:
    """Return what is wrong with the filters of a source's pushes."""
    faults = []
    for index, push in enumerate(spec.serving.push):
        key: Key = ("serving", "push", index)
        if push.on == "silver" and not datasets:
            message = f"the push {push.name} sends nothing: the source has no schema that loads, so it has no silver"
            faults.append(origin.warning(key, message, "give it a schema"))
        if push.version is not None and datasets:
            faults += _no_version(push, push.version, spec, datasets, key, origin)
        # In one dataset of several at least, all of it must hold; the faults of the first that comes nearest are told.
        found = [list(_unmet(push, schema)) for schema in columns_of(push, datasets).values()]
        for place, problem in min(found, key=len, default=[]):
            faults.append(origin.error((*key, *place), f"the push {push.name}: {problem.message}", problem.fix))
    return faults


def _no_version(
    push: PushSpec, name: str, spec: SourceFile, datasets: Sequence[Dataset], key: Key, origin: Origin
) -> Iterator[Fault]:
    """Return what keeps a push from the older shape that it asks for."""
    found = [(dataset, version) for dataset in datasets if (version := version_of(dataset, name)) is not None]
    if not found:
        names = [version.name for dataset in datasets for version in dataset.versions]
        message = f"the push {push.name}: the contract has no version {name}"
        yield origin.error((*key, "version"), message, did_you_mean(name, names))
    for dataset, version in found:
        if version is dataset.versions[-1]:
            continue
        for fault in check_downcast(dataset, version):
            where = said_of(spec, dataset.name).at(*fault.key) if fault.key else (*key, "version")
            yield origin.error(where, f"the push {push.name}: {fault.message}", fault.fix)


def version_of(dataset: Dataset, name: str) -> Version | None:
    """Return the version of a dataset's contract that a name means."""
    return next((each for each in dataset.versions if each.name == name or each.number == number_of(name)), None)


def _unmet(push: PushSpec, schema: pa.Schema) -> Iterator[tuple[Key, ConfigError]]:
    for path, values in push.filter.items():
        try:
            wanted(schema, path, values)
        except ConfigError as problem:
            yield ("filter", path), problem
    try:
        Select(schema, {}, push.where)
    except ConfigError as problem:
        yield ("where",), problem


def project_faults(pushes: PushesSpec, reads: Sequence[Read], project: Origin) -> list[Fault]:
    """Return what is wrong with the pushes of a project when they are seen together."""
    faults = malformed_secrets({"push": pushes.model_dump(mode="json")}, project)
    for index, told in enumerate(pushes.gold):
        faults += _unreachable(told, pushes, ("push", "gold", index), project)
        if [each.name for each in pushes.gold].index(told.name) < index:
            message = f"two pushes are called '{told.name}'"
            faults.append(project.error(("push", "gold", index, "name"), message, "give each a name of its own"))
    loaded = [(read.source, read.origin) for read in reads if read.source is not None]
    readers: dict[str, list[str]] = {}
    for source, _ in loaded:
        readers.setdefault(source.topic, []).append(source.id)
    for source, origin in loaded:
        for index, push in enumerate(source.spec.serving.push):
            key: Key = ("serving", "push", index)
            faults += _unreachable(push, pushes, key, origin)
            if push.topic is None:
                continue
            if push.topic not in readers:
                message = f"no source reads the topic {push.topic}: it keeps all that is pushed to it"
                fix = f"write a source with `ingestion: {{topic: {push.topic}}}`, or read it with a client of the bus"
                faults.append(origin.warning((*key, "topic"), message, fix))
            elif circle := _circle(source, push.topic, [each for each, _ in loaded]):
                message = f"the topic {push.topic} leads back to this source: {' → '.join(circle)}"
                faults.append(origin.error((*key, "topic"), message, "push to a topic that nothing before it reads"))
    return faults


def _circle(start: Source, topic: str, sources: Sequence[Source]) -> list[str]:
    """Return the sources on the way from a topic back to where its events come from, or nothing."""
    trails = [[start.id, each.id] for each in sources if each.topic == topic]
    by_id = {each.id: each for each in sources}
    seen = set()
    while trails:
        trail = trails.pop(0)
        last = by_id[trail[-1]]
        if last.id == start.id:
            return trail
        if last.id in seen:
            continue
        seen.add(last.id)
        topics = {push.topic for push in last.spec.serving.push if push.topic is not None}
        trails += [[*trail, each.id] for each in sources if each.topic in topics]
    return []


def _unreachable(push: TargetSpec, pushes: PushesSpec, key: Key, origin: Origin) -> list[Fault]:
    faults = []
    if push.to is not None and not is_reference(push.to):
        parts = urlsplit(push.to)
        host = parts.hostname or ""
        if parts.scheme == "http" and not is_loopback(host) and host not in pushes.plain_http:
            fix = f"use https, or allow it in headrace.yaml: push: {{plain_http: [{host}]}}"
            faults.append(origin.error((*key, "to"), f"{host} would be sent to without TLS", fix))
        if not is_loopback(host) and refused_address(host, pushes.networks):
            fix = f"allow its network in headrace.yaml: push: {{networks: [{host}]}}"
            faults.append(origin.error((*key, "to"), f"{host} is a private address", fix))
    if push.to is not None and not (push.secret or push.headers or is_reference(push.to)):
        message = f"the push {push.name} is not signed: its endpoint cannot tell it from anybody's"
        faults.append(origin.warning(key, message, "add `secret: secret://env/NAME`"))
    return faults
