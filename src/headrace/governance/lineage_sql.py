"""The lineage of one SELECT: which columns of which tables each of its columns comes from. Pure; DuckDB's SQL.

sqlglot qualifies the query (every column gets its table, every star its columns), and what is read off its scopes is
where values come from, and which columns decide what rows there are: those of WHERE, JOIN, GROUP BY, HAVING, QUALIFY,
DISTINCT, UNION and their like, and ORDER BY under a LIMIT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.governance.readable_sql import UnreadableError, write_readably

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlglot import exp
    from sqlglot.optimizer.scope import Scope


class Ref(NamedTuple):
    """A column of a table, in lower case; the path of a field within it follows dots. `*` is every column of it."""

    table: str
    column: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"


ALL = "*"
_ROW_CLAUSES = ("where", "group", "having", "qualify", "joins", "laterals", "distinct", "limit", "offset")
_WRITTEN = "written"
_COUNTED = Ref("", "")  # among what a value comes from: which rows there are, as under an aggregate
_UNNAMED = "_col_"  # what sqlglot calls a column without a name; DuckDB calls it by its text
_ROW_MAKERS = frozenset({"generate_subscripts", "regexp_split_to_table"})


@dataclass(frozen=True, slots=True)
class Selected:
    """What a SELECT makes: of each of its columns, in order, where the value comes from; and what decides its rows.

    `counted` are the columns whose values are others where the rows below are: aggregates, windows, subqueries. Where
    `problem` says why it could not be told, there are no columns, and it depends on all of its parents.
    """

    columns: Mapping[str, frozenset[Ref]]
    rows: frozenset[Ref]
    problem: str = ""
    counted: frozenset[str] = frozenset()


def lineage_of(sql: str, tables: Mapping[str, Sequence[str] | None]) -> Selected:
    """Return the lineage of a SELECT over `schema.name` tables, whose columns are given; None: they are not known.

    Never raises for what the SQL says: what sqlglot cannot read is told in `problem`.
    """
    from sqlglot import exp, parse
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    try:
        statements = [each for each in parse(sql, dialect="duckdb") if each is not None]
        if len(statements) != 1 or not isinstance(statements[0], exp.Query):
            return _unread("it is not one SELECT")
        if statements[0].find(exp.Pivot) is not None:
            return _unread("the columns of a pivot depend on its data")
        if statements[0].find(exp.Columns) is not None:
            return _unread("which columns COLUMNS(…) takes is not known before it runs")
        schema: dict[str, Any] = {}
        for name, columns in tables.items():
            if columns is not None:
                database, _, table = name.partition(".")
                schema.setdefault(database, {})[table] = dict.fromkeys(columns, "unknown")
        for read in statements[0].find_all(exp.Table):
            read.set("catalog", None)  # one lake, one gold: what stands before the schema says nothing
        if any(_is_partial(star) for star in statements[0].find_all(exp.Star)):
            return _unread("which columns a star with a condition takes is not followed")
        write_readably(statements[0])
        for written in statements[0].find_all(exp.Coalesce):
            written.meta[_WRITTEN] = True  # sqlglot makes others, of the columns that USING and NATURAL merge
        query = qualify(
            statements[0],
            dialect="duckdb",
            schema=schema or None,
            validate_qualify_columns=False,
            quote_identifiers=False,
            identify=False,
        )
        scope = build_scope(query)
        if scope is None:
            return _unread("it has no scope")
        reader = _Reader(tables)
        outputs = reader.outputs(scope)
        counted = frozenset(name for name, refs in outputs.items() if _COUNTED in refs)
        made = {name: refs - {_COUNTED} for name, refs in outputs.items()}
        return Selected(made, frozenset(reader.rows - {_COUNTED}), counted=counted)
    except (SqlglotError, UnreadableError, RecursionError) as problem:
        text = str(problem).partition("\n")[0].partition(". Line")[0] or type(problem).__name__
        return _unread(f"sqlglot cannot read it: {text}")
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as problem:  # a flaw of the optimizer's
        return _unread(f"sqlglot cannot read it: {type(problem).__name__}: {problem}")


def _unread(why: str) -> Selected:
    return Selected({}, frozenset(), why)


class _Reader:
    """Reads lineage off the scopes of a qualified query, each scope once."""

    def __init__(self, tables: Mapping[str, Sequence[str] | None]) -> None:
        self._tables = tables
        self._known: dict[int, dict[str, frozenset[Ref]]] = {}
        self.rows: set[Ref] = set()

    def outputs(self, scope: Scope) -> dict[str, frozenset[Ref]]:
        """Return where each column of a scope comes from; what decides its rows is added to `rows`."""
        known = self._known.get(id(scope))
        if known is None:
            self._known[id(scope)] = known = {}  # a recursive CTE asks for itself: what it adds, its base has
            known.update(self._outputs(scope))
        return known

    def _outputs(self, scope: Scope) -> dict[str, frozenset[Ref]]:
        from sqlglot import exp

        expression: Any = scope.expression
        if isinstance(expression, exp.SetOperation):
            return self._united(scope, by_name=bool(expression.args.get("by_name")))
        if not isinstance(expression, exp.Select):
            found = self._of(expression, scope)
            return {ALL: frozenset(found)}
        outputs: dict[str, frozenset[Ref]] = {}
        for projection in expression.selects:
            if isinstance(projection, exp.Dot) and projection.is_star:  # the fields of a struct: nobody knows which
                outputs[ALL] = outputs.get(ALL, frozenset()) | self._of(projection.this, scope)
            elif projection.is_star:
                for name, refs in self._star(scope):
                    outputs[_free(name, outputs)] = refs
            elif _is_unnamed_unnest(projection):  # of a list it is one column, of a struct one for each field
                outputs[ALL] = outputs.get(ALL, frozenset()) | self._of(projection, scope)
            else:
                outputs[_free(projection.alias_or_name.lower(), outputs)] = frozenset(self._of(projection, scope))
            for made in projection.find_all(exp.Unnest, exp.Explode, exp.Anonymous):
                if not isinstance(made, exp.Anonymous) or made.name.lower() in _ROW_MAKERS:
                    self.rows |= self._of(made, scope)  # a row for each element
        for clause in _ROW_CLAUSES:
            for part in _parts(expression.args.get(clause)):
                self.rows |= self._of(part, scope)
        group = expression.args.get("group")
        if expression.args.get("distinct") is not None:
            self.rows |= frozenset().union(*outputs.values())
        elif group is not None and group.args.get("all"):
            self.rows |= frozenset().union(*(refs for refs in outputs.values() if _COUNTED not in refs))
        distinct = expression.args.get("distinct")
        if _is_cut(expression) or (distinct is not None and distinct.args.get("on") is not None):
            for part in _parts(expression.args.get("order")):
                self.rows |= frozenset().union(*outputs.values()) if _is_all(part) else self._of(part, scope)
        for source in scope.sources.values():
            if not isinstance(source, exp.Table):
                self.outputs(source)
        return outputs

    def _united(self, scope: Scope, *, by_name: bool) -> dict[str, frozenset[Ref]]:
        from sqlglot import exp

        scopes: Any = getattr(scope, "set_operation_scopes", None) or getattr(scope, "union_scopes", [])
        sides = [self.outputs(each) for each in scopes]
        left = sides[0]
        if by_name:
            names = dict.fromkeys(name for side in sides for name in side)
            outputs = {name: frozenset().union(*(side.get(name, frozenset()) for side in sides)) for name in names}
        else:
            outputs = dict(left)
            for side in sides[1:]:
                for name, refs in zip(left, side.values(), strict=False):
                    outputs[name] |= refs
        expression: Any = scope.expression
        if expression.args.get("distinct") or not isinstance(expression, exp.Union):
            self.rows |= frozenset().union(*outputs.values())
        if _is_cut(expression):
            for part in _parts(expression.args.get("order")):
                for column in part.find_all(exp.Column):
                    self.rows |= outputs.get(column.name.lower(), frozenset())
                if _is_all(part) or part.find(exp.Literal) is not None:  # by place
                    self.rows |= frozenset().union(*outputs.values())
        return outputs

    def _star(self, scope: Scope) -> Iterator[tuple[str, frozenset[Ref]]]:
        """Yield what a star stands for that was not expanded: tables whose columns nobody knows."""
        from sqlglot import exp

        for source in scope.sources.values():
            if isinstance(source, exp.Table):
                name = _name(source)
                if self._tables.get(name) is None:
                    raise UnreadableError(f"the columns of {name} are not known")
                yield from ((each.lower(), frozenset({Ref(name, each.lower())})) for each in self._tables[name] or ())
            else:
                yield from self.outputs(source).items()

    def _of(self, expression: exp.Expr, scope: Scope) -> set[Ref]:
        """Return the columns of tables that an expression reads, those of its subqueries too."""
        from sqlglot import exp

        found: set[Ref] = set()
        inner = {id(each.expression): each for each in scope.subquery_scopes}

        def visit(node: exp.Expr) -> None:
            nested = inner.get(id(node))
            if nested is None and isinstance(node, exp.Subquery):
                nested = inner.get(id(node.this))
            if nested is not None:
                found.add(_COUNTED)
                for refs in self.outputs(nested).values():
                    found.update(refs)
                return
            if isinstance(node, exp.Column):
                found.update(self._column(node, _fields(node), scope))
                return
            if isinstance(node, exp.TableColumn) and node.name in scope.sources:  # a whole row
                found.update(self._row(scope.sources[node.name]))
                return
            if isinstance(node, exp.Coalesce) and _WRITTEN not in node.meta:
                for each in _merged(node, scope):
                    visit(each)
                return
            if isinstance(node, (exp.AggFunc, exp.Window)):
                found.add(_COUNTED)
            if isinstance(node, exp.Window) and isinstance(node.args.get("alias"), exp.Identifier):
                for part in _parts(scope.expression.args.get("windows")):
                    if part is not node and part.name.lower() == node.args["alias"].name.lower():
                        visit(part)
            for child in node.iter_expressions():
                visit(child)

        visit(expression)
        return found

    def _column(self, column: exp.Column, fields: Sequence[str], scope: Scope) -> frozenset[Ref]:
        from sqlglot import exp

        at: Scope | None = scope
        names = [part.name for part in column.parts]
        while at is not None:
            # `t.a`, and in full `schema.t.a`; what follows the column's name are fields of a struct
            place = next((at_ for at_, each in enumerate(names[:-1]) if each in at.sources), None)
            if place is not None:
                source, name, inner = at.sources[names[place]], names[place + 1].lower(), names[place + 2 :]
                path = [*(each.lower() for each in inner), *fields]
                if isinstance(source, exp.Table):
                    return frozenset({Ref(_name(source), self._known_as(source, name, path))})
                return self._through(self.outputs(source), name, path)
            at = at.parent
        table, name = column.table, column.name.lower()
        if table:  # a field of an alias of this SELECT; or the variable of a lambda, which comes from its list
            of = next((each for each in _selects(scope) if each.alias.lower() == table.lower()), None)
            return frozenset() if of is None or _within(column, of) else frozenset(self._of(of.this, scope))
        aliased = next((each for each in _selects(scope) if each.alias.lower() == name), None)
        if aliased is not None and aliased is not column.parent:
            return frozenset(self._of(aliased.this, scope)) if not _within(column, aliased) else frozenset()
        return self._unplaced(name, fields, scope)

    def _known_as(self, source: exp.Table, name: str, fields: Sequence[str]) -> str:
        """Return the column of a table that is meant; where it is called by its text, any that has no name."""
        known = [each.lower() for each in self._tables.get(_name(source)) or ()]
        if name not in known and any(each.startswith(_UNNAMED) for each in known):
            return ALL
        return ".".join((name, *fields))

    def _unplaced(self, name: str, fields: Sequence[str], scope: Scope) -> frozenset[Ref]:
        """Return where a column without a table may come from: all that might have it."""
        from sqlglot import exp

        found: set[Ref] = set()
        for source in scope.sources.values():
            if isinstance(source, exp.Table):
                known = self._tables.get(_name(source))
                if known is None or name in (each.lower() for each in known):
                    found.add(Ref(_name(source), ".".join((name, *fields))))
            else:
                found |= self._through(self.outputs(source), name, fields)
        return frozenset(found)

    def _row(self, source: Scope | exp.Table) -> frozenset[Ref]:
        from sqlglot import exp

        if not isinstance(source, exp.Table):
            return frozenset().union(*self.outputs(source).values())
        columns = self._tables.get(_name(source))
        return frozenset(Ref(_name(source), each.lower()) for each in ([ALL] if columns is None else columns))

    @staticmethod
    def _through(outputs: Mapping[str, frozenset[Ref]], name: str, fields: Sequence[str]) -> frozenset[Ref]:
        unnamed = (refs for each, refs in outputs.items() if each == ALL or each.startswith(_UNNAMED))
        refs = outputs[name] if name in outputs else frozenset[Ref]().union(*unnamed)
        places = refs - {_COUNTED}
        if fields and len(places) == 1:
            (only,) = places
            return (refs & {_COUNTED}) | {Ref(only.table, ".".join((only.column, *fields)))}
        return refs


def _is_partial(star: exp.Star) -> bool:
    """Return whether a star takes some columns by their names, as `* LIKE 'a%'` does."""
    from sqlglot import exp

    node: Any = star.parent if isinstance(star.parent, exp.Column) else star
    return isinstance(node.parent, (exp.Like, exp.ILike, exp.Glob, exp.SimilarTo, exp.Not, exp.RegexpLike))


def _is_all(order: exp.Expr) -> bool:
    """Return whether rows are ordered by all columns: ORDER BY ALL."""
    from sqlglot import exp

    return any(each.name.upper() == "ALL" for each in order.find_all(exp.Var))


def _merged(coalesce: exp.Coalesce, scope: Scope) -> list[exp.Expr]:
    """Return which of the columns that USING or NATURAL merges the value is of, as DuckDB has it.

    It is that of the table before the join, of a right join that of the table which is joined, and of a full join
    either. The others decide which rows there are, no more.
    """
    sides = {each.alias_or_name: each.side.upper() for each in _parts(scope.expression.args.get("joins"))}
    first, *others = [coalesce.this, *coalesce.expressions]
    found = [first]
    for each in others:
        side = sides.get(getattr(each, "table", ""), "FULL")
        found = [each] if side == "RIGHT" else [*found, each] if side == "FULL" else found
    return found


def _fields(column: exp.Column) -> list[str]:
    """Return the fields of a struct that are taken of a column: `b`, `c` of `a.b.c`."""
    from sqlglot import exp

    fields: list[str] = []
    node: exp.Expr = column
    while isinstance(node.parent, exp.Dot) and node.arg_key == "this":
        node = node.parent
        if not isinstance(node.expression, exp.Identifier):
            break
        fields.append(node.expression.name.lower())
    return fields


def _free(name: str, taken: Mapping[str, object]) -> str:
    """Return what DuckDB calls a column of a name that may be taken: the first keeps it, others are `a_1`, `a_2`."""
    if name not in taken:
        return name
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


def _is_unnamed_unnest(projection: exp.Expr) -> bool:
    from sqlglot import exp

    made_up = not projection.alias or projection.alias.startswith("_col_")
    return made_up and isinstance(projection.unalias(), (exp.Unnest, exp.Explode))


def _is_cut(query: exp.Expr) -> bool:
    """Return whether only some of its rows are taken, so that their order decides which."""
    return any(query.args.get(each) is not None for each in ("limit", "offset"))


def _selects(scope: Scope) -> list[Any]:
    return [each for each in getattr(scope.expression, "selects", ()) if each.alias]


def _within(node: exp.Expr, outer: exp.Expr) -> bool:
    at: Any = node
    while at is not None:
        if at is outer:
            return True
        at = at.parent
    return False


def _parts(clause: Any) -> list[Any]:
    if clause is None or isinstance(clause, bool):
        return []
    return list(clause) if isinstance(clause, list) else [clause]


def _name(table: exp.Table) -> str:
    return f"{table.db}.{table.name}".lower() if table.db else table.name.lower()
