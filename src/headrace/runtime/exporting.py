"""A contract of a project in a foreign form: one table names the forms."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.contracts.formats import avro, bigquery, iglu, odcs, protobuf_schema
from headrace.contracts.formats.form import Exported
from headrace.contracts.formats.known import as_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.config.source import Source
    from headrace.stages.dataset import Dataset


@dataclass(frozen=True)
class Export:
    """The text of a contract in a foreign form, and what that form cannot say."""

    dataset: str
    text: str
    dropped: tuple[str, ...]


def _jsonschema(source: Source, dataset: Dataset, namespace: str, version: str) -> Exported:  # noqa: ARG001 - one form
    return Exported(dict(dataset.contract.schema))


def _avro(source: Source, dataset: Dataset, namespace: str, version: str) -> Exported:  # noqa: ARG001 - one form
    return avro.write(dataset.contract.schema, dataset.name, namespace)


def _protobuf(source: Source, dataset: Dataset, namespace: str, version: str) -> Exported:  # noqa: ARG001 - one form
    return protobuf_schema.write(dataset.contract.schema, dataset.name, namespace)


def _odcs(source: Source, dataset: Dataset, namespace: str, version: str) -> Exported:  # noqa: ARG001 - one form
    # The same contract is the same document, so its id is made of what it is of.
    identifier = uuid.UUID(bytes=hashlib.sha256(f"headrace:{dataset.name}".encode()).digest()[:16], version=4)
    return odcs.write(
        dataset.contract.schema,
        dataset.name,
        version=dataset.contract.version,
        identifier=str(identifier),
        key=dataset.key,
        owner=source.owner,
        event_time=dataset.event_time,
        description=source.spec.description,
    )


def _bigquery(source: Source, dataset: Dataset, namespace: str, version: str) -> Exported:  # noqa: ARG001 - one form
    return bigquery.write(dataset.contract)


def _iglu(source: Source, dataset: Dataset, namespace: str, version: str) -> Exported:  # noqa: ARG001 - one form
    return iglu.write(dataset.contract.schema, dataset.name, namespace, version)


FORMS: dict[str, Callable[[Source, Dataset, str, str], Exported]] = {
    "jsonschema": _jsonschema,
    "avro": _avro,
    "protobuf": _protobuf,
    "odcs": _odcs,
    "bigquery": _bigquery,
    "iglu": _iglu,
}


def exported(source: Source, table: str | None, form: str, *, namespace: str = "", version: str = "") -> Export:
    """Return the contract of a source, or of one of its tables, in a form of FORMS.

    Raises `ConfigError` where the source has no contract, or several and none is named.
    """
    dataset = source.dataset(table)
    found = FORMS[form](source, dataset, namespace, version)
    return Export(dataset.name, as_text(found.document), tuple(found.dropped))
