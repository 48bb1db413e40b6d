"""`lint`: every fault of a project at once, and what is worth knowing though nothing is wrong."""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING, Any

from headrace.config import references
from headrace.config.contract_policy import policy_faults
from headrace.config.contract_versions import overdue, unreached
from headrace.config.csv_cells import cell_faults
from headrace.config.project import Assembled, assemble
from headrace.config.source_file import SourceFile
from headrace.config.validation import Origin, dotted, models_in
from headrace.connectors.ingestion import PLANNED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from pydantic import BaseModel

    from headrace.config.faults import Fault
    from headrace.config.files import Key


def lint(
    root: Path,
    environment: str | None = None,
    environ: Mapping[str, str] | None = None,
    also: Iterable[Callable[[Assembled], Iterable[Fault]]] = (),
    today: dt.date | None = None,
) -> list[Fault]:
    """Return every fault of a project in one environment, by file and line; errors keep it from running.

    `also` look at what the files do not tell; `today` is the day that deprecations are held against. Raises
    ConfigError only where the environment asked for does not exist.
    """
    environ = os.environ if environ is None else environ
    assembled = assemble(root, environment, environ)
    faults = [*assembled.faults, *_bindings(root, assembled), *_shared(assembled)]
    faults += policy_faults(root, assembled.reads)
    faults += [fault for look in also for fault in look(assembled)]
    sources = [read.source for read in assembled.reads if read.source is not None]
    tables = references.Tables(root, sources)
    for read in assembled.reads:
        if read.source is None:
            continue
        source, origin = read.source, read.origin
        faults += overdue(source, origin, today or dt.datetime.now(dt.UTC).date())
        faults += unreached(source, origin)
        faults += cell_faults(source, origin)
        written = source.spec.model_dump(by_alias=True, exclude_unset=True, mode="json")
        faults += _planned(SourceFile, written, origin)
        faults += references.unresolved_secrets(written, origin, root, environ)
        faults += references.unbound_locations(source, assembled.bindings, origin)
        faults += references.missing_location(source, root, assembled.bindings, origin)
        faults += references.unknown_tables(source, tables, origin)
        if source.pattern == "batch_file" and not source.spec.ingestion.location:
            message = "nothing says where the files of this source land"
            faults.append(origin.warning(("ingestion", "pattern"), message, f"write `location: landing/{source.id}/`"))
        elif source.pattern not in {"event_streaming", "batch_file"}:
            message = f"the pattern {source.pattern} does not collect by itself yet"
            faults.append(origin.warning(("ingestion", "pattern"), message, f"headrace publish {source.id} FILE"))
        if source.silver_to_gold and not source.datasets:
            message = "silver_to_gold is not built: the source has no schema that loads, so it has no silver"
            faults.append(origin.warning(("processing", "silver_to_gold"), message, "give it a schema"))
    return sorted(dict.fromkeys(faults), key=lambda fault: (fault.file != "headrace.yaml", fault.file, fault.line))


def _planned(model: type[BaseModel], value: Mapping[str, Any], origin: Origin) -> list[Fault]:
    message = "{} is read and kept, but nothing acts on it yet"
    return [origin.warning(key, message.format(dotted(origin.written(key)))) for key in _planned_keys(model, value, ())]


def _planned_keys(model: type[BaseModel], value: Any, key: Key) -> Iterator[Key]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _planned_keys(model, item, (*key, index))
    if not isinstance(value, dict):
        return
    for name, field in model.model_fields.items():
        alias = field.alias or name
        item = value.get(alias)
        if item in (None, False, "", [], {}):
            continue
        if field.json_schema_extra is PLANNED:
            yield (*key, alias)
        for below in models_in(field.annotation):
            yield from _planned_keys(below, item, (*key, alias))


def _bindings(root: Path, assembled: Assembled) -> list[Fault]:
    if assembled.spec is None or assembled.project_document is None:
        return []
    origin = Origin(assembled.project_document)
    here: Key = ("environments", assembled.environment, "bindings")
    placed = {
        prefix: (target, key if origin.document.has(key := (*here, prefix)) else ("bindings", prefix))
        for prefix, target in assembled.bindings.items()
    }
    return references.unresolved_bindings(placed, origin, root)


def _shared(assembled: Assembled) -> list[Fault]:
    message = "this shared file is read and kept, but nothing acts on it yet"
    return [Origin(document).warning((), message) for document in assembled.shared]
