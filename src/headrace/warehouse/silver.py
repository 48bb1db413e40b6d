"""From a dataset to the table that the warehouse builds on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.warehouse.base import Column, SilverTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from headrace.stages.dataset import Dataset
    from headrace.stages.quality import RuleSpec
    from headrace.warehouse.gold import GoldStep

ENVELOPE_DOCS = {
    "_event_id": "The id of the message that this row is.",
    "_event_time": "When it happened, by the event itself.",
    "_ingest_time": "When the bus took the message.",
    "_seq": "Its place in bronze, per source; the order for ties.",
    "_schema_version": "The contract version that it met.",
    "_trace_id": "The trace that its producer gave it.",
    "_extra": "Fields that the contract does not know, as JSON.",
    "_event_date": "The UTC date of _event_time; the partition of silver.",
}


def silver_table(
    dataset: Dataset,
    *,
    source_id: str,
    description: str = "",
    owner: str = "",
    sla_minutes: float | None = None,
    gold: Sequence[GoldStep] = (),
    file: str = "",
) -> SilverTable:
    """Return a dataset as the warehouse sees it: all columns of its silver table, with their DuckDB types and docs."""
    from headrace.lake.tables import silver

    docs = {column.name: column.description for column in dataset.contract.columns} | ENVELOPE_DOCS
    docs |= {each.name: f"From the lookup {step.lookup}." for step in dataset.enrichments for each in step.fields()}
    fields = list(silver(dataset).columns)
    types = duckdb_types([field.type for field in fields])
    columns = tuple(
        Column(field.name, kind, docs.get(field.name, "")) for field, kind in zip(fields, types, strict=True)
    )
    return SilverTable(
        name=dataset.name,
        source_id=source_id,
        columns=columns,
        key=dataset.key,
        rules=tuple(_in_sql(rule, dataset) for rule in dataset.rules),
        description=description,
        owner=owner,
        sla_minutes=sla_minutes,
        gold=tuple(gold),
        file=file,
    )


def _in_sql(rule: RuleSpec, dataset: Dataset) -> RuleSpec:
    """Return a rule whose expression is plain SQL: `sum(items[].amount)` means something to the stages only."""
    if not rule.is_expression:
        return rule
    from headrace.stages.expression import compile_expression

    return rule.model_copy(update={"check": compile_expression(rule.check, dataset.columns()).sql})


def duckdb_types(types: Sequence[pa.DataType]) -> list[str]:
    """Return how DuckDB names Arrow types, asked of DuckDB itself, once of each."""
    unknown = [each for each in dict.fromkeys(types) if each not in _NAMES]
    if unknown:
        _NAMES.update(zip(unknown, _asked(unknown), strict=True))
    return [_NAMES[each] for each in types]


_NAMES: dict[pa.DataType, str] = {}


def _asked(types: Sequence[pa.DataType]) -> list[str]:
    import duckdb
    import pyarrow as pa

    # Positions, not names: two contract columns may differ only in case, which DuckDB would take for one.
    table = pa.schema([(f"c{place}", kind) for place, kind in enumerate(types)]).empty_table()
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("t", table)
        return [str(row[1]) for row in connection.execute("DESCRIBE t").fetchall()]
