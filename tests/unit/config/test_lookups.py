"""What an `enrich` step looks up: found, held against the contract, and every fault where it is written."""

import json

import pyarrow as pa
import pytest

from headrace.config.lint import lint
from headrace.config.project import load_project

SEED = "code,name,people\nNL,Netherlands,18\nDE,Germany,84\n"
CUSTOMERS = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "who": {"type": "object", "properties": {"n": {"type": "integer"}}},
                   "tier": {"type": "string"}, "free": {}},
}  # fmt: skip
STEP = "    - enrich: {lookup: countries, on: {customer.email: code}}\n"


@pytest.fixture
def enriched(shop, orders):
    """Return a function that gives `orders` an enrich step and returns the faults beside it."""
    shop.write("seeds/eu/countries.csv", SEED)

    def with_step(step, more=""):
        shop.source(orders + f"    - enrich: {step}\n" + more)
        return [(each.severity, each.file, each.line, each.message, each.fix) for each in lint(shop.root, environ={})]

    return with_step


def columns(shop):
    (dataset,) = load_project(shop.root).source("orders").datasets
    return {field.name: field.type for field in dataset.columns()}


def test_a_seed_adds_its_columns_typed_and_rules_may_use_them(shop, enriched):
    rules = (
        "    - data_quality: {rules: [{field: people, check: positive_number}, {check: people > 1 and name <> ''}]}\n"
    )
    assert enriched("{lookup: countries, on: {customer.email: code}}", rules) == []
    found = columns(shop)
    assert (found["name"], found["people"]) == (pa.string(), pa.int64())
    (dataset,) = load_project(shop.root).source("orders").datasets
    assert len(dataset.rules) == 2
    (step,) = dataset.enrichments
    assert step.seed.to_pylist()[1] == {"code": "DE", "name": "Germany", "people": 84}
    assert enriched("{lookup: countries, on: {customer.email: code}, as: place}") == []
    assert columns(shop)["place"] == pa.struct([("name", pa.string()), ("people", pa.int64())])
    assert enriched("{lookup: countries, on: {customer.email: code}, prefix: c_, columns: [people]}") == []
    assert "c_people" in columns(shop)
    assert "c_name" not in columns(shop)


def test_steps_see_what_the_steps_before_them_add(shop, enriched):
    shop.write("seeds/names.ndjson", '{"name": "Germany", "capital": "Berlin"}\n')
    more = "    - enrich: {lookup: names, on: name}\n"
    assert enriched("{lookup: countries, on: {customer.email: code}}", more) == []
    assert "capital" in columns(shop)


@pytest.mark.parametrize(
    ("step", "message", "fix"),
    [
        ("{lookup: countries, on: code}", "on: the contract has no field 'code'", "it has order_id"),
        ("{lookup: countries, on: customer.email}", "has no column 'email'", "write `on: {customer.email: COLUMN}`"),
        ("{lookup: countries, on: {customer.email: kode}}", "has no column 'kode'", "did you mean 'code'?"),
        ("{lookup: countries, on: {amount: code}}", "on: amount is double, and code of", "types: {code: FLOAT64}"),
        ("{lookup: countries, on: {customer: code}}", "on: customer is struct", "another field"),
        ("{lookup: countries, on: {'items[].price': code}}", "elements of a list", "name a single field"),
        ("{lookup: countries, on: {customer.email: code}, columns: [nam]}", "has no column 'nam'", "'name'"),
        ("{lookup: countries, on: {customer.email: code}, types: {nam: STRING}}", "no column 'nam'", "'name'"),
        ("{lookup: countries, on: {customer.email: code}, types: {name: TEXT}}", "unknown type 'TEXT'", "use one of"),
        ("{lookup: countries, on: {customer.email: code}, miss: {default: {nam: x}}}", "'nam' is not added", "'name'"),
        ("{lookup: countries, on: {customer.email: code}, miss: {default: {people: x}}}", "'x' cannot be", "its type"),
        ("{lookup: countries, on: {customer.email: code}, as: Amount}", "'Amount' of 'countries' has a name", "prefix"),
        ("{lookup: countries, on: {customer.email: code}, colums: [name]}", "unknown key 'colums'", "'columns'"),
    ],
)  # fmt: skip
def test_a_faulty_step_is_an_error_at_its_line(enriched, step, message, fix):
    ((severity, file, line, said, advice),) = enriched(step)
    assert (severity, file, line) == ("error", "connectors/orders.yaml", 8)
    assert message in said
    assert fix in advice


def test_what_is_wrong_in_a_seed_is_told_at_its_line(shop, enriched):
    step = "{lookup: countries, on: {customer.email: code}}"
    shop.write("seeds/eu/countries.csv", SEED + "NL,Holland,18\n")
    ((severity, file, line, message, _),) = enriched(step)
    assert (severity, file, line) == ("error", "seeds/eu/countries.csv", 4)
    assert "the same code as line 2" in message
    shop.write("seeds/eu/countries.csv", SEED + ",Nowhere,0\n")
    ((_, file, line, message, _),) = enriched(step)
    assert (file, line) == ("seeds/eu/countries.csv", 4)
    assert "no value for code" in message
    shop.write("seeds/eu/countries.csv", SEED + "XX,Nowhere\n")
    assert [each[1:3] for each in enriched(step)] == [("seeds/eu/countries.csv", 4)]
    shop.write("seeds/eu/countries.csv", SEED)
    shop.write("seeds/countries.json", "[]")
    assert "is a lookup 'countries' too" in enriched(step)[0][3]
    (shop.root / "seeds/countries.json").unlink()
    (shop.root / "seeds/eu/countries.csv").unlink()
    (shop.root / "seeds/countries.csv").symlink_to("/etc/hosts")
    assert "leaves the project" in enriched(step)[0][3]


def test_a_lookup_that_is_not_there_is_a_warning_and_the_rest_loads(shop, enriched):
    ((severity, file, line, message, fix),) = enriched("{lookup: countreis, on: {customer.email: code}}")
    assert (severity, file, line) == ("warning", "connectors/orders.yaml", 8)
    assert "there is no lookup 'countreis'" in message
    assert fix == "did you mean 'countries'?"
    (step,) = load_project(shop.root).source("orders").datasets[0].enrichments
    assert step.missing.startswith("connectors/orders.yaml:8: there is no lookup")


@pytest.mark.parametrize("step", ["{lookup: gone, on: order_id}", "{lookup: countries, on: {customer.email: kode}}"])
def test_rules_on_what_a_missing_lookup_would_add_are_not_blamed(shop, enriched, step):
    rules = "{check: people > 1 and name <> ''}, {field: name, check: not_null}, {check: amount > 0}"
    faults = enriched(step, f"    - data_quality: {{rules: [{rules}]}}\n")
    assert [(each[0], each[2]) for each in faults] == [("error" if "kode" in step else "warning", 8)]
    if "gone" in step:
        (dataset,) = load_project(shop.root).source("orders").datasets
        assert [rule.check for rule in dataset.rules] == ["amount > 0"]


def test_the_digest_covers_the_seeds_that_are_looked_up(shop, enriched):
    enriched("{lookup: countries, on: {customer.email: code}}")
    before = load_project(shop.root).digest
    shop.write("seeds/other.csv", "a\n1\n")
    assert load_project(shop.root).digest == before
    shop.write("seeds/eu/countries.csv", SEED.replace("18", "19"))
    assert load_project(shop.root).digest != before


@pytest.fixture
def customers(shop):
    shop.write("schemas/customers.json", json.dumps(CUSTOMERS))

    def keyed(key):
        steps = f"processing: {{bronze_to_silver: [deduplication: {{key: [{key}]}}]}}\n" if key else ""
        text = "source_id: customers\ningestion: {pattern: event_streaming}\nschema: {file: schemas/customers.json}\n"
        shop.source(text + steps, "customers")

    return keyed


def test_a_silver_dataset_is_a_lookup_by_its_key(shop, enriched, customers):
    customers("id")
    assert enriched("{lookup: customers, on: {order_id: id}, prefix: by_, refresh: 1m}") == []
    (step,) = load_project(shop.root).source("orders").datasets[0].enrichments
    assert (step.dataset, step.refresh_secs, step.columns) == ("customers", 60, ("id", "who", "tier", "free"))
    assert [field.name for field in step.fields()] == ["by_who", "by_tier", "by_free"]
    customers("who.n")
    step = "{lookup: silver.customers, on: {amount: who.n}, columns: [tier], as: buyer}"
    assert enriched(step) == []
    (bound,) = load_project(shop.root).source("orders").datasets[0].enrichments
    assert bound.places == {"who.n": ("who", "n"), "tier": ("tier",)}
    assert bound.on == (("amount", "who.n", pa.float64()),)


def test_a_dataset_that_may_have_several_rows_for_one_event_is_refused(shop, enriched, customers):
    customers("")
    ((severity, _, line, message, _),) = enriched("{lookup: customers, on: {order_id: id}, prefix: by_}")
    assert (severity, line) == ("error", 8)
    assert "it has no deduplication key" in message
    customers("id, tier")
    assert "its key is id, tier" in enriched("{lookup: customers, on: {order_id: id}, prefix: by_}")[0][3]
    customers("id")
    assert "its key is id" in enriched("{lookup: customers, on: {order_id: tier}, prefix: by_}")[0][3]
    assert (
        "its contract says its types" in enriched("{lookup: customers, on: {order_id: id}, types: {a: STRING}}")[0][3]
    )
    shop.write("seeds/customers.csv", "id,x\n1,2\n")
    assert "a seed and a silver dataset" in enriched("{lookup: customers, on: {order_id: id}}")[0][3]
    assert enriched("{lookup: silver.customers, on: {order_id: id}, prefix: by_}") == []


def test_a_step_that_no_dataset_can_take_is_said(shop, enriched):
    shop.source("source_id: raw\ningestion: {pattern: event_streaming}\nprocessing: {bronze_to_silver: [enrich: "
                "{lookup: countries, on: code}]}\n", "raw")  # fmt: skip
    messages = [each.message for each in lint(shop.root, environ={})]
    assert "enrich: 'countries' is not looked up: the source has no schema that loads" in messages
    assert not [fault for fault in lint(shop.root, environ={}) if fault.severity == "error"]


def test_of_several_tables_those_are_enriched_that_have_the_field(shop):
    shop.write("seeds/countries.csv", SEED)
    for table, field in (("a", "land"), ("b", "other")):
        properties = {"id": {"type": "string"}, field: {"type": "string"}}
        shop.write(f"schemas/db__{table}.json", json.dumps({"type": "object", "properties": properties}))
    source = (
        "source_id: db\ningestion: {pattern: database_cdc, tables: [{name: a}, {name: b}]}\n"
        "processing: {bronze_to_silver: [enrich: {lookup: countries, on: {FIELD: code}, prefix: c_}]}\n"
    )
    shop.source(source.replace("FIELD", "land"), "db")
    first, second = load_project(shop.root).source("db").datasets
    assert first.columns().names == ["id", "land", "c_name", "c_people"]
    assert (second.columns().names, second.enrichments) == (["id", "other"], ())
    shop.source(source.replace("FIELD", "lnd"), "db")
    messages = [each.message for each in lint(shop.root, environ={})]
    assert "enrich: 'countries' is not looked up: no table has its fields" in messages
