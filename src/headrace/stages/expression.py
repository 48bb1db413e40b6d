"""Expressions: one boolean SQL expression over a contract's columns, of which nothing but the allowed runs.

This loads sqlglot, a fifth of what `headrace status` costs: who needs it imports it where there is an expression.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from headrace.errors import ConfigError
from headrace.stages import paths
from headrace.stages.allowed import check_allowed
from headrace.stages.base import ERRS, FAILS, PASSES
from headrace.stages.sql import SqlKernel

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CHARACTERS = 10_000
MAX_TOKENS = 400
MAX_DEPTH = 50

# Text and quoted names are matched first, so that what looks like a path inside of them stays as it is.
_LIST_PATH = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|([A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\])*\[\](?:\.[A-Za-z_]\w*)*)"""
)
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|([(\[{]|\bcase\b)|([)\]}]|\bend\b)|[^\s\w]|\w+""", re.IGNORECASE)
_STAND_IN = "_headrace_elements_"
_FILLER = "filler"
_AGGREGATES = {
    exp.Sum: "list_sum",
    exp.Min: "list_min",
    exp.Max: "list_max",
    exp.Avg: "list_avg",
    exp.Count: "list_count",
}

_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Between)
_OWN = ("struct_extract", "list_transform", "flatten")
_DIVISIONS = (exp.Div, exp.IntDiv, exp.Mod)

Compiled = TypeVar("Compiled")


@dataclass(frozen=True)
class Expression:
    """A checked expression. Total: a row that cannot be computed gets the verdict ERRS, and its neighbours theirs.

    `sql` is the boolean expression in DuckDB's SQL over the contract's own column names, for use outside of the stages;
    it may raise where `verdicts` says ERRS. `columns` are the contract columns that it reads.
    """

    text: str
    sql: str
    columns: tuple[str, ...]
    _verdict: str

    def verdicts(self, kernel: SqlKernel, batch: pa.RecordBatch) -> pa.Array:
        """Return PASSES (true, or null), FAILS or ERRS for each row of a batch that has `columns`."""
        return kernel.run(self._verdict, rows=self._rows(batch)).column(0).combine_chunks()

    def values(self, kernel: SqlKernel, batch: pa.RecordBatch) -> pa.Array:
        """Return what each row's columns hold, as the text of a JSON object."""
        pairs = ", ".join(f"{exp.Literal.string(name).sql('duckdb')}, c{i}" for i, name in enumerate(self.columns))
        sql = f"SELECT CAST(json_object({pairs}) AS VARCHAR) AS value FROM rows"
        return kernel.run(sql, rows=self._rows(batch)).column(0).combine_chunks()

    def _rows(self, batch: pa.RecordBatch) -> pa.Table:
        # Numbered: SQL does not tell apart names that differ in case only. The filler keeps the rows of no columns.
        arrays = [batch.column(name) for name in self.columns]
        names = [f"c{i}" for i in range(len(arrays))]
        return pa.table([*arrays, pa.nulls(len(batch), pa.int8())], [*names, _FILLER])


@dataclass(frozen=True)
class Value:
    """A checked expression that computes a value. `sql` reads the columns as `c0`, `c1`, … in the order of `columns`.

    Where `sql` gives null and `zero` is true, the row divides by zero and has no value.
    """

    text: str
    sql: str
    zero: str
    columns: tuple[str, ...]
    type: pa.DataType


def compile_value(text: str, schema: pa.Schema, kernel: SqlKernel | None = None) -> Value:
    """Return the scalar expression that a text means over a contract's columns; see `compile_expression`.

    Raises:
        ConfigError: It is not one expression of allowed parts over columns that exist.
    """
    return _guarded(text, lambda: _value(text, schema, kernel or SqlKernel(isolate_errors=True)), "amount * 100")


def compile_expression(text: str, schema: pa.Schema, kernel: SqlKernel | None = None) -> Expression:
    """Return the expression that a text means over a contract's columns.

    Beyond plain SQL, `sum`, `min`, `max`, `avg` and `count` work over the elements of a list: `sum(items[].amount)`.
    The sum of an empty list is 0; doubles in a list are summed as the decimals they were written as. A division by zero
    is null, and a row whose outcome is null for it is an error.

    Raises:
        ConfigError: It is not one boolean expression of allowed parts over columns that exist.
    """
    return _guarded(text, lambda: _compile(text, schema, kernel or SqlKernel(isolate_errors=True)), "amount <= total")


def paths_in(text: str, schema: pa.Schema) -> list[paths.Path]:
    """Return the places that an expression reads, by name: of `sum(items[].amount)` that of the elements' amounts.

    Raises:
        ConfigError: It is not one expression, or names a place that does not exist.
    """
    return _guarded(text, lambda: _paths(text, schema), "amount <= total")


def _paths(text: str, schema: pa.Schema) -> list[paths.Path]:
    parsed, lists = _parsed(text, schema)
    rewriting = _Rewriting(schema, lists, SqlKernel())
    columns = list(parsed.find_all(exp.Column))
    return [rewriting.list_of(column) or rewriting.path_of(column)[0] for column in columns]


def _guarded(text: str, compiling: Callable[[], Compiled], example: str) -> Compiled:
    _bound(text)
    try:
        return compiling()
    except RecursionError:
        raise ConfigError("the expression is nested too deeply", fix="split it into several rules") from None
    except SqlglotError as error:
        raise ConfigError(f"not a SQL expression: {_first_line(error)}", fix=f"write such as `{example}`") from None


def _value(text: str, schema: pa.Schema, kernel: SqlKernel) -> Value:
    rewriting, tree = _rewritten(text, schema, kernel)
    kind = rewriting.type_of(tree)
    return Value(text, _render(tree), _zero(rewriting), tuple(rewriting.columns), kind)


def _rewritten(text: str, schema: pa.Schema, kernel: SqlKernel) -> tuple[_Rewriting, exp.Expr]:
    """Return an expression parsed, checked and rewritten, with what did it: it knows columns, types and divisors."""
    parsed, lists = _parsed(text, schema)
    check_allowed(parsed)
    rewriting = _Rewriting(schema, lists, kernel)
    return rewriting, rewriting.apply(parsed)


def _parsed(text: str, schema: pa.Schema) -> tuple[exp.Expr, tuple[paths.Path, ...]]:
    """Return the one expression that a text is, in which columns stand in for paths through lists; and those paths."""
    lists: list[paths.Path] = []

    def stand_in(match: re.Match[str]) -> str:
        if match.group(1) is None:
            return match.group()
        lists.append(paths.resolve(match.group(1), schema))
        return f"{_STAND_IN}{len(lists) - 1}"

    parsed = sqlglot.parse(_LIST_PATH.sub(stand_in, text), dialect="duckdb")
    if len(parsed) != 1 or parsed[0] is None:
        raise ConfigError("write exactly one expression", fix="make each expression a rule of its own")
    return parsed[0], tuple(lists)


def _zero(rewriting: _Rewriting) -> str:
    """Return the SQL that says whether any divisor of a row is zero."""
    return " OR ".join(f"coalesce(TRY({_render(divisor)} = 0), false)" for divisor in rewriting.divisors) or "false"


def _compile(text: str, schema: pa.Schema, kernel: SqlKernel) -> Expression:
    rewriting, tree = _rewritten(text, schema, kernel)
    columns = tuple(rewriting.columns)
    sql = _render(tree)
    kind = rewriting.type_of(tree)
    if not pa.types.is_boolean(kind):
        raise ConfigError(f"the expression gives {kind}, not true or false", fix=f"compare it: {text[:60].strip()} > 0")
    # TRY gives null for an error too: only a list around the result tells an error from a result that is null. And a
    # division by zero is null here, so that it makes an error only of a row whose outcome hangs on it.
    zero = _zero(rewriting)
    verdict = (
        f"SELECT CASE WHEN r IS NULL THEN {ERRS} WHEN r[1] THEN {PASSES} WHEN NOT r[1] THEN {FAILS} "
        f"WHEN zero THEN {ERRS} ELSE {PASSES} END::TINYINT AS verdict "
        f"FROM (SELECT TRY([{sql}]) AS r, {zero} AS zero FROM rows)"
    )
    expression = Expression(text, _render(tree, columns), columns, verdict)
    expression.verdicts(kernel, pa.RecordBatch.from_pylist([], schema=pa.schema([schema.field(c) for c in columns])))
    return expression


class _Rewriting:
    """Turns what the user wrote into what runs: columns by number, list paths and aggregates as list functions."""

    def __init__(self, schema: pa.Schema, lists: tuple[paths.Path, ...], kernel: SqlKernel) -> None:
        self.columns: list[str] = []
        self.divisors: list[exp.Expr] = []
        self._schema = schema
        self._lists = lists
        self._kernel = kernel

    def apply(self, parsed: exp.Expr) -> exp.Expr:
        tree = exp.Paren(this=parsed)
        for cast in tree.find_all(exp.Cast):
            if isinstance(cast.this, exp.Literal):
                self.type_of(cast, rows=1)  # a text that is no such value is a mistake of the rule, not of its rows
        for node in list(tree.find_all(*_AGGREGATES)):
            node.replace(self._aggregate(node))
        for column in list(tree.find_all(exp.Column)):
            if not _is_number(column):
                self._resolve(column)
        for dot in reversed(list(tree.find_all(exp.Dot))):
            dot.replace(_field(dot.this.copy(), dot.expression.name))
        self._check_texts(tree)
        for division in reversed(list(tree.find_all(*_DIVISIONS))):
            self.divisors.append(exp.Paren(this=division.expression.copy()))
            division.set("expression", exp.Nullif(this=division.expression.copy(), expression=exp.Literal.number(0)))
        return tree

    def type_of(self, tree: exp.Expr, rows: int = 0) -> pa.DataType:
        """Return the type of a rewritten part, after computing it for some rows of nulls."""
        columns = {f"c{i}": pa.nulls(rows, self._schema.field(name).type) for i, name in enumerate(self.columns)}
        table = pa.table({**columns, _FILLER: pa.nulls(rows, pa.int8())})
        try:
            return self._kernel.run(f"SELECT {_render(tree)} AS x FROM rows", rows=table).schema.field("x").type
        except duckdb.Error as error:
            raise ConfigError(f"not a valid expression: {_first_line(error)}", fix="check the types") from None

    def _check_texts(self, tree: exp.Expr) -> None:
        """Find texts that no value can be compared with: `amount > 'ten'` would be an error of every row."""
        for node in tree.find_all(*_COMPARISONS):
            operands = list(node.iter_expressions())
            if any(isinstance(each, exp.Literal) and each.is_string for each in operands) and all(
                isinstance(each, exp.Literal | exp.Column) or each.name in _OWN for each in operands
            ):
                self.type_of(node, rows=1)

    def _aggregate(self, node: exp.AggFunc) -> exp.Expr:
        name = node.key
        body = node.this
        columns = list(body.find_all(exp.Column))
        elements = [column for column in columns if self.list_of(column) is not None]
        if not elements and isinstance(body, exp.Column):
            path = self.path_of(body)[0]
            if paths.is_list(path.type):
                return self._over_list(node, self._reference(path.column, path.steps))
        if not elements or body.find(*_AGGREGATES) or len(list(node.iter_expressions())) > 1:
            fix = f"write such as {name}(items[].amount), over the elements of a list"
            raise ConfigError(f"{name} over rows is not allowed: a rule looks at one event", fix=fix)
        if body.find(*_DIVISIONS):  # its null would be lost among the elements
            raise ConfigError(f"a division within {name} is not allowed", fix="divide outside, or multiply")
        found = [path for path in map(self.list_of, elements) if path is not None]
        last = [len(path.steps) - 1 - path.steps[::-1].index(paths.ELEMENTS) for path in found]
        prefixes = {(path.column, path.steps[:end]) for path, end in zip(found, last, strict=True)}
        if len(prefixes) > 1:
            raise ConfigError(f"{name} takes the elements of one list", fix="write a sum for each list")
        for column, path, end in zip(elements, found, last, strict=True):
            element: exp.Expr = exp.to_identifier("element")
            for step in path.steps[end + 1 :]:
                element = _field(element, step)
            if column is body:
                body = element
            else:
                column.replace(element)
        for column in list(body.find_all(exp.Column)):
            self._resolve(column)
        ((column_name, steps),) = prefixes
        whole = self._reference(column_name, (*steps, paths.ELEMENTS))
        return self._over_list(node, _transform(whole, "element", body) if body.key != "identifier" else whole)

    def _over_list(self, node: exp.AggFunc, values: exp.Expr) -> exp.Expr:
        call: exp.Expr = exp.Anonymous(this=_AGGREGATES[type(node)], expressions=[values])
        if not isinstance(node, exp.Sum):
            return call
        if pa.types.is_floating(self.type_of(call)):
            call = _rounded_sum(values)
        empty = exp.Case(ifs=[exp.If(this=exp.Is(this=values.copy(), expression=exp.Null()).not_(), true="0")])
        return exp.Coalesce(this=call, expressions=[empty])

    def list_of(self, column: exp.Column) -> paths.Path | None:
        """Return the path through a list that a column stands in for, if it does."""
        name = column.name
        if len(column.parts) == 1 and name.startswith(_STAND_IN) and name.removeprefix(_STAND_IN).isdecimal():
            number = int(name.removeprefix(_STAND_IN))
            return self._lists[number] if number < len(self._lists) else None
        return None

    def path_of(self, column: exp.Column) -> tuple[paths.Path, exp.Expr]:
        """Return the path that a column and the dots after it mean, and the outermost node that belongs to it."""
        steps = [part.name for part in column.parts]
        node: exp.Expr = column
        while isinstance(node.parent, exp.Dot) and node.parent.this is node:
            node = node.parent
            steps.append(node.expression.name)
        return paths.walk(tuple(steps), self._schema), node

    def _resolve(self, column: exp.Column) -> None:
        elements = self.list_of(column)
        path, node = (elements, column) if elements else self.path_of(column)
        node.replace(self._reference(path.column, path.steps))

    def _reference(self, column: str, steps: tuple[str, ...]) -> exp.Expr:
        """Return the value at a path; past ELEMENTS it is the list of the values in every element."""
        if column not in self.columns:
            self.columns.append(column)
        value: exp.Expr = exp.column(str(self.columns.index(column)), quoted=True)
        in_list = False
        for step in steps:
            if step != paths.ELEMENTS:
                value = (
                    _transform(value, "part", _field(exp.to_identifier("part"), step))
                    if in_list
                    else _field(value, step)
                )
            elif in_list:
                value = exp.Anonymous(this="flatten", expressions=[value])
            else:
                in_list = True
        return value


def _render(tree: exp.Expr, columns: tuple[str, ...] = ()) -> str:
    """Return the SQL of a rewritten tree: over numbered columns, or over those names."""

    def named(node: exp.Expr) -> exp.Expr:
        if _is_number(node):
            number = int(node.name)
            return exp.column(columns[number] if columns else f"c{number}", quoted=True)
        return node

    return tree.transform(named).sql(dialect="duckdb", comments=False)


def _is_number(node: exp.Expr) -> bool:
    return isinstance(node, exp.Column) and node.name.isdecimal()


def _field(value: exp.Expr, name: str) -> exp.Expr:
    return exp.Anonymous(this="struct_extract", expressions=[value, exp.Literal.string(name)])


def _transform(values: exp.Expr, name: str, body: exp.Expr) -> exp.Expr:
    element = exp.Lambda(this=body, expressions=[exp.to_identifier(name)])
    return exp.Anonymous(this="list_transform", expressions=[values, element])


def _rounded_sum(values: exp.Expr) -> exp.Expr:
    """Return a sum of doubles without the noise of adding: 0.1 + 0.2 is 0.3 to the people who write such rules.

    Fourteen digits are kept, counted from the first of the largest value: more than adding disturbs, and few enough
    that rounding gives the very double that the decimal sum is written as.
    """
    # In a lambda over a list of one, so that the values are computed once.
    total, largest = "list_sum(v)", "greatest(abs(list_min(v)), abs(list_max(v)), abs(list_sum(v)))"
    body = (
        f"CASE WHEN {largest} BETWEEN 1e-9 AND 1e13 "
        f"THEN round({total}, CAST(13 - floor(log10({largest})) AS INTEGER)) ELSE {total} END"
    )
    once = exp.Array(expressions=[values])
    lambda_body = sqlglot.parse_one(body, dialect="duckdb")
    for column in list(lambda_body.find_all(exp.Column)):
        column.replace(exp.to_identifier("v"))
    return exp.Bracket(this=_transform(once, "v", lambda_body), expressions=[exp.Literal.number(0)])


def _bound(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        message = f"the expression has {len(text):,} characters, more than {MAX_CHARACTERS:,}"
        raise ConfigError(message, fix="split it into several rules")
    depth = deepest = tokens = 0
    for match in _TOKEN.finditer(text):
        tokens += 1
        depth += bool(match.group(1)) - bool(match.group(2))
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH or tokens > MAX_TOKENS:
        message = f"the expression has {tokens:,} words and is nested {deepest:,} deep"
        raise ConfigError(
            message, fix=f"at most {MAX_TOKENS:,} words and {MAX_DEPTH} deep: split it into several rules"
        )


def _first_line(error: Exception) -> str:
    return re.sub(r"\x1b\[\d*m| for <class .*?>", "", str(error)).strip().split("\n", 1)[0].rstrip(".")[:200]
