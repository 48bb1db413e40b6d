"""What the files of a project refer to, and whether it is there: secrets, bindings, tables, lookups.

A reference that does not resolve is a warning, because the rest of the project still runs; one that cannot be read as a
reference is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.config.faults import did_you_mean
from headrace.config.locations import bound, covers, local_folder, place_of
from headrace.errors import ConfigError
from headrace.secrets.reference import SecretReference, is_reference
from headrace.warehouse.gold import model_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from headrace.config.faults import Fault
    from headrace.config.files import Key
    from headrace.config.source import Source
    from headrace.config.validation import Origin

SCHEMES = ("gs", "s3", "abfss", "https", "http", "file")
_LOCATIONS = ("location", "destination")


def malformed_secrets(value: Any, origin: Origin) -> list[Fault]:
    """Return an error for each `secret://` text that names no store or no secret."""
    faults: list[Fault] = []
    for key, text in _texts(value, ()):
        if is_reference(text):
            try:
                SecretReference.parse(text)
            except ConfigError as error:
                faults.append(origin.error(key, error.message, error.fix))
    return faults


def unresolved_secrets(value: Any, origin: Origin, root: Path, environ: Mapping[str, str]) -> list[Fault]:
    """Return a warning for each secret that is not there now; values are looked at and forgotten."""
    faults: list[Fault] = []
    for key, text in _texts(value, ()):
        if is_reference(text):
            try:
                SecretReference.parse(text).resolve(root, environ)
            except ConfigError as error:
                faults.append(origin.warning(key, error.message, error.fix))
    return faults


def unresolved_bindings(bindings: Mapping[str, tuple[str, Key]], origin: Origin, root: Path) -> list[Fault]:
    """Return a warning for each binding (its target and where it is written) that stands for nothing that is there."""
    faults: list[Fault] = []
    for prefix, (target, key) in bindings.items():
        scheme, separator, rest = target.partition("://")
        if separator and scheme not in SCHEMES:
            known = did_you_mean(scheme, SCHEMES)
            faults.append(origin.warning(key, f"the binding of {prefix} has an unknown scheme '{scheme}://'", known))
        elif (not separator or scheme == "file") and not (root / (rest if separator else target)).is_dir():
            folder = rest if separator else target
            message = f"the binding of {prefix} names the folder {folder}, which does not exist"
            faults.append(origin.warning(key, message, f"mkdir -p {folder}"))
    return faults


def unbound_locations(source: Source, bindings: Mapping[str, str], origin: Origin) -> list[Fault]:
    """Return a warning for each URI of a source that no binding covers."""
    faults: list[Fault] = []
    for name in _LOCATIONS:
        uri = getattr(source.spec.ingestion, name)
        if uri and "://" in uri and not any(uri.startswith(prefix) for prefix in bindings):
            bucket = "/".join(uri.split("/")[:3]) + "/"
            fix = f"add to headrace.yaml: bindings: {{{bucket}: ./{uri.split('/')[2]}/}}"
            faults.append(origin.warning(("ingestion", name), f"no binding says what {uri} stands for", fix))
    return faults


def missing_location(source: Source, root: Path, bindings: Mapping[str, str], origin: Origin) -> list[Fault]:
    """Return a warning where the folder that a source watches is not there, or may not be watched."""
    location = source.spec.ingestion.location
    if source.pattern != "batch_file" or not location:
        return []
    key: Key = ("ingestion", "location")
    folder = local_folder(root, bound(location, bindings))
    if folder is None:
        return []
    try:
        place_of(location, root, bindings)
    except ConfigError as error:
        return [origin.warning(key, error.message, error.fix)]
    if folder.is_dir() or any(
        not (root / each).is_dir() and covers(prefix, location) for prefix, each in bindings.items()
    ):
        return []
    shown = folder.relative_to(root) if folder.is_relative_to(root) else folder
    return [origin.warning(key, f"the folder {shown} does not exist", f"mkdir -p {shown}")]


class Tables:
    """The tables that a project has or makes: silver datasets, and models, seeds and snapshots of its dbt project."""

    def __init__(self, root: Path, sources: Iterable[Source]) -> None:
        sources = list(sources)
        self.silver = {dataset.name for source in sources for dataset in source.datasets}
        self.seeds = {path.stem for path in (root / "seeds").rglob("*.csv")}
        files = [path for folder in ("models", "snapshots") for path in (root / folder).rglob("*") if path.is_file()]
        self.gold = {path.stem for path in files if path.suffix in {".sql", ".py"}} | self.seeds
        steps = [source for source in sources if source.silver_to_gold]
        self.gold |= {model_name(dataset.name) for source in steps for dataset in source.datasets}

    def unknown(self, table: str) -> str | None:
        """Return what to type where a join's table is not there, or None where it is."""
        zone, _, name = table.rpartition(".")
        known = {"silver": self.silver, "gold": self.gold}.get(zone, self.silver | self.gold)
        if name in known:
            return None
        return did_you_mean(name, known) or f"write models/{name}.sql"


def unknown_tables(source: Source, tables: Tables, origin: Origin) -> list[Fault]:
    """Return a warning for each table of a join that is not there."""
    faults: list[Fault] = []
    for index, gold in enumerate(source.silver_to_gold):
        if gold.join is not None and (fix := tables.unknown(gold.join.table)) is not None:
            key: Key = ("processing", "silver_to_gold", index, "join", "table")
            faults.append(origin.warning(key, f"there is no table '{gold.join.table}' to join", fix))
    return faults


def _texts(value: Any, key: Key) -> Iterator[tuple[Key, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, (*key, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*key, index))
