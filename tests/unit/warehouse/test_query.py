import duckdb
import pytest

from headrace.errors import LakeError, QueryError
from headrace.lake import leases
from headrace.lake.catalog import attach_statement, connect
from headrace.sqlite_file import DOCTOR
from headrace.warehouse.base import Column, SilverTable
from headrace.warehouse.branch import GoldFolder
from headrace.warehouse.listing import documented
from headrace.warehouse.published import Entry, Ledger, write_ledger
from headrace.warehouse.query import Limits, Reader, close_doors, latest_snapshot


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    state = tmp_path_factory.mktemp("state")
    gold = GoldFolder(state / "gold")
    gold.create()
    (state / "lake" / "data").mkdir(parents=True)
    with connect() as db:
        db.execute(attach_statement("lake", state / "lake/catalog.db", state / "lake/data"))
        db.execute("CREATE SCHEMA lake.silver")
        db.execute("CREATE TABLE lake.silver.orders AS SELECT range AS id, range % 3 AS k FROM range(1000)")
        db.execute(attach_statement("gold", gold.catalog("b1"), gold.data))
        db.execute("CREATE TABLE gold.main.totals AS SELECT 7 AS n")
        db.execute("COMMENT ON TABLE gold.main.totals IS 'Totals of all'")
        db.execute("COMMENT ON COLUMN gold.main.totals.n IS 'How many'")
        db.execute("CREATE TABLE gold.main.orders AS SELECT 'gold' AS layer")
        db.execute("CREATE SCHEMA gold.main_marts")
        db.execute("CREATE TABLE gold.main_marts.daily AS SELECT 1 AS n")
    entry = Entry("b1", "b1.db", 6, 2, 2, "2024-01-01T00:00:00+00:00", {})
    write_ledger(gold.ledger, Ledger().publish(entry))
    return state


def reader(state, **limits):
    return Reader(GoldFolder(state / "gold"), state / "lake/catalog.db", state / "lake/data", Limits(**limits))


def rows(state, sql, **limits):
    return [tuple(row.values()) for row in reader(state, **limits).run(sql).rows.to_pylist()]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select n from totals", [(7,)]),
        ("select totals.n + gold.totals.n as n from gold.totals", [(14,)]),
        ("select layer from orders", [("gold",)]),
        ("select count(*) from silver.orders", [(1000,)]),
        ("select count(*) from stg_orders", [(1000,)]),
        ("select n from main_marts.daily union all select n from gold.daily", [(1,), (1,)]),
        ("select count(*) from silver.orders s cross join gold.orders g where s.k = 1", [(333,)]),
        ("select 1 + 1", [(2,)]),
    ],
)
def test_gold_silver_and_staging_names(state, sql, expected):
    assert rows(state, sql) == expected


@pytest.mark.parametrize("damage", [lambda raw: raw[:-8], lambda raw: raw[:-30] + b"\xff" * 20 + raw[-10:]])
def test_a_damaged_data_file_is_no_fault_of_the_query(tmp_path, damage):
    data = tmp_path / "lake" / "data"
    data.mkdir(parents=True)
    with connect() as db:
        db.execute(attach_statement("lake", tmp_path / "lake/catalog.db", data))
        db.execute("CREATE SCHEMA lake.silver")
        db.execute("CREATE TABLE lake.silver.orders AS SELECT range AS id FROM range(10)")
    (file,) = data.rglob("*.parquet")
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(LakeError, match="a data file cannot be read") as told:
        rows(tmp_path, "select sum(id) from silver.orders")
    assert DOCTOR in told.value.fix


def test_a_fault_of_the_query_is_no_damaged_file_though_its_error_has_no_class(state):
    with pytest.raises(QueryError, match="list_reduce on an empty input list"):
        rows(state, "select list_reduce(list_filter([id], lambda x: x < 0), lambda a, b: a + b) from silver.orders")


def test_an_answer_says_what_it_read(state):
    answer = reader(state).run("select id from silver.orders order by id desc", limit=2)
    assert [row["id"] for row in answer.rows.to_pylist()] == [999, 998]
    assert (answer.truncated, answer.gold, answer.lake_snapshot) == (True, "b1", 2)
    assert not reader(state).run("select 1", limit=1).truncated
    assert reader(state).run("select id from silver.orders", limit=0).rows.num_rows == 0


def test_limits_of_rows_time_and_memory(state):
    assert len(rows(state, "from silver.orders", rows=10)) == 10
    with pytest.raises(QueryError, match=r"longer than 0\.2 s"):
        rows(state, "select count(*) from range(1000000) a, range(1000000) b where a.range + b.range = -1", secs=0.2)
    with pytest.raises(QueryError, match="more memory"):
        rows(state, "select list(a.range::varchar || b.range) from range(3000) a, range(3000) b", memory="30MB")


def test_duckdbs_complaint_is_the_users_to_act_on(state):
    with pytest.raises(QueryError, match='"nope" not found'):
        rows(state, "select nope from silver.orders")
    with pytest.raises(QueryError, match="Conversion Error"):
        rows(state, "select 'x'::int from totals")


def test_before_the_first_build_and_before_the_first_commit(state, tmp_path):
    unbuilt = Reader(GoldFolder(tmp_path / "gold"), state / "lake/catalog.db", state / "lake/data")
    assert unbuilt.run("select count(*) as n from silver.orders").rows.to_pylist() == [{"n": 1000}]
    for missed in ("gold.totals", "totals"):
        with pytest.raises(QueryError, match="no gold is published yet") as caught:
            unbuilt.run(f"from {missed}")
        assert caught.value.fix == "headrace build"
    for misspelt, fix in (("silver.ordres", "did you mean silver.orders?"), ("'/etc/passwd'", "headrace publish")):
        with pytest.raises(QueryError) as caught:
            unbuilt.run(f"from {misspelt}")
        assert "gold" not in caught.value.message
        assert caught.value.fix.startswith(fix)
    empty = Reader(GoldFolder(tmp_path / "gold"), tmp_path / "catalog.db", tmp_path / "data")
    assert empty.run("select 1 as n").rows.to_pylist() == [{"n": 1}]
    with pytest.raises(QueryError, match="nothing has been committed yet"):
        empty.run("from silver.orders")
    assert not (tmp_path / "catalog.db").exists()


def test_duckdbs_complaint_says_where(state):
    for sql, at in (
        ("select 1,\n  nope from totals", "query:2:3"),
        (f"select '{'x' * 300}', nope from totals", "query:1"),
    ):
        with pytest.raises(QueryError) as caught:
            rows(state, sql)
        assert (caught.value.at, '"nope" not found' in caught.value.message) == (at, True)


def test_tables_are_listed_once_with_their_columns(state):
    found = reader(state).tables()
    assert [(table.name, table.kind, len(table.columns)) for table in found] == [
        ("gold.daily", "model", 1),
        ("gold.orders", "model", 1),
        ("gold.totals", "model", 1),
        ("silver.orders", "dataset", 2),
    ]
    for name in ("silver.orders", "stg_orders", "STG_ORDERS"):
        (table,) = reader(state).tables(name)
        assert [(column.name, column.type) for column in table.columns] == [("id", "BIGINT"), ("k", "BIGINT")]
    assert reader(state).tables("main_marts.daily")[0].name == "gold.daily"
    with pytest.raises(QueryError) as caught:
        reader(state).tables("silver.ordres")
    assert (caught.value.at, caught.value.fix) == ("--describe", "did you mean silver.orders?")


def test_what_is_said_of_a_table_comes_with_it(state):
    silver = SilverTable("orders", "orders", (Column("ID", "BIGINT", "The number"),), description="Orders")
    (table,) = documented(reader(state).tables("silver.orders"), [silver])
    assert (table.description, [column.description for column in table.columns]) == ("Orders", ["The number", ""])
    (table,) = documented(reader(state).tables("totals"), [silver])
    assert (table.description, table.columns[0].description) == ("Totals of all", "How many")


def test_a_reader_gives_its_lease_back(state):
    reader(state).run("from silver.orders")
    assert leases.live(state / "lake") == frozenset()


@pytest.mark.parametrize(
    "sql",
    [
        "from '{out}/secret.csv'",
        "from read_csv('{out}/secret.csv')",
        "from read_text('{out}/secret.csv')",
        "from read_csv('{data}/../../secret.csv')",
        "from glob('{out}/*')",
        "copy (select 1) to '{out}/new.csv'",
        "attach '{out}/new.db'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set allowed_directories = ['/']",
        "set lock_configuration = false",
        "from secret",
    ],
)
def test_the_machine_is_out_of_reach_even_where_the_check_is_passed_by(state, tmp_path, sql):
    (tmp_path / "secret.csv").write_text("a\n1\n")
    secret = "a local variable is no table either"  # noqa: F841
    data = state / "lake" / "data"
    with connect() as db:
        db.execute(attach_statement("lake", state / "lake/catalog.db", data, read_only=True))
        db.execute("CREATE SCHEMA gold")
        close_doors(db, [data, state / "gold" / "data"])
        assert db.execute("select count(*) from lake.silver.orders").fetchall() == [(1000,)]
        with pytest.raises(duckdb.Error):
            db.execute(sql.format(out=tmp_path, data=data)).fetchall()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.csv"]


def test_the_latest_snapshot(state, tmp_path):
    with connect() as db:
        assert latest_snapshot(db, state / "lake/catalog.db") == 2
        assert latest_snapshot(db, tmp_path / "none.db") is None
        (tmp_path / "new.db").touch()
        assert latest_snapshot(db, tmp_path / "new.db") is None
