"""What a lake knows of keys and payloads is right whatever its index holds: files, memory, less than silver, or more.

The index is made to write a file at every commit (`every`), or at none (`none`).
"""

from __future__ import annotations

import shutil
from functools import partial

import pytest

from headrace import fault_points
from headrace.config.project import load_project
from headrace.errors import LakeError
from headrace.lake.base import Change, Removal
from headrace.lake.catalog import CATALOG, DATA
from headrace.lake.ducklake import DuckLake
from headrace.lake.key_index import FOLDER
from living import (
    KEYED,
    ORDERS,
    changed_behind_its_back,
    messages,
    project_of,
    rows,
    run_out,
    silver,
    sqlite_bus,
    ticking,
    totals,
    write_source,
)  # fmt: skip

KINDS = {"every": partial(DuckLake, recent_keys=1), "none": DuckLake}
PAIRS = {
    "type": "object",
    "required": ["a", "b"],
    "properties": {
        **{name: {"type": "integer"} for name in ("a", "b", "version")},
        "note": {"type": ["string", "null"]},
        "size": {"type": "number"},
        "at": {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}},
        "tags": {"type": "array", "items": {"type": "string"}},
        "more": {},
    },
}
BY_VERSION = "  bronze_to_silver:\n  - deduplication: {key: [a, b], version_by: version}\n"
BY_PAIR = "  bronze_to_silver:\n  - deduplication: {key: [a, b]}\n"

_ALL, _TIMES = (1 << 64) - 1, 0xD6E8FEB86659FD93
_BACK = pow(_TIMES, -1, 1 << 64)


def mixed(number, times):
    """Return DuckDB's hash of a BIGINT, or with the inverse factor the BIGINT of a hash."""
    number &= _ALL
    for _ in range(2):
        number = ((number ^ number >> 32) * times) & _ALL
    return number ^ number >> 32


def first_of_two(number):
    number = mixed(number, _TIMES)
    return ((number ^ number >> 32) * _TIMES) & _ALL


def twin(pair, other):
    """Return the pair that begins with another number and has the very hash of this one."""
    found = mixed(first_of_two(pair[0]) ^ mixed(pair[1], _TIMES) ^ first_of_two(other), _BACK)
    return other, found - (1 << 64) if found >> 63 else found


def event(pair, version=1, **more):
    return {"a": pair[0], "b": pair[1], "version": version, **more}


def lived(project, kind, *batches):
    """Publish each batch, and commit it by a lake that was opened anew for it; return the ledger, which balances."""
    fed(project, kind, *batches)
    return totals(project)["orders"]


def fed(project, kind, *batches):
    with sqlite_bus(project) as bus:
        for batch in batches:
            bus.publish("orders", messages(batch))
            with ticking(project, bus, kind) as (tick, _):
                run_out(tick, ["orders"])


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_keys_of_one_hash_are_told_apart(tmp_path, kind):
    project = project_of(tmp_path, schema=PAIRS, more=BY_PAIR)
    one = (1, 2)
    two, three = twin(one, 3), twin(one, -4)
    with sqlite_bus(project) as bus, ticking(project, bus, kind) as (tick, lake):
        said = ", ".join(f"hash({a}::BIGINT, ({b})::BIGINT)" for a, b in (one, two, three))
        assert len(lake._query(f"SELECT DISTINCT unnest([{said}])")) == 1
        for batch in (
            [event(one), event(two)],
            [event(two), event(three), event(one)],  # two repeats, and a third key of that hash
            [event(one, 2), event(two)],  # the older of the rows of that hash is updated
            [event(one), event(three), event(three, 2)],  # what lost before; a repeat; the newest is updated
            [event(one, 2), event(two), event(three, 2), event(three)],
        ):
            bus.publish("orders", messages(batch))
            run_out(tick, ["orders"])
    assert totals(project)["orders"] == {"accepted": 14, "silver": 3, "superseded": 2, "duplicate": 9}
    assert sorted((row["a"], row["version"]) for row in silver(project)) == [(-4, 2), (1, 2), (3, 1)]
    again = [event(one), event(two), event(three), event(one, 2), event(three, 2), event(two, 2)]
    assert lived(project, kind, again) == {"accepted": 20, "silver": 3, "superseded": 3, "duplicate": 14}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_whatever_differs_in_a_payload_is_another_version(tmp_path, kind):
    project = project_of(tmp_path, schema=PAIRS, more=BY_PAIR)
    versions = [
        {"note": "n", "size": 1.5, "at": {"x": 1, "y": 2}, "tags": ["s", "t"], "more": {"k": 1}},
        {"note": "m", "size": 1.5, "at": {"x": 1, "y": 2}, "tags": ["s", "t"], "more": {"k": 1}},
        {"note": None, "size": 1.5, "at": {"x": 1, "y": 2}, "tags": ["s", "t"], "more": {"k": 1}},
        {"note": "", "size": 1.5, "at": {"x": 1, "y": 2}, "tags": ["s", "t"], "more": {"k": 1}},
        {"size": 0.0, "at": {"x": 1, "y": 2}, "tags": ["s", "t"]},
        {"size": -0.0, "at": {"x": 1, "y": 2}, "tags": ["s", "t"]},
        {"size": 0.0, "at": {"x": 2, "y": 1}, "tags": ["s", "t"]},
        {"size": 0.0, "at": {"x": 2, "y": 1}, "tags": ["t", "s"]},
        {"size": 0.0, "at": {"x": 2, "y": 1}, "tags": ["ts", ""]},
        {"size": 0.0, "at": {"x": 2, "y": 1}, "tags": ["ts", ""], "more": 1},
        {"size": 0.0, "at": {"x": 2, "y": 1}, "tags": ["ts", ""], "more": "1"},
    ]
    batches = [[event((1, 2), 1, **version)] for version in versions]
    with sqlite_bus(project) as bus, ticking(project, bus, kind) as (tick, _):
        for batch in (*batches, *batches):
            bus.publish("orders", messages(batch))
            run_out(tick, ["orders"])
        # The same documents, spelled otherwise: null for what is absent, keys in another order, a number's other form.
        bus.publish("orders", messages([
            b'{"more":"1","tags":["ts",""],"at":{"y":1,"x":2},"size":0,"note":null,"version":1,"b":2,"a":1}',
            b'{"a":1,"b":2,"version":1,"more":{"k":1},"tags":["s","t"],"at":{"y":2,"x":1},"size":15e-1,"note":"n"}',
        ]))  # fmt: skip
        run_out(tick, ["orders"])
    n = len(versions)
    assert totals(project)["orders"] == {"accepted": 2 * n + 2, "silver": 1, "superseded": n - 1, "duplicate": n + 2}


def numbered(first, last, version=1):
    return [event((n, n), version) for n in range(first, last)]


def test_a_redelivery_is_told_without_a_look_at_silver(tmp_path):
    project = project_of(tmp_path, schema=PAIRS, more=BY_PAIR)
    kind = KINDS["every"]
    lived(project, kind, numbered(0, 50))
    data = project.state / "lake" / DATA / "silver"
    data.rename(tmp_path / "away")
    with sqlite_bus(project) as bus, ticking(project, bus, kind) as (tick, _):
        bus.publish("orders", messages(numbered(0, 50)))
        assert not tick.commit([tick.prepare("orders")])
        bus.publish("orders", messages(numbered(7, 8, version=2)))
        assert isinstance(tick.commit([tick.prepare("orders")])["orders"], LakeError), (
            "an update must read what it replaces"
        )
    (tmp_path / "away").rename(data)
    assert lived(project, kind, []) == {"accepted": 101, "silver": 50, "superseded": 1, "duplicate": 50}


def test_an_index_of_before_is_brought_up_to_date_or_begun_anew(tmp_path):
    project = project_of(tmp_path, schema=PAIRS, more=BY_PAIR)
    kind, keys = KINDS["every"], project.state / "lake" / FOLDER
    lived(project, kind, numbered(0, 20))
    shutil.copytree(keys, tmp_path / "keys")
    lived(project, kind, numbered(20, 40) + numbered(0, 5, version=2))

    def put_back():  # as a crash leaves it: the commits that followed are in silver alone
        shutil.rmtree(keys)
        shutil.copytree(tmp_path / "keys", keys)

    put_back()
    found = lived(project, kind, numbered(0, 40))
    assert found == {"accepted": 85, "silver": 40, "superseded": 5, "duplicate": 40}
    shutil.rmtree(keys)  # as an earlier version leaves it
    found = lived(project, kind, numbered(0, 40), numbered(0, 40), numbered(30, 50, version=3))
    assert found == {"accepted": 185, "silver": 50, "superseded": 15, "duplicate": 120}
    assert len(silver(project)) == 50


def test_rows_that_were_taken_out_behind_its_back_are_not_known_any_more(tmp_path):
    project = project_of(tmp_path, schema=PAIRS, more=BY_PAIR)
    kind = KINDS["every"]
    lived(project, kind, numbered(0, 20))
    changed_behind_its_back(project, "DELETE FROM lake.silver.orders WHERE a = 7")
    fed(project, kind, numbered(0, 20))
    assert sorted(row["a"] for row in silver(project)) == list(range(20))
    # ... and by a commit that says so, as erasure will: what is removed and did not lose may come again.
    (row,) = rows(project, "SELECT _seq AS seq, _event_date AS day FROM lake.silver.orders WHERE a = 3")
    with sqlite_bus(project) as bus, ticking(project, bus, kind) as (tick, lake):
        bus.publish("orders", messages(numbered(3, 4)))
        assert not tick.commit([tick.prepare("orders")])
        lake.commit([Change("orders", (), (Removal("silver.orders", (row["seq"],), (row["day"],)),))])
        bus.publish("orders", messages(numbered(0, 6)))
        assert not tick.commit([tick.prepare("orders")])
    assert sorted(row["a"] for row in silver(project)) == list(range(20))


def test_a_catalog_that_was_put_back_gives_out_its_numbers_again(tmp_path):
    project = project_of(tmp_path, schema=PAIRS, more=BY_PAIR)
    kind, catalog = KINDS["every"], project.state / "lake" / CATALOG
    lived(project, kind, numbered(0, 20))
    shutil.copy(catalog, tmp_path / "catalog")
    lived(project, kind, numbered(20, 40))
    shutil.copy(tmp_path / "catalog", catalog)
    found = lived(project, kind, numbered(10, 30))
    assert found == {"accepted": 60, "silver": 40, "duplicate": 20}
    assert sorted(row["a"] for row in silver(project)) == list(range(40))


def test_another_key_is_another_index(tmp_path):
    project = project_of(tmp_path, schema=PAIRS, more=BY_PAIR)
    kind = KINDS["every"]
    lived(project, kind, [event((1, 2)), event((1, 3))])
    project = project_of(tmp_path, schema=PAIRS, more=BY_PAIR.replace("[a, b]", "[b]"))
    assert lived(project, kind, [event((1, 2)), event((5, 3))])["superseded"] == 1
    keys = project.state / "lake" / FOLDER / "orders"
    assert keys.is_dir()
    project = project_of(tmp_path, schema=PAIRS, more="")
    fed(project, kind, [event((1, 2))])
    assert not keys.exists(), "what has no key any more, or is no more, keeps its files"


def test_what_was_read_once_is_remembered_once(tmp_path):
    project = project_of(tmp_path, schema=PAIRS, more=BY_VERSION)
    kind = KINDS["none"]
    fed(project, kind, numbered(0, 10, version=9))
    with sqlite_bus(project) as bus, ticking(project, bus, kind) as (tick, lake):
        for version in range(4):  # each is older, and known by no digest
            bus.publish("orders", messages(numbered(0, 10, version)))
            run_out(tick, ["orders"])
        assert lake._knowledge._index(project.sources["orders"].datasets[0]).rows <= 20


@pytest.mark.parametrize("others", [[], numbered(1, 2, version=3)], ids=["alone", "beside an update"])
def test_what_lost_to_a_row_that_was_taken_out_is_new_whatever_comes_with_it(tmp_path, others):
    project = project_of(tmp_path, schema=PAIRS, more=BY_VERSION)
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, lake):
        for batch in (numbered(0, 2), numbered(0, 2, version=2)):
            bus.publish("orders", messages(batch))
            run_out(tick, ["orders"])
        (row,) = rows(project, "SELECT _seq AS seq, _event_date AS day FROM lake.silver.orders WHERE a = 0")
        lake.commit([Change("orders", (), (Removal("silver.orders", (row["seq"],), (row["day"],)),))])
        bus.publish("orders", messages(numbered(0, 1) + others))
        run_out(tick, ["orders"])
    assert [(each["a"], each["version"]) for each in silver(project) if not each["a"]] == [(0, 1)]


def test_a_commit_that_is_said_to_have_failed_is_known_of(tmp_path, monkeypatch):
    project = project_of(tmp_path, schema=PAIRS, more=BY_PAIR)

    def fail(point):
        if point == "lake.commit.after":
            raise LakeError("the disk refuses", at="it", fix="none")

    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, lake):
        bus.publish("orders", messages(numbered(0, 5)))
        run_out(tick, ["orders"])
        bus.publish("orders", messages(numbered(5, 10)))
        with monkeypatch.context() as failing:
            failing.setattr(fault_points, "_watcher", fail)
            assert not tick.commit([tick.prepare("orders")])
        assert lake._knowledge._index(project.sources["orders"].datasets[0]).rows == 10


def of_columns(*names):
    kinds = {**ORDERS["properties"], "region": {"type": "string"}}
    nested = {name.split(".")[1]: {"type": "string"} for name in names if name.startswith("s.")}
    columns = {name: kinds[name] for name in ("id", "version", *names) if "." not in name}
    struct = {"s": {"type": "object", "properties": nested}} if nested else {}
    return {"type": "object", "required": ["id"], "properties": columns | struct}


REGAINED = {
    "a column": (("amount",), (), ("amount",)),
    "a field of a struct": (("s.x", "s.y"), ("s.y",), ("s.x", "s.y")),
    "what a lookup added": (("amount",), ("amount", "region"), ("amount", "region")),
}


@pytest.mark.parametrize("contracts", REGAINED.values(), ids=REGAINED)
def test_what_was_kept_under_one_contract_says_nothing_under_another(tmp_path, contracts):
    found = []
    for name, kind in KINDS.items():
        root = tmp_path / name
        for turn, columns in enumerate(contracts):
            lookup = "  - enrich: {lookup: places, on: id}\n" if "region" in contracts[2] and not turn else ""
            write_source(root, "orders", schema=of_columns(*columns), more=KEYED + lookup)
            (root / "seeds").mkdir(exist_ok=True)
            (root / "seeds" / "places.csv").write_text("id,region\no1,north\no2,south\n")
            project = load_project(root)
            one, two = ({"id": "o1", "version": n, "amount": 1.0, "s": {"x": "u", "y": "v"}} for n in (1, 2))
            fed(project, kind, *([[two]] if turn == 1 and not lookup else []), [one])
        found.append((totals(project), rows(project, "SELECT _seq FROM lake.silver.orders")))
    assert found[0] == found[1], "an index that was kept decides otherwise than rows do"
