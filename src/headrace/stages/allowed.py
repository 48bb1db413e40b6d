"""The list of what an expression may be made of. What is not on it does not run."""

from __future__ import annotations

from sqlglot import exp

from headrace.errors import ConfigError

_OPERATORS: tuple[type[exp.Expr], ...] = (
    exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.DPipe, exp.Paren,
    exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is, exp.Between, exp.In,
    exp.And, exp.Or, exp.Not, exp.Like, exp.ILike, exp.Escape, exp.SimilarTo, exp.Case, exp.If,
)  # fmt: skip
_VALUES: tuple[type[exp.Expr], ...] = (
    exp.Column, exp.Identifier, exp.Dot, exp.Bracket, exp.Slice, exp.Literal, exp.Boolean, exp.Null, exp.Array,
    exp.Interval, exp.Var, exp.Cast, exp.TryCast, exp.DataType, exp.DataTypeParam,
    exp.JSONExtract, exp.JSONExtractScalar, exp.JSONPath, exp.JSONPathRoot, exp.JSONPathKey, exp.JSONPathSubscript,
)  # fmt: skip
_FUNCTIONS: tuple[type[exp.Expr], ...] = (
    exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least,
    exp.Abs, exp.Round, exp.Floor, exp.Ceil, exp.Sign, exp.Sqrt, exp.IsNan, exp.IsInf,
    exp.Length, exp.Lower, exp.Upper, exp.Trim, exp.Substring, exp.Left, exp.Right, exp.SplitPart,
    exp.Concat, exp.StartsWith, exp.EndsWith, exp.Contains, exp.StrPosition, exp.RegexpLike, exp.RegexpFullMatch,
    exp.TimestampTrunc, exp.DateTrunc, exp.DateDiff, exp.Extract, exp.TimeToStr, exp.TimeToUnix, exp.AtTimeZone,
    exp.Year, exp.Month, exp.Day, exp.Hour, exp.Minute, exp.Second,
    exp.ArrayContains, exp.ArraySize, exp.ArrayDistinct, exp.ArrayOverlaps, exp.ArrayContainsAll,
    exp.ArrayMin, exp.ArrayMax,
    exp.Sum, exp.Min, exp.Max, exp.Avg, exp.Count,  # over the elements of a list: the rewriting sees to that
)  # fmt: skip
_NAMED = frozenset(
    {
        "date_part", "isfinite", "strlen", "list_has_all", "prefix", "suffix",
        "list_sum", "list_avg", "list_min", "list_max", "list_unique", "list_count",
    }
)  # fmt: skip
_TYPES = frozenset(
    {
        exp.DType.BOOLEAN, exp.DType.TINYINT, exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT, exp.DType.INT128,
        exp.DType.UTINYINT, exp.DType.USMALLINT, exp.DType.UINT, exp.DType.UBIGINT,
        exp.DType.FLOAT, exp.DType.DOUBLE, exp.DType.DECIMAL, exp.DType.VARCHAR, exp.DType.TEXT, exp.DType.DATE,
        exp.DType.TIME, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPNTZ, exp.DType.TIMESTAMPTZ, exp.DType.INTERVAL,
        exp.DType.UUID,
    }
)  # fmt: skip
_NODES = frozenset(_OPERATORS + _VALUES + _FUNCTIONS)
_CLOCK = frozenset(
    {
        "now", "today", "age", "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp",
        "get_current_timestamp", "get_current_time", "transaction_timestamp",
    }
)  # fmt: skip
_RANDOM = frozenset(["rand", "random", "uuid", "gen_random_uuid", "setseed", "nextval"])


def check_allowed(tree: exp.Expr) -> None:
    """Look at every part of a parsed expression.

    Raises:
        ConfigError: A part is not on the list; the message names it, and says why where that is known.
    """
    for node in tree.walk():
        if isinstance(node, exp.DataType):
            if node.this not in _TYPES:
                raise ConfigError(
                    f"a cast to {node.sql(dialect='duckdb')[:60]} is not allowed", fix="cast to a plain type"
                )
        elif isinstance(node, exp.Dot):
            if not isinstance(node.expression, exp.Identifier):
                raise ConfigError("a function after a dot is not allowed", fix="write lower(name), not name.lower()")
        elif isinstance(node, exp.Anonymous):
            if str(node.this).lower() not in _NAMED:
                raise _refusal(node, str(node.this).lower())
        elif type(node) not in _NODES:
            raise _refusal(node, node.sql_name().lower() if isinstance(node, exp.Func) else "")


def _refusal(node: exp.Expr, name: str) -> ConfigError:
    if name in _CLOCK:
        return ConfigError(
            f"{name} is not allowed: a rule must decide the same in a rebuild, so it has no clock",
            fix="for the age of an event, use `late`",
        )
    if name in _RANDOM:
        return ConfigError(f"{name} is not allowed: a rule must decide the same in a rebuild", fix="take it out")
    if isinstance(node, exp.Query | exp.Exists | exp.Table | exp.From):
        return ConfigError(
            "a subquery is not allowed: a rule looks at one event", fix="write it as a dbt test on silver"
        )
    if isinstance(node, exp.Window):
        return ConfigError("a window is not allowed: a rule looks at one event", fix="write it as a dbt test on silver")
    if isinstance(node, exp.Star | exp.Columns):
        return ConfigError("* is not allowed", fix="name a column; count(items[]) counts the elements of a list")
    if isinstance(node, exp.Lambda | exp.Comprehension):
        return ConfigError("a lambda is not allowed", fix="write sum(items[].price * items[].quantity)")
    if isinstance(node, exp.Block | exp.Command | exp.Drop | exp.Alter | exp.DDL | exp.DML):
        return ConfigError("a statement is not allowed", fix="write one expression, such as `amount <= total`")
    if isinstance(node, exp.Placeholder | exp.Parameter):
        return ConfigError("a parameter is not allowed", fix="write the value itself")
    what = f"{name}()" if name else f"{node.sql(dialect='duckdb')[:60]!r} ({node.key})"
    return ConfigError(
        f"{what} is not on the list of what an expression may use", fix="docs/quality-rules.md lists what it may use"
    )
