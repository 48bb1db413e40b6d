"""The names that a source's file gives to the cells of CSV records, held against the contract's versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.config.faults import did_you_mean
from headrace.config.said_versions import said_of
from headrace.contracts.flat import flattened
from headrace.contracts.spoken import may_match

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.config.faults import Fault
    from headrace.config.files import Key
    from headrace.config.source import Source
    from headrace.config.validation import Origin
    from headrace.contracts.contract import Contract


def cell_faults(source: Source, origin: Origin) -> list[Fault]:
    """Return the cells that the schema of their version does not have: an error where it then takes no record."""
    found: list[Fault] = []
    for dataset in source.datasets:
        said = said_of(source.spec, dataset.name)
        for version in dataset.versions:
            key: Key = said.at("versions", said.named(version), "csv_columns")
            names = version.csv_columns
            if names and source.message_format != "csv":
                message = f"it names the cells of CSV records, and messages of this source are {source.message_format}"
                found.append(origin.warning(key, message, "leave it out, or write `message_format: csv`"))
                continue
            if not names and version is dataset.versions[-1] and not source.spec.ingestion.tables:
                names, key = source.csv.columns, ("ingestion", "csv", "columns")
            for index, name in enumerate(names):
                found += _unknown(name, version.name, version.contract, (*key, index), origin)
    return found


def _unknown(name: str, version: str, contract: Contract, key: Key, origin: Origin) -> Iterator[Fault]:
    known = [column.name for column in contract.columns]
    flat = flattened(contract.schema, contract.schema) or contract.schema
    others = flat.get("additionalProperties", contract.validation == "lenient" or None)
    if name in known or any(may_match(pattern, name) for pattern in flat.get("patternProperties", ())) or others:
        return
    fix = did_you_mean(name, known) or "give it the name of a field, or add the field to the schema"
    if others is False:
        yield origin.error(key, f"{version} forbids a field {name!r}: no record with this cell would be taken", fix)
    else:
        yield origin.warning(key, f"{version} has no field {name!r}: what is in this cell is not kept", fix)
