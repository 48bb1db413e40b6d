"""What every warehouse promises: finished work only, failed builds without a trace, undo of data, schema and state."""

import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headrace.errors import BusyError, UserError
from headrace.lake.catalog import attach_statement, connect
from headrace.stages.quality import RuleSpec
from headrace.warehouse.base import BuildOptions, Column, Inputs, SilverTable
from headrace.warehouse.branch import data_files
from headrace.warehouse.embedded import DbtWarehouse
from headrace.warehouse.gold import GoldStep
from headrace.warehouse.worker import Worker

COLUMNS = {
    "order_id": "BIGINT",
    "customer_id": "VARCHAR",
    "amount": "DOUBLE",
    "_event_id": "VARCHAR",
    "_event_time": "TIMESTAMP WITH TIME ZONE",
    "_ingest_time": "TIMESTAMP WITH TIME ZONE",
    "_seq": "BIGINT",
    "_schema_version": "VARCHAR",
    "_trace_id": "VARCHAR",
    "_event_date": "DATE",
}
ORDERS = SilverTable(
    "orders",
    "orders",
    tuple(Column(name, kind, f"The {name}.") for name, kind in COLUMNS.items()),
    key=("order_id",),
    rules=(RuleSpec(field="amount", check="positive_number"),),
    description="Orders {{ as they come }}",
    owner="commerce",
    sla_minutes=5,
    gold=(
        GoldStep.model_validate(
            {"aggregate": {"group_by": ["customer_id", "date"], "metrics": ["sum(amount) as total", "count(*) as n"]}}
        ),
    ),
    file="connectors/orders.yaml",
)
INCREMENTAL = """{{ config(materialized='incremental', unique_key='order_id') }}
select order_id, amount from {{ ref('stg_orders') }} where {{ headrace_touched('orders') }}
"""


class Shop:
    """A project with a lake of one dataset, and the warehouse over it."""

    def __init__(self, root, worker, make):
        self.root, self.worker, self.make = root, worker, make
        self.state = root / ".headrace" / "local"
        (self.state / "lake" / "data").mkdir(parents=True)
        with self.lake() as lake:
            lake.execute("CREATE SCHEMA lake.silver")
            columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
            lake.execute(f"CREATE TABLE lake.silver.orders ({columns})")
            lake.execute("ALTER TABLE lake.silver.orders SET PARTITIONED BY (_event_date)")
        self.warehouse = make(self.state, worker)

    def lake(self):
        connection = connect()
        connection.execute(attach_statement("lake", self.state / "lake/catalog.db", self.state / "lake/data"))
        return connection

    def arrive(self, *orders):
        """Commit orders (id, day, amount); return the snapshot."""
        with self.lake() as lake:
            for order, day, amount in orders:
                lake.execute(
                    "INSERT INTO lake.silver.orders SELECT ?, 'c' || (? % 2), ?, 'e' || ?, "
                    "date '2024-01-01' + ?, now(), ?, '1', NULL, date '2024-01-01' + ?",
                    [order, order, amount, order, day - 1, order, day - 1],
                )
            return lake.execute("SELECT max(snapshot_id) FROM ducklake_snapshots('lake')").fetchone()[0]

    def model(self, name, sql):
        (self.root / "dbt_project.yml").write_text("name: shop\nversion: '1.0'\n")
        path = self.root / "models" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(sql)

    def build(self, snapshot, *tables, days=None, **options):
        touched = None if days is None else {"orders": [dt.date(2024, 1, day) for day in days]}
        inputs = Inputs("shop", self.root, tables or (ORDERS,))
        return self.warehouse.build(inputs, snapshot, BuildOptions(touched=touched, **options))

    def same(self):
        compared = self.warehouse.compare(Inputs("shop", self.root, (ORDERS,)))
        self.warehouse.recover()  # as the next build begins
        return {table: each.equal for table, each in compared.items()}

    def rows(self, sql):
        return [tuple(row.values()) for row in self.warehouse.query(sql).rows.to_pylist()]

    def data(self):
        gold = self.state / "gold" / "data"
        return {str(path.relative_to(gold)) for path in gold.rglob("*.parquet")}

    def named(self):
        return set().union(*(data_files(path) for path in (self.state / "gold" / "catalogs").glob("*.db")))


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    worker = Worker(tmp_path_factory.mktemp("worker") / "worker.log")
    yield worker
    worker.close()


def embedded(state, worker):
    return DbtWarehouse(state, worker=worker)


@pytest.fixture(params=[embedded])
def shop(request, tmp_path, worker):
    shop = Shop(tmp_path / "shop", worker, request.param)
    yield shop
    shop.warehouse.close()


def test_a_source_file_alone_becomes_published_gold(shop):
    snapshot = shop.arrive((1, 1, 10.0), (2, 1, 5.0), (3, 2, 7.0))
    assert shop.warehouse.published() is None

    report = shop.build(snapshot)

    assert report.ok, report.failures
    assert [(m.name, m.status, m.rows) for m in report.models] == [("orders_gold", "built", 3)]
    assert {t.name: t.status for t in report.tests} == {
        "orders_amount_positive_number": "passed",
        "orders_key_is_unique": "passed",
    }
    assert shop.warehouse.published() == report.published
    assert shop.warehouse.lake_snapshots() == {snapshot}
    assert shop.rows("select customer_id, date, total, n from gold.orders_gold order by 1, 2") == [
        ("c0", dt.date(2024, 1, 1), 5.0, 1),
        ("c1", dt.date(2024, 1, 1), 10.0, 1),
        ("c1", dt.date(2024, 1, 2), 7.0, 1),
    ]


def test_a_build_reads_one_snapshot_whatever_is_committed_meanwhile(shop):
    first = shop.arrive((1, 1, 10.0))
    shop.arrive((2, 1, 5.0))
    report = shop.build(first)
    assert report.published.lake_snapshot == first
    assert shop.rows("select sum(n) from orders_gold") == [(1,)]


def test_the_users_own_models_seeds_snapshots_and_tests_are_built_and_their_folders_untouched(shop):
    snapshot = shop.arrive((1, 1, 10.0), (2, 2, 5.0))
    shop.model("a_view.sql", "{{ config(materialized='view') }} select * from {{ source('silver', 'orders') }}")
    shop.model(
        "joined.sql",
        "select o.*, c.label from {{ ref('stg_orders') }} o join {{ ref('labels') }} c using (customer_id)",
    )
    for folder, name, text in [
        ("seeds", "labels.csv", "customer_id,label\nc0,even\nc1,odd\n"),
        ("tests", "labels_known.sql", "select * from {{ ref('joined') }} where label is null"),
        (
            "snapshots",
            "history.sql",
            "{% snapshot history %}{{ config(unique_key='order_id', strategy='check', check_cols=['amount']) }}"
            "select order_id, amount from {{ ref('stg_orders') }}{% endsnapshot %}",
        ),
    ]:
        (shop.root / folder).mkdir()
        (shop.root / folder / name).write_text(text)
    before = {path for path in shop.root.rglob("*") if ".headrace" not in path.parts}

    assert shop.build(snapshot).ok
    with shop.lake() as lake:
        lake.execute("UPDATE lake.silver.orders SET amount = 6.0 WHERE order_id = 2")
    report = shop.build(snapshot + 1)

    assert report.ok, report.failures
    assert {path for path in shop.root.rglob("*") if ".headrace" not in path.parts} == before
    assert shop.rows("select order_id, label from joined order by 1") == [(1, "odd"), (2, "even")]
    assert shop.rows("select count(*) from a_view") == [(2,)]
    history = "select order_id, amount, dbt_valid_to is null from history order by 1, 2"
    assert shop.rows(history) == [(1, 10.0, True), (2, 5.0, False), (2, 6.0, True)]


def test_the_users_own_model_wins_over_a_generated_one(shop):
    shop.model("stg_orders.sql", "select *, amount * 2 as doubled from {{ source('silver', 'orders') }}")
    report = shop.build(shop.arrive((1, 1, 10.0)))
    assert report.ok, report.failures
    assert shop.rows("select doubled from stg_orders") == [(20.0,)]
    assert shop.rows("select total from orders_gold") == [(10.0,)]


def test_a_dataset_without_commits_is_an_empty_table_with_the_contracts_types(shop):
    late = SilverTable("late", "late", (*ORDERS.columns, Column("tags", "VARCHAR[]")), gold=ORDERS.gold)
    shop.model("from_source.sql", "select tags, amount + 1 as more from {{ source('silver', 'late') }}")
    report = shop.build(shop.arrive((1, 1, 10.0)), ORDERS, late)
    assert report.ok, report.failures
    assert shop.rows("select count(*) from late_gold") == [(0,)]
    assert str(shop.warehouse.query("select * from from_source").rows.schema.field("tags").type).startswith("list")


def test_a_column_that_no_commit_has_brought_yet_is_null(shop):
    wider = SilverTable("orders", "orders", (*ORDERS.columns, Column("coupon", "VARCHAR")))
    shop.model("coupons.sql", "select coupon from {{ ref('stg_orders') }}")
    report = shop.build(shop.arrive((1, 1, 10.0)), wider)
    assert report.ok, report.failures
    assert shop.rows("select coupon from coupons") == [(None,)]


def test_without_any_lake_there_is_gold_without_rows(tmp_path, worker):
    with DbtWarehouse(tmp_path / "state", worker=worker) as warehouse:
        report = warehouse.build(Inputs("shop", tmp_path, (ORDERS,)), None, BuildOptions())
        assert report.ok, report.failures
        assert warehouse.query("select count(*) as n from orders_gold").rows.to_pylist() == [{"n": 0}]


def test_a_failed_test_publishes_nothing_and_shows_the_rows(shop):
    good = shop.build(shop.arrive((1, 1, 10.0))).published
    report = shop.build(shop.arrive((2, 1, -3.0)))

    assert not report.ok
    assert report.published is None
    (failure,) = report.failures
    assert (failure.kind, failure.name, failure.file) == (
        "test",
        "orders_amount_positive_number",
        "connectors/orders.yaml",
    )
    (test,) = [test for test in report.tests if test.status == "failed"]
    assert test.failing_rows == 1
    assert test.sample[0]["amount"] == -3.0
    assert shop.rows(test.query)[0][:3] == (2, "c0", -3.0)  # the query is one that a reader may ask
    assert shop.warehouse.published() == good
    assert shop.rows("select sum(n) from orders_gold") == [(1,)]


def test_a_build_that_fails_halfway_leaves_no_trace_in_the_next(shop, tmp_path, worker):
    never_failed = Shop(tmp_path / "other", worker, shop.make)
    for one in (shop, never_failed):
        one.model("each_order.sql", INCREMENTAL)
        first = one.arrive((1, 1, 10.0), (2, 1, 5.0))
        assert one.build(first).ok
        second = one.arrive((3, 2, 7.0))
    shop.model("zz_last.sql", "select nope from {{ ref('each_order') }}")
    report = shop.build(second, days=[2])
    assert [(m.name, m.status) for m in report.models if m.name != "orders_gold"] == [
        ("each_order", "built"),
        ("zz_last", "failed"),
    ]
    assert report.failures[0].at == "models/zz_last.sql:1"
    assert "nope" in report.failures[0].message
    (shop.root / "models" / "zz_last.sql").unlink()
    for one in (shop, never_failed):
        assert one.build(second, days=[2]).ok
    everything = "select * from each_order order by order_id"
    assert shop.rows(everything) == never_failed.rows(everything) == [(1, 10.0), (2, 5.0), (3, 7.0)]
    shop.warehouse.recover()
    assert shop.data() == shop.named()


def test_a_first_build_that_fails_is_forgotten_too(shop):
    shop.model("appended.sql", "{{ config(materialized='incremental') }} select order_id from {{ ref('stg_orders') }}")
    shop.model("zz_last.sql", "select nope from {{ ref('appended') }}")
    snapshot = shop.arrive((1, 1, 10.0))
    assert not shop.build(snapshot).ok
    assert shop.warehouse.published() is None
    (shop.root / "models" / "zz_last.sql").unlink()
    assert shop.build(snapshot).ok
    assert shop.rows("select order_id from appended") == [(1,)]


def test_sums_of_integers_keep_every_digit(shop):
    snapshot = shop.arrive((2**62 + 1, 1, 1.0), (2**62 + 3, 1, 1.0))
    shop.model("sums.sql", "select customer_id, sum(order_id) as total from {{ ref('stg_orders') }} group by 1")
    assert shop.build(snapshot).ok
    assert shop.rows("select total::varchar from sums") == [(str(2**63 + 4),)]


def test_touched_partitions_are_what_an_incremental_model_reads(shop):
    shop.model("each_order.sql", INCREMENTAL)
    shop.build(shop.arrive((1, 1, 10.0)))
    snapshot = shop.arrive((2, 1, 5.0), (3, 2, 7.0))
    shop.build(snapshot, days=[2])  # a caller that forgets day 1 loses order 2: the filter is the caller's word
    assert shop.rows("select order_id from each_order order by 1") == [(1,), (3,)]
    assert shop.same() == {"main.each_order": False, "main.orders_gold": True}
    shop.build(snapshot)  # nobody knows: all of it
    assert shop.rows("select order_id from each_order order by 1") == [(1,), (2,), (3,)]
    shop.arrive((4, 1, 1.0))  # after the snapshot that gold was made of
    assert all(shop.same().values())
    assert shop.data() == shop.named(), "what was made to compare is gone"


def test_undo_restores_data_schema_and_incremental_state(shop):
    shop.model("each_order.sql", INCREMENTAL)
    first = shop.build(shop.arrive((1, 1, 10.0))).published
    later = shop.arrive((2, 2, 5.0))
    shop.model("extra.sql", "select 1 as one")
    second = shop.build(later, days=[2]).published

    assert shop.warehouse.undo(dry_run=True) == first
    assert shop.warehouse.published() == second
    assert shop.warehouse.undo() == first

    assert shop.rows("select order_id from each_order") == [(1,)]
    with pytest.raises(UserError, match="no table gold"):
        shop.rows("select * from gold.extra")
    assert shop.warehouse.lake_snapshots() == {first.lake_snapshot, second.lake_snapshot}
    with pytest.raises(UserError, match="oldest"):
        shop.warehouse.undo()

    assert shop.warehouse.undo(second.build) == second  # and back
    assert shop.rows("select order_id from each_order order by 1") == [(1,), (2,)]
    shop.warehouse.undo()
    assert shop.build(later, days=[2]).ok  # an incremental build goes on from the undone state
    assert shop.rows("select order_id from each_order order by 1") == [(1,), (2,)]
    assert [entry.build for entry in shop.warehouse.history()] == ["b1", "b3"]


def test_a_selection_is_published_without_claiming_the_rest_is_complete(shop):
    shop.model("one.sql", "select count(*) as n from {{ ref('stg_orders') }}")
    first = shop.arrive((1, 1, 10.0))
    shop.build(first)
    second = shop.arrive((2, 1, 5.0))
    entry = shop.build(second, select=("one",)).published
    assert (entry.lake_snapshot, entry.complete_snapshot) == (second, first)
    assert set(entry.tables) == {"main.one", "main.orders_gold"}
    assert shop.rows("select n from one") == [(2,)]
    assert shop.rows("select sum(n) from orders_gold") == [(1,)]
    with pytest.raises(UserError, match="no model matches"):
        shop.build(second, select=("nothing_like_it",))


def test_a_table_that_no_model_makes_any_more_is_gone(shop):
    shop.model("fleeting.sql", "select 1 as one")
    shop.model("each_order.sql", INCREMENTAL)
    snapshot = shop.arrive((1, 1, 10.0))
    shop.build(snapshot)
    for name in ("fleeting.sql", "each_order.sql"):
        (shop.root / "models" / name).unlink()
    report = shop.build(snapshot)
    assert report.warnings == ("main.fleeting is gone: no model makes it any more",)
    assert shop.rows("select order_id from each_order") == [(1,)]  # what took history to make, stays


def test_a_build_without_publishing_changes_nothing(shop):
    report = shop.build(shop.arrive((1, 1, 10.0)), publish=False)
    assert report.ok
    assert report.published is None
    assert shop.warehouse.published() is None
    shop.warehouse.recover()
    assert shop.data() == set()


def test_a_moved_project_builds_and_answers(shop, tmp_path, worker):
    shop.model("each_order.sql", INCREMENTAL)
    snapshot = shop.arrive((1, 1, 10.0))
    shop.build(snapshot)
    moved = tmp_path / "somewhere" / "else"
    shutil.move(shop.root, moved)
    shop.root, shop.state = moved, moved / ".headrace" / "local"
    shop.warehouse = shop.make(shop.state, worker)
    assert shop.rows("select order_id from each_order") == [(1,)]
    report = shop.build(shop.arrive((2, 1, 5.0)), days=[1])
    assert report.ok, report.failures
    assert shop.rows("select order_id from each_order order by 1") == [(1,), (2,)]


@pytest.mark.parametrize(
    ("sql", "at", "message"),
    [
        ("select 1 from\n{{ ref('missing') }}", "models/broken.sql", "Model broken depends on a node named 'missing'"),
        ("select 1\nfrom {{ ref('stg_orders' }}", "models/broken.sql:2", "expected ')'"),
        ("select customer_id,\n  nope\nfrom {{ ref('stg_orders') }}", "models/broken.sql:2", '"nope" not found'),
        ("select\nfrom from {{ ref('stg_orders') }}", "models/broken.sql", "Parser Error"),
    ],
)
def test_a_models_error_names_the_users_file(shop, sql, at, message):
    shop.model("broken.sql", sql)
    report = shop.build(shop.arrive((1, 1, 10.0)))
    (failure,) = report.failures
    assert failure.at.startswith(at)
    assert message in failure.message
    assert not any(noise in failure.message for noise in ("Compilation Error", "Runtime Error", ".headrace", "LINE"))


def test_a_generated_model_that_fails_names_the_source_file(shop):
    wrong = SilverTable(
        "orders", "orders", ORDERS.columns, file="connectors/orders.yaml", gold=(GoldStep(filter="amuont > 0"),)
    )
    report = shop.build(shop.arrive((1, 1, 10.0)), wrong)
    (failure,) = report.failures
    assert failure.file == "connectors/orders.yaml"
    assert "amuont" in failure.message


def test_a_join_with_a_model_that_is_not_there_is_left_out_with_a_warning(shop):
    step = GoldStep.model_validate({"join": {"table": "gold.customers", "on": "customer_id"}})
    joined = SilverTable("orders", "orders", ORDERS.columns, gold=(step,))
    report = shop.build(shop.arrive((1, 1, 10.0)), joined)
    assert report.ok
    assert "gold.customers" in report.warnings[0]
    shop.model("customers.sql", "select 'c1' as customer_id, 'Ann' as name")
    assert shop.build(shop.arrive((2, 1, 1.0)), joined).ok
    assert shop.rows("select order_id, name from orders_gold order by 1") == [(1, "Ann"), (2, None)]


def test_only_one_build_at_a_time(shop):
    snapshot = shop.arrive((1, 1, 10.0))
    with shop.warehouse.gold.lock(), pytest.raises(BusyError):
        shop.build(snapshot)
    assert shop.build(snapshot).ok


def test_a_reader_keeps_what_it_reads_whatever_is_published(shop):
    snapshot = shop.arrive((1, 1, 10.0))
    first = shop.build(snapshot).published
    with shop.warehouse.gold.pinned(first.build) as catalog:
        for _ in range(2):
            shop.build(snapshot)
        kept = shop.warehouse.gold.ledger.read_text()
        shop.warehouse.gold.ledger.write_text(kept.replace('"b1"', '"b9"').replace("b1.db", "b9.db"))
        shop.warehouse.recover()
        assert data_files(catalog) <= shop.data()
    shop.warehouse.recover()
    assert not catalog.exists()
    assert shop.data() == shop.named()


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from {module} import INCREMENTAL, ORDERS
from headrace.warehouse.base import BuildOptions, Inputs
from headrace.warehouse.embedded import DbtWarehouse
root = Path({root!r})
DbtWarehouse(root / ".headrace" / "local").build(Inputs("shop", root, (ORDERS,)), {snapshot}, BuildOptions())
"""


def test_kill_9_of_a_build_leaves_no_trace(shop):
    shop.model("each_order.sql", INCREMENTAL)
    assert shop.build(shop.arrive((1, 1, 10.0))).ok
    snapshot = shop.arrive((2, 2, 5.0))
    shop.model(
        "zz_slow.sql",
        "select max(a.range * b.range) as m from range(10000000) a, range(100000) b, {{ ref('each_order') }}",
    )
    script = KILLED.format(
        folder=str(Path(__file__).parent), module=Path(__file__).stem, root=str(shop.root), snapshot=snapshot
    )
    known = shop.data()
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 120
    while shop.data() == known:  # until the branch has written something
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert shop.rows("select order_id from each_order") == [(1,)]
    (shop.root / "models" / "zz_slow.sql").unlink()
    report = shop.build(snapshot, days=[2])
    assert report.ok, report.failures
    assert shop.rows("select order_id, amount from each_order order by 1") == [(1, 10.0), (2, 5.0)]
    assert shop.data() == shop.named()


def test_a_worker_that_dies_is_started_again(shop, worker):
    snapshot = shop.arrive((1, 1, 10.0))
    assert shop.build(snapshot).ok
    os.kill(worker.pid, signal.SIGKILL)
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet reaped: that is the worker's to do
    assert shop.build(snapshot).ok
