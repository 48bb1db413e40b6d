"""The datasets of a source: its contracts, and every field that its file names checked against them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.config.bronze_to_silver import BronzeToSilver
from headrace.config.contract_versions import version_files
from headrace.config.dataset_contracts import Contracts, asks_for
from headrace.config.lookups import Lookups
from headrace.config.said_versions import said_of
from headrace.connectors.ingestion import TableSpec, dataset_name
from headrace.contracts.versions import Version
from headrace.errors import ConfigError
from headrace.stages import paths
from headrace.stages.dataset import Dataset

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headrace.config.faults import Fault
    from headrace.config.files import Document, Key
    from headrace.config.iglu import IgluSpec
    from headrace.config.rules import RuleChecks
    from headrace.config.seeds import Seeds
    from headrace.config.settings import Settings
    from headrace.config.source_file import SourceFile
    from headrace.config.validation import Origin
    from headrace.contracts.contract import Contract
    from headrace.contracts.load import Validators
    from headrace.stages.late import LateSpec


@dataclass(frozen=True)
class Layers:
    """What lies around a source file: the folder, the settings below and above it, the environment's changes.

    `silver` are the datasets of all sources, where they are known: what an `enrich` step may look up beside `seeds`.
    `validators` keeps those of the contracts, where somebody asks for them later.
    """

    root: Path
    bound: tuple[Path, ...]
    below: Mapping[str, Any]
    above: Mapping[str, Any]
    environ: Mapping[str, Any]
    override: Mapping[str, Any]
    override_document: Document
    override_key: Key
    rules: RuleChecks
    seeds: Seeds
    silver: Mapping[str, Dataset] = dataclasses.field(default_factory=dict)
    validators: Validators | None = None


class Datasets:
    """Loads the contracts of a source, and checks every field that the file names against them."""

    def __init__(self, spec: SourceFile, settings: Settings, origin: Origin, layers: Layers) -> None:
        self._spec = spec
        self._settings = settings
        self._origin = origin
        self._layers = layers
        self.faults: list[Fault] = []
        self._contracts = Contracts(spec, settings, origin, layers.root, layers.bound, self.faults, layers.validators)
        lookups = Lookups(layers.seeds, layers.silver, origin)
        self._steps = BronzeToSilver(spec, origin, lookups, layers.rules, self.faults)

    @property
    def schema_files(self) -> list[str]:
        """The schemas used."""
        return self._contracts.used

    @property
    def seeds(self) -> Mapping[str, str]:
        """The files of reference data that the datasets use, with the SHA-256 of each."""
        return self._steps.seeds

    def read(self) -> tuple[Dataset, ...]:
        """Return the datasets that load; what is wrong is in `faults`."""
        spec = self._spec
        schema = spec.schema_
        if not spec.ingestion.tables:
            if schema is None or (schema.file is None and schema.inline is None and schema.iglu is None):
                usual = f"schemas/{spec.source_id}.json"
                fix = f"write {usual} and name it in `schema: {{file: {usual}}}`"
                self._bronze_only(("schema",), f"'{spec.source_id}'", fix)
                self._steps.end([])
                return ()
            said = (name for name in ("file", "inline", "iglu") if getattr(schema, name) is not None)
            where: Key = ("schema", next(said))
            found = self._dataset(spec.source_id, schema.file, schema.inline, where)
            datasets = [] if found is None else [found]
        else:
            if schema is not None and any(each is not None for each in (schema.file, schema.inline, schema.iglu)):
                fix = "give each of `tables:` its own: {name: …, schema_file: …}"
                self.faults.append(self._origin.error(("schema",), "one schema cannot describe several tables", fix))
            for word in ("versions", "upcast", "downcast"):
                if schema is not None and getattr(schema, word):
                    message = f"`{word}` is of one contract, and each of several tables has its own"
                    fix = f"say it at the table: `tables: [{{name: {spec.ingestion.tables[0].name}, {word}: …}}]`"
                    self.faults.append(self._origin.error(("schema", word), message, fix))
            datasets = [
                found for index, table in enumerate(spec.ingestion.tables) if (found := self._table(index, table))
            ]
        self._steps.end(datasets)
        return tuple(datasets)

    def _table(self, index: int, table: TableSpec) -> Dataset | None:
        key: Key = ("ingestion", "tables", index)
        try:
            name = dataset_name(self._spec.source_id, table.name)
        except ValueError as error:
            self.faults.append(self._origin.error(key, str(error), "shorten the source_id or the table's name"))
            return None
        twin = next((each.name for each in self._spec.ingestion.tables[:index] if self._name(each) == name), None)
        if twin is not None:
            message = f"the tables '{twin}' and '{table.name}' would both be the dataset {name}"
            self.faults.append(self._origin.error(key, message, "leave one out, or make it a source of its own"))
            return None
        usual = f"schemas/{name}.json"
        root = self._layers.root
        if table.schema_file is None and not (root / usual).is_file() and not version_files(root, usual):
            self._bronze_only(key, f"the table '{table.name}'", f"write {usual}, or name another in its `schema_file:`")
            return None
        return self._dataset(name, table.schema_file or usual, None, key, table)

    def _name(self, table: TableSpec) -> str:
        try:
            return dataset_name(self._spec.source_id, table.name)
        except ValueError:
            return ""  # told where it stands

    def _bronze_only(self, key: Key, what: str, fix: str) -> None:
        message = f"{what} has no schema: its messages stay in bronze, unvalidated"
        self.faults.append(self._origin.warning(key, message, fix))

    def _dataset(
        self, name: str, file: str | None, inline: dict[str, Any] | None, where: Key, table: TableSpec | None = None
    ) -> Dataset | None:
        steps = self._spec.processing.bronze_to_silver
        dedup = next((step.deduplication for step in steps if step.deduplication is not None), None)
        late: LateSpec | None = next((step.late for step in steps if step.late is not None), None)
        at = next((i for i, step in enumerate(steps) if step.deduplication is not None), 0)
        dedup_key: Key = ("processing", "bronze_to_silver", at, "deduplication")
        key, version_by, event_time = (
            dedup.key if dedup else (),
            dedup.version_by if dedup else None,
            self._spec.event_time,
        )
        places: dict[str, Key] = {
            "key": (*dedup_key, "key"),
            "version_by": (*dedup_key, "version_by"),
            "event_time": ("event_time",),
        }
        if table is not None:
            for option in table.model_fields_set & set(places):
                places[option] = (*where, option)
            key, version_by, event_time = (
                table.key or key,
                table.version_by or version_by,
                table.event_time or event_time,
            )
        schema = self._spec.schema_
        iglu = schema.iglu if schema is not None and table is None else None
        older, own = self._contracts.files(file or f"schemas/{name}.json", iglu), None
        if iglu is not None and self._spec.ingestion.decoded_as() == "csv":
            message = "self-describing events are JSON, and messages of this source are csv"
            self.faults.append(self._origin.error(where, message, "write `message_format: json`"))
            return None
        if iglu is not None and not older:
            self._no_iglu(iglu, where)
            return None
        if iglu is not None or (file is not None and older and not (self._layers.root / file).is_file()):
            own = older.pop()  # the newest of the folder stands for it, and has its number from its name
            file = own.file
        document = inline if file is None else self._contracts.document(file, where, needed=bool(steps or event_time))
        if document is None or (own is not None and not self._contracts.describes(document, own)):
            return None
        called = self._contracts.called(document, file, older, own, where)
        if called is None:
            return None
        contract = self._contracts.contract(name, document, file, where, (), called.name)
        if contract is None:
            return None
        if not self._fields_exist(contract, key, version_by, event_time, places):
            # It will not load; all else that is said of the contract is held against it all the same.
            key, version_by, event_time = (), None, None
        columns = {column.name for column in contract.columns}
        required = [field for field in dict.fromkeys([*key, event_time]) if field in columns]
        if not asks_for(contract, required):
            contract = self._contracts.contract(name, document, file, where, required, called.name)
        if contract is None:
            return None
        newest = Version(called.name, called.number, contract, document, file or "", called.declared)
        said = said_of(self._spec, name)
        versions, upcasts, downcasts = self._contracts.versions(newest, older, required, said, where)
        if not versions:
            return None
        enrichments = self._steps.enrichments(contract)
        plain = Dataset(name, contract, enrichments=enrichments)
        rules = self._steps.rules(plain.columns())
        return Dataset(
            name=name,
            contract=contract,
            key=key,
            version_by=version_by,
            event_time=event_time,
            timezone=self._settings.timezone,
            late=late,
            enrichments=enrichments,
            rules=rules,
            versions=versions,
            upcasts=upcasts,
            downcasts=downcasts,
            version_from=said.version_from,
            iglu=None if iglu is None else iglu.family,
        )

    def _no_iglu(self, iglu: IgluSpec, where: Key) -> None:
        folder = f"{iglu.folders[0]}/{iglu.family.folder}"
        fix = f"put its versions into {folder}/1-0-0 and so on"
        if iglu.urls:
            fix = f"headrace contract fetch {self._spec.source_id}; or {fix}"
        self.faults.append(self._origin.error(where, f"no repository has a version of {iglu.family}", fix))

    def _fields_exist(
        self, contract: Contract, key: tuple[str, ...], version_by: str | None, event_time: str | None,
        places: Mapping[str, Key],
    ) -> bool:  # fmt: skip
        from headrace.stages.event_time import check_event_time

        schema = contract.arrow_schema()
        before = len(self.faults)
        named = [((*places["key"], index), "key", field) for index, field in enumerate(key)]
        if version_by is not None:
            named.append((places["version_by"], "version_by", version_by))
        for place, option, field in named:
            try:
                path = paths.resolve(field, schema)
            except ConfigError as error:
                self.faults.append(self._origin.error(place, f"{option}: {error.message}", error.fix))
                continue
            if paths.ELEMENTS in path.steps:
                message = f"{option}: {field} names the elements of a list"
                self.faults.append(self._origin.error(place, message, "name a single field"))
        if wrong := check_event_time(event_time, self._settings.timezone, schema):
            self.faults.append(self._origin.error(places["event_time"], f"event_time: {wrong[0]}", wrong[1]))
        return len(self.faults) == before
