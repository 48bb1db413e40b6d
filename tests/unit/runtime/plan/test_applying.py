"""What a plan announced is what silver is after `apply`; twice, cut off anywhere, undone: always."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from headrace.cli.main import main
from headrace.config.project import load_project
from headrace.errors import BusyError, InputError
from headrace.lake.ducklake import DuckLake
from headrace.runtime.plan.applying import apply, check, refused
from headrace.runtime.plan.document import read
from headrace.runtime.plan.making import Ask, plan
from headrace.runtime.verify import verify
from living import ORDERS, changed_behind_its_back, rows, running, totals, write_source
from planning import TOTAL, change, publish, with_amount, write_models

INTEGER = with_amount(type="integer")
ALL = Ask(history=True)


def held(project):
    found = verify(project, from_bronze=True)
    assert (found.balanced, found.kept, found.equal, found.ledgers) == (True, True, True, {}), found
    return found.silver


def quarantined(project):
    return [
        row["seq"] for row in rows(project, "SELECT seq FROM lake.ops.quarantine WHERE source = 'orders' ORDER BY seq")
    ]


def test_what_was_announced_is_what_there_is_and_the_old_files_undo_it(project, integer_plan, silver_before):
    before, failed, found = silver_before, quarantined(project), integer_plan
    changed_behind_its_back(project, "UPDATE lake.ops.quarantine SET status = 'discarded'")
    changed = change(project, INTEGER)
    (orders,) = found["history"]["sources"]
    done = apply(changed, found)
    assert (done.deployed, done.decided, done.messages, done.partitions) == (True, True, 16, found["partitions"])
    after = held(changed)
    assert len(quarantined(changed)) - len(failed) == orders["now_fail"]["messages"]
    stati = rows(changed, "SELECT status, count(*) AS n FROM lake.ops.quarantine GROUP BY ALL ORDER BY ALL")
    assert stati == [{"status": "discarded", "n": 1}, {"status": "open", "n": 7}], "what people did stays"
    assert before["orders"] != after["orders"]
    assert before["visits"] == after["visits"]
    assert totals(changed)["orders"]["silver"] == 12 - orders["datasets"][0]["left"]
    (kind,) = rows(
        changed, "SELECT data_type AS t FROM duckdb_columns() WHERE table_name = 'orders' AND column_name = 'amount'"
    )
    assert kind["t"] == "BIGINT"
    again = apply(changed, found)
    assert (again.deployed, again.decided) == (False, False), "idempotent"
    assert plan(changed)["nothing"]

    back = change(changed, ORDERS)
    undo = plan(back, ALL)
    assert undo["history"]["sources"][0]["now_pass"]["messages"] == 7
    apply(back, undo)
    assert held(back) == before, "to the digest"
    assert quarantined(back) == failed


def test_part_of_history_is_decided_again_and_then_the_older_part(project):
    """The window holds the version of o1 that won; under the new rule it fails, and the one of before is back.

    Then the files are deployed, and yet the older messages ran under other rules: what counts is what each ran under.
    """
    (project.root / "seeds").mkdir()
    (project.root / "seeds/countries.csv").write_text("code\nDE\n")
    changed = change(project, with_amount(type="number", maximum=3))
    (since,) = rows(project, "SELECT max(ingest_time) AS t FROM lake.bronze.messages WHERE source = 'orders'")
    found = plan(changed, Ask(history=True, since=since["t"]))
    (orders,) = found["history"]["sources"]
    assert orders["first"] == 9
    apply(changed, found)
    held(changed)
    (o1,) = rows(changed, "SELECT amount, version FROM lake.silver.orders WHERE id = 'o1'")
    assert (o1["amount"], o1["version"]) == (0.5, 1)
    (under,) = rows(changed, "SELECT count(DISTINCT deployment) AS n FROM lake.ops.batches WHERE source = 'orders'")
    assert under["n"] == 2

    found = plan(changed, ALL)
    assert (found["changes"], found["nothing"]) == ([], False)
    (orders,) = found["history"]["sources"]
    assert (orders["source"], orders["first"]) == ("orders", 0)
    assert orders["now_fail"]["messages"] == 1, "o7, of before the window"
    done = apply(changed, found)
    assert (done.deployed, done.decided) == (False, True)
    assert verify(changed).holds
    assert plan(changed, ALL)["nothing"]


def test_after_an_upgrade_a_plan_of_history_gives_it_to_the_new_code(project, silver_before):
    """As if an older Headrace had read o3 otherwise: nothing happens by itself, and nothing beside another change."""
    changed_behind_its_back(project, "UPDATE lake.ops.batches SET code_version = '0.0.9' WHERE source = 'orders'")
    changed_behind_its_back(project, "UPDATE lake.silver.orders SET amount = amount + 1 WHERE id = 'o3'")
    assert plan(project)["nothing"]
    assert verify(project, from_bronze=True).decided_by == {"0.0.9": 16}
    edited = plan(change(project, with_amount(type="number", maximum=9), source="visits"), ALL)
    assert [each["source"] for each in edited["history"]["sources"]] == ["visits"]
    ((name, why),) = [each.values() for each in edited["history"]["skipped"]]
    assert name == "orders"
    assert "headrace 0.0.9" in why

    project = change(project, source="visits")
    found = plan(project, ALL)
    (orders,) = found["history"]["sources"]
    (dataset,) = orders["datasets"]
    assert (orders["source"], orders["decided_by"], dataset["changed"]) == ("orders", ["0.0.9"], 1)
    assert [each["column"] for each in dataset["columns"]] == ["amount"]
    assert not found["breaking"]
    done = apply(project, found)
    assert (done.deployed, done.decided) == (False, True)
    assert held(project) == silver_before
    assert not apply(project, found).decided, "twice is once"
    assert plan(project, ALL)["nothing"]


def test_without_history_the_rules_are_for_what_follows(project, silver_before):
    changed = change(project, with_amount(type="number", maximum=3))
    found = plan(changed)
    done = apply(changed, found)
    assert (done.deployed, done.decided) == (True, False)
    assert verify(changed).silver == silver_before
    publish(changed, {"id": "dear", "amount": 4}, {"id": "cheap", "amount": 2})
    assert rows(changed, "SELECT id FROM lake.silver.orders WHERE id IN ('dear', 'cheap')") == [{"id": "cheap"}]
    held(changed)


def test_a_stale_plan_is_refused_and_says_what_changed(project, integer_plan):
    with pytest.raises(InputError, match="the project's files"):
        apply(change(project, with_amount(type="number", maximum=4)), integer_plan)
    changed = change(project, INTEGER)
    write_models(project, total="select 1 as one")
    with pytest.raises(InputError, match="the dbt files"):
        check(changed, integer_plan)
    with pytest.raises(InputError, match="dbt files"):
        apply(changed, integer_plan)
    write_models(project, total=TOTAL)
    check(changed, integer_plan)
    publish(project, {"id": "late", "amount": 1})
    with pytest.raises(InputError, match="the history of orders"):
        apply(changed, integer_plan)


def test_a_type_that_silver_cannot_take_needs_all_of_history(project):
    changed = change(project, INTEGER)
    with pytest.raises(InputError, match=r"silver\.orders"):
        apply(changed, plan(changed))
    (since,) = rows(project, "SELECT max(ingest_time) AS t FROM lake.bronze.messages WHERE source = 'orders'")
    with pytest.raises(Exception, match="history before the window has another type"):
        plan(changed, Ask(history=True, since=since["t"]))


def test_a_version_that_was_applied_is_refused_by_its_name(project):
    numbered = change(project, {**ORDERS, "version": "1"})
    apply(numbered, plan(numbered, ALL))
    changed = change(project, {**with_amount(type="number", maximum=3), "version": "1"})
    found = plan(changed, ALL)
    assert any("v1 of orders was applied" in each for each in found["breaking"])
    (refused,) = found["refused"]
    assert (refused["at"], refused["fix"].split(":")[0]) == ("schemas/orders.json", "make it v2")
    for applying in (apply, check):
        with pytest.raises(InputError, match=r"^schemas/orders\.json: v1 of orders was applied"):
            applying(changed, found)


def test_a_plan_says_what_apply_will_refuse_and_what_to_type(project, capsys):
    narrowed = change(project, INTEGER)
    for options, why in (([], "silver.orders: "), (["--history", "all", "--sample", "50%"], "the plan is of a sample")):
        with suppress(SystemExit):
            main(["plan", *options, "--json", "--project", str(project.root)])
        found = json.loads(capsys.readouterr().out)
        (told,) = found["refused"]
        for document in (found, read(Path(found["file"]))):
            with pytest.raises(InputError) as problem:
                apply(narrowed, document)
            assert (problem.value.message, problem.value.fix) == (told["why"], told["fix"])
        assert told["why"].startswith(why)
        with suppress(SystemExit):
            main(["plan", *options, "--project", str(project.root)])
        head, _, last = capsys.readouterr().out.partition("apply refuses it")
        assert ".json): " in head, "which is applied once what keeps it from that is over"
        assert " ".join(told["why"].split()) in " ".join(last.split())
        assert f"fix: {told['fix']}" in " ".join(last.split())
        assert "headrace apply" not in last


def test_what_is_refused_and_stale_is_stale_first(project):
    narrowed = change(project, INTEGER)
    found = plan(narrowed)
    assert found["refused"]
    with pytest.raises(InputError, match="the plan is stale"):
        apply(change(project, with_amount(type="number", maximum=3)), found)


def test_while_another_writes_it_says_so(project, integer_plan):
    changed = change(project, INTEGER)
    lake = DuckLake(project.state / "lake")
    try:
        with pytest.raises(BusyError):
            apply(changed, integer_plan)
    finally:
        lake.close()


def test_while_up_runs_it_says_what_to_type(project):
    with running(project, build_every_secs=None):
        changed = change(project, with_amount(type="number", maximum=3))
        found = plan(changed)
        (told,) = refused(changed, found)
        for applying in (apply, check):
            with pytest.raises(BusyError) as problem:
                applying(changed, found)
            assert (problem.value.message, problem.value.fix) == (told.message, told.fix)
    assert "Ctrl-C" in told.fix
    assert refused(changed, found) == []


def test_an_upcast_makes_the_plan_clean(project):
    """A number becomes an integer, history fails, an upcast mends it. docs/howto/plan-a-change.md applies it, too."""
    write_source(project.root, "orders", schema=INTEGER)
    (project.root / "schemas/orders").mkdir()
    (project.root / "schemas/orders/v1.json").write_text(json.dumps(ORDERS))
    path = project.root / "connectors/orders.yaml"
    text = path.read_text().replace(
        "schema: {file: schemas/orders.json}",
        "schema:\n  file: schemas/orders.json\n  upcast: {v1: [{set: {amount: 'round(amount)'}}]}",
    )
    path.write_text(text)
    (broken,) = plan(load_project(project.root), ALL)["breaking"]
    assert broken.startswith("7 rows of silver.orders that were v1 satisfy v2 as they stand, and are not upcast"), (
        broken
    )
    path.write_text(text.replace("  upcast:", "  version_from: {attribute: v, default: v1}\n  upcast:"))
    found = plan(load_project(project.root), ALL)
    assert (found["history"]["sources"][0]["now_fail"]["messages"], found["breaking"]) == (0, []), found["breaking"]

    cents = {**INTEGER, "properties": {**INTEGER["properties"], "unit": {"const": "EUR"}}, "required": ["id", "unit"]}
    (project.root / "schemas/orders.json").write_text(json.dumps(cents))
    path.write_text(text.replace("set: {amount", "set: {unit: \"'EUR'\", amount"))
    changed = load_project(project.root)
    found = plan(changed, ALL)
    (orders,) = found["history"]["sources"]
    assert (orders["now_fail"]["messages"], found["breaking"]) == (0, []), found["breaking"]
    assert {each["column"] for each in orders["datasets"][0]["columns"]} == {"amount", "unit"}
