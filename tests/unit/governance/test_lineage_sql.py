"""The lineage of one SELECT, in every shape that a model has; what has none says why."""

import duckdb
import pytest

from headrace.governance.lineage_sql import lineage_of

TABLES = {
    "gold.a": ["id", "n", "Page", "items"],
    "gold.b": ["id", "q", "r"],
    "silver.o": ["id", "amount"],
    "gold.nobody": None,
}


def told(sql):
    found = lineage_of(sql, TABLES)
    columns = {name: " ".join(sorted(map(str, refs))) for name, refs in found.columns.items()}
    return columns, " ".join(sorted(map(str, found.rows))), found.problem


@pytest.mark.parametrize(
    ("sql", "columns", "rows"),
    [
        ("select id, n + 1 as m from gold.a", {"id": "gold.a.id", "m": "gold.a.n"}, ""),
        ('select ID, "N" from "memory"."gold"."a"', {"id": "gold.a.id", "n": "gold.a.n"}, ""),
        ("from gold.a select n as x, x + 1 as y", {"x": "gold.a.n", "y": "gold.a.n"}, ""),
        ("select * from gold.b", {"id": "gold.b.id", "q": "gold.b.q", "r": "gold.b.r"}, ""),
        ("select * exclude (q) replace (r * 2 as r) from gold.b", {"id": "gold.b.id", "r": "gold.b.r"}, ""),
        ("select b.* from gold.a join gold.b using (id)",
         {"id": "gold.b.id", "q": "gold.b.q", "r": "gold.b.r"}, "gold.a.id gold.b.id"),
        ("with c as (select id, sum(q) as s from gold.b group by id) select s from c where id > 1",
         {"s": "gold.b.q"}, "gold.b.id"),
        ("select id, null from gold.a union all select q, r from gold.b",
         {"id": "gold.a.id gold.b.q", "_col_1": "gold.b.r"}, ""),
        ("select id, n from gold.a union by name select q as n from gold.b",
         {"id": "gold.a.id", "n": "gold.a.n gold.b.q"}, "gold.a.id gold.a.n gold.b.q"),
        ("with recursive r as (select id, 1 as k from gold.a union all select id, k + 1 from r) select id from r",
         {"id": "gold.a.id"}, ""),
        ("select lead(q) over w as z from gold.b window w as (partition by id order by r)",
         {"z": "gold.b.id gold.b.q gold.b.r"}, ""),
        ("select row_number() over (order by r) as k from gold.b qualify k = 1", {"k": "gold.b.r"}, "gold.b.r"),
        ("select (select max(amount) from silver.o where o.id = a.id) as top from gold.a",
         {"top": "silver.o.amount"}, "gold.a.id silver.o.id"),
        ("select 1 as one from gold.a where id in (select id from silver.o)", {"one": ""}, "gold.a.id silver.o.id"),
        ("select count(*) filter (where n > 0) as k from gold.a group by all", {"k": "gold.a.n"}, ""),
        ("select page.url as u, a.page.os.name as o from gold.a",
         {"u": "gold.a.page.url", "o": "gold.a.page.os.name"}, ""),
        ("select list_sum(list_transform(items, lambda i: i.q)) as s from gold.a", {"s": "gold.a.items"}, ""),
        ("select x.u from gold.a t, unnest(t.items) as x(u)", {"u": "gold.a.items"}, "gold.a.items"),
        ("select b as whole from gold.b", {"whole": "gold.b.id gold.b.q gold.b.r"}, ""),
        ("select {'x': n} as s, s.x as y from gold.a", {"s": "gold.a.n", "y": "gold.a.n"}, ""),
        ("select k, n from gold.nobody, gold.a", {"k": "gold.nobody.k", "n": "gold.a.n"}, ""),
        ("select distinct n from gold.a", {"n": "gold.a.n"}, "gold.a.n"),
        ("select count(*) as k from (select n from gold.a group by all)", {"k": ""}, "gold.a.n"),
        ("select q, sum(r) as s from gold.b group by all", {"q": "gold.b.q", "s": "gold.b.r"}, "gold.b.q"),
        ("select n from gold.a union select q from gold.b", {"n": "gold.a.n gold.b.q"}, "gold.a.n gold.b.q"),
        ("select n from gold.a except all select q from gold.b", {"n": "gold.a.n gold.b.q"}, "gold.a.n gold.b.q"),
        ("select id from gold.a order by n desc limit 10", {"id": "gold.a.id"}, "gold.a.n"),
        ("select id from gold.a order by n", {"id": "gold.a.id"}, ""),
        ("select * from silver.o join gold.b on o.id = b.id",
         {"id": "silver.o.id", "amount": "silver.o.amount", "id_1": "gold.b.id", "q": "gold.b.q", "r": "gold.b.r"},
         "gold.b.id silver.o.id"),
        ("select id from (select * from silver.o join gold.b on o.amount = b.q)",
         {"id": "silver.o.id"}, "gold.b.q silver.o.amount"),
        ("select id, n, q from gold.a natural join gold.b",
         {"id": "gold.a.id", "n": "gold.a.n", "q": "gold.b.q"}, "gold.a.id gold.b.id"),
        ("select * from silver.o natural right join gold.b",
         {"id": "gold.b.id", "amount": "silver.o.amount", "q": "gold.b.q", "r": "gold.b.r"},
         "gold.b.id silver.o.id"),
        ("with m as (select * from gold.a left join gold.b using (id)) select id from m where id > 1",
         {"id": "gold.a.id"}, "gold.a.id gold.b.id"),
        ("select id, coalesce(x.id, o.id) as own from gold.b as x join silver.o using (id) full join gold.a using (id)",
         {"id": "gold.a.id gold.b.id", "own": "gold.b.id silver.o.id"}, "gold.a.id gold.b.id silver.o.id"),
        ("select id from gold.a semi join gold.b using (id)", {"id": "gold.a.id"}, "gold.a.id gold.b.id"),
        ("with m as (select a.page.* from gold.a) select url from m", {"url": "gold.a.page"}, ""),
        ("with m as (select unnest(page) from gold.a) select url from m", {"url": "gold.a.page"}, "gold.a.page"),
        ("select id, unnest(items) + 1 as i from gold.a", {"id": "gold.a.id", "i": "gold.a.items"}, "gold.a.items"),
        ("select distinct on (id) id, n from gold.a order by id, page",
         {"id": "gold.a.id", "n": "gold.a.n"}, "gold.a.id gold.a.n gold.a.page"),
        ("select id, n from gold.a order by all limit 3", {"id": "gold.a.id", "n": "gold.a.n"}, "gold.a.id gold.a.n"),
        ("select id from gold.a union all select q from gold.b order by 1 limit 3",
         {"id": "gold.a.id gold.b.q"}, "gold.a.id gold.b.q"),
        ("select n.upper() as u, items.list_filter(x -> x > id).len() as k, (n || id).lower() as l from gold.a",
         {"u": "gold.a.n", "k": "gold.a.id gold.a.items", "l": "gold.a.id gold.a.n"}, ""),
        ("select gold.a.page.url as u, gold.a.id from gold.a", {"u": "gold.a.page.url", "id": "gold.a.id"}, ""),
        ("from gold.a join gold.b using (id) select n, q", {"n": "gold.a.n", "q": "gold.b.q"}, "gold.a.id gold.b.id"),
        ("select n, amount from silver.o join (gold.a join gold.b using (id)) on amount = q",
         {"n": "gold.a.n", "amount": "silver.o.amount"}, "gold.a.id gold.b.id gold.b.q silver.o.amount"),
        ('with m as (select id, max(n) from gold.a group by 1) select "max(n)" as top from m',
         {"top": "gold.a.n"}, "gold.a.id"),
    ],
)  # fmt: skip
def test_every_column_knows_where_it_comes_from(sql, columns, rows):
    found, decided, problem = told(sql)
    assert (found, decided, problem) == (columns, rows, "")


@pytest.mark.parametrize("side", ["", "left", "right", "full"])
@pytest.mark.parametrize("how", ["select id from l {} join r using (id)", "select * from l natural {} join r"])
def test_a_column_that_a_join_merges_is_of_the_table_that_duckdb_takes_it_from(side, how):
    """Both tables have a row of this key, each in its own spelling; `id` has that of the table which lineage names."""
    sql = how.format(side)
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE l AS SELECT 'Key' COLLATE NOCASE AS id, 1 AS x")
        connection.execute("CREATE TABLE r AS SELECT 'KEY' COLLATE NOCASE AS id, 2 AS y")
        (found,) = {row[0] for row in connection.execute(sql).fetchall()}
    columns = lineage_of(
        sql.replace(" l ", " gold.l ").replace(" r ", " gold.r ").replace("join r", "join gold.r"),
        {"gold.l": ["id", "x"], "gold.r": ["id", "y"]},
    ).columns
    named = {each.table for each in columns["id"]}
    assert named == ({"gold.l", "gold.r"} if side == "full" else {{"Key": "gold.l", "KEY": "gold.r"}[found]})


def test_values_that_other_rows_make_others_are_told():
    sql = """with c as (select id, sum(q) as s from gold.b where r > 0 group by id)
    select id, s + 1 as more, s is null as none, row_number() over (order by id) as k,
    (select max(n) from gold.a) as top from c"""
    assert lineage_of(sql, TABLES).counted == {"more", "none", "k", "top"}
    assert lineage_of("select id, n from gold.a where n > 0", TABLES).counted == frozenset()


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("selec x", "not one SELECT"),
        ("select 1; select 2", "not one SELECT"),
        ("pivot gold.b on id using sum(q)", "not one SELECT"),
        ("from (pivot gold.b on id using sum(q)) select *", ""),
        ("select columns('i.*') from gold.a", "COLUMNS"),
        ("select * like 'i%' from gold.a", "a star with a condition"),
        ("select b.* not like 'i%' from gold.b", "a star with a condition"),
        ("select * from gold.nobody", "the columns of gold.nobody are not known"),
        ("select (", "sqlglot cannot read it"),
        ("", "not one SELECT"),
    ],
)
def test_what_cannot_be_told_says_why(sql, why):
    columns, rows, problem = told(sql)
    assert (columns, rows) == ({}, "")
    assert problem
    assert why in problem
