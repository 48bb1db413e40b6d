"""Expressions: what they give, what they may not contain, and that no row can make them raise."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from headrace.errors import ConfigError
from headrace.stages.expression import ERRS, FAILS, PASSES, compile_expression
from headrace.stages.sql import SqlKernel

ITEM = pa.struct(
    {"amount": pa.float64(), "qty": pa.int64(), "sku": pa.string(), "subs": pa.list_(pa.struct({"n": pa.int64()}))}
)
SCHEMA = pa.schema(
    {
        "a": pa.int64(),
        "b": pa.int64(),
        "x": pa.float64(),
        "s": pa.string(),
        "at": pa.timestamp("us", "UTC"),
        "tags": pa.list_(pa.string()),
        "meta": pa.struct({"city": pa.string(), "geo": pa.struct({"lat": pa.float64()})}),
        "items": pa.list_(ITEM),
        "total": pa.float64(),
        "order id": pa.int64(),
        "Case": pa.int64(),
        "case": pa.string(),
    }
)
KERNEL = SqlKernel(isolate_errors=True)


def verdicts(text: str, *rows: dict[str, Any]) -> list[int]:
    expression = compile_expression(text, SCHEMA, KERNEL)
    made = [{name: row.get(name) for name in SCHEMA.names} for row in rows]
    return expression.verdicts(KERNEL, pa.RecordBatch.from_pylist(made, schema=SCHEMA)).to_pylist()


@pytest.mark.parametrize(
    ("text", "row", "verdict"),
    [
        ("a > 1", {"a": 2}, PASSES),
        ("a > 1", {"a": 1}, FAILS),
        ("a > 1", {}, PASSES),
        ("a is not null", {}, FAILS),
        ("A > 1", {"a": 1}, FAILS),
        ('"order id" = 1', {"order id": 2}, FAILS),
        ('"Case" = 1 and "case" = \'x\'', {"Case": 1, "case": "x"}, PASSES),
        ('"Case" = 1 and "case" = \'x\'', {"Case": 1, "case": "y"}, FAILS),
        ("a between 1 and 3 or a in (7, 8) or s like 'x%'", {"a": 8}, PASSES),
        ("case when a > 1 then s = 'x' else false end", {"a": 2, "s": "x"}, PASSES),
        ("coalesce(nullif(a, 0), 1) = 1", {"a": 0}, PASSES),
        ("length(trim(s)) = 3 and starts_with(lower(s), 'ab')", {"s": " ABc "}, FAILS),
        ("regexp_matches(s, '^\\d+$')", {"s": "12x"}, FAILS),
        ("try_cast(s as int) > 3", {"s": "x"}, PASSES),
        ("date_part('year', at) = 2024", {"at": datetime(2024, 1, 1, tzinfo=UTC)}, PASSES),
        ("at + interval 1 day > date_trunc('day', at)", {"at": datetime(2024, 1, 1, tzinfo=UTC)}, PASSES),
        ("at >= '2024-01-02'", {"at": datetime(2024, 1, 1, 23, tzinfo=UTC)}, FAILS),
        ("meta.city = 'B' and meta.geo.lat > 0", {"meta": {"city": "B", "geo": {"lat": 0.5}}}, PASSES),
        ("meta.geo.lat > 0", {"meta": None}, PASSES),
        ("items[1].sku = 'p'", {"items": [{"sku": "q"}]}, FAILS),
        ("list_contains(items[].sku, 'p')", {"items": [{"sku": "q"}, {"sku": "p"}]}, PASSES),
        ("list_contains(tags, 'p')", {"tags": ["q"]}, FAILS),
        ("list_unique(tags) = length(tags)", {"tags": ["q", "q"]}, FAILS),
        ("s = 'items[].amount'", {"s": "items[].amount"}, PASSES),
        # aggregates over elements
        ("sum(items[].amount) = total", {"items": [{"amount": 0.1}, {"amount": 0.2}], "total": 0.3}, PASSES),
        ("sum(items[].amount) = total", {"items": [{"amount": 0.1}, {"amount": 0.2}], "total": 0.31}, FAILS),
        ("sum(items[].amount) = total", {"items": [{"amount": 1e300}, {"amount": 1.0}], "total": 1e300}, PASSES),
        ("sum(items[].amount) = total", {"items": [], "total": 0.0}, PASSES),
        ("sum(items[].amount) = total", {"items": [], "total": 1.0}, FAILS),
        ("sum(items[].amount) = total", {"items": None, "total": 1.0}, PASSES),
        ("sum(items[].amount * items[].qty) = total", {"items": [{"amount": 1.1, "qty": 3}], "total": 3.3}, PASSES),
        ("sum(items[].qty * a) = 6", {"items": [{"qty": 1}, {"qty": 2}], "a": 2}, PASSES),
        ("sum(items[].subs[].n) = 6", {"items": [{"subs": [{"n": 1}, {"n": 2}]}, {}, {"subs": [{"n": 3}]}]}, PASSES),
        ("count(items[]) = 2 and count(items[].qty) = 1", {"items": [{"qty": 1}, {}]}, PASSES),
        ("min(items[].qty) = 1 and max(items[].qty) = 3 and avg(items[].qty) = 2", {"items": [{"qty": 1}, {"qty": 3}]},
         PASSES),
        ("max(tags) = 'q'", {"tags": ["p", "q"]}, PASSES),
        # what cannot be computed
        ("a + b > 5", {"a": 2**63 - 1, "b": 1}, ERRS),
        ("cast(s as int) > 3", {"s": "x"}, ERRS),
        ("cast(s as int) between 1 and 3", {"s": "2"}, PASSES),
        ("cast(s as int) between 1 and 3", {"s": "x"}, ERRS),
        ("case cast(s as int) when 1 then true else cast(s as int) > 5 end", {"s": "3"}, FAILS),
        ("nullif(cast(s as int), 3) = 1 or cast(s as int) = 3", {"s": "x"}, ERRS),
        ("a / cast(s as int) > 1", {"s": "x", "a": 1}, ERRS),
        ("a / (b + 9223372036854775807) > 1", {"a": 1, "b": 1}, ERRS),
        ("a / b > 1", {"a": 1, "b": 0}, ERRS),
        ("a % b > 1", {"a": 1, "b": 0}, ERRS),
        ("a // b > 1", {"a": 1, "b": 0}, ERRS),
        ("a / b > 1", {"a": 1, "b": None}, PASSES),
        ("b = 0 or a / b > 1", {"a": 1, "b": 0}, PASSES),
        ("case when b = 0 then false else a / b > 1 end", {"a": 1, "b": 0}, FAILS),
        ("sum(items[].qty) > 1", {"items": [{"qty": 2**63 - 1}, {"qty": 2**63 - 1}]}, PASSES),
    ],
)  # fmt: skip
def test_verdicts(text: str, row: dict[str, Any], verdict: int):
    assert verdicts(text, row) == [verdict]
    # The same between neighbours that cannot be computed: an error is of its row alone.
    poison = {"a": 2**63 - 1, "b": 2**63 - 1, "s": "poison", "x": 0.0}
    assert verdicts(text, poison, row, poison)[1] == verdict


@pytest.mark.parametrize(
    "text",
    [
        "ifnull(a, 0) + coalesce(a, 0) + nullif(a, 1) + greatest(a, b) + least(a, b) = 1",
        "abs(x) + round(x, 2) + floor(x) + ceil(x) + sign(x) + sqrt(x) = 1",
        "not isnan(x) and isfinite(x) and not isinf(x)",
        "length(s) + strlen(s) + position('a' in s) = 1 and lower(s) || upper(s) = concat(trim(s), substr(s, 1, 2))",
        "left(s, 1) = right(s, 1) and split_part(s, ',', 1) = 'x' and starts_with(s, 'a') and ends_with(s, 'b')",
        "prefix(s, 'a') and suffix(s, 'b') and contains(s, 'c') and regexp_full_match(s, 'd')",
        "date_part('day', at) + extract(year from at) + date_diff('day', at, at) + epoch(at) = 1",
        "year(at) + month(at) + day(at) + hour(at) + minute(at) + second(at) = 1 and strftime(at, '%Y') = '2024'",
        "at at time zone 'UTC' > timestamp '2024-01-01' and date_trunc('month', at) <= at + interval 1 hour",
        "list_contains(tags, 'a') and list_has_any(tags, ['a']) and list_has_all(tags, ['a'])",
        "len(list_distinct(tags)) + list_unique(tags) + list_count(tags) = 1 and list_min(tags) = list_max(tags)",
        "list_sum(items[].qty) + list_avg(items[].qty) = 1",
        "s -> '$.x' = '1' or s ->> 'x' = '1'",
        "s ilike 'x' and s similar to 'x' and s not like 'x' and (a is distinct from b or a is not distinct from b)",
        "a // 2 % 3 - -b * 1.5 = 1 and s in ('a', 'b') and a not in (1, 2) and a not between 1 and 2",
    ],
)
def test_what_the_docs_list_compiles(text: str):
    assert verdicts(text, {}) == [PASSES]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "gives int64, not true or false"),
        ("amunt > 1", "no field 'amunt'"),
        ("meta.citi = 'x'", "meta has no field 'citi'"),
        ("rowid > 1", "no field 'rowid'"),
        ("a > ", "not a SQL expression"),
        ("", "exactly one expression"),
        ("a = 1; a = 2", "exactly one expression"),
        ("a = 'x'", "Could not convert string 'x'"),
        ("at > cast('now' as timestamptz)", "invalid timestamp"),
        ("at > 'today'", "invalid timestamp"),
        ("at > now()", "no clock"),
        ("at > current_date", "no clock"),
        ("at > current_timestamp", "no clock"),
        ("at > localtimestamp", "no clock"),
        ("at > today()", "no clock"),
        ("age(at) > interval 1 day", "no clock"),
        ("random() > 0.5", "rebuild"),
        ("uuid() = s", "rebuild"),
        ("a in (select 1)", "subquery"),
        ("exists (select 1)", "subquery"),
        ("(select true)", "subquery"),
        ("select true", "subquery"),
        ("from read_text('/etc/passwd')", "subquery"),
        ("row_number() over () = 1", "window"),
        ("sum(a) > 1", "over rows is not allowed"),
        ("sum(a) over () > 1", "window"),
        ("count(*) > 1", "* is not allowed"),
        ("sum(sum(items[].qty)) > 1", "over rows is not allowed"),
        ("max(items[].qty, 2) > 1", "over rows is not allowed"),
        ("sum(items[].qty / items[].amount) > 1", "division within sum"),
        ("sum(items[].qty * items[].subs[].n) > 1", "one list"),
        ("sum(items[].nope) > 1", "items[] has no field 'nope'"),
        ("sum(tags[]) > 1", "not a valid expression"),
        ("items[].sku = 'x'", "not a valid expression"),
        ("getenv('HOME') = s", "getenv() is not on the list"),
        ("current_setting('threads') = s", "current_setting() is not on the list"),
        ("read_text('/etc/passwd') = s", "read_text() is not on the list"),
        ("pg_sleep(1) = s", "pg_sleep() is not on the list"),
        ("error('x')", "error() is not on the list"),
        ("repeat(s, 1000000000) = s", "repeat() is not on the list"),
        ("replace(s, 'a', 'aaaa') = s", "replace() is not on the list"),
        ("main.lower(s) = s", "after a dot"),
        ("s.lower() = s", "after a dot"),
        ("list_transform(tags, t -> t) = tags", "not on the list"),
        ("[t for t in tags] = tags", "lambda"),
        ("columns(*) = 1", "* is not allowed"),
        ("a = $1", "parameter"),
        ("a = ?", "parameter"),
        ("drop table x", "statement"),
        ("cast(a as json) is null", "a cast to JSON is not allowed"),
        ("s collate nocase = 'x'", "not on the list"),
        ("regexp_matches(s, '(')", "not a valid expression"),
    ],
)
def test_what_is_refused(text: str, message: str):
    with pytest.raises(ConfigError) as caught:
        compile_expression(text, SCHEMA, KERNEL)
    assert message in caught.value.message
    assert caught.value.fix


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "a = 1" + ")" * 10_000,
        "(" * 4_000 + "a = 1" + ")" * 4_000,
        "a = 1 or " * 120_000 + "a = 1",
        "x" * 1_000_000,
        "not " * 390 + "a = 1",
        "- " * 390 + "a = 1",
        "[" * 399,
        "coalesce(" * 49 + "a" + ")" * 49 + "= 1 and " + "not " * 290 + "true",
        "'" * 9_999,
    ],
)
def test_excess_is_an_error_of_the_user(text: str):
    with pytest.raises(ConfigError):
        compile_expression(text, SCHEMA, KERNEL)


def test_what_is_left_within_bounds_compiles():
    long = " + ".join(["a"] * 150)
    assert verdicts(f"{long} = 150", {"a": 1}, {"a": 2}) == [PASSES, FAILS]
    assert verdicts("(" * 40 + "a = 1" + ")" * 40, {"a": 2}) == [FAILS]


def test_its_sql_stands_on_its_own():
    expression = compile_expression("sum(items[].qty) = \"order id\" and meta.city = 'it''s'", SCHEMA, KERNEL)
    assert expression.columns == ("items", "order id", "meta")
    rows = pa.table(
        {"items": pa.array([[{"qty": 1}, {"qty": 2}]]), "order id": [3], "meta": pa.array([{"city": "it's"}])}
    )
    assert KERNEL.run(f"SELECT {expression.sql} AS x FROM t", t=rows).to_pylist() == [{"x": True}]


def test_an_empty_batch():
    assert verdicts("a > 1") == []
    assert verdicts("1 > 2", {}, {}) == [FAILS, FAILS]
