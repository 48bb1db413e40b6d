"""What a query may be: one SELECT over tables of the catalog. Two parsers have to agree."""

from __future__ import annotations

import difflib
import re
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
FILE_FIX = "headrace publish SOURCE FILE"
AT = "query"
"""What errors call the text of a query; `query:LINE:COLUMN` where they know more."""

_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*|/\*.*?\*/|[(;])*+([A-Za-z]+)", re.DOTALL)
_SELECTS = frozenset({"SELECT", "WITH", "FROM"})
_LISTS = frozenset({"DESC", "DESCRIBE", "PRAGMA", "SHOW", "SUMMARIZE"})
_SHAPE = "write one SELECT; headrace query --tables shows what it may read"


class Relation(NamedTuple):
    """A table as a query names it, and the place where it lies."""

    schema: str
    name: str
    place: str


class Tables:
    """The tables that a query may name, without regard to case.

    `gold` says whether any gold is published, `lake` whether anything was committed: where a table is missed for want
    of them, the error says so.
    """

    def __init__(self, relations: Iterable[Relation], *, gold: bool = True, lake: bool = True) -> None:
        self._gold = gold
        self._lake = lake
        self._by_name: dict[tuple[str, str], Relation] = {}
        for relation in relations:
            self._by_name.setdefault((relation.schema.lower(), relation.name.lower()), relation)

    def find(self, schema: str, name: str, at: str = AT) -> Relation:
        """Return a table; without a schema, gold's before a staging model's. QueryError names the nearest."""
        for candidate in [schema.lower()] if schema else ["gold", "main"]:
            if relation := self._by_name.get((candidate, name.lower())):
                return relation
        asked = f"{schema}.{name}" if schema else name
        if not schema and not name.isidentifier():
            raise QueryError(f"no table {asked!r}: a query reads tables, never files", at=at, fix=FILE_FIX)
        if not self._lake:
            raise QueryError(
                f"no table {asked}: nothing has been committed yet", at=at, fix="headrace publish, then headrace up"
            )
        near = self._near(asked)
        if not self._gold and schema.lower() in {"", "gold"}:
            fix = f"headrace build; or {near}" if near else "headrace build"
            raise QueryError(f"no table {asked}: no gold is published yet", at=at, fix=fix)
        raise QueryError(f"no table {asked}", at=at, fix=near or self._there_are())

    def _near(self, asked: str) -> str:
        names = [f"{schema}.{name}" for schema, name in self._by_name if schema != "main"]
        bare = {name: f"{schema}.{name}" for schema, name in reversed(self._by_name) if schema != "main"}
        near = difflib.get_close_matches(asked.lower(), names, n=1, cutoff=0.6)
        if not near and (close := difflib.get_close_matches(asked.lower().rpartition(".")[2], bare, n=1, cutoff=0.6)):
            near = [bare[close[0]]]
        return f"did you mean {near[0]}?" if near else ""

    def _there_are(self) -> str:
        names = sorted(f"{schema}.{name}" for schema, name in self._by_name if schema != "main")
        if len(names) > 12:
            return f"there are {', '.join(names[:12])}, …: headrace query --tables"
        return f"there are {', '.join(names)}" if names else "there are no tables yet"


def checked(sql: str, tables: Tables) -> set[Relation]:
    """Return the tables that a query reads.

    Raises:
        QueryError: It is anything but one SELECT over these tables.
    """
    import sqlglot
    from sqlglot.errors import SqlglotError

    if len(sql) > MAX_CHARACTERS:
        raise QueryError(f"the query is longer than {MAX_CHARACTERS:,} characters", at=AT, fix="make a model of it")
    _one_select(sql)
    try:
        trees = sqlglot.parse(sql, read="duckdb")
    except (SqlglotError, RecursionError) as error:
        raise QueryError("the SQL cannot be read", at=AT, fix=_SHAPE) from error
    if len([tree for tree in trees if tree is not None]) != 1:
        raise QueryError("more than one statement", at=AT, fix=_SHAPE)
    return _tables_of(trees[0], tables, sql)


def complaint(error: Exception, sql: str) -> tuple[str, str]:
    """Return what DuckDB complains of, in one line without the name of its class, and where in the text that is."""
    at, lines = AT, []
    told = str(error).splitlines()
    for number, line in enumerate(told):
        if found := re.match(r"LINE (\d+): ", line):
            at = f"{AT}:{found[1]}"
            written = sql.splitlines()[int(found[1]) - 1 : int(found[1])]
            caret = told[number + 1].find("^") if number + 1 < len(told) else -1
            if caret >= 0 and written == [line[found.end() :]]:  # else DuckDB cut the line, and the place with it
                at = f"{at}:{caret - found.end() + 1}"
        elif line.strip() not in {"", "^"}:
            lines.append(line.strip())
    text = " ".join(lines)
    for family in ("Binder", "Parser", "Catalog"):
        text = text.removeprefix(f"{family} Error: ")
    return text, at


def _one_select(sql: str) -> None:
    """Ask DuckDB's own parser what the text is; refuse it by the word that the user typed."""
    import duckdb

    first = _FIRST_WORD.match(sql)
    word = first[1].upper() if first else ""
    try:
        with duckdb.connect(config={"threads": 1}) as connection:
            statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        text, at = complaint(error, sql)
        raise QueryError(f"the SQL cannot be read: {text}", at=at, fix=_SHAPE) from error
    if not statements:
        raise QueryError("there is no SQL", at=AT, fix=_SHAPE)
    if word in _LISTS:
        raise QueryError(f"{word} is not a SELECT", at=AT, fix="headrace query --tables, or --describe TABLE")
    if word == "PIVOT" or (len(statements) == 1 and word and word not in _SELECTS):
        raise QueryError(f"{word} is not a SELECT", at=AT, fix=_SHAPE)
    if len(statements) > 1:
        # DuckDB makes two statements of a PIVOT whose columns depend on the data.
        pivots = statements[0].type == duckdb.StatementType.CREATE and word in _SELECTS
        what = "a PIVOT without its columns is more than one statement" if pivots else "more than one statement"
        raise QueryError(what, at=AT, fix="name them: PIVOT … ON column IN (…)" if pivots else _SHAPE)
    kind = statements[0].type
    if kind != duckdb.StatementType.SELECT:
        raise QueryError(f"{kind.name} is not a SELECT", at=AT, fix=_SHAPE)


def _tables_of(tree: exp.Expr | None, tables: Tables, sql: str) -> set[Relation]:
    from sqlglot import exp

    if not isinstance(tree, exp.Query):
        raise QueryError("this is not a SELECT", at=AT, fix=_SHAPE)
    for node in tree.find_all(exp.Func):
        name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
        if name in REFUSED or name.startswith(
            ("read_", "sniff_", "duckdb_", "pragma_", "ducklake_", "sqlite_", "glob")
        ):
            raise QueryError(f"the function {name} is not allowed in a query", at=_place(node, sql), fix=_SHAPE)
    for lateral in tree.find_all(exp.Lateral):
        if not isinstance(lateral.this, exp.Subquery | exp.Unnest):
            raise QueryError("LATERAL takes a subquery or unnest(…)", at=_place(lateral.this, sql), fix=_SHAPE)
    reads = set()
    for table in tree.find_all(exp.Table):
        at = _place(table.args.get("catalog") or table.args.get("db") or table.this, sql)
        if not isinstance(table.this, exp.Identifier):
            name = table.this.name if isinstance(table.this, exp.Anonymous) else table.this.key
            if name.lower() not in ROW_FUNCTIONS:
                raise QueryError(f"the table function {name} is not allowed in a query", at=at, fix=_SHAPE)
        elif table.catalog:
            raise QueryError(f"{table.sql()} has three parts", at=at, fix="write schema.table")
        elif table.db or not _is_cte(table):
            reads.add(tables.find(table.db, table.name, at))
    return reads


def _place(node: exp.Expr, sql: str) -> str:
    """Return where in the text a part of it stands."""
    start = node.meta.get("start")
    if start is None:
        return AT
    return f"{AT}:{sql.count(chr(10), 0, start) + 1}:{start - sql.rfind(chr(10), 0, start)}"


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
