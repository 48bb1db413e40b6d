"""Who still reads what is deprecated: told as an error at the reader, and looked for only where something is."""

from __future__ import annotations

import datetime as dt
import json
from functools import partial

import pytest

from headrace.config.lint import lint
from headrace.config.project import load_project
from headrace.runtime import live_readers
from living import KEYED, ORDERS, project_of, write_source
from planning import publish

TEXT = {"type": "string"}
CUSTOMER = {"type": "object", "properties": {"phone": TEXT | {"deprecated": True}, "mail": TEXT}}
SCHEMA = {
    **ORDERS,
    "properties": ORDERS["properties"]
    | {"country": TEXT | {"deprecated": True}, "ship_to": TEXT, "customer": CUSTOMER}
    | {"point": {"type": "array", "prefixItems": [TEXT, TEXT | {"deprecated": True}]}},
}
FILES = {
    "models/by_country.sql": "-- by country\nselect\n  id,\n  upper(o.country) as land\nfrom {{ ref('stg_orders') }} o",
    "models/below.sql": "select land from {{ ref('by_country') }}",
    "models/rows.sql": "select id /* not\ncountry */\nfrom {{ source('silver', 'orders') }}\nwhere country = 'DE'",
    "models/phones.sql": "select customer.phone as p from {{ ref('stg_orders') }}",
    "models/mails.sql": "select customer.mail as m, ship_to from {{ ref('stg_orders') }}",
    "models/points.sql": "select point as p from {{ ref('stg_orders') }}",
    "models/dark.sql": "select {{ dbt_utils.star(ref('stg_orders')) }} from {{ ref('stg_orders') }}",
    "dbt_project.yml": "name: lab\nversion: '1.0'\n",
}


def told(root, today=None, word="eprecated|past its day|still sends"):
    faults = lint(root, environ={}, also=[partial(live_readers.live_readers, today=today)], today=today)
    return [
        (each.severity, f"{each.file}:{each.line}", each.message)
        for each in faults
        if any(part in each.message for part in word.split("|"))
    ]


@pytest.fixture
def shop(tmp_path):
    project_of(tmp_path, schema=SCHEMA)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_model_that_reads_a_deprecated_field_is_an_error_where_it_does(shop):
    said = "reads orders.{}, which its contract says is deprecated"
    found = told(shop)
    assert [each for each in found if each[0] == "error"] == [
        ("error", "models/by_country.sql:4", f"gold.by_country {said.format('country')}"),
        ("error", "models/phones.sql:1", f"gold.phones {said.format('customer.phone')}"),
        ("error", "models/rows.sql:4", f"gold.rows {said.format('country')}"),
    ]
    warned = [each for each in found if each[0] == "warning"]
    assert {each[1] for each in warned} == {"models/dark.sql:1", "models/points.sql:1"}
    assert f"gold.points reads orders.point, and may {said.format('point[1]').replace('reads', 'read')}" in str(warned)
    assert "it uses dbt_utils" in str(found)


def test_a_lookup_and_a_gold_step_are_readers_too(tmp_path):
    project_of(tmp_path, schema=SCHEMA)
    source = tmp_path / "connectors/orders.yaml"
    source.write_text(source.read_text() + "  silver_to_gold:\n  - select: [id, country]\n")
    lines = source.read_text().splitlines()
    write_source(tmp_path, "parcels", more=KEYED + "  - enrich: {lookup: orders, on: id, columns: [country]}\n")
    assert [each[:2] for each in told(tmp_path)] == [
        ("error", f"connectors/orders.yaml:{1 + lines.index('  silver_to_gold:')}"),
        ("error", "connectors/parcels.yaml:5"),
    ]


def test_what_a_source_itself_reads_is_told_where_it_is_named(tmp_path):
    numbers = {
        "type": "array",
        "items": {"type": "object", "properties": {"n": {"type": "integer", "deprecated": True}}},
    }
    marked = {name: {"type": "string", "deprecated": True} for name in ("id", "kind")} | {
        "at": {"type": "string", "format": "date-time", "deprecated": True},
        "version": {"type": "integer", "deprecated": True},
        "lines": numbers,
        "point": {"type": "array", "prefixItems": [TEXT, TEXT | {"deprecated": True}]},
        "amount": {"type": "number"},
        "customer": CUSTOMER,
    }
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds/kinds.csv").write_text("kind,name\na,b\n")
    write_source(tmp_path, "orders", schema={"type": "object", "properties": marked})
    text = """\
source_id: orders
ingestion: {pattern: event_streaming, message_format: json}
schema:
  file: schemas/orders.json
  version_from: {field: kind, default: v1}
event_time: at
processing:
  bronze_to_silver:
  - deduplication:
      key: [id]
      version_by: version
  - enrich:
      lookup: kinds
      on: kind
  - data_quality:
      rules:
      - {check: not_null, field: 'lines[].n'}
      - {check: amount > 0, severity: warn}
      - check: sum(lines[].n) > amount
      - {check: not_null, field: customer.mail}
      - check: customer.phone <> 'x' or customer.mail is null
      - {check: not_null, field: point, severity: warn}
serving:
  push:
  - {name: fine, topic: a, filter: {amount: 1}, where: amount > 1}
  - name: kinds
    topic: b
    filter: {kind: a}
    where: "'version' is null or kind = 'b'"
  - {name: failed, topic: c, on: quarantined, filter: {source: orders}}
"""
    (tmp_path / "connectors/orders.yaml").write_text(text)
    found = told(tmp_path)
    assert {each[0] for each in found if "point" not in each[2]} == {"error"}
    lines = ["", *text.splitlines()]
    places = [(int(at.rpartition(":")[2]), said.partition(", which")[0]) for _, at, said in found]
    assert [(lines[number].strip(" -"), said) for number, said in places] == [
        ("version_from: {field: kind, default: v1}", "version_from of orders reads orders.kind"),
        ("event_time: at", "the event time of orders reads orders.at"),
        ("key: [id]", "the key of orders reads orders.id"),
        ("version_by: version", "the version_by of orders reads orders.version"),
        ("on: kind", "the lookup kinds of orders reads orders.kind"),
        ("{check: not_null, field: 'lines[].n'}", "the rule not_null of orders reads orders.lines.n"),
        ("check: sum(lines[].n) > amount", "the rule sum(lines[].n) > amount of orders reads orders.lines.n"),
        ("check: customer.phone <> 'x' or customer.mail is null",
         "the rule customer.phone <> 'x' or customer.mail is null of orders reads orders.customer.phone"),
        ("{check: not_null, field: point, severity: warn}",
         "the rule not_null of orders reads point, and may read orders.point[1]"),
        ("filter: {kind: a}", "the push kinds of orders reads orders.kind"),
        ("where: \"'version' is null or kind = 'b'\"", "the push kinds of orders reads orders.kind"),
    ]  # fmt: skip


def test_each_table_reads_its_own_fields(tmp_path):
    old = {name: {"type": "string", "deprecated": True} for name in ("id", "at")}
    for name in ("db__a", "db__b"):
        write_source(tmp_path, name, schema={"type": "object", "properties": old})
        (tmp_path / f"connectors/{name}.yaml").unlink()
    (tmp_path / "connectors/db.yaml").write_text(
        "source_id: db\ningestion:\n  pattern: database_cdc\n  tables:\n  - name: a\n    key: [id]\n  - name: b\n"
        "processing:\n  bronze_to_silver:\n  - deduplication: {key: [at]}\n"
    )
    assert [each[1:] for each in told(tmp_path)] == [
        ("connectors/db.yaml:6", "the key of db__a reads db__a.id, which its contract says is deprecated"),
        ("connectors/db.yaml:10", "the key of db__b reads db__b.at, which its contract says is deprecated"),
    ]


def test_lineage_is_not_read_where_nothing_is_deprecated(shop):
    """Of 500 sources `check` has two seconds. Where it is needed, models that cannot be read are a warning."""
    (shop / "dbt_project.yml").write_text("name: [")
    ((severity, at, message),) = told(shop)
    assert (severity, at) == ("warning", "connectors/orders.yaml:3")
    assert message.startswith("who reads the deprecated field orders.country cannot be told")
    write_source(shop, "orders")
    assert told(shop) == []


def test_a_version_past_its_day_that_is_still_sent_or_served(tmp_path):
    old = {**ORDERS, "properties": ORDERS["properties"] | {"note": TEXT}, "required": ["id", "note"]}
    project_of(tmp_path, schema={**ORDERS, "required": ["id", "version"]})
    (tmp_path / "schemas/orders").mkdir()
    (tmp_path / "schemas/orders/v1.json").write_text(json.dumps(old))
    day = dt.datetime.now(dt.UTC).date()
    source = tmp_path / "connectors/orders.yaml"
    text = source.read_text().replace(
        "schema: {file: schemas/orders.json}",
        f"schema:\n  file: schemas/orders.json\n  versions:\n    v1: {{status: deprecated, until: {day}}}\n"
        "  upcast: {v1: [{drop: [note]}, {default: {version: 1}}]}\n  downcast: {v1: [{set: {note: \"''\"}}]}",
    )
    source.write_text(text + "serving:\n  push:\n  - {name: old, topic: orders-v1, version: '1'}\n")
    project = load_project(tmp_path)
    publish(project, {"id": "o1", "note": "x"}, {"id": "o2", "version": 2})
    later = day + dt.timedelta(days=2)
    assert told(tmp_path, day) == []
    assert told(tmp_path, later) == [
        ("error", "connectors/orders.yaml:6", f"v1 of orders is past its day, and 1 of its events came in the last 30 "
                                              f"days, the last on {day}"),
        ("error", "connectors/orders.yaml:14", f"the push old still sends v1, which was to be gone after {day}"),
    ]  # fmt: skip
    assert [each[1] for each in told(tmp_path, day + dt.timedelta(days=60))] == ["connectors/orders.yaml:14"]
