"""What a source's own file reads of fields that its contract says are deprecated: its key, rules, lookups, pushes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from headrace.config.said_versions import said_of
from headrace.errors import ConfigError
from headrace.lake import tables
from headrace.stages import paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from headrace.config.faults import Fault
    from headrace.config.files import Key
    from headrace.config.source import Source
    from headrace.config.validation import Origin
    from headrace.contracts.deprecated import Deprecated
    from headrace.stages.dataset import Dataset


class Use(NamedTuple):
    """A place of a source's file that reads a field: what it is to people, and the path that it reads."""

    key: Key
    what: str
    path: paths.Path


def use_faults(source: Source, origin: Origin, dataset: Dataset, fields: Sequence[Deprecated]) -> list[Fault]:
    """Return an error for each place of a source's file that reads one of a dataset's deprecated fields.

    What may read one, for silver keeps it within a column of JSON text, is a warning.
    """
    found: dict[Fault, None] = {}
    for use in _uses(source, dataset):
        read = _dotted(use.path)
        for field in fields:
            if meets(read, field.column.lower()):
                said = f"{dataset.name}.{field.path}, which its contract says is deprecated"
                if field.within:
                    message = f"{use.what} of {dataset.name} reads {field.column}, and may read {said}"
                    found[origin.warning(use.key, message, "see that it does not")] = None
                else:
                    fix = f"name what takes its place; or take `deprecated` off {field.path} while it is read"
                    found[origin.error(use.key, f"{use.what} of {dataset.name} reads {said}", fix)] = None
    return list(found)


def meets(one: str, other: str) -> bool:
    """Whether two paths have anything in common: a struct has its fields."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _dotted(path: paths.Path) -> str:
    return ".".join((path.column, *(step for step in path.steps if step != paths.ELEMENTS))).lower()


def _uses(source: Source, dataset: Dataset) -> Iterator[Use]:
    columns = dataset.columns()
    yield from _of_rows(source, dataset, columns)
    for at, step in enumerate(source.spec.processing.bronze_to_silver):
        here: Key = ("processing", "bronze_to_silver", at)
        if step.enrich is not None:
            for field, _ in step.enrich.pairs:
                yield from _at((*here, "enrich", "on"), f"the lookup {step.enrich.lookup}", field, columns)
        for index, rule in enumerate(step.data_quality.rules if step.data_quality is not None else ()):
            if rule in dataset.rules:
                key, what = (*here, "data_quality", "rules", index), f"the rule {rule.check}"
                if rule.field is not None:
                    yield from _at((*key, "field"), what, rule.field, columns)
                if rule.is_expression:
                    yield from _within((*key, "check"), what, rule.check, columns)
    sent = tables.silver(dataset).columns
    for index, push in enumerate(source.spec.serving.push):
        if push.on == "silver":
            key, what = ("serving", "push", index), f"the push {push.name}"
            for field in push.filter:
                yield from _at((*key, "filter", field), what, field, sent)
            if push.where is not None:
                yield from _within((*key, "where"), what, push.where, sent)


def _of_rows(source: Source, dataset: Dataset, columns: pa.Schema) -> Iterator[Use]:
    """Yield what makes rows themselves: the key, what orders its versions, the event time, what names a version."""
    said = said_of(source.spec, dataset.name)
    steps = source.spec.processing.bronze_to_silver
    at = next((index for index, step in enumerate(steps) if step.deduplication is not None), 0)
    shared: dict[str, Key] = {
        "key": ("processing", "bronze_to_silver", at, "deduplication", "key"),
        "version_by": ("processing", "bronze_to_silver", at, "deduplication", "version_by"),
        "event_time": ("event_time",),
    }
    own = said.spec.model_fields_set  # of a table: it may say for itself what its rows are
    named = {"key": dataset.key, "version_by": (dataset.version_by,), "event_time": (dataset.event_time,)}
    for option, fields in named.items():
        key = said.at(option) if option in own else shared[option]
        for field in filter(None, fields):
            yield from _at(key, f"the {option}" if option != "event_time" else "the event time", field, columns)
    if said.version_from is not None and said.version_from.field is not None:
        yield from _at(said.at("version_from", "field"), "version_from", said.version_from.field, columns)


def _at(key: Key, what: str, field: str, columns: pa.Schema) -> Iterator[Use]:
    with suppress(ConfigError):  # it is not there: told where it stands
        yield Use(key, what, paths.resolve(field, columns))


def _within(key: Key, what: str, expression: str, columns: pa.Schema) -> Iterator[Use]:
    from headrace.stages.expression import paths_in

    with suppress(ConfigError):
        yield from (Use(key, what, path) for path in paths_in(expression, columns))
