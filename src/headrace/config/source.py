"""A source, ready for the runtime: its file, its settings and its datasets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.config.datasets import Datasets
from headrace.config.faults import Fault
from headrace.config.pushes import push_faults
from headrace.config.references import malformed_secrets
from headrace.config.settings import Settings, layered, said_by_source
from headrace.config.source_file import FLAT_SCHEMA, SourceFile, full_form, is_flat, without, written_key
from headrace.config.validation import Origin, validated
from headrace.connectors.ingestion import IngestionSpec
from headrace.errors import ConfigError
from headrace.words import IDENTIFIER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headrace.config.datasets import Layers
    from headrace.config.files import Document
    from headrace.stages.csv_rows import CsvSpec
    from headrace.stages.dataset import Dataset
    from headrace.warehouse.gold import GoldStep


@dataclass(frozen=True)
class Source:
    """One `connectors/<id>.yaml`, its layers merged and its contracts loaded.

    `datasets` is empty where there is no schema: then messages stay in bronze. `raw` is the file as it was written,
    every key kept; `spec` is the same with the environment's overrides, in the full form. `file` is absolute.
    """

    id: str
    file: Path
    pattern: str
    message_format: str
    topic: str
    csv: CsvSpec
    datasets: tuple[Dataset, ...]
    silver_to_gold: tuple[GoldStep, ...]
    owner: str | None
    settings: Settings
    spec: SourceFile
    raw: Mapping[str, Any]

    def dataset(self, table: str | None) -> Dataset:
        """Return the dataset of a table, or its only one. Raises `ConfigError` where it cannot be told which."""
        named = {dataset.name: dataset for dataset in self.datasets}
        if not named:
            raise ConfigError(f"the source {self.id!r} has no contract", at=self.file.name, fix="give it a schema")
        short = {name.removeprefix(f"{self.id}__"): dataset for name, dataset in named.items()}
        found = named.get(table or "") or short.get(table or "")
        if found is None and table is None and len(named) == 1:
            (found,) = named.values()
        if found is None:
            message = f"{self.id} has no table {table!r}"
            if table is None:
                message = f"{self.id} has {len(named)} tables, each with a contract"
            raise ConfigError(message, at="--dataset", fix=f"one of: {', '.join(short)}")
        return found

    @property
    def sla_minutes(self) -> int | None:
        """How old the newest data may be; None where nobody said."""
        return self.settings.sla_minutes

    @property
    def freshness_secs(self) -> float:
        """How soon after an event arrives a commit is due."""
        return self.settings.freshness_secs

    @property
    def batch_rows(self) -> int:
        """How many messages one batch holds at most."""
        return self.settings.batch_rows


@dataclass(frozen=True)
class Read:
    """What came of a source file: the source where it loads, where its keys stand, the schemas it used, its faults.

    `seeds` are the files of reference data that it looks up, with the SHA-256 of each.
    """

    source: Source | None
    origin: Origin
    schema_files: tuple[str, ...]
    faults: tuple[Fault, ...]
    seeds: Mapping[str, str] = field(default_factory=dict)


def read_source(document: Document, file: Path, layers: Layers) -> Read:
    """Return the source of a parsed file; never raises for what the file says."""
    raw = document.value
    if not isinstance(raw, dict):
        fix = f"start it with `source_id: {file.stem}`"
        fault = Fault("error", document.file, 1, "a source file is a mapping", fix)
        return Read(None, Origin(document), (), (fault,))
    origin = Origin(
        document,
        lambda key: written_key(raw, key),
        layers.override_document,
        layers.override_key,
        lambda key: written_key(layers.override, key),
    )
    changes = {key: value for key, value in full_form(layers.override).items() if value != {}}
    full = layered(full_form(raw), changes)
    more = [*IngestionSpec.model_fields, FLAT_SCHEMA] if is_flat(raw) else [FLAT_SCHEMA]
    spec, faults, wrong = validated(SourceFile, full, origin, more)
    if not is_flat(raw):
        faults = [_moved(fault, raw) for fault in faults]
    faults += _identity(full, file, origin)
    faults += malformed_secrets(full, origin)
    loads = spec is not None
    if spec is None:
        spec = without(full, wrong)
    if spec is None:
        return Read(None, origin, (), tuple(faults))
    said = said_by_source(spec.model_dump(by_alias=True, exclude_unset=True))
    specific = {name: said[name] for name in said_by_source(changes) if name in said}
    settings = Settings(**layered(layers.below, said, layers.above, specific, layers.environ))
    reading = Datasets(spec, settings, origin, layers)
    datasets = reading.read()
    faults += push_faults(spec, datasets, origin)
    if not loads:
        return Read(None, origin, (), (*faults, *reading.faults))
    source = Source(
        id=spec.source_id,
        file=file,
        pattern=spec.ingestion.pattern,
        message_format=spec.ingestion.decoded_as(),
        topic=spec.ingestion.topic or spec.source_id,
        csv=spec.ingestion.csv,
        datasets=datasets,
        silver_to_gold=spec.processing.silver_to_gold,
        owner=spec.owner,
        settings=settings,
        spec=spec,
        raw=raw,
    )
    return Read(source, origin, tuple(reading.schema_files), (*faults, *reading.faults), reading.seeds)


def _moved(fault: Fault, raw: Mapping[str, Any]) -> Fault:
    strays = (key for key in raw if key in IngestionSpec.model_fields)
    key = next((key for key in strays if fault.message == f"unknown key '{key}'"), None)
    if key is None:
        return fault
    return Fault(fault.severity, fault.file, fault.line, fault.message, f"move `{key}:` into `ingestion:`")


def _identity(full: Mapping[str, Any], file: Path, origin: Origin) -> list[Fault]:
    found = full.get("source_id")
    if isinstance(found, str) and IDENTIFIER.fullmatch(found) and found != file.stem:
        message = f"the source_id '{found}' differs from the file's name"
        fix = f"write `source_id: {file.stem}`, or rename the file {found}.yaml"
        return [origin.error(("source_id",), message, fix)]
    return []
