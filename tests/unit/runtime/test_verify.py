"""`verify` says yes of what the stream made, and no of everything else, with the events that are wrong."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import wrapping
from headrace.config.project import load_project
from headrace.errors import LakeError
from headrace.lake.catalog import CATALOG, DATA, attach_statement, connect
from headrace.lake.parquet import write_quickly
from headrace.runtime.verify import verify
from living import (
    KEYED,
    ORDERS,
    codes,
    lived,
    messages,
    orders,
    project_of,
    run_out,
    silver,
    sqlite_bus,
    ticking,
    write_source,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two sources whose events came twice, in versions, broken, in small batches and under two contracts."""
    root = tmp_path_factory.mktemp("whole")
    project = project_of(root, "orders", "visits")
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages([*orders(0, 9), {"no": "id"}, *orders(3, 5), {"id": "o1", "version": 3}]))
        bus.publish("visits", messages(orders(0, 4)))
        with ticking(project, bus) as (tick, _):
            run_out(tick, project.sources, 4)
    more = {**ORDERS, "properties": {**ORDERS["properties"], "note": {"type": "string"}}}
    write_source(
        root,
        "orders",
        schema=more,
        more=KEYED + "  - data_quality: {rules: [{field: amount, check: positive_number}]}\n",
    )
    project = load_project(root)
    with sqlite_bus(project) as bus:
        noted = {"id": "o2", "version": 2, "amount": 7.0, "note": "gift"}
        bus.publish("orders", messages([noted, *orders(8, 12), {"id": "o20", "amount": -1}]))
        lived(project, bus)
    return root


@pytest.fixture
def project(whole, tmp_path):
    """Return a copy of them, to do with it what one likes."""
    return load_project(shutil.copytree(whole, tmp_path / "copy"))


def tampered(project, *statements):
    """Change the lake behind Headrace's back."""
    with connect() as connection:
        folder = project.state / "lake"
        connection.execute(attach_statement("lake", folder / CATALOG, folder / DATA))
        for each in statements:
            connection.execute(each)


def test_what_the_stream_made_is_what_bronze_makes(project):
    plain = verify(project)
    assert (plain.balanced, plain.kept, plain.unknown, plain.equal, plain.holds) == (True, True, 0, None, True)
    scanned = verify(project, scan=True)
    assert (scanned.kept, scanned.scanned, scanned.silver, scanned.partitions) == (True, True, plain.silver, 2)
    found = verify(project, from_bronze=True)
    assert (found.balanced, found.equal, found.differences, found.ledgers) == (True, True, (), {})
    assert found.messages == 13 + 4 + 6
    assert found.silver == plain.silver
    assert set(found.silver) == {"orders", "visits"}
    assert verify(project, "visits", from_bronze=True).messages == 4
    assert not (project.state / "rebuild").exists()


def test_an_event_that_was_changed_or_swapped_is_named(project):
    before = verify(project).silver
    tampered(project, "UPDATE lake.silver.orders SET amount = 5.5 WHERE id = 'o6'")
    assert verify(project).holds, "as many rows as there should be: only who reads them sees more"
    (difference,) = verify(project, scan=True).differences
    assert (difference.dataset, difference.rebuilt, difference.only_in_silver) == ("orders", None, [])
    assert difference.kept != difference.digest
    found = verify(project, from_bronze=True)
    assert found.balanced, "the numbers still add up"
    assert (found.kept, found.equal, found.holds) == (False, False, False)
    (difference,) = found.differences
    assert difference.dataset == "orders"
    assert difference.only_in_silver == difference.only_in_rebuilt
    assert len(difference.only_in_silver) == 1
    assert found.silver["visits"] == before["visits"]
    assert found.silver["orders"] != before["orders"]


def test_an_event_that_is_gone_or_there_twice_is_named(project):
    tampered(
        project,
        "INSERT INTO lake.silver.orders SELECT * FROM lake.silver.orders WHERE id = 'o5'",
        "DELETE FROM lake.silver.visits WHERE id = 'o2'",
    )
    plain = verify(project)
    assert (plain.balanced, plain.kept, plain.holds) == (False, False, False)
    counts = [(each.dataset, int(each.kept.split(":")[0]), each.counted) for each in plain.differences]
    assert counts == [("orders", 12, 13), ("visits", 4, 3)]
    assert len(plain.unbalanced["orders"]) == len(plain.unbalanced["visits"]) == 1
    found = verify(project, from_bronze=True)
    assert not found.balanced
    orders_, visits = found.differences
    assert (len(orders_.only_in_silver), len(orders_.only_in_rebuilt)) == (1, 0)
    assert (len(visits.only_in_silver), len(visits.only_in_rebuilt)) == (0, 1)


def test_a_ledger_that_tells_something_else_is_told(project):
    tampered(
        project, "UPDATE lake.ops.ledger SET duplicate = duplicate + 1, accepted = accepted + 1 WHERE source = 'visits'"
    )
    found = verify(project, from_bronze=True)
    assert found.equal is False
    assert [each.partition(": ")[2] for each in found.ledgers["visits"]] == [
        "5 accepted, and 4 in the rebuild",
        "1 duplicate, and 0 in the rebuild",
    ]


def test_a_message_that_bronze_lacks_is_an_error(project):
    tampered(project, "DELETE FROM lake.bronze.messages WHERE source = 'orders' AND seq = 2")
    with pytest.raises(LakeError, match=r"bronze holds 12 of the 13 messages"):
        verify(project, from_bronze=True)
    assert not (project.state / "rebuild").exists()


def test_before_the_first_commit_there_is_nothing_to_verify(tmp_path):
    project = project_of(tmp_path)
    assert verify(project, from_bronze=True).snapshot is None
    with sqlite_bus(project) as bus, ticking(project, bus):
        pass
    assert verify(project, from_bronze=True).equal is True


def test_kept_digests_follow_an_event_that_moves_to_another_date(tmp_path):
    dated = {**ORDERS, "properties": {**ORDERS["properties"], "at": {"type": "string", "format": "date-time"}}}
    write_source(tmp_path, "orders", schema=dated, more=KEYED)
    (tmp_path / "connectors/orders.yaml").write_text(
        (tmp_path / "connectors/orders.yaml").read_text() + "event_time: at\n"
    )
    project = load_project(tmp_path)

    def sent(*events):
        with sqlite_bus(project) as bus:
            bus.publish(
                "orders", messages([{"id": i, "version": v, "at": f"2026-11-{d:02}T10:00:00Z"} for i, v, d in events])
            )
            lived(project, bus)
        return verify(project, scan=True)

    first = sent(("a", 1, 1), ("b", 1, 1), ("c", 1, 2))
    moved = sent(("a", 2, 3), ("b", 1, 1), ("c", 0, 9))
    assert (first.partitions, moved.partitions) == (2, 3)
    assert moved.holds
    gone = sent(("b", 2, 3), ("a", 2, 3))
    assert (gone.partitions, gone.holds) == (2, True), "nothing is left of the first"
    assert sent(("c", 2, 2), ("c", 3, 2), ("c", 1, 2)).holds


def test_a_data_file_that_is_gone_or_damaged_is_found_by_who_reads_it(project):
    file = next((project.state / "lake/data/silver/visits").rglob("visits-*.parquet"))
    was = file.read_bytes()
    file.unlink()
    assert verify(project).holds
    with pytest.raises(LakeError, match=r"silver"):
        verify(project, scan=True)
    file.write_bytes(was[: len(was) // 2])
    with pytest.raises(LakeError, match=r"silver"):
        verify(project, scan=True)
    table = pq.read_table(pa.BufferReader(was))
    at = table.schema.get_field_index("amount")
    file.unlink()
    write_quickly(table.set_column(at, "amount", table["amount"].take([0, 2, 1, 3])), file)
    assert file.read_bytes()[-8:] == was[-8:], "a footer of another length is refused when it is read"
    assert not verify(project, scan=True).kept
    assert verify(project, "orders", scan=True).holds


def test_batches_of_before_there_were_digests_are_said_to_be_unknown(project):
    tampered(project, "UPDATE lake.ops.batches SET digests = NULL WHERE source = 'orders' AND first_seq = 0")
    for found in (verify(project), verify(project, from_bronze=True)):
        assert (found.holds, found.unknown) == (True, 1)
    tampered(project, "UPDATE lake.silver.visits SET amount = 9 WHERE id = 'o1'")
    assert [each.dataset for each in verify(project, scan=True).differences] == ["visits"]


def test_a_lake_that_began_before_there_were_digests_goes_on(project):
    tampered(
        project,
        "ALTER TABLE lake.ops.batches DROP COLUMN digests",
        "ALTER TABLE lake.ops.deployments DROP COLUMN variables",
    )
    before = verify(project, from_bronze=True)
    assert (before.holds, before.unknown, before.equal) == (True, 2, True)
    with sqlite_bus(project) as bus:
        bus.publish("visits", messages(orders(2, 7)))
        lived(project, bus)
    found = verify(project, from_bronze=True)
    assert (found.holds, found.unknown, found.messages) == (True, 2, before.messages + 5)


def test_bronze_whose_files_are_in_another_order_is_taken_in_its_own(project):
    with sqlite_bus(project) as bus:
        bus.publish("visits", messages([{"id": "o0", "version": 1, "amount": amount} for amount in (5, 6, 7)]))
        lived(project, bus)
    tampered(
        project,
        "CREATE TEMP TABLE moved AS FROM lake.bronze.messages WHERE source = 'visits'",
        "DELETE FROM lake.bronze.messages WHERE source = 'visits'",
        "INSERT INTO lake.bronze.messages FROM moved ORDER BY seq DESC",
    )
    assert verify(project, "visits", from_bronze=True).equal, "of equal versions the last one that arrived wins"


def test_digests_that_were_tampered_with_are_told(project):
    tampered(
        project,
        "UPDATE lake.ops.batches SET digests = list_transform(digests, lambda d: struct_update(d, low := d.low + 1)) "
        "WHERE source = 'visits'",
    )
    assert verify(project).holds, "they are what it believes"
    (difference,) = verify(project, from_bronze=True).differences
    assert (difference.dataset, difference.only_in_silver, difference.only_in_rebuilt) == ("visits", [], [])
    assert difference.digest == difference.rebuilt != difference.kept


def test_a_rebuild_runs_under_the_variables_of_then(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_VALIDATION", "lenient")
    project = project_of(tmp_path)
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages([{"id": "o1", "unknown": 1}]))
        lived(project, bus)
    monkeypatch.delenv("HEADRACE_VALIDATION")
    now = load_project(tmp_path)
    assert now.digest != project.digest
    found = verify(now, from_bronze=True)
    assert (found.equal, found.partitions, found.ledgers) == (True, 1, {})


def test_events_in_wrappings_are_made_anew_from_their_bytes(tmp_path):
    """An envelope and a frame name versions: which, does not hang on anything but the project's files of then."""
    folder = "iglu/schemas/com.shop/order/jsonschema"
    for number, schema in enumerate((wrapping.OLD, wrapping.NEW)):
        own = {"vendor": "com.shop", "name": "order", "format": "jsonschema", "version": f"1-0-{number}"}
        for file, document in (
            (f"{folder}/1-0-{number}", schema | {"self": own}),
            (f"schemas/framed/v{number + 1}.json", schema),
        ):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(json.dumps(document))
    (tmp_path / "headrace.yaml").write_text("name: lab\ndefaults: {freshness_secs: 0}\n")
    (tmp_path / "connectors").mkdir()
    for source, said in (
        ("wrapped", "{iglu: com.shop/order}"),
        ("framed", "{file: schemas/framed.json, version_from: {confluent: {v1: 3, v2: [4]}}}"),
    ):
        text = f"source_id: {source}\ningestion: {{pattern: event_streaming}}\nschema: {said}\nprocessing:\n"
        (tmp_path / f"connectors/{source}.yaml").write_text(text + KEYED.replace(", version_by: version", ""))
    project = load_project(tmp_path)
    old, new = {"id": "a"}, {"id": "b", "note": "x"}
    wrapped = [wrapping.envelope("1-0-0", old), wrapping.envelope("1-0-1", new), wrapping.envelope("2-0-0", new), old]
    framed = [wrapping.framed(3, old), wrapping.framed(4, new), wrapping.framed(5, new), b"\0\0", old]
    with sqlite_bus(project) as bus:
        bus.publish("wrapped", messages([*wrapped, wrapped[0]]))
        bus.publish("framed", messages([*framed, framed[0]]))
        lived(project, bus)
    for source in ("wrapped", "framed"):
        assert [each["id"] for each in silver(project, source)] == ["a", "b"]
    assert codes(project) == {
        "decode/envelope_missing": 1,
        "decode/frame_cut": 1,
        "contract/version_unknown": 2,
    }
    found = verify(project, from_bronze=True)
    assert (found.balanced, found.equal) == (True, True)
