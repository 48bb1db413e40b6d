"""What becomes of silver's tables and their columns: the exact statements that `apply` runs, before it runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from headrace.contracts.measure import is_crowded
from headrace.contracts.unfolding import MOST_WITHIN
from headrace.errors import ContractError
from headrace.lake import evolution
from headrace.lake.tables import silver
from headrace.stages.canonical import column_sql
from headrace.warehouse.silver import duckdb_types

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Set

    import pyarrow as pa

    from headrace.config.project import Project
    from headrace.lake.reader import LakeReader
    from headrace.lake.tables import Table


CROWDED = (
    f"the columns of its contract hold more than {MOST_WITHIN:,} fields and elements by now: what lies deepest in each "
    "is kept as JSON text"
)
FEWER = "Take fields out; or leave out the `properties` of an object that nobody queries by them: it is JSON text then"


class ColumnChange(TypedDict):
    """A column of silver that is added, removed (it reads null from then on) or gets another type."""

    column: str
    change: str
    was: str
    now: str


class TableChange(TypedDict):
    """What becomes of a silver table: create, alter, rewrite (every row anew), keep, or refused, and why."""

    table: str
    action: str
    statements: list[str]
    columns: list[ColumnChange]
    why: str
    fix: str


def table_changes(
    was: Project | None, now: Project, lake: LakeReader | None, rewritten: Set[str] = frozenset()
) -> list[TableChange]:
    """Return what becomes of every table whose columns are others; `rewritten` are the datasets decided anew, whole."""
    then = (
        {dataset.name: silver(dataset) for source in was.sources.values() for dataset in source.datasets} if was else {}
    )
    marked = lake.json_columns() if lake is not None else {}
    found = []
    for source in now.sources.values():
        for dataset in source.datasets:
            table = silver(dataset)
            before = then.get(dataset.name)
            if before is not None and before.columns.equals(table.columns, check_metadata=True):
                continue  # the lake has what was deployed: asking it of every table takes long where there are many
            existing = lake.layout(table.name) if lake is not None else None
            columns = column_changes(before, table)
            change = _change(table, existing, marked, columns, rewritten=dataset.name in rewritten)
            if any(each["change"] == "type" for each in columns) and is_crowded(dataset.contract):
                change["why"] = "; ".join(filter(None, (change["why"], CROWDED)))
                change["fix"] = f"{FEWER}. {evolution.AGAIN}" if change["action"] == "refused" else FEWER
            if change["action"] != "keep" or columns:
                found.append(change)
    names = {dataset.name for source in now.sources.values() for dataset in source.datasets}
    for name in sorted(then.keys() - names):
        why = "no source makes it any more: its rows stay, and nothing is added"
        found.append(_said(f"silver.{name}", "keep", [], [], why, ""))
    return found


def column_changes(was: Table | None, now: Table) -> list[ColumnChange]:
    """Return the columns that a contract adds, removes or gives another type."""
    if was is None:
        return []
    before, after = _types(was.columns), _types(now.columns)
    found: list[ColumnChange] = []
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) == after.get(name):
            continue
        change = "added" if name not in before else "removed" if name not in after else "type"
        found.append({"column": name, "change": change, "was": before.get(name, ""), "now": after.get(name, "")})
    return found


def layouts(tables: Mapping[str, Table], lake: LakeReader | None) -> dict[str, dict[str, str]]:
    """Return the columns of silver tables by `schema.name`, with their SQL types: those of now, and older ones."""
    found: dict[str, dict[str, str]] = {}
    for name, table in tables.items():
        existing = lake.layout(name) if lake is not None else None
        found[name] = _types(table.columns if existing is None else _with(existing, table.columns))
    return found


def _with(existing: Iterable[pa.Field], wanted: Iterable[pa.Field]) -> pa.Schema:
    """Return what a table has once it holds what is wanted: what is no longer named stays, in objects too."""
    import pyarrow as pa

    found = {field.name.casefold(): field for field in existing}
    for field in wanted:
        was = found.get(field.name.casefold())
        is_wider = was is not None and was.name == field.name and pa.types.is_struct(was.type)
        if was is not None and is_wider and pa.types.is_struct(field.type):
            found[field.name.casefold()] = pa.field(field.name, pa.struct(list(_with(was.type, field.type))))
        else:
            found[field.name.casefold()] = field
    return pa.schema(list(found.values()))


def _types(schema: pa.Schema) -> dict[str, str]:
    return dict(zip(schema.names, duckdb_types([field.type for field in schema]), strict=True))


def _change(
    table: Table,
    existing: pa.Schema | None,
    marked: Mapping[str, Set[str]],
    columns: list[ColumnChange],
    *,
    rewritten: bool,
) -> TableChange:
    import pyarrow as pa

    if existing is None:
        types = ", ".join(f"{column_sql(name)} {kind}" for name, kind in _types(table.columns).items())
        partition = ", ".join(column_sql(name) for name in table.partition)
        statements = [
            f"CREATE TABLE {table.sql} ({types})",
            f"ALTER TABLE {table.sql} SET PARTITIONED BY ({partition})",
        ]
        return _said(table.name, "create", statements, columns, "", "")
    dropped = evolution.replaced(table, existing, marked)
    if dropped and not rewritten:
        try:
            evolution.check(table, existing, marked)
        except ContractError as problem:
            fix = f"{problem.fix} {evolution.AGAIN}"
            return _said(table.name, "refused", [], columns, problem.message, fix)
    left = pa.schema([field for field in existing if field.name not in dropped])
    statements = [f"ALTER TABLE {table.sql} DROP COLUMN {column_sql(name)}" for name in dropped]
    for step in evolution.decide(table.name, left, table.columns):
        (kind,) = duckdb_types([step.type])
        statements.append(evolution.statement(table, step, kind))
    action = "rewrite" if dropped else "alter" if statements else "keep"
    why = "every row is written anew: a column gets another type" if dropped else ""
    return _said(table.name, action, statements, columns, why, "")


def _said(
    table: str, action: str, statements: list[str], columns: list[ColumnChange], why: str, fix: str
) -> TableChange:
    return {"table": table, "action": action, "statements": statements, "columns": columns, "why": why, "fix": fix}
