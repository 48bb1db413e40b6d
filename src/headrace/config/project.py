"""A project: its folder, loaded and checked, as the runtime takes it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from headrace.config.collector import CollectorSpec, collector_settings
from headrace.config.datasets import Layers
from headrace.config.faults import Fault, did_you_mean
from headrace.config.files import PROJECT_FILE, Document, inside, read_yaml
from headrace.config.jobs import jobs_of, scans_of
from headrace.config.lookups import SILVER
from headrace.config.project_file import EnvironmentSpec, ProjectFile
from headrace.config.pushes import project_faults
from headrace.config.rules import RuleChecks
from headrace.config.seeds import Seeds
from headrace.config.settings import Settings, layered, said_by_environ, variables
from headrace.config.source import Read, Source, read_source
from headrace.config.validation import Origin, validated
from headrace.connectors.batch_file.places import STATE_FOLDER
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.config.jobs import Job
    from headrace.connectors.push import PushesSpec
    from headrace.contracts.load import Validators

CONNECTORS = "connectors"
ENVIRONMENT_VARIABLE = "HEADRACE_ENV"
_SUFFIXES = frozenset({".yaml", ".yml"})


@dataclass(frozen=True)
class Project:
    """Everything that the files of a project say, in one environment.

    `state` is the folder of this environment's embedded state; it need not exist yet. `bindings` map URIs to what they
    stand for here. `sources` is ordered by id. `settings` holds what a source gets that says nothing itself. `shared`
    holds the files of connectors/ that start with `_`, by name. `push` says what holds for all pushes. `jobs` holds
    what runs beside the ticks, by name. `files` holds the bytes of headrace.yaml, the source files and their schemas
    wherever these lie, by the path that the project names each by, as they were when it loaded.
    `digest` changes whenever what a tick does may change: it covers `files`, the seeds that events are enriched from,
    the environment and HEADRACE_ settings, which `variables` holds as they were.
    """

    root: Path
    name: str
    environment: str
    state: Path
    bindings: Mapping[str, str]
    sources: Mapping[str, Source]
    settings: Settings
    collector: CollectorSpec
    shared: Mapping[str, Any]
    push: PushesSpec
    jobs: Mapping[str, Job]
    files: Mapping[str, bytes]
    variables: Mapping[str, str]
    digest: str

    def source(self, source_id: str) -> Source:
        """Return a source by its id. Raises ConfigError with the nearest id where there is none."""
        if source_id not in self.sources:
            hint = did_you_mean(source_id, self.sources) or f"write {CONNECTORS}/{source_id}.yaml"
            raise ConfigError(f"no source '{source_id}'", at=f"{CONNECTORS}/", fix=hint)
        return self.sources[source_id]


@dataclass(frozen=True)
class Assembled:
    """What came of a project's files: the project where it loads, what each file was read as, and every fault."""

    project: Project | None
    environment: str
    spec: ProjectFile | None
    project_document: Document | None
    bindings: Mapping[str, str]
    reads: tuple[Read, ...]
    shared: tuple[Document, ...]
    faults: tuple[Fault, ...]


def load_project(root: Path, environment: str | None = None, environ: Mapping[str, str] | None = None) -> Project:
    """Return the project in a folder, under the variables of this process unless others are given.

    Raises ConfigError with the first fault that keeps it from loading, and how many more there are.
    """
    assembled = assemble(root, environment, os.environ if environ is None else environ)
    if assembled.project is None:
        first, *others = [fault for fault in assembled.faults if fault.severity == "error"]
        more = f"{len(others)} more error{'' if len(others) == 1 else 's'}: headrace check" if others else ""
        raise replace(first, fix="; ".join(filter(None, (first.fix, more)))).as_error()
    return assembled.project


def assemble(
    root: Path, environment: str | None, environ: Mapping[str, str], *, only: str | None = None,
    validators: Validators | None = None,
) -> Assembled:  # fmt: skip
    """Read every file of a project once. Raises ConfigError only where the environment asked for does not exist.

    With `only`, the files of other sources are left unread unless it looks up what they make; there is no `project`
    then, and nothing is said of how sources get along. `validators` keeps those of the contracts.
    """
    root = root.resolve()
    try:
        document = read_yaml(root / PROJECT_FILE, PROJECT_FILE)
    except ConfigError as error:
        return Assembled(None, "", None, None, {}, (), (), (_as_fault(error),))
    if not isinstance(document.value, dict):
        fault = Fault("error", PROJECT_FILE, 1, "the project file is a mapping", "start it with `name: my-platform`")
        return Assembled(None, "", None, document, {}, (), (), (fault,))
    spec, faults, _ = validated(ProjectFile, document.value, Origin(document))
    meant = spec or ProjectFile(name="project")
    name = _environment(meant, environment, environ, faults, document)
    here = meant.environment(name)
    bindings = {**meant.bindings, **here.bindings}
    collector = collector_settings(meant.collector, here.collector, environ=environ)
    layers = _layers(root, meant, here, name, bindings, document, said_by_environ(environ), validators)
    written: list[tuple[Document, Path, Layers]] = []
    shared: list[Document] = []
    for path in source_files(root):
        file = f"{CONNECTORS}/{path.name}"
        if only not in {None, path.stem} and not path.name.startswith("_"):
            continue
        try:
            if not inside(path, (root, *layers.bound)):
                raise ConfigError("the file is a link that leaves the project", at=f"{file}:1", fix="copy it here")
            read = read_yaml(path, file)
        except ConfigError as error:
            faults.append(_as_fault(error))
            continue
        if path.name.startswith("_"):
            shared.append(read)
            continue
        override = here.sources.get(path.stem, {})
        mine = replace(layers, override=override, override_key=(*layers.override_key, path.stem))
        written.append((read, path, mine))
    reads = _reads(written)
    if only is not None and any(map(_looks_up_silver, reads)):
        return assemble(root, environment, environ, validators=validators)
    faults += [fault for read in reads for fault in read.faults]
    faults += _duplicates(reads)
    faults += _same_tables(reads)
    faults += project_faults(meant.push, reads, Origin(document))
    faults += _unknown_overrides(here, name, root, document)
    project = None
    if spec is not None and only is None and not any(fault.severity == "error" for fault in faults):
        files = _files(root, reads)
        sources = sorted((read.source for read in reads if read.source is not None), key=lambda source: source.id)
        settings = Settings(**layered(layers.below, layers.above, layers.environ))
        by_id = {source.id: source for source in sources}
        project = Project(
            root=root,
            name=spec.name,
            environment=name,
            state=root / STATE_FOLDER / name,
            bindings=MappingProxyType(bindings),
            sources=MappingProxyType(by_id),
            settings=settings,
            collector=collector,
            shared=MappingProxyType({Path(read.file).stem: read.value for read in shared}),
            push=spec.push,
            jobs=MappingProxyType({**jobs_of(spec.jobs, settings.timezone), **scans_of(by_id)}),
            files=MappingProxyType(files),
            variables=MappingProxyType(variables(environ)),
            digest=_digest(
                name, files, {file: digest for read in reads for file, digest in read.seeds.items()}, layers
            ),
        )
    return Assembled(project, name, spec, document, bindings, tuple(reads), tuple(shared), tuple(faults))


def _reads(written: list[tuple[Document, Path, Layers]]) -> list[Read]:
    """Return every source; those that look up a silver dataset once more, when all the datasets are known."""
    reads = [read_source(*each) for each in written]
    silver = {dataset.name: dataset for read in reads if read.source is not None for dataset in read.source.datasets}
    for index, (read, (document, path, layers)) in enumerate(zip(reads, written, strict=True)):
        steps = read.source.spec.processing.bronze_to_silver if read.source is not None else ()
        if any(step.enrich is not None for step in steps):
            reads[index] = read_source(document, path, replace(layers, silver=silver))
    return reads


def _looks_up_silver(read: Read) -> bool:
    steps = read.source.spec.processing.bronze_to_silver if read.source is not None else ()
    return any(step.enrich is not None and step.enrich.lookup.startswith(SILVER) for step in steps)


def _layers(
    root: Path, spec: ProjectFile, here: EnvironmentSpec, name: str, bindings: Mapping[str, str], document: Document,
    environ: Mapping[str, Any], validators: Validators | None,
) -> Layers:  # fmt: skip
    bound = tuple(folder for target in bindings.values() if (folder := bound_folder(root, target)) is not None)
    return Layers(
        root=root,
        bound=bound,
        below=spec.defaults.said(),
        above=here.overrides.said(),
        environ=environ,
        override={},
        override_document=document,
        override_key=("environments", name, "sources"),
        rules=RuleChecks(),
        seeds=Seeds(root, bound),
        validators=validators,
    )


def bound_folder(root: Path, target: str) -> Path | None:
    """Return the local folder that a binding's target names, or None where it is another URI."""
    if target.startswith("file://"):
        target = target.removeprefix("file://")
    return None if "://" in target or not target or "\0" in target else (root / target).resolve()


def _environment(
    spec: ProjectFile, asked: str | None, environ: Mapping[str, str], faults: list[Fault], document: Document
) -> str:
    name = asked if asked is not None else environ.get(ENVIRONMENT_VARIABLE)
    if name is not None:
        if name not in spec.names():
            at = "--env" if asked is not None else f"${ENVIRONMENT_VARIABLE}"
            raise ConfigError(f"no environment '{name}'", at=at, fix=did_you_mean(name, spec.names()))
        return name
    if spec.default() not in spec.names():
        fix = did_you_mean(spec.default(), spec.names())
        message = f"the default_environment '{spec.default()}' is not among the environments"
        faults.append(Origin(document).error(("default_environment",), message, fix))
    return spec.default()


def source_files(root: Path) -> list[Path]:
    """Return the files of connectors/, those that are shared among sources too, by name."""
    folder = root / CONNECTORS
    return sorted(path for path in folder.glob("*") if path.suffix in _SUFFIXES and not path.is_dir())


def is_source_file(file: str) -> bool:
    """Return whether a path in a project is that of a source's file."""
    path = PurePosixPath(file)
    return str(path.parent) == CONNECTORS and path.suffix in _SUFFIXES and not path.name.startswith("_")


def _duplicates(reads: list[Read]) -> list[Fault]:
    first: dict[str, str] = {}
    faults: list[Fault] = []
    for read in reads:
        value = read.origin.document.value
        source_id = value.get("source_id") if isinstance(value, dict) else None
        if not isinstance(source_id, str):
            continue
        if source_id in first:
            message = f"the source_id '{source_id}' is taken by {first[source_id]}"
            faults.append(read.origin.error(("source_id",), message, "give each source an id of its own"))
        first.setdefault(source_id, read.origin.document.file)
    return faults


def _same_tables(reads: list[Read]) -> list[Fault]:
    first: dict[str, str] = {}
    faults: list[Fault] = []
    for read in reads:
        for dataset in read.source.datasets if read.source is not None else ():
            file = read.origin.document.file
            other = first.setdefault(dataset.name, file)
            if Path(other).stem != Path(file).stem:
                message = f"the dataset '{dataset.name}' is also made by {other}"
                faults.append(read.origin.error(("source_id",), message, "rename one of the sources"))
    return faults


def _unknown_overrides(here: EnvironmentSpec, name: str, root: Path, document: Document) -> list[Fault]:
    known = {path.stem for path in source_files(root)}
    return [
        Origin(document).error(
            ("environments", name, "sources", source_id), f"no source '{source_id}'", did_you_mean(source_id, known)
        )
        for source_id in here.sources
        if source_id not in known
    ]


def _files(root: Path, reads: list[Read]) -> dict[str, bytes]:
    names = {PROJECT_FILE, *(read.origin.document.file for read in reads)}
    names |= {file for read in reads for file in read.schema_files}
    return {name: (root / name).read_bytes() for name in sorted(names)}


def _digest(environment: str, files: Mapping[str, bytes], seeds: Mapping[str, str], layers: Layers) -> str:
    digest = hashlib.sha256(f"{environment}\0{sorted(layers.environ.items())}\0".encode())
    for file, content in files.items():
        digest.update(f"{file}\0{hashlib.sha256(content).hexdigest()}\0".encode())
    for file, content_digest in sorted(seeds.items()):
        digest.update(f"{file}\0{content_digest}\0".encode())
    return digest.hexdigest()


def _as_fault(error: ConfigError) -> Fault:
    file, _, line = error.at.rpartition(":")
    return Fault("error", file, int(line), error.message, error.fix)
