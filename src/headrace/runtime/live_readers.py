"""Who still reads what is deprecated: of a field models, lookups, rules; of a version past its day its producers.

Lineage is read only where a contract marks a field, and the ledger only where a version's day is over.
"""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NamedTuple

from headrace.config.deprecated_uses import use_faults
from headrace.config.faults import Fault
from headrace.config.said_versions import said_of
from headrace.contracts.deprecated import deprecated_fields
from headrace.errors import BuildError, LakeError
from headrace.governance.lineage_sql import ALL, Ref
from headrace.lake.reader import open_reader
from headrace.runtime.inputs import inputs
from headrace.runtime.lineage import lineage, uncommented, written_lines
from headrace.warehouse.rendering import models

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headrace.config.project import Assembled, Project
    from headrace.config.validation import Origin
    from headrace.contracts.deprecated import Deprecated
    from headrace.contracts.versions import Version
    from headrace.governance.lineage import Graph
    from headrace.lake.reader import LakeReader
    from headrace.warehouse.rendering import Model

LATELY = dt.timedelta(days=30)
"""How far back events of a version count as still arriving."""


class _Field(NamedTuple):
    """A deprecated field of a dataset's events, and the source whose it is."""

    source: str
    dataset: str
    at: Deprecated

    @property
    def path(self) -> str:
        """What people call it."""
        return self.at.path


def live_readers(assembled: Assembled, today: dt.date | None = None) -> list[Fault]:
    """Return an error for whatever keeps a deprecation from being carried out, at its reader.

    Reads the lake of the environment, where there is one; a lake that cannot be read is not the files' fault.
    """
    if assembled.project is None:
        return []
    origins = {read.source.id: read.origin for read in assembled.reads if read.source is not None}
    day = today or dt.datetime.now(dt.UTC).date()
    return [*_of_fields(assembled.project, origins), *_still_sent(assembled.project, origins, day)]


def _of_fields(project: Project, origins: Mapping[str, Origin]) -> list[Fault]:
    fields: list[_Field] = []
    faults: list[Fault] = []
    for source in project.sources.values():
        for dataset in source.datasets:
            if marked := deprecated_fields(dataset.contract):
                fields += [_Field(source.id, dataset.name, each) for each in marked]
                faults += use_faults(source, origins[source.id], dataset, marked)
    if not fields:
        return []
    try:
        found = models(inputs(project))
        graph = lineage(project, found, below={f"silver.{field.dataset}" for field in fields})
    except BuildError as error:
        message = f"who reads the deprecated field {fields[0].dataset}.{fields[0].path} cannot be told: {error.message}"
        return [*faults, origins[fields[0].source].warning(("schema",), message, error.fix)]
    by_table = {model.table: model for model in found}
    owners = {f"silver.{dataset.name}": source.id for source in project.sources.values() for dataset in source.datasets}
    for field in fields:
        readers: dict[str, Ref] = {}  # each model once: at one of its columns, where there is one
        for made in _first_readers(graph, Ref(f"silver.{field.dataset}", field.at.column.lower()), by_table):
            if readers.get(made.table, made).column in {
                ALL,
                made.column,
            }:
                readers[made.table] = made
        faults += [_fault(field, made, graph, by_table, origins, owners) for made in readers.values()]
    return faults


def _first_readers(graph: Graph, field: Ref, by_table: Mapping[str, Model]) -> Iterator[Ref]:
    """Yield the columns that a person has made of a field: generated staging models only hand it on."""
    waiting, seen = [field], {field}
    while waiting:
        ref = waiting.pop()
        for made in sorted(graph.readers(ref)):
            if made in seen:
                continue
            seen.add(made)
            if made.column != ALL and _is_staging(by_table.get(made.table)):
                rest = ref.column.partition(".")[2]
                waiting.append(Ref(made.table, f"{made.column}.{rest}" if rest else made.column))
            else:
                yield made


def _is_staging(model: Model | None) -> bool:
    return model is not None and _is_generated(model) and model.name.startswith("stg_")


def _is_generated(model: Model) -> bool:
    return not model.file.endswith((".sql", ".csv"))  # its file is the source that asks for it


def _fault(
    field: _Field,
    made: Ref,
    graph: Graph,
    by_table: Mapping[str, Model],
    origins: Mapping[str, Origin],
    owners: Mapping[str, str],
) -> Fault:
    table, model = graph.tables[made.table], by_table.get(made.table)
    fix = f"read what takes its place; or take `deprecated` off {field.path} while it is read"
    said = f"{field.dataset}.{field.path}, which its contract says is deprecated"
    severity: Literal["error", "warning"] = "error"
    if field.at.within:  # what a column of JSON text is asked for, lineage does not see
        severity, said, fix = (
            "warning",
            f"{field.dataset}.{field.at.column}, and may read {said}",
            "see that it does not",
        )
    if model is None:  # silver of another source, which looks this one up
        place = origins[owners[table.name]].place(("processing", "bronze_to_silver"))
        return Fault(severity, *place, f"{table.name} looks up {said}", fix)
    if _is_generated(model):
        source = model.file.rpartition("/")[2].removesuffix(".yaml")
        place = origins[source].place(("processing", "silver_to_gold"))
        return Fault(severity, *place, f"{table.name} reads {said}", fix)
    leaf = field.at.column.rpartition(".")[2]
    line = written_lines(uncommented(model.text), [leaf]).get(leaf) or table.lines.get(made.column.partition(".")[0], 1)
    if table.problem:
        message = f"{table.name} may read {said}: {table.problem}"
        return Fault("warning", model.file, line, message, "see that it does not")
    return Fault(severity, model.file, line, f"{table.name} reads {said}", fix)


def _still_sent(project: Project, origins: Mapping[str, Origin], today: dt.date) -> list[Fault]:
    """Return the versions past their day of which events have come lately."""
    late = [
        (source.id, dataset.name, version)
        for source in project.sources.values()
        for dataset in source.datasets
        for version in dataset.versions
        if version.until is not None and version.until < today
    ]
    faults: list[Fault] = []
    if not late:
        return faults
    with suppress(LakeError), open_reader(project.state / "lake") as lake:
        if lake is None:
            return faults
        for source, dataset, version in late:
            events, last = _lately(lake, dataset, version, today)
            if not events:
                continue
            said = said_of(project.sources[source].spec, dataset)
            message = (
                f"{version.name} of {dataset} is past its day, and {events:,} of its events came in the last "
                f"{LATELY.days} days, the last on {last:%Y-%m-%d}"
            )
            fix = "let its producers move first: once it is retired, events that name it are quarantined"
            faults.append(origins[source].error(said.at("versions", said.named(version), "until"), message, fix))
    return faults


def _lately(lake: LakeReader, dataset: str, version: Version, today: dt.date) -> tuple[int, dt.datetime | None]:
    since = dt.datetime.combine(today - LATELY, dt.time(), dt.UTC)
    (row,) = lake.rows(
        "SELECT coalesce(sum(accepted), 0)::BIGINT AS events, max(committed_at) FILTER (accepted > 0) AS last "
        "FROM lake.ops.ledger JOIN lake.ops.batches USING (batch_id) "
        "WHERE dataset = ? AND contract_version = ? AND committed_at >= ?",
        (dataset, version.contract.version, since),
    )
    return row["events"], row["last"]
