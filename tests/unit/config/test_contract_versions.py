"""Versions of a contract as files: which there are, what they are called, and what is said where they do not fit."""

import datetime as dt
import json

import pytest

from headrace.config.lint import lint
from headrace.config.project import load_project

ORDERS = """\
source_id: orders
ingestion: {pattern: event_streaming}
schema:
  file: schemas/orders.json
  versions:
    v1: {status: deprecated, until: 2027-03-01}
  upcast:
    v1:
      - rename: {id: order_id}
event_time: at
processing:
  bronze_to_silver:
    - deduplication: {key: [order_id]}
"""
TODAY = dt.date(2026, 11, 1)
AT = {"type": "string", "format": "date-time"}


def schema(*names, **more):
    return json.dumps(
        {"type": "object", "properties": {"at": AT, **{name: {"type": "string"} for name in names}}} | more
    )


def faults(shop):
    return [
        (each.severity, each.file, each.line, each.message, each.fix)
        for each in lint(shop.root, environ={}, today=TODAY)
    ]


@pytest.fixture
def versioned(shop):
    shop.source(ORDERS)
    shop.write("schemas/orders.json", schema("order_id"))
    shop.write("schemas/orders/v1.json", schema("id"))
    return shop


def test_older_versions_are_files_beside_the_newest(versioned):
    assert faults(versioned) == []
    project = load_project(versioned.root, environ={})
    (dataset,) = project.source("orders").datasets
    assert [(each.name, each.lifecycle, str(each.until), each.declared) for each in dataset.versions] == [
        ("v1", "deprecated", "2027-03-01", True),
        ("v2", "stable", "None", True),
    ]
    assert dataset.is_versioned
    assert dataset.versions[-1].contract is dataset.contract
    assert [each.contract.version.split("-")[0] for each in dataset.versions] == ["1", "2"]
    assert [column.name for column in dataset.columns()] == ["at", "order_id"]
    assert "schemas/orders/v1.json" in project.files


def test_a_version_keeps_its_word_when_a_newer_one_comes(shop):
    """Its events are counted in the ledger under it; key and event time are required by their old names."""
    shop.source(ORDERS[: ORDERS.index("  versions")] + ORDERS[ORDERS.index("event_time") :].replace("order_id", "id"))
    shop.write("schemas/orders.json", schema("id"))
    (before,) = load_project(shop.root, environ={}).source("orders").datasets
    assert not before.is_versioned
    assert (before.versions[0].lifecycle, before.versions[0].declared) == ("draft", False)
    shop.write("schemas/orders/v1.json", schema("id"))
    shop.write("schemas/orders.json", schema("order_id"))
    shop.source(ORDERS)
    (after,) = load_project(shop.root, environ={}).source("orders").datasets
    assert after.versions[0].contract.version == before.contract.version
    assert after.contract.version.startswith("2-")


def test_the_newest_of_the_folder_stands_for_a_missing_file(versioned):
    (versioned.root / "schemas/orders.json").rename(versioned.root / "schemas/orders/v2.json")
    assert faults(versioned) == []
    (dataset,) = load_project(versioned.root, environ={}).source("orders").datasets
    assert [(each.name, each.file) for each in dataset.versions] == [
        ("v1", "schemas/orders/v1.json"),
        ("v2", "schemas/orders/v2.json"),
    ]
    (versioned.root / "schemas/orders/v2.json").rename(versioned.root / "schemas/orders/v4.json")
    assert faults(versioned) == []  # its name numbers it, and nothing needs to be between
    (dataset,) = load_project(versioned.root, environ={}).source("orders").datasets
    assert [each.name for each in dataset.versions] == ["v1", "v4"]
    versioned.write("schemas/orders/v4.json", schema("order_id", version=5))
    assert faults(versioned)[0][3] == "the file is called v4, and its document says version 5"


def test_a_contract_may_have_the_version_0(shop):
    shop.source("source_id: orders\ningestion: {pattern: event_streaming}\nschema: {file: schemas/orders.json}\n")
    shop.write("schemas/orders.json", schema("order_id", version=0))
    (dataset,) = load_project(shop.root, environ={}).source("orders").datasets
    assert [(each.name, each.number, each.declared) for each in dataset.versions] == [("v0", (0, 0, 0), True)]
    assert dataset.contract.version.startswith("0-")
    shop.write("schemas/orders/v0.json", schema("order_id", version=1))
    shop.write("schemas/orders.json", schema("order_id", version=2))
    assert "is called v0, and its document says version 1" in faults(shop)[0][3]


def test_versions_are_ordered_by_number_and_other_files_are_not_looked_at(shop):
    shop.source(ORDERS[: ORDERS.index("  versions")] + "event_time: at\n")
    for name in ("1.2.0", "1.10.0", "draft", "1.2"):
        shop.write(f"schemas/orders/{name}.json", schema())
    shop.write("schemas/orders.json", schema(version="1.11.0"))
    assert [fault[3] for fault in faults(shop)] == [
        "schemas/orders/1.2.json and schemas/orders/1.2.0.json are the same version"
    ]
    (shop.root / "schemas/orders/1.2.json").unlink()
    (dataset,) = load_project(shop.root, environ={}).source("orders").datasets
    assert [each.name for each in dataset.versions] == ["1.2.0", "1.10.0", "1.11.0"]


LOST = ORDERS[: ORDERS.index("  versions")] + "  upcast:\n    v1:\n      - rename: {country: ship_to}\nevent_time: at\n"


def test_steps_that_no_event_takes_are_told(shop):
    """Silver would have no `ship_to` of an old order, for the order meets the newest version too."""
    shop.source(LOST)
    shop.write("schemas/orders.json", schema("ship_to"))
    shop.write("schemas/orders/v1.json", schema("country"))
    assert faults(shop) == [
        (
            "warning", "connectors/orders.yaml", 6,
            "events of v1 meet v2 as they stand: they are read as such, without its steps",
            "say what an event is that names no version: `version_from: {attribute: …, default: v1}`; "
            "or require in v2 what v1 has not",
        )
    ]  # fmt: skip
    for newest in (schema("ship_to", "by", required=["by"]), schema("ship_to", additionalProperties=False)):
        shop.write("schemas/orders.json", newest)
        assert "meet v2" not in str(faults(shop))
    shop.write("schemas/orders.json", schema("ship_to"))
    for said in ("attribute: v", "field: by, default: v1", "default: 1"):
        shop.source(LOST.replace("  upcast", f"  version_from: {{{said}}}\n  upcast"))
        assert faults(shop) == []
    shop.source(LOST.replace("rename: {country: ship_to}", "drop: [country]"))
    assert faults(shop) == []
    shop.source(LOST.replace("  upcast", "  versions: {v1: {status: retired}}\n  upcast"))
    assert faults(shop) == []
    # v1 meets v2 and not v3: it goes on from there, without its own steps
    shop.write("schemas/orders/v2.json", schema("ship_to"))
    shop.write("schemas/orders.json", schema("dest", required=["dest"]))
    shop.source(LOST.replace("event_time", "    v2:\n      - rename: {ship_to: dest}\nevent_time"))
    assert [fault[3][:27] for fault in faults(shop) if "stand" in fault[3]] == ["events of v1 meet v2 as the"]


TABLES = """\
source_id: shop
ingestion:
  pattern: database_cdc
  tables:
    - name: orders
      key: [order_id]
      event_time: at
      version_from: {field: at, default: v1}
      versions: {v1: {status: deprecated, until: 2027-03-01}}
      upcast: {v1: [{rename: {id: order_id}}]}
    - name: visits
      upcast: {v1: [{rename: {no: way}}]}
serving:
  push:
    - {name: old, topic: orders-v1, version: v1}
"""


def test_the_newest_of_a_tables_folder_stands_for_its_schema(shop):
    shop.source("source_id: shop\ningestion:\n  pattern: database_cdc\n  tables:\n    - name: orders\n", "shop")
    for version in ("v1", "v2"):
        shop.write(f"schemas/shop__orders/{version}.json", schema("id"))
    (orders,) = load_project(shop.root, environ={}).source("shop").datasets
    assert [each.name for each in orders.versions] == ["v1", "v2"]


def test_each_of_several_tables_has_versions_of_its_own(shop):
    shop.source(TABLES, "shop")
    for table, old, new in (("orders", "id", "order_id"), ("visits", "visitor", "who")):
        shop.write(f"schemas/shop__{table}.json", schema(new))
        shop.write(f"schemas/shop__{table}/v1.json", schema(old))

    def errors(today=TODAY):
        found = lint(shop.root, environ={}, today=today)
        return [(each.line, each.message) for each in found if each.severity == "error"]

    assert errors()[-1] == (12, "v1 to v2: the contract has no field 'no'")
    shop.source(TABLES.replace("no: way", "visitor: who"), "shop")
    assert errors() == []
    orders, visits = load_project(shop.root, environ={}).source("shop").datasets
    assert [(each.name, each.lifecycle) for each in orders.versions] == [("v1", "deprecated"), ("v2", "stable")]
    assert (orders.version_from.default, visits.version_from) == ("v1", None)
    assert [list(each.upcasts["v1"][0].rename) for each in (orders, visits)] == [["id"], ["visitor"]]
    assert errors(dt.date(2027, 3, 2)) == [
        (9, "v1 of shop__orders was to be gone after 2027-03-01"),
        (15, "the push old still sends v1, which was to be gone after 2027-03-01"),
    ]
    shop.source(TABLES.replace("no: way", "visitor: who") + "schema:\n  version_from: {default: v2}\n", "shop")
    assert errors() == []
    assert load_project(shop.root, environ={}).source("shop").datasets[1].version_from.default == "v2"
    shop.source(TABLES.replace("no: way", "visitor: who") + "schema:\n  upcast: {v1: [{drop: [id]}]}\n", "shop")
    assert errors() == [(17, "`upcast` is of one contract, and each of several tables has its own")]


def change(pattern, replacement):
    return lambda shop: shop.source(ORDERS.replace(pattern, replacement))


WRONG = {
    "no such version": (
        change("v1: {status", "v7: {status"), "connectors/orders.yaml", 6, "the contract has no version v7", "one of",
    ),
    "no such upcast": (change("    v1:\n", "    v7:\n"), "connectors/orders.yaml", 8, "no older version v7", ""),
    "nothing follows the newest": (
        change("    v1:\n", "    v2:\n"), "connectors/orders.yaml", 8, "v2 is the newest version: nothing", "",
    ),
    "a step of no kind": (
        change("rename:", "renam:"), "connectors/orders.yaml", 9, "unknown key 'renam'", "did you mean 'rename'?",
    ),
    "until without deprecated": (
        change("deprecated", "stable"), "connectors/orders.yaml", 6, "only a deprecated version", "write `status: dep",
    ),
    "until of no date": (change("2027-03-01", "soon"), "connectors/orders.yaml", 6, "date", ""),
    "a step that fits nothing": (
        change("{id: order_id}", "{i: order_id}"), "connectors/orders.yaml", 9, "no field 'i'", "did you mean 'id'?",
    ),
    "a missing step": (
        change("\n    v1:\n      - rename: {id: order_id}", " {}"),
        "connectors/orders.yaml", 4, "v2 requires order_id, and events of v1 have none", "add `- default: {order_id",
    ),
    "the newest is not newer": (
        lambda shop: shop.write("schemas/orders.json", schema("order_id", version="1")),
        "schemas/orders.json", 1, "it says version 1, and schemas/orders/v1.json is not older", "write 2",
    ),
    "a document that contradicts its file": (
        lambda shop: shop.write("schemas/orders/v1.json", schema("id", version=3)),
        "schemas/orders/v1.json", 1, "is called v1, and its document says version 3", "rename the file",
    ),
    "an older document that is no schema": (
        lambda shop: shop.write("schemas/orders/v1.json", '{"type": "strin"}'),
        "schemas/orders/v1.json", 1, "unknown type 'strin'", "did you mean 'string'?",
    ),
    "an older document that is no JSON": (
        lambda shop: shop.write("schemas/orders/v1.json", "{"), "schemas/orders/v1.json", 1, "not valid JSON", "",
    ),
    "the newest is retired": (
        change("v1: {status: deprecated, until: 2027-03-01}", "v2: {status: retired}"),
        "connectors/orders.yaml", 6, "v2 is the newest version, and no event would be taken", "",
    ),
    "two places of the version": (
        change("  versions", "  version_from: {field: a, attribute: b}\n  versions"),
        "connectors/orders.yaml", 5, "give one of `attribute`, `field` and `confluent`", "",
    ),
    "no place of the version": (
        change("  versions", "  version_from: {}\n  versions"),
        "connectors/orders.yaml", 5, "give `attribute`, `field` or `confluent`, or a `default`", "",
    ),
    "two spellings in what is said of versions": (
        change("  upcast", "    1.0.0: {status: draft}\n  upcast"),
        "connectors/orders.yaml", 5, "'v1' and '1.0.0' are the same version", "write what is said of it once",
    ),
    "two spellings among ids": (
        change("  versions", "  version_from: {confluent: {v1: [1], '1': [2], v2: [3]}}\n  versions"),
        "connectors/orders.yaml", 5, "'v1' and '1' are the same version", "give all its ids to one of them",
    ),
    "cells of one name": (
        change("until: 2027-03-01", "csv_columns: [id, at, id]"),
        "connectors/orders.yaml", 6, "'id' is named twice", "give each cell a name of its own",
    ),
    "columns of one name": (
        change("event_streaming", "event_streaming, message_format: csv, csv: {columns: [id, id]}"),
        "connectors/orders.yaml", 2, "'id' is named twice", "give each cell a name of its own",
    ),
    "a default that is no version": (
        change("  versions", "  version_from: {attribute: a, default: v3}\n  versions"),
        "connectors/orders.yaml", 5, "the contract has no version v3", "one of: v1, v2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_told_where_it_stands(versioned, name):
    act, file, line, message, fix = WRONG[name]
    act(versioned)
    errors = [each for each in faults(versioned) if each[0] == "error"]
    assert len(errors) == 1, errors
    assert errors[0][1:3] == (file, line), errors
    assert message in errors[0][3]
    assert fix in errors[0][4]


def test_cells_that_their_version_has_no_field_for(versioned):
    csv = "event_streaming, message_format: csv, csv: {columns: [order_id, at, nte]}"
    text = ORDERS.replace("event_streaming", csv)
    versioned.source(text.replace("until: 2027-03-01", "csv_columns: [ident, at, x_1]"))
    versioned.write("schemas/orders/v1.json", schema("id", additionalProperties=False, patternProperties={"^x_": {}}))
    versioned.write("schemas/orders.json", schema("order_id", "note"))
    assert faults(versioned) == [
        ("warning", "connectors/orders.yaml", 2, "v2 has no field 'nte': what is in this cell is not kept",
         "did you mean 'note'?"),
        ("error", "connectors/orders.yaml", 6, "v1 forbids a field 'ident': no record with this cell would be taken",
         "one of: at, id"),
    ]  # fmt: skip
    load_project(versioned.root, environ={})  # records that name their own cells are taken all the same
    lenient = text.replace("  versions:", "  validation: lenient\n  versions:")
    versioned.source(lenient.replace("until: 2027-03-01", "csv_columns: [ident]"))
    versioned.write("schemas/orders/v1.json", schema("id"))
    assert faults(versioned) == [], "they are kept in _extra"
    versioned.source(ORDERS.replace("until: 2027-03-01", "csv_columns: [id]"))
    ((severity, _, line, message, _),) = faults(versioned)
    assert (severity, line) == ("warning", 6)
    assert "messages of this source are json" in message


def test_a_deprecated_version_past_its_day_fails_the_check_and_nothing_else(versioned):
    def errors(today):
        return [(each.file, each.line, each.message) for each in lint(versioned.root, environ={}, today=today)]

    versioned.source(ORDERS + "serving: {push: [{name: old, topic: orders-v1, version: '1'}]}\n")
    assert "still sends" not in str(errors(dt.date(2027, 3, 1)))
    assert [each for each in errors(dt.date(2027, 3, 2)) if "to be gone" in each[2]] == [
        ("connectors/orders.yaml", 6, "v1 of orders was to be gone after 2027-03-01"),
        ("connectors/orders.yaml", 14, "the push old still sends v1, which was to be gone after 2027-03-01"),
    ]
    versioned.source(ORDERS)
    assert errors(dt.date(2027, 3, 1)) == []
    assert errors(dt.date(2027, 3, 2)) == [
        ("connectors/orders.yaml", 6, "v1 of orders was to be gone after 2027-03-01")
    ]
    load_project(versioned.root, environ={})  # a day that passes stops nobody


def test_events_that_lack_what_the_newest_requires_are_warned_of(versioned):
    assert faults(versioned) == []  # the key is required of v1 too, by its old name
    versioned.write("schemas/orders.json", schema("order_id", "country", required=["country"]))
    versioned.write("schemas/orders/v1.json", schema("id", "country"))
    ((severity, _, line, message, fix),) = faults(versioned)
    assert (severity, line) == ("warning", 8)
    assert message == "v2 requires country, which v1 does not: events without it are quarantined"
    assert fix == "add `- default: {country: …}` to `upcast: {v1: […]}`"


def test_a_self_describing_schema_of_iglu_is_a_contract_with_the_version_of_its_self(shop):
    uri = "http://iglucentral.com/schemas/com.snowplowanalytics.self-desc/schema/jsonschema/1-0-0#"
    shop.source(ORDERS[: ORDERS.index("schema:")] + "schema: {file: schemas/orders.json}\n")
    for file, version, names in (("orders/1-0-0", "1-0-0", ["id"]), ("orders", "1-0-1", ["id", "note"])):
        own = {"vendor": "com.shop", "name": "order", "format": "jsonschema", "version": version}
        shop.write(f"schemas/{file}.json", schema(*names, **{"$schema": uri, "self": own}))
    (dataset,) = load_project(shop.root, environ={}).source("orders").datasets
    assert [(each.name, each.number) for each in dataset.versions] == [("1-0-0", (1, 0, 0)), ("1-0-1", (1, 0, 1))]
    assert dataset.contract.schema["$schema"] == "http://json-schema.org/draft-04/schema#"
