"""A query written as sqlglot reads it best, where DuckDB allows more ways than one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlglot import exp


class UnreadableError(Exception):
    """A shape that has no lineage by columns."""


def write_readably(query: exp.Expr) -> None:
    """Write joins after FROM and without parentheses, and columns as columns. The query itself is changed.

    Raises `UnreadableError` for what cannot be written so.
    """
    from sqlglot import exp

    for inner in list(query.find_all(exp.Subquery)):  # (a JOIN b), which is no SELECT
        if isinstance(inner.this, exp.Table) and not inner.alias and isinstance(inner.parent, (exp.From, exp.Join)):
            inner.replace(inner.this)
    for table in list(query.find_all(exp.Table)):
        over: Any = table.parent
        select = over.parent if isinstance(over, (exp.From, exp.Join)) else None
        joins = table.args.get("joins")
        if isinstance(select, exp.Select) and joins:
            table.set("joins", None)
            others = list(select.args.get("joins") or [])
            at = 0
            if isinstance(over, exp.Join):
                at = next(at for at, each in enumerate(others, 1) if each is over)
                for join in joins:
                    _say_on(join, table)
            select.set("joins", [*others[:at], *joins, *others[at:]])
    for dot in list(query.find_all(exp.Dot)):  # left of a method, as in `a.upper()`, columns are but names
        for first in list(dot.this.find_all(exp.Identifier)):
            if _is_bare(first):
                _make_column(first)


def _say_on(join: exp.Join, table: exp.Table) -> None:
    """Write ON for USING: outside of its parentheses it would take the columns of other tables."""
    from sqlglot import exp

    if join.args.get("method"):
        raise UnreadableError(f"a {join.args['method'].lower()} join in parentheses")
    for name in join.args.get("using") or ():
        sides = (exp.column(name.name, table=each.alias_or_name) for each in (table, join.this))
        join.on(exp.EQ(this=next(sides), expression=next(sides)), copy=False)
    join.set("using", None)


def _is_bare(name: exp.Identifier) -> bool:
    """Return whether a name stands where a column's does, and is none."""
    from sqlglot import exp

    named = (exp.Column, exp.Table, exp.Alias, exp.TableAlias, exp.Window, exp.DataType)
    of_key = isinstance(name.parent, (exp.Dot, exp.PropertyEQ, exp.Kwarg))
    of_lambda = isinstance(name.parent, exp.Lambda) and name.arg_key == "expressions"
    if isinstance(name.parent, named) or of_lambda:
        return False
    if of_key:  # `a` of `a.b` is a column's, and `b` of `{'a': b}`
        return name.arg_key == ("this" if isinstance(name.parent, exp.Dot) else "expression")
    return name.arg_key != "alias"


def _make_column(first: exp.Identifier) -> None:
    """Put a column in the place of a name, and of those that follow its dots."""
    from sqlglot import exp

    chain: list[exp.Expr] = [first]
    last: Any = first
    while isinstance(last.parent, exp.Dot) and isinstance(last.parent.expression, exp.Identifier) and len(chain) < 4:
        last = last.parent
        chain.append(last.expression)
    parts = zip(("this", "table", "db", "catalog"), reversed(chain), strict=False)
    last.replace(exp.Column(**{word: part.copy() for word, part in parts}))
