"""The contract of one dataset and its versions, read from their files; what is wrong in them is a fault at its line."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from headrace.config import schemas
from headrace.config.contract_versions import Newest, VersionFile, newest, twice, version_files, way_faults
from headrace.config.faults import Fault
from headrace.config.iglu import another, iglu_files, not_as_fetched
from headrace.config.said_versions import Lifecycles, Said, named_steps, no_default
from headrace.config.schema_ids import id_faults
from headrace.contracts.load import load_contract
from headrace.contracts.versions import Version, number_of, said_version
from headrace.errors import ConfigError, HeadraceError
from headrace.stages.upcast_way import older_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from headrace.config.files import Key
    from headrace.config.iglu import IgluSpec
    from headrace.config.settings import Settings
    from headrace.config.source_file import SourceFile
    from headrace.config.validation import Origin
    from headrace.contracts.contract import Contract
    from headrace.contracts.load import Validators
    from headrace.stages.upcast import UpcastStep


Steps = dict[str, tuple["UpcastStep", ...]]
"""Steps by the name of a version."""


class Contracts:
    """Reads the contracts of a source. What is wrong is added to `faults`, and what it is of is None or empty then."""

    def __init__(
        self, spec: SourceFile, settings: Settings, origin: Origin, root: Path, bound: tuple[Path, ...],
        faults: list[Fault], validators: Validators | None = None,
    ) -> None:  # fmt: skip
        """Read below `root` and the folders `bound`; `validators` keeps those of the contracts."""
        self._spec = spec
        self._settings = settings
        self._origin = origin
        self._root = root
        self._bound = bound
        self._validators = validators
        self.faults = faults
        self.used: list[str] = []

    def files(self, file: str, iglu: IgluSpec | None) -> list[VersionFile]:
        """Return the files of versions, oldest first, beside a schema file or in an Iglu repository."""
        return version_files(self._root, file) if iglu is None else iglu_files(self._root, iglu)

    def document(self, file: str, where: Key, *, needed: bool) -> dict[str, Any] | None:
        """Return what a schema file holds. One that is not there is an error where it is `needed`, else a warning."""
        try:
            document = schemas.read_schema(self._root, file, self._bound)
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
            fix = schemas.nearest(self._root, file)
            if needed:
                self.faults.append(self._origin.error(where, message, fix))
            else:
                said = f"{message}: messages of '{self._spec.source_id}' stay in bronze, unvalidated"
                self.faults.append(self._origin.warning(where, said, fix))
            return None
        self.used.append(file)
        return document

    def describes(self, document: Mapping[str, Any], file: VersionFile) -> bool:
        """Say whether a file of an Iglu repository describes the schema that its path says; it is a fault if not."""
        schema = self._spec.schema_
        if schema is None or schema.iglu is None:
            return True
        wrong, fix = another(document, file.name, schema.iglu), "correct `self`, or move the file"
        if not wrong and (wrong := not_as_fetched(self._root, file)):
            fix = f"put it back, or fetch it anew: rm {file.file}"
        if wrong:
            line = schemas.line_of(self._root, file.file, "#/self")
            self.faults.append(Fault("error", file.file, line, wrong, fix))
        return not wrong

    def contract(
        self, name: str, document: Mapping[str, Any], file: str | None, where: Key, required: Sequence[str],
        version: str,
    ) -> Contract | None:  # fmt: skip
        """Return the contract that a document is, the fields `required` in it too."""
        try:
            return load_contract(
                name,
                document,
                validation=self._settings.validation,
                required=required,
                version=version.removeprefix("v"),
                at=file or self._spec.source_id,
                validators=self._validators,
            )
        except HeadraceError as error:
            if file is None:
                self.faults.append(self._origin.error(where, error.message, error.fix))
            else:
                line = schemas.line_of(self._root, file, error.message)
                self.faults.append(Fault("error", file, line, error.message, error.fix))
            return None

    def called(
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
            line = schemas.line_of(self._root, file, "#/version")
            self.faults.append(Fault("error", file, line, message, fix))
        return None

    def versions(
        self, newest: Version, older: Sequence[VersionFile], required: Sequence[str], said: Said, where: Key
    ) -> tuple[tuple[Version, ...], Steps, Steps]:
        """Return the versions, oldest first, and the steps from each to the next and back; none if one does not load.

        The steps are by the name of the older one.
        """
        lives = Lifecycles(said, self._origin)
        before = len(self.faults)
        found: list[Version] = []
        for each in older:
            document = self.document(each.file, where, needed=True)
            if document is None or not self.describes(document, each):
                continue
            named = said_version(document)
            number = number_of(each.name if named is None else named)
            if number is not None and number != each.number:
                line = schemas.line_of(self._root, each.file, "#/version")
                message = f"the file is called {each.name}, and its document says version {named}"
                self.faults.append(Fault("error", each.file, line, message, "rename the file, or correct the version"))
            contract = self.contract(newest.contract.name, document, each.file, where, (), each.name)
            if contract is not None:
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
        if asks_for(version.contract, names):
            return version
        contract = self.contract(version.contract.name, version.document, version.file, (), names, version.name)
        return version if contract is None else dataclasses.replace(version, contract=contract)


def asks_for(contract: Contract, names: Sequence[str]) -> bool:
    """Whether a contract says itself that some of its columns are there and not null: nothing is to be added."""
    nullable = {column.name for column in contract.columns if column.nullable}
    return nullable.isdisjoint(names) and set(names) <= set(contract.schema.get("required", ()))
