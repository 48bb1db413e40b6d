"""The datasets of a source: its contracts, and every field that its file names checked against them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.config import schemas
from headrace.config.bronze_to_silver import BronzeToSilver
from headrace.config.contract_versions import Newest, VersionFile, newest, twice, version_files, way_faults
from headrace.config.faults import Fault
from headrace.config.iglu import another, iglu_files, not_as_fetched
from headrace.config.lookups import Lookups
from headrace.config.said_versions import Lifecycles, Said, named_steps, no_default, said_of
from headrace.config.schema_ids import id_faults
from headrace.connectors.ingestion import TableSpec, dataset_name
from headrace.contracts.load import load_contract
from headrace.contracts.versions import Version, number_of, said_version
from headrace.errors import ConfigError, HeadraceError
from headrace.stages import paths
from headrace.stages.dataset import Dataset
from headrace.stages.upcast_way import older_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from headrace.config.files import Document, Key
    from headrace.config.iglu import IgluSpec
    from headrace.config.rules import RuleChecks
    from headrace.config.seeds import Seeds
    from headrace.config.settings import Settings
    from headrace.config.source_file import SourceFile
    from headrace.config.validation import Origin
    from headrace.contracts.contract import Contract
    from headrace.stages.late import LateSpec
    from headrace.stages.upcast import UpcastStep


Steps = dict[str, tuple["UpcastStep", ...]]
"""Steps by the name of a version."""


@dataclass(frozen=True)
class Layers:
    """What lies around a source file: the folder, the settings below and above it, the environment's changes.

    `silver` are the datasets of all sources, where they are known: what an `enrich` step may look up beside `seeds`.
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


class Datasets:
    """Loads the contracts of a source, and checks every field that the file names against them."""

    def __init__(self, spec: SourceFile, settings: Settings, origin: Origin, layers: Layers) -> None:
        self._spec = spec
        self._settings = settings
        self._origin = origin
        self._layers = layers
        self.schema_files: list[str] = []
        self.faults: list[Fault] = []
        lookups = Lookups(layers.seeds, layers.silver, origin)
        self._steps = BronzeToSilver(spec, origin, lookups, layers.rules, self.faults)

    @property
    def seeds(self) -> Mapping[str, str]:
        """The files of reference data that the datasets use, with the SHA-256 of each."""
        return self._steps.seeds

    def read(self) -> tuple[Dataset, ...]:
        """Return the datasets that load; what is wrong is in `faults`.

        `schema_files` are the schemas used, `seeds` the files of reference data.
        """
        spec = self._spec
        schema = spec.schema_
        if not spec.ingestion.tables:
            if schema is None or (schema.file is None and schema.inline is None and schema.iglu is None):
                self._bronze_only(("schema",), f"schemas/{spec.source_id}.json")
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
            self._bronze_only(key, usual, f"the table '{table.name}'")
            return None
        return self._dataset(name, table.schema_file or usual, None, key, table)

    def _name(self, table: TableSpec) -> str:
        try:
            return dataset_name(self._spec.source_id, table.name)
        except ValueError:
            return ""  # told where it stands

    def _bronze_only(self, key: Key, file: str, what: str = "") -> None:
        what = what or f"'{self._spec.source_id}'"
        message = f"{what} has no schema: its messages stay in bronze, unvalidated"
        fix = f"write {file} and name it in `schema: {{file: {file}}}`"
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
        older, own = self._files(file or f"schemas/{name}.json", iglu), None
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
        document = inline if file is None else self._document(file, where, needed=bool(steps or event_time))
        if document is None or (own is not None and not self._describes(document, own)):
            return None
        called = self._called(document, file, older, own, where)
        if called is None:
            return None
        contract = self._contract(name, document, file, where, (), called.name)
        if contract is None:
            return None
        if not self._fields_exist(contract, key, version_by, event_time, places):
            # It will not load; all else that is said of the contract is held against it all the same.
            key, version_by, event_time = (), None, None
        columns = {column.name for column in contract.columns}
        required = [field for field in dict.fromkeys([*key, event_time]) if field in columns]
        if not _asks_for(contract, required):
            contract = self._contract(name, document, file, where, required, called.name)
        if contract is None:
            return None
        newest = Version(called.name, called.number, contract, document, file or "", called.declared)
        said = said_of(self._spec, name)
        versions, upcasts, downcasts = self._versions(newest, older, required, said, where)
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

    def _files(self, file: str, iglu: IgluSpec | None) -> list[VersionFile]:
        return version_files(self._layers.root, file) if iglu is None else iglu_files(self._layers.root, iglu)

    def _no_iglu(self, iglu: IgluSpec, where: Key) -> None:
        folder = f"{iglu.folders[0]}/{iglu.family.folder}"
        fix = f"put its versions into {folder}/1-0-0 and so on"
        if iglu.urls:
            fix = f"headrace contract fetch {self._spec.source_id}; or {fix}"
        self.faults.append(self._origin.error(where, f"no repository has a version of {iglu.family}", fix))

    def _called(
        self, document: Mapping[str, Any], file: str | None, older: list[VersionFile], own: VersionFile | None,
        where: Key,
    ) -> Newest | None:  # fmt: skip
        """Return what the newest version is called; None, and a fault, where it cannot be."""
        same = twice(older if own is None else [*older, own])
        found = newest(document, older, own)
        wrong = same or (found if isinstance(found, str) else "")
        if not wrong:
            return found if isinstance(found, Newest) else None
        message, _, fix = wrong.partition(": ")
        fix = fix or "remove one of them"
        if file is None or same:
            self.faults.append(self._origin.error(where, message, fix))
        else:
            line = schemas.line_of(self._layers.root, file, "#/version")
            self.faults.append(Fault("error", file, line, message, fix))
        return None

    def _versions(
        self, newest: Version, older: Sequence[VersionFile], required: Sequence[str], said: Said, where: Key
    ) -> tuple[tuple[Version, ...], Steps, Steps]:
        """Return the versions, oldest first, and the steps from each to the next and back; none if one does not load.

        The steps are by the name of the older one.
        """
        lives = Lifecycles(said, self._origin)
        before = len(self.faults)
        found: list[Version] = []
        for each in older:
            document = self._document(each.file, where, needed=True)
            if document is not None and not self._describes(document, each):
                continue
            named = said_version(document) if document is not None else None
            number = number_of(each.name if named is None else named)
            if document is not None and number is not None and number != each.number:
                line = schemas.line_of(self._layers.root, each.file, "#/version")
                message = f"the file is called {each.name}, and its document says version {named}"
                self.faults.append(Fault("error", each.file, line, message, "rename the file, or correct the version"))
            contract = (
                None
                if document is None
                else self._contract(newest.contract.name, document, each.file, where, (), each.name)
            )
            if document is not None and contract is not None:
                found.append(Version(each.name, each.number, contract, document, each.file, declared=True))
        if len(self.faults) > before:  # what is said of versions that did not load is no fault of its own
            return (), {}, {}
        versions = tuple(map(lives.of, (*found, newest)))
        upcasts = named_steps("upcast", said, versions, self._origin, self.faults)
        downcasts = named_steps("downcast", said, versions, self._origin, self.faults)
        self.faults += lives.faults(versions)
        self.faults += no_default(said, versions, self._origin)
        ids = id_faults(said, self._spec.ingestion.decoded_as(), versions, self._origin)
        self.faults += [each for each in ids if each.severity == "error"]
        if len(self.faults) > before:
            return (), {}, {}
        self.faults += [each for each in ids if each.severity == "warning"]
        if not older:
            return versions, {}, {}
        versions = (*(self._requiring(versions[at:], required, upcasts) for at in range(len(found))), versions[-1])
        self.faults += way_faults(versions, upcasts, said, self._origin, where)
        return versions, upcasts, downcasts

    def _requiring(
        self, versions: Sequence[Version], required: Sequence[str], upcasts: Mapping[str, tuple[UpcastStep, ...]]
    ) -> Version:
        """Return the first of some versions, with what the newest requires (key, event time) required under its name.

        So its version word stays what it was when it was the newest.
        """
        version = versions[0]
        names = [name for each in required if (name := older_name(each, versions, upcasts)) is not None]
        if _asks_for(version.contract, names):
            return version
        contract = self._contract(version.contract.name, version.document, version.file, (), names, version.name)
        return version if contract is None else dataclasses.replace(version, contract=contract)

    def _describes(self, document: Mapping[str, Any], file: VersionFile) -> bool:
        """Say whether a file of an Iglu repository describes the schema that its path says; it is a fault if not."""
        schema = self._spec.schema_
        if schema is None or schema.iglu is None:
            return True
        wrong, fix = another(document, file.name, schema.iglu), "correct `self`, or move the file"
        if not wrong and (wrong := not_as_fetched(self._layers.root, file)):
            fix = f"put it back, or fetch it anew: rm {file.file}"
        if wrong:
            line = schemas.line_of(self._layers.root, file.file, "#/self")
            self.faults.append(Fault("error", file.file, line, wrong, fix))
        return not wrong

    def _document(self, file: str, where: Key, *, needed: bool) -> dict[str, Any] | None:
        try:
            document = schemas.read_schema(self._layers.root, file, self._layers.bound)
        except ConfigError as error:
            place, _, line = error.at.rpartition(":")
            if line.isdigit():
                self.faults.append(Fault("error", place, int(line), error.message, error.fix))
            else:
                self.faults.append(self._origin.error(where, error.message, error.fix))
            return None
        if document is None:
            # Where nothing in the file depends on it, the source still loads: its messages are kept, in bronze.
            message = f"the schema file {file} does not exist"
            fix = schemas.nearest(self._layers.root, file)
            if needed:
                self.faults.append(self._origin.error(where, message, fix))
            else:
                said = f"{message}: messages of '{self._spec.source_id}' stay in bronze, unvalidated"
                self.faults.append(self._origin.warning(where, said, fix))
            return None
        self.schema_files.append(file)
        return document

    def _contract(
        self, name: str, document: Mapping[str, Any], file: str | None, where: Key, required: Sequence[str],
        version: str,
    ) -> Contract | None:  # fmt: skip
        try:
            return load_contract(
                name,
                document,
                validation=self._settings.validation,
                required=required,
                version=version.removeprefix("v"),
                at=file or self._spec.source_id,
            )
        except HeadraceError as error:
            if file is None:
                self.faults.append(self._origin.error(where, error.message, error.fix))
            else:
                line = schemas.line_of(self._layers.root, file, error.message)
                self.faults.append(Fault("error", file, line, error.message, error.fix))
            return None

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


def _asks_for(contract: Contract, names: Sequence[str]) -> bool:
    """Whether a contract says itself that some of its columns are there and not null: nothing is to be added."""
    nullable = {column.name for column in contract.columns if column.nullable}
    return nullable.isdisjoint(names) and set(names) <= set(contract.schema.get("required", ()))
