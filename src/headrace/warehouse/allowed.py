"""What a query may be: one SELECT over tables of the catalog. Two parsers have to agree."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

from headrace.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlglot import exp

ROW_FUNCTIONS = frozenset({"unnest", "range", "generate_series", "generateseries"})
"""The table functions that read nothing."""

REFUSED = frozenset(
    {"current_setting", "getenv", "getvariable", "nextval", "currval", "write_log", "query", "query_table"}
)
"""Scalar functions that read or change what is not a table."""

MAX_CHARACTERS = 100_000
_SHAPE = "write one SELECT over tables such as gold.<model>, silver.<dataset>, bronze.messages, ops.quarantine"


class Relation(NamedTuple):
    """A table as a query names it, and the place where it lies."""

    schema: str
    name: str
    place: str


class Tables:
    """The tables that a query may name, without regard to case."""

    def __init__(self, relations: Iterable[Relation]) -> None:
        self._by_name: dict[tuple[str, str], Relation] = {}
        for relation in relations:
            self._by_name.setdefault((relation.schema.lower(), relation.name.lower()), relation)

    def find(self, schema: str, name: str) -> Relation:
        """Return a table; without a schema, gold's before a staging model's. QueryError names the nearest."""
        for candidate in [schema.lower()] if schema else ["gold", "main"]:
            if relation := self._by_name.get((candidate, name.lower())):
                return relation
        asked = f"{schema}.{name}" if schema else name
        if not schema and not name.isidentifier():
            raise QueryError(
                f"no table {asked!r}: a query reads tables, never files", fix="headrace publish SOURCE FILE"
            )
        raise QueryError(f"no table {asked}", fix=self._nearest(asked))

    def _nearest(self, asked: str) -> str:
        names = [f"{schema}.{name}" for schema, name in self._by_name if schema != "main"]
        bare = {name: f"{schema}.{name}" for schema, name in reversed(self._by_name) if schema != "main"}
        near = difflib.get_close_matches(asked.lower(), names, n=1, cutoff=0.6)
        if not near and (close := difflib.get_close_matches(asked.lower().rpartition(".")[2], bare, n=1, cutoff=0.6)):
            near = [bare[close[0]]]
        if near:
            return f"did you mean {near[0]}?"
        shown = ", ".join(sorted(names)[:12])
        return f"there are {shown}{', …' if len(names) > 12 else ''}" if names else "there are no tables yet"


def checked(sql: str, tables: Tables) -> set[Relation]:
    """Return the tables that a query reads.

    Raises:
        QueryError: It is anything but one SELECT over these tables.
    """
    import sqlglot
    from sqlglot.errors import SqlglotError

    if len(sql) > MAX_CHARACTERS:
        raise QueryError(f"the query is longer than {MAX_CHARACTERS:,} characters", fix="make a model of it")
    _one_select(sql)
    try:
        trees = sqlglot.parse(sql, read="duckdb")
    except (SqlglotError, RecursionError) as error:
        raise QueryError("the SQL cannot be read", fix=_SHAPE) from error
    if len([tree for tree in trees if tree is not None]) != 1:
        raise QueryError("more than one statement", fix=_SHAPE)
    return _tables_of(trees[0], tables)


def _one_select(sql: str) -> None:
    """Ask DuckDB's own parser what the text is."""
    import duckdb

    try:
        with duckdb.connect() as connection:
            statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        text = str(error).splitlines()[0].removeprefix("Parser Error: ")
        raise QueryError(f"the SQL cannot be read: {text}", fix=_SHAPE) from error
    if not statements:
        raise QueryError("there is no SQL", fix=_SHAPE)
    if len(statements) > 1:
        raise QueryError("more than one statement", fix=_SHAPE)
    kind = statements[0].type
    if kind != duckdb.StatementType.SELECT:
        raise QueryError(f"{kind.name} is not a SELECT", fix=_SHAPE)


def _tables_of(tree: exp.Expr | None, tables: Tables) -> set[Relation]:
    from sqlglot import exp

    if not isinstance(tree, exp.Query):
        raise QueryError("this is not a SELECT", fix=_SHAPE)
    for node in tree.find_all(exp.Func):
        name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
        if name in REFUSED or name.startswith(
            ("read_", "sniff_", "duckdb_", "pragma_", "ducklake_", "sqlite_", "glob")
        ):
            raise QueryError(f"the function {name} is not allowed in a query", fix=_SHAPE)
    for lateral in tree.find_all(exp.Lateral):
        if not isinstance(lateral.this, exp.Subquery | exp.Unnest):
            raise QueryError("LATERAL takes a subquery or unnest(…)", fix=_SHAPE)
    reads = set()
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            name = table.this.name if isinstance(table.this, exp.Anonymous) else table.this.key
            if name.lower() not in ROW_FUNCTIONS:
                raise QueryError(f"the table function {name} is not allowed in a query", fix=_SHAPE)
        elif table.catalog:
            raise QueryError(f"{table.sql()} has three parts", fix="write schema.table")
        elif table.db or not _is_cte(table):
            reads.add(tables.find(table.db, table.name))
    return reads


def _is_cte(table: exp.Table) -> bool:
    """Say whether a bare name is bound by a WITH around it; DuckDB binds it the same way."""
    node: exp.Expr | None = table
    while node is not None:
        with_ = node.args.get("with_") or node.args.get("with")
        if with_ is not None:
            for cte in with_.expressions:
                if cte.alias.lower() == table.name.lower() and not _inside_unseen(table, cte, with_):
                    return True
        node = node.parent
    return False


def _inside_unseen(table: exp.Table, cte: exp.CTE, with_: exp.With) -> bool:
    """Say whether a table stands in its own CTE or an earlier one, where a plain WITH does not show the name yet."""
    if with_.recursive:
        return False
    place = with_.expressions.index(cte)
    return any(table in list(earlier.find_all(type(table))) for earlier in with_.expressions[: place + 1])
