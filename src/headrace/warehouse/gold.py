"""`silver_to_gold` of a source file: a chain of steps that becomes one dbt model per dataset.

The model of a dataset is called `<dataset>_gold`, and is there where the source has that one dataset only. Its steps
run in the order they are written, each over the rows of the one before; the first reads the dataset's staging model, so
contract columns and the envelope are at hand. The name `date`, where neither the contract nor an earlier step has such
a column, means the event's UTC date.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator, model_validator

from headrace.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self

TABLE = r"^(?:(?:gold|silver)\.)?[A-Za-z_][A-Za-z0-9_]*$"
DATE = "date"


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class JoinSpec(Spec):
    """Add the columns of another table; rows without a partner stay (left) or go (inner)."""

    table: str = Field(
        pattern=TABLE,
        description="gold.<model>, silver.<dataset>, or a bare name: a dataset if there is one, else a model.",
        examples=["gold.customers"],
    )
    on: tuple[str, ...] = Field(min_length=1, description="Columns that both sides have, by the same name.")
    how: Literal["left", "inner"] = Field("left", description="What becomes of a row without a partner.")

    _on = field_validator("on", mode="before")(_listed)


class AggregateSpec(Spec):
    """One row per group."""

    group_by: tuple[str, ...] = Field(default=(), description="Columns; `date` may mean the event date.")
    metrics: tuple[str, ...] = Field(
        min_length=1, description="SQL aggregates, each with a name.", examples=[["sum(amount) as total_amount"]]
    )

    _lists = field_validator("group_by", "metrics", mode="before")(_listed)

    @field_validator("metrics")
    @classmethod
    def _metrics_parse(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            parse_column(text, named=True)
        return value


class GoldStep(Spec):
    """One step of `silver_to_gold`; exactly one of the keys is given."""

    join: JoinSpec | None = None
    aggregate: AggregateSpec | None = None
    filter: str | None = Field(None, description="A SQL condition; rows that do not meet it go.")
    select: tuple[str, ...] | None = Field(None, min_length=1, description="Columns or `expression as name`.")
    sql: str | None = Field(
        None, description="One SELECT over `input`, the rows so far.", examples=["select distinct sku from input"]
    )

    _lists = field_validator("select", mode="before")(_listed)

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("a step of silver_to_gold has exactly one of join, aggregate, filter, select, sql")
        if self.filter is not None:
            parse_column(self.filter)
        for text in self.select or ():
            parse_column(text)
        if self.sql is not None:
            parse_select(self.sql)
        return self


def parse_column(text: str, *, named: bool = False) -> str:
    """Return the name of the column that a SQL expression over one table makes; ValueError where it is anything else.

    A subquery is not allowed, and with `named` an expression must say `as name`.
    """
    import sqlglot
    from sqlglot import exp

    _refuse_templates(text)
    try:
        tree = sqlglot.parse_one(f"SELECT {text}", read="duckdb")
    except sqlglot.errors.SqlglotError as error:
        raise ValueError(f"not a SQL expression: {text!r}") from error
    projections = tree.expressions if isinstance(tree, exp.Select) else []
    extra = [key for key, value in tree.args.items() if value and key not in {"kind", "expressions"}]
    if len(projections) != 1 or extra or any(tree.find(kind) for kind in (exp.Subquery, exp.Table)):
        raise ValueError(f"not one SQL expression over columns: {text!r}")
    column = projections[0]
    if named and not isinstance(column, exp.Alias):
        raise ValueError(f"{text!r} has no name: write `{text} as <name>`")
    return str(column.alias_or_name)


def parse_select(text: str) -> frozenset[str]:
    """Return the names of the tables that one SELECT reads; ValueError where the text is not exactly one SELECT."""
    import sqlglot
    from sqlglot import exp

    _refuse_templates(text)
    try:
        trees = sqlglot.parse(text, read="duckdb")
    except sqlglot.errors.SqlglotError as error:
        raise ValueError(f"not valid SQL: {text!r}") from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise ValueError("a sql step is one SELECT over `input`")
    ctes = {cte.alias for cte in trees[0].find_all(exp.CTE)}
    tables = {table.sql(dialect="duckdb") for table in trees[0].find_all(exp.Table) if table.name not in ctes}
    if "input" not in tables:
        raise ValueError("a sql step reads `input`, the rows so far")
    if others := tables - {"input"}:
        raise ValueError(f"a sql step reads only `input`, not {', '.join(sorted(others))}: use a join step")
    return frozenset(tables)


def _refuse_templates(text: str) -> None:
    """A model's text is rendered as Jinja; a step is plain SQL, and a mart that needs Jinja is a model of one's own."""
    if any(mark in text for mark in ("{{", "{%", "{#")):
        raise ValueError(f"a step of silver_to_gold is plain SQL, without Jinja: {text!r}")


def model_name(dataset: str) -> str:
    """Return the name of the model that `silver_to_gold` makes of a dataset."""
    return f"{dataset}_gold"


def model_sql(dataset: str, columns: Iterable[str], steps: Iterable[GoldStep], reference: Callable[[str], str]) -> str:
    """Return the dbt model of a chain of steps: one CTE a step, so that a reader sees the file's own order.

    `columns` are the contract's; `reference` turns a join's table into a dbt `ref`, or raises.
    """
    known: set[str] | None = set(columns)
    ctes = [f"rows_0 as (\n    select * from {{{{ ref('stg_{dataset}') }}}}\n)"]
    for number, step in enumerate(steps, start=1):
        body, known = _step_sql(step, f"rows_{number - 1}", known, reference)
        ctes.append(f"rows_{number} as (\n    {body}\n)")
    return "with " + ",\n".join(ctes) + f"\nselect * from rows_{len(ctes) - 1}\n"


def _step_sql(
    step: GoldStep, rows: str, known: set[str] | None, reference: Callable[[str], str]
) -> tuple[str, set[str] | None]:
    """Return the SELECT of a step over `rows`, and the columns known after it (None: anything may be there)."""
    if step.join:
        on = ", ".join(map(_quoted, step.join.on))
        table = reference(step.join.table)
        # The left side keeps its plain names: DuckDB renames a column of the right side that has the same name.
        sql = f"select l.*, r.* exclude ({on})\n    from {rows} as l {step.join.how} join {table} as r using ({on})"
        return sql, known
    if step.aggregate:
        groups = [_group(name, known) for name in step.aggregate.group_by]
        projections = ",\n        ".join([*groups, *step.aggregate.metrics])
        grouping = "\n    group by all" if groups else ""
        names = {*step.aggregate.group_by, *(parse_column(text) for text in step.aggregate.metrics)}
        return f"select\n        {projections}\n    from {rows}{grouping}", names
    if step.select:
        names = {parse_column(text) for text in step.select}
        chosen = ", ".join(_group(text, known) if text == DATE else text for text in step.select)
        return f"select {chosen}\n    from {rows}", None if "*" in names else names
    if step.sql is not None:
        return f"with input as (select * from {rows})\n    select * from ({step.sql.strip().rstrip(';')})", None
    return f"select * from {rows}\n    where {step.filter}", known


def _group(name: str, known: set[str] | None) -> str:
    if name == DATE and known is not None and DATE not in known:
        return '_event_date as "date"'
    return _quoted(name)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
