"""Promises 4 and 5: a batch is enriched from one recorded version of each lookup, which is there for ever."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from headrace import words
from headrace.bus.memory import MemoryBus
from headrace.config.project import load_project
from headrace.errors import ContractError, InputError
from headrace.lake.ducklake import DuckLake
from headrace.lake.references import References
from headrace.runtime import references
from headrace.runtime.deployment import deploy
from headrace.runtime.loop import Loop
from headrace.runtime.pipeline import Pipeline
from headrace.runtime.plan.making import Ask, plan
from headrace.runtime.references import SourceReferences
from headrace.runtime.verify import verify
from living import codes, lived, messages, rows, run_out, silver, sqlite_bus, ticking, totals, write_source

EVENT = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "string"}, "who": {"type": "string"}, "country": {"type": "string"}},
}
PERSON = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "n": {"type": "integer"}, "tier": {"type": "string"}, "note": {},
                   "tags": {"type": "array", "items": {"type": "string"}}},
}  # fmt: skip
BY_ID = "  bronze_to_silver:\n  - deduplication: {key: [id]}\n"
SEED = "code,name\nNL,Netherlands\nDE,Germany\n"


def shop(root, *steps, seed=SEED):
    """Write a project whose visits are enriched by these steps; people are a source of their own."""
    (root / "seeds").mkdir(parents=True, exist_ok=True)
    (root / "seeds/countries.csv").write_text(seed)
    write_source(root, "people", schema=PERSON, more=BY_ID.replace("[id]", "[id], version_by: n"))
    write_source(root, "visits", schema=EVENT, more=BY_ID + "".join(f"  - enrich: {step}\n" for step in steps))
    return load_project(root)


def visits(first, last, **more):
    return messages([{"id": f"v{n}", "who": f"p{n % 5}", "country": "NL", **more} for n in range(first, last)])


def versions(project, lookup):
    found = rows(project, "SELECT lookups FROM lake.ops.batches WHERE source = 'visits' ORDER BY first_seq")
    return [dict(each["lookups"]).get(lookup) for each in found]


SEEDED = "{lookup: countries, on: {country: code}}"
PEOPLE = "{lookup: people, on: {who: id}, columns: [tier, note, tags], as: person, refresh: 0s}"


def test_a_silver_dataset_is_looked_up_as_of_a_version_that_the_batch_names(tmp_path):
    project = shop(tmp_path, PEOPLE)
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, _):
        bus.publish("visits", visits(0, 2))
        run_out(tick, ["visits"])  # there is nobody yet
        person = {"id": "p1", "n": 1, "tier": "gold", "note": {"a": [1]}, "tags": ["x"]}
        bus.publish("people", messages([person, {"id": "p2", "n": 1, "tier": "tin"}]))
        run_out(tick, ["people"])
        bus.publish("visits", visits(2, 4))
        run_out(tick, ["visits"])
        bus.publish("people", messages([{"id": "p1", "n": 2, "tier": "lead"}]))
        run_out(tick, ["people"])
        bus.publish("visits", visits(6, 7))
        run_out(tick, ["visits"])
        bus.publish("visits", visits(11, 12))
        run_out(tick, ["visits"])
    found = {
        row["id"]: row["person"] and (row["person"]["tier"], row["person"]["tags"]) for row in silver(project, "visits")
    }
    assert found == {
        "v0": None,
        "v1": None,
        "v2": ("tin", None),
        "v3": None,
        "v6": ("lead", None),
        "v11": ("lead", None),
    }
    named = versions(project, "people")
    assert named[2] == named[3], "the same rows are the same version"
    assert len(set(named)) == 3
    store = References(project.state / "lake")
    assert [store.load(each).num_rows for each in named] == [0, 2, 2, 2]
    assert json.loads(store.load(named[1])["note"][0].as_py()) == {"a": [1]}
    assert store.load(named[1])["tier"].to_pylist() == ["gold", "tin"]
    warned = rows(project, "SELECT DISTINCT unnest(map_keys(warned)) AS w FROM lake.ops.batches")
    assert warned == [{"w": "lookup_miss: who: people has no such row"}]


def test_what_was_decided_is_decided_again_from_bronze_and_what_the_batches_name(tmp_path):
    """Stream ≡ rebuild, though the lookups have changed since, both of them."""
    project = shop(tmp_path, PEOPLE, SEEDED.replace("}}", "}, miss: quarantine}"))
    with sqlite_bus(project) as bus:
        for number in range(4):
            with ticking(project, bus) as (tick, _):
                bus.publish("people", messages([{"id": f"p{number}", "n": number, "tier": f"t{number}"}]))
                run_out(tick, ["people"])
                bus.publish("visits", visits(number * 10, number * 10 + 10, country=["NL", "DE", "FR", "NL"][number]))
                run_out(tick, ["visits"], 3)
            project = shop(tmp_path, PEOPLE, SEEDED.replace("}}", "}, miss: quarantine}"), seed=SEED + f"X{number},x\n")
    assert totals(project)["visits"] == {"accepted": 40, "silver": 30, "quarantined": 10}
    assert len(set(versions(project, "countries"))) == 4
    store = References(project.state / "lake")
    again = []
    source = project.sources["visits"]
    for batch in rows(project, "SELECT first_seq, next_seq, lookups FROM lake.ops.batches WHERE source = 'visits'"):
        stretch = f"seq >= {batch['first_seq']} AND seq < {batch['next_seq']}"
        bronze = rows(project, f"FROM lake.bronze.messages WHERE source = 'visits' AND {stretch} ORDER BY seq")
        schema = pa.schema([*words.message_schema(), pa.field("seq", pa.int64())])
        tables = {name: store.load(version) for name, version in batch["lookups"].items()}
        decided = Pipeline(source)(pa.RecordBatch.from_pylist(bronze, schema=schema), tables)
        again += [row for kept in decided.kept.get("visits", []) for row in kept.to_pylist()]
    kept = sorted((row["id"], str(row["person"]), row["name"]) for row in again)
    assert kept == sorted(
        (row["id"], str(row["person"]), row["name"]) for row in rows(project, "FROM lake.silver.visits")
    )
    assert {row["tier"] for row in (each["person"] or {"tier": None} for each in again)} >= {"t0", "t3"}


def test_a_version_is_read_again_when_it_is_older_than_refresh(tmp_path):
    project = shop(tmp_path, PEOPLE.replace("0s", "1m"))
    now = [0.0]
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, lake):
        held = SourceReferences(project.sources["visits"], lake, monotonic=lambda: now[0])
        empty = held.current()
        bus.publish("people", messages([{"id": "p1", "n": 1}]))
        run_out(tick, ["people"])
        now[0] = 59.9
        assert held.current() == empty
        now[0] = 60.0
        assert held.current().tables["people"].num_rows == 1
        (lake.folder / "references" / f"{held.current().versions['people']}.parquet").unlink()
        version = held.current().versions["people"]
        assert lake.references.load(version).num_rows == 1, "what a batch will name is kept again"


def test_a_redelivery_under_another_version_writes_nothing(tmp_path):
    project = shop(tmp_path, SEEDED)
    with sqlite_bus(project) as bus:
        bus.publish("visits", visits(0, 3))
        lived(project, bus)
        before = rows(project, "FROM lake.silver.visits ORDER BY id")
        project = shop(tmp_path, SEEDED, seed="code,name\nNL,Holland\n")
        bus.publish("visits", visits(0, 4))
        lived(project, bus)
    after = rows(project, "FROM lake.silver.visits ORDER BY id")
    assert after[:3] == before
    assert after[3]["name"] == "Holland"
    assert totals(project)["visits"] == {"accepted": 7, "silver": 4, "duplicate": 3}
    assert len(rows(project, "FROM lake.ops.deployments")) == 2


def test_added_columns_evolve_and_a_changed_type_is_refused_by_its_name(tmp_path):
    with sqlite_bus(shop(tmp_path, SEEDED)) as bus:
        bus.publish("visits", visits(0, 1))
        lived(load_project(tmp_path), bus)
        wider = shop(tmp_path, SEEDED, seed="code,name,people\nNL,Netherlands,18\n")
        bus.publish("visits", visits(1, 2))
        lived(wider, bus)
        renamed = shop(tmp_path, SEEDED, seed="code,called,people\nNL,Netherlands,18\n")
        bus.publish("visits", visits(2, 3))
        lived(renamed, bus)
        found = rows(renamed, "SELECT id, name, people, called FROM lake.silver.visits ORDER BY id")
        assert [tuple(row.values()) for row in found] == [
            ("v0", "Netherlands", None, None),
            ("v1", "Netherlands", 18, None),
            ("v2", None, 18, "Netherlands"),
        ]
        changed = shop(tmp_path, SEEDED, seed="code,called,people\nNL,Netherlands,many\n")
        with pytest.raises(
            ContractError, match=r"people of silver\.visits is int64, and the lookup countries"
        ) as caught:
            lived(changed, bus)
        assert "`types:`" in caught.value.fix


@pytest.mark.parametrize(
    ("seed", "added"),
    [("code,called\nNL,Netherlands\n", "called"), ("code,name,people\nNL,Netherlands,18\n", "people"), (None, "")],
)
def test_a_rebuild_has_the_columns_that_a_seed_had_then(tmp_path, seed, added):
    """The seed gets another column, one more, or goes together with its step: silver of before stays what it was."""
    with sqlite_bus(shop(tmp_path, SEEDED)) as bus:
        bus.publish("visits", visits(0, 3))
        lived(load_project(tmp_path), bus)
        now = shop(tmp_path, *([SEEDED] if seed else []), seed=seed or "")
        if seed is None:
            (tmp_path / "seeds/countries.csv").unlink()
        (table,) = plan(now)["tables"]
        assert [each["column"] for each in table["columns"] if each["change"] == "added"] == [added] * bool(added)
        if added:
            with pytest.raises(InputError, match=f"visits now takes {added} of countries"):
                plan(now, Ask(history=True))
        bus.publish("visits", visits(3, 5))
        lived(now, bus)
    assert verify(now, from_bronze=True).holds


def test_a_lookup_that_cannot_be_had_fails_its_source_alone_and_loses_nothing(tmp_path, monkeypatch):
    project = shop(tmp_path, PEOPLE, "{lookup: nowhere, on: country}")
    with sqlite_bus(project) as bus:
        bus.publish("visits", visits(0, 3))
        bus.publish("people", messages([{"id": f"p{n}", "n": 1} for n in range(3)]))
        assert "there is no lookup 'nowhere'" in drained(project, bus)["visits"]
        monkeypatch.setattr(references, "MAX_ROWS", 2)
        project = shop(tmp_path, PEOPLE)
        assert "'people' has 3 rows, and a lookup has at most 2" in drained(project, bus)["visits"]
        monkeypatch.undo()
        monkeypatch.setattr(references, "MAX_TABLE_BYTES", 8)
        assert "MiB of memory, which is the most for a lookup" in drained(project, bus)["visits"]
        monkeypatch.undo()
        assert drained(project, bus) == {}
    assert totals(project) == {"people": {"accepted": 3, "silver": 3}, "visits": {"accepted": 3, "silver": 3}}
    assert codes(project) == {}


def drained(project, bus):
    """Bring in what can be; return what fails, and why."""
    loop = Loop(
        bus, lambda: DuckLake(project.state / "lake"), project.sources, lambda lake, bus: deploy(project, lake, bus)
    )
    try:
        loop.drain()
        return dict(loop.progress.failing)
    finally:
        loop.close()


def test_a_version_that_upkeep_took_away_keeps_its_batch_from_committing(tmp_path):
    project = shop(tmp_path, SEEDED)
    with sqlite_bus(project) as bus, ticking(project, bus) as (tick, lake):
        bus.publish("visits", visits(0, 3))
        prepared = tick.prepare("visits")
        for path in (lake.folder / "references").iterdir():
            path.unlink()
        failed = tick.commit([prepared])
        assert "is gone" in str(failed["visits"])
        tick.start(["visits"])
        run_out(tick, ["visits"])
    assert totals(project)["visits"] == {"accepted": 3, "silver": 3}
    assert len(list((project.state / "lake/references").iterdir())) == 1


def test_a_bus_without_offsets_enriches_in_the_writers_thread(tmp_path):
    project = shop(tmp_path, PEOPLE)
    bus = MemoryBus(7)
    with ticking(project, bus) as (tick, _):
        bus.publish("people", messages([{"id": "p1", "n": 1, "tier": "gold"}]))
        run_out(tick, ["people"])
        bus.publish("visits", visits(1, 2))
        run_out(tick, ["visits"])
    assert [row["person"]["tier"] for row in silver(project, "visits")] == ["gold"]


def test_without_lookups_nothing_is_kept(tmp_path):
    project = shop(tmp_path)
    with sqlite_bus(project) as bus:
        bus.publish("visits", visits(0, 1))
        lived(project, bus)
    assert not (project.state / "lake/references").exists()
    assert rows(project, "SELECT lookups FROM lake.ops.batches") == [{"lookups": {}}]
