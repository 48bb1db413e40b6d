"""What a lake promises: whole commits, knowledge of keys that survives a restart, upkeep that nobody notices."""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
from types import SimpleNamespace

import pytest

from headrace.config.project import load_project
from headrace.errors import BusyError, ContractError, InternalError, LakeError
from headrace.lake import leases, maintenance
from headrace.lake.catalog import CATALOG, DATA, attach_statement, connect
from headrace.lake.ducklake import DuckLake
from headrace.lake.reader import open_reader
from living import (
    ORDERS,
    messages,
    orders,
    project_of,
    rows,
    run_out,
    silver,
    sqlite_bus,
    ticking,
    totals,
    write_source,
)


def digest(project, at=""):
    """Return a digest of silver and one of bronze, whatever files hold them."""
    tables = (f"lake.silver.orders {at}", f"lake.bronze.messages {at}")
    found = [rows(project, f"SELECT * FROM {table} ORDER BY ALL") for table in tables]
    return [hashlib.sha256(repr(each).encode()).hexdigest() for each in found]


def data_files(project, table=None):
    if table is not None:
        schema, name = table.split(".")
        return len(rows(project, f"FROM ducklake_list_files('lake', '{name}', schema => '{schema}')"))
    return len(rows(project, "SELECT 1 FROM __ducklake_metadata_lake.ducklake_data_file WHERE end_snapshot IS NULL"))


def many_commits(tick, bus, count, first=0):
    for number in range(first, first + count):
        bus.publish("orders", messages([{"id": f"o{number}", "version": 1}, {"id": "same", "version": number}]))
        run_out(tick, ["orders"])


def test_upkeep_changes_no_row_and_makes_files_fewer(tmp_path):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, lake):
        many_commits(tick, bus, 25)
        before, files = digest(project), data_files(project)
        done = lake.maintain(frozenset, 60)
        assert done["compacted_files"] > 50
        assert done["expired_snapshots"] > 20
        assert digest(project) == before
        assert data_files(project) < files / 2
        assert data_files(project, "silver.orders") == 1, "a file with deletes is merged like any other"
        # ... and the merge still knows every key.
        many_commits(tick, bus, 2, first=24)
    assert totals(project) == {"orders": {"accepted": 54, "silver": 27, "superseded": 25, "duplicate": 2}}


def test_upkeep_that_commits_wait_for_does_what_is_small_and_says_what_it_leaves(tmp_path, monkeypatch):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, lake):
        many_commits(tick, bus, 25)
        before, files = digest(project), data_files(project)
        assert lake.maintain(frozenset, 0, {"compaction"})["unfinished"] == 6, "each table that is fragmented"
        assert data_files(project) == files
        monkeypatch.setitem(maintenance.SIZES, "busy", maintenance.Sizes(small=1, merged=1))
        assert not lake.maintain(frozenset, 60, {"compaction"}, "busy")["compacted_files"], "no file is that small"
        monkeypatch.setitem(maintenance.SIZES, "busy", maintenance.Sizes(small=2**20, merged=5 * 2**10))
        lake.maintain(frozenset, 60, {"compaction"}, "busy")
        assert data_files(project, "silver.orders") > 1, "what deletes are in is more than is done in passing"
        assert data_files(project, "bronze.messages") < 25
        lake.maintain(frozenset, 60, {"compaction"}, "overdue")
        assert data_files(project, "silver.orders") == 1
        assert digest(project) == before


def test_no_merge_is_begun_that_would_pass_the_budget_if_it_took_as_long_as_one_before_it(tmp_path, monkeypatch):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, lake):
        many_commits(tick, bus, 25)
        clock = iter(range(1000))  # each look at it is a second later
        monkeypatch.setattr(maintenance, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
        before = lake.snapshot()
        done = lake.maintain(frozenset, 2.5, {"compaction"})
        assert done["compacted_files"], "one merge there is always time for"
        assert lake.snapshot() == before + 1
        assert done["unfinished"] == 6, "the first table too, of which it was not seen that it is done"


def test_what_comes_before_it_takes_no_time_from_compaction(tmp_path):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, lake):
        many_commits(tick, bus, 25)

        def slowly():
            threading.Event().wait(0.3)
            return frozenset()

        assert lake.maintain(slowly, 0.2)["compacted_files"]


def test_a_table_of_one_file_a_day_has_nothing_to_merge(tmp_path):
    dated = {**ORDERS, "properties": {**ORDERS["properties"], "day": {"type": "string", "format": "date"}}}
    write_source(tmp_path, "orders", schema=dated)
    file = tmp_path / "connectors/orders.yaml"
    file.write_text(file.read_text() + "event_time: day\n")
    project = load_project(tmp_path)
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, lake):
        days = [{"id": f"o{day}", "day": f"2026-10-{day:02d}"} for day in range(1, 31)]
        bus.publish("orders", messages(days))
        run_out(tick, ["orders"])
        assert data_files(project, "silver.orders") == 30
        assert not lake.maintain(frozenset, 0, {"compaction"})["unfinished"]
        bus.publish("orders", messages([{**each, "id": f"{each['id']}b"} for each in days]))
        run_out(tick, ["orders"])
        assert lake.maintain(frozenset, 60, {"compaction"})["compacted_files"] == 60
        assert data_files(project, "silver.orders") == 30


def test_a_pinned_reader_goes_on_through_upkeep_with_or_without_a_lease(tmp_path):
    project = project_of(tmp_path)
    folder = project.state / "lake"
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, lake):
        many_commits(tick, bus, 12)
        leased, kept, free = lake.snapshot(), lake.snapshot() - 3, lake.snapshot() - 6
        before = {each: digest(project, f"AT (VERSION => {each})") for each in (leased, kept)}
        reader = connect()
        reader.execute(attach_statement("pinned", folder / CATALOG, folder / DATA, snapshot=leased))
        count = "SELECT count(*), sum(version) FROM pinned.silver.orders"
        seen = reader.execute(count).fetchall()
        with leases.hold(folder, leased):
            many_commits(tick, bus, 12, first=12)
            lake.maintain(lambda: {kept}, 60)
            assert reader.execute(count).fetchall() == seen
            for each, digests in before.items():
                assert digest(project, f"AT (VERSION => {each})") == digests
            left = {row["id"] for row in rows(project, "SELECT snapshot_id AS id FROM ducklake_snapshots('lake')")}
            assert {leased, kept, lake.snapshot()} <= left
            assert free not in left
        reader.close()
        files = data_files(project)
        lake.maintain(lambda: {kept}, 60)
        assert data_files(project) < files
        assert digest(project, f"AT (VERSION => {kept})") == before[kept]
        latest = lake.snapshot()
        lake.maintain(frozenset, 60)
        left = {row["id"] for row in rows(project, "SELECT snapshot_id AS id FROM ducklake_snapshots('lake')")}
        assert min(left) == latest
    assert totals(project)["orders"]["accepted"] == 48


def test_a_leased_readers_open_transaction_sees_its_rows_across_upkeep(tmp_path):
    project = project_of(tmp_path)
    folder = project.state / "lake"
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, lake):
        many_commits(tick, bus, 22)
        snapshot, files = lake.snapshot(), data_files(project)
        with leases.hold(folder, snapshot):
            reader = connect()
            reader.execute(attach_statement("pinned", folder / CATALOG, folder / DATA, snapshot=snapshot))
            reader.execute("BEGIN")
            reader.execute("DESCRIBE pinned.silver.orders")
            lake.maintain(frozenset, 60)
            assert reader.execute("SELECT count(*) FROM pinned.silver.orders").fetchall() == [(23,)]
            reader.execute("COMMIT")
            reader.close()
            assert data_files(project) == files
        lake.maintain(frozenset, 60)
        assert data_files(project) < files


def test_a_pinned_reader_sees_one_commit_until_it_is_closed(tmp_path):
    project = project_of(tmp_path)
    folder = project.state / "lake"
    count = "SELECT count(*) AS n FROM lake.silver.orders"
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, lake):
        many_commits(tick, bus, 2)
        with open_reader(folder) as reader:
            assert reader.pin() == lake.snapshot()
            many_commits(tick, bus, 2, first=2)
            lake.maintain(frozenset, 60)
            assert reader.rows(count) == [{"n": 3}]
            earlier = f"{count} AT (VERSION => {lake.snapshot()})"
            assert reader.rows(earlier) == [{"n": 5}]
        assert leases.live(folder) == frozenset()
        with open_reader(folder) as reader:
            assert reader.rows(count) == [{"n": 5}]


def test_a_replaced_file_is_left_for_those_who_have_just_opened_it(tmp_path):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, lake):
        many_commits(tick, bus, 22)
        before = set((project.state / "lake" / DATA).rglob("*.parquet"))
        assert lake.maintain(frozenset, 60)["removed_files"] == 0
        assert all(path.exists() for path in before)
        scheduled = "__ducklake_metadata_lake.ducklake_files_scheduled_for_deletion"
        lake._connection.execute(
            f"UPDATE {scheduled} SET schedule_start = schedule_start::TIMESTAMPTZ - INTERVAL 2 DAY"
        )
        assert lake.maintain(frozenset, 60)["removed_files"] > 50
        assert not all(path.exists() for path in before)


def test_one_table_that_cannot_be_compacted_does_not_keep_the_others_from_it(tmp_path):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, lake):
        many_commits(tick, bus, 22)
        files = data_files(project, "ops.ledger")
        for path in (project.state / "lake" / DATA / "bronze").rglob("*.parquet"):
            path.unlink()
        with pytest.raises(LakeError):
            lake.maintain(frozenset, 60)
        assert files == 22
        assert data_files(project, "ops.ledger") == 1
        assert data_files(project, "silver.orders") == 1


def test_the_keys_are_known_again_after_a_restart(tmp_path):
    project = project_of(tmp_path)
    updates = [{"id": f"o{n}", "version": v} for v in (1, 2) for n in range(10)]
    with sqlite_bus(project) as bus:
        for _ in range(3):
            bus.publish("orders", messages(updates))
            with ticking(project, bus) as (tick, _):
                run_out(tick, ["orders"], 7)
    assert totals(project) == {"orders": {"accepted": 60, "silver": 10, "superseded": 10, "duplicate": 40}}


def test_one_writer_at_a_time_and_only_in_its_thread(tmp_path):
    lake = DuckLake(tmp_path)
    with pytest.raises(BusyError):
        DuckLake(tmp_path)
    caught = []

    def elsewhere():
        try:
            lake.commit([])
        except InternalError as problem:
            caught.append(problem)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert len(caught) == 1
    lake.close()
    DuckLake(tmp_path).close()


def test_a_lake_that_does_not_open_lets_go_of_its_lock(tmp_path):
    (tmp_path / CATALOG).write_bytes(b"no catalog at all" * 100)
    for _ in range(2):
        with pytest.raises(Exception, match="cannot be used"):
            DuckLake(tmp_path)


def test_contracts_are_followed_all_or_none(tmp_path):
    project = project_of(tmp_path, "a", "b")
    with sqlite_bus(project) as bus, ticking(project, bus):
        pass
    added = ORDERS | {"properties": ORDERS["properties"] | {"new": {"type": "string"}}}
    changed = ORDERS | {"properties": ORDERS["properties"] | {"amount": {"type": "string"}}}
    project_of(tmp_path, "a", schema=added)
    broken = project_of(tmp_path, "b", schema=changed)
    with sqlite_bus(broken) as bus, pytest.raises(ContractError, match="amount"), ticking(broken, bus):
        pass
    columns = rows(broken, "SELECT column_name AS c FROM (DESCRIBE lake.silver.a)")
    assert "new" not in {row["c"] for row in columns}


def test_rows_lie_in_the_partition_of_their_date(tmp_path):
    schema = ORDERS | {"properties": ORDERS["properties"] | {"at": {"type": "string", "format": "date-time"}}}
    project = project_of(tmp_path, schema=schema)
    file = tmp_path / "connectors/orders.yaml"
    file.write_text(file.read_text() + "event_time: at\n")
    project = project_of_file(tmp_path)
    times = ["2026-11-01T23:59:59.999999Z", "2026-11-02T01:00:00+02:00", "1969-12-31T23:00:00Z"]
    events = [{"id": f"o{n}", "version": 1, "at": at} for n, at in enumerate(times)]
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, _):
        bus.publish("orders", messages(events))
        run_out(tick, ["orders"])
    found = rows(project, "SELECT id, _event_date AS day FROM lake.silver.orders ORDER BY id")
    first, second, third = (row["day"] for row in found)
    assert (first, second, third) == (dt.date(2026, 11, 1), dt.date(2026, 11, 1), dt.date(1969, 12, 31))
    assert len(silver(project)) == 3


def project_of_file(root):
    from headrace.config.project import load_project

    return load_project(root)


def test_a_merge_over_many_keys_reads_what_it_must(tmp_path):
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, _):
        bus.publish("orders", messages(orders(0, 3000)))
        bus.publish("orders", messages([each | {"version": 2} for each in orders(0, 3000)]))
        run_out(tick, ["orders"], 1000)
    assert totals(project) == {"orders": {"accepted": 6000, "silver": 3000, "superseded": 3000}}


def test_a_lake_that_an_earlier_version_made_gets_the_columns_and_tables_that_it_lacks(tmp_path):
    project = project_of(tmp_path)
    folder = project.state / "lake"
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, _):
        many_commits(tick, bus, 3)
    former = connect()
    former.execute(attach_statement("lake", folder / CATALOG, folder / DATA))
    former.execute("ALTER TABLE lake.ops.batches DROP COLUMN lookups")
    former.execute("ALTER TABLE lake.ops.batches DROP COLUMN warned")
    former.execute("DROP TABLE lake.ops.superseded")
    former.close()
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, lake):
        made = lake.snapshot()
        many_commits(tick, bus, 3, first=3)
    with sqlite_bus(project) as bus, ticking(project, bus) as (_, lake):
        assert lake.snapshot() == made + 3, "nothing is changed where nothing is missing"
        lake.maintain(frozenset, 60)
    found = rows(
        project, "SELECT lookups IS NULL AS before, count(*) AS n FROM lake.ops.batches GROUP BY ALL ORDER BY 1"
    )
    assert found == [{"before": False, "n": 3}, {"before": True, "n": 3}]
    assert len(rows(project, "FROM lake.ops.superseded")) == 3


def test_keys_of_any_text_are_found_again(tmp_path):
    # The catalog is asked in SQL which files may hold a key: what is in it must not end that question.
    project = project_of(tmp_path)
    keys = ["\0", "a\0b'", "a", "'", '"; --', "\\", "é", ""]
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, _):
        for version in (1, 2):
            bus.publish("orders", messages([{"id": key, "version": version} for key in keys]))
            assert not tick.commit([tick.prepare("orders")])
    assert totals(project) == {"orders": {"accepted": 16, "silver": 8, "superseded": 8}}
