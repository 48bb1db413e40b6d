import pytest

from headrace.errors import QueryError
from headrace.warehouse.allowed import Relation, Tables, checked

TABLES = Tables(
    [
        Relation("gold", "orders_gold", "g.orders_gold"),
        Relation("silver", "orders", "l.orders"),
        Relation("bronze", "messages", "l.messages"),
        Relation("main", "stg_orders", "l.orders"),
    ]
)


def reads(sql):
    return {f"{relation.schema}.{relation.name}" for relation in checked(sql, TABLES)}


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("select 1", set()),
        ("select * from gold.orders_gold", {"gold.orders_gold"}),
        ("SELECT * FROM GOLD.Orders_Gold;", {"gold.orders_gold"}),
        ("from orders_gold", {"gold.orders_gold"}),
        ("select * from stg_orders", {"main.stg_orders"}),
        ("select * from silver.orders o join gold.orders_gold using (id)", {"silver.orders", "gold.orders_gold"}),
        ("with x as (from silver.orders) select * from x union all from x", {"silver.orders"}),
        ("with a as (select 1), b as (from a) from b", set()),
        ("with recursive t(n) as (select 1 union all select n + 1 from t where n < 5) from t", set()),
        (
            "select (select max(x) from silver.orders), exists (from bronze.messages)",
            {"silver.orders", "bronze.messages"},
        ),
        ("select * from (values (1)) v(x), range(3), unnest([1, 2])", set()),
        ("select * from silver.orders, lateral (select 1)", {"silver.orders"}),
        ("select 'it''s /etc/passwd; drop table x' -- attach", set()),
    ],
)
def test_one_select_over_catalog_tables(sql, tables):
    assert reads(sql) == tables


@pytest.mark.parametrize(
    "sql",
    [
        "",
        ";",
        "-- nothing",
        "select",
        "select 1; select 2",
        "select 1; drop table silver.orders",
        "insert into silver.orders select * from silver.orders",
        "update silver.orders set a = 1",
        "delete from silver.orders",
        "create table x as select 1",
        "create view silver.x as select 1",
        "drop table silver.orders",
        "copy silver.orders to '/tmp/x.csv'",
        "copy (select 1) to 'x.parquet'",
        "export database '/tmp/x'",
        "attach '/tmp/x.db'",
        "detach gold",
        "use gold",
        "pragma version",
        "set threads = 1",
        "reset threads",
        "install httpfs",
        "load httpfs",
        "call ducklake_snapshots('gold')",
        "checkpoint",
        "explain select 1",
        "describe silver.orders",
        "show tables",
        "prepare x as select 1",
        "vacuum",
        "begin",
        "pivot silver.orders on a",
        "select * from 'x.csv'",
        "select * from '/etc/passwd'",
        'select * from "/etc/passwd"',
        'select * from "a.parquet"',
        "select * from 'https://example.com/a.parquet'",
        "with a as (from 'y.csv') from a",
        "select * from silver.orders where exists (from '/etc/passwd')",
        "select * from read_csv('/etc/passwd')",
        "select * from read_csv_auto('x')",
        "select * from read_parquet(['a', 'b'])",
        "select * from read_json('x')",
        "select * from read_text('/etc/passwd')",
        "select * from read_blob('/etc/passwd')",
        "select * from parquet_scan('x')",
        "select * from parquet_metadata('x')",
        "select * from sniff_csv('x')",
        "select * from glob('/etc/*')",
        "select * from silver.orders, lateral glob('/etc/*')",
        "select * from query('select 1')",
        "select * from query_table('x')",
        "select * from sqlite_scan('x', 'y')",
        "select * from ducklake_snapshots('gold')",
        "select * from duckdb_settings()",
        "select * from pragma_table_info('x')",
        "select current_setting('threads')",
        "select getenv('HOME')",
        "select * from information_schema.tables",
        "select * from memory.gold.orders_gold",
        "with silver as (select 1) select * from silver.orderz",
        "with b as (from a), a as (select 1) from b",
        "select * from df",
        "from " + "(" * 3000 + "select 1" + ")" * 3000,
        "select '" + "x" * 100_000 + "'",
        "\0",
    ],
)
def test_anything_else_is_refused_and_says_what_to_type(sql):
    with pytest.raises(QueryError) as caught:
        checked(sql, TABLES)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("sql", "meant"),
    [
        ("from silver.ordrs", "silver.orders"),
        ("from gold.order_gold", "gold.orders_gold"),
        ("from orders", "silver.orders"),
        ("from messages", "bronze.messages"),
    ],
)
def test_an_unknown_table_names_the_nearest(sql, meant):
    with pytest.raises(QueryError) as caught:
        checked(sql, TABLES)
    assert caught.value.fix == f"did you mean {meant}?"


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("install httpfs", "INSTALL"),
        ("USE gold", "USE"),
        ("checkpoint", "CHECKPOINT"),
        ("-- why not\n/* or\nelse */ call x()", "CALL"),
        ("values (1)", "VALUES"),
        ("table silver.orders", "TABLE"),
        ("explain select 1", "EXPLAIN"),
        ("pivot silver.orders on a", "PIVOT"),
        ("describe silver.orders", "DESCRIBE"),
        ("with a as (select 1) insert into silver.orders select * from a", "INSERT"),
    ],
)
def test_a_statement_is_refused_by_the_word_that_was_typed(sql, word):
    with pytest.raises(QueryError) as caught:
        checked(sql, TABLES)
    assert (caught.value.message, caught.value.at) == (f"{word} is not a SELECT", "query")
    assert ("--describe" in caught.value.fix) == (word == "DESCRIBE")


@pytest.mark.parametrize(
    ("sql", "at"),
    [
        ("select *\nfrom silver.ordres", "query:2:6"),
        ("select 1,\n  getenv('x')", "query:2:3"),
        ("select * from range(3), glob('*')", "query:1:25"),
        ("selec 1", "query:1:1"),
        ("select 1\nfrom memory.gold.orders_gold", "query:2:6"),
        ("select 1; select 2", "query"),
    ],
)
def test_an_error_says_where_in_the_text(sql, at):
    with pytest.raises(QueryError) as caught:
        checked(sql, TABLES)
    assert caught.value.at == at


def test_a_pivot_without_its_columns_says_how_to_name_them():
    with pytest.raises(QueryError) as caught:
        checked("from (pivot silver.orders on a using count(*))", TABLES)
    assert "PIVOT" in caught.value.fix
