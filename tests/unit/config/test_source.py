"""The shapes of a source file: five patterns, two forms, every key kept."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from headrace.config.files import read_yaml
from headrace.config.lint import lint
from headrace.config.project import load_project

FULL = """\
source_id: parcels
display_name: "Parcels"
description: "What the carriers hand over every night"
ingestion:
  pattern: batch_file
  location: gs://landing-zone/parcels/
  schedule: "30 4 * * *"
  format: json
  compression: gzip
schema:
  file: schemas/parcels.json
  validation: strict
  evolution: backward_compatible
processing:
  bronze_to_silver:
    - deduplication:
        key: [parcel, scanned_at]
    - data_quality:
        rules:
          - field: sender_email
            check: valid_email
          - field: weight
            check: positive_number
  silver_to_gold:
    - join:
        table: gold.carriers
        on: carrier
    - aggregate:
        group_by: [carrier, date]
        metrics:
          - sum(weight) as total_weight
          - count(*) as parcels
serving:
  third_party_api: true
  reporting: true
  ml_features: false
monitoring:
  sla_minutes: 90
  alert_email: parcels@example.com
  metrics:
    - record_count
    - error_rate
"""
FLAT = {
    "lake_drops": """\
source_id: lake_drops
pattern: cloud_transfer
source_type: s3
source_bucket: drops
source_path: daily/
schedule: "15 */4 * * *"
destination: gs://landing-zone/drops/
""",
    "meters": """\
source_id: meters
pattern: event_streaming
pubsub_topic: projects/grid/topics/meters
message_format: json
schema_file: schemas/meters.json
window_size: 5m
""",
    "ledger": """\
source_id: ledger
pattern: database_cdc
connector_type: datastream
database_type: postgresql
connection_profile: projects/bank/locations/europe-west1/connectionProfiles/ledger
tables:
  - accounts
  - entries
""",
    "contacts": """\
source_id: contacts
pattern: batch_file
schedule: "0 5 * * *"
location: gs://landing-zone/contacts/
format: csv
schema_file: schemas/contacts.json
""",
    "charges": """\
source_id: charges
pattern: streaming_api
connector_type: rest_api
api_endpoint: https://api.example.com/v1/charges
auth_type: bearer_token
secret_name: charges-api-key
poll_interval: 30s
""",
}
PARCELS = {
    "source_id": "parcels",
    "version": "1.0",
    "fields": [
        {"name": "parcel", "type": "STRING", "mode": "REQUIRED", "description": "Its number"},
        {"name": "carrier", "type": "STRING", "mode": "REQUIRED"},
        {"name": "weight", "type": "FLOAT64", "mode": "NULLABLE"},
        {"name": "scanned_at", "type": "TIMESTAMP", "mode": "REQUIRED"},
    ],
}


@pytest.fixture
def platform(shop):
    shop.source(FULL, "parcels")
    shop.write("schemas/parcels.json", json.dumps(PARCELS))
    for source_id, text in FLAT.items():
        shop.source(text, source_id)
    shop.write("connectors/_alerts.yaml", "alerts:\n  - {name: Late, condition: data_age > 1 hour, notification: me}\n")
    return shop


def test_the_full_form_key_by_key(platform):
    source = load_project(platform.root).source("parcels")
    assert (source.pattern, source.message_format, source.topic) == ("batch_file", "json", "parcels")
    assert source.spec.display_name == "Parcels"
    assert source.spec.description == "What the carriers hand over every night"
    ingestion = source.spec.ingestion
    assert ingestion.location == "gs://landing-zone/parcels/"
    assert ingestion.schedule == "30 4 * * *"
    assert (ingestion.format, ingestion.compression) == ("json", "gzip")
    assert source.settings.validation == "strict"
    assert source.settings.evolution == "backward_compatible"
    (dataset,) = source.datasets
    assert (dataset.name, dataset.key, dataset.version_by, dataset.event_time) == (
        "parcels",
        ("parcel", "scanned_at"),
        None,
        None,
    )
    assert [column.name for column in dataset.contract.columns] == ["parcel", "carrier", "weight", "scanned_at"]
    assert [(rule.field, rule.check) for rule in dataset.rules] == [("weight", "positive_number")]
    join, aggregate = source.silver_to_gold
    assert (join.join.table, join.join.on) == ("gold.carriers", ("carrier",))
    assert aggregate.aggregate.group_by == ("carrier", "date")
    assert aggregate.aggregate.metrics == ("sum(weight) as total_weight", "count(*) as parcels")
    serving = source.spec.serving
    assert (serving.third_party_api, serving.reporting, serving.ml_features) == (True, True, False)
    monitoring = source.spec.monitoring
    assert (monitoring.alert_email, monitoring.metrics) == ("parcels@example.com", ("record_count", "error_rate"))
    assert source.sla_minutes == 90


def test_the_flat_forms_key_by_key(platform):
    sources = load_project(platform.root).sources
    drops = sources["lake_drops"].spec.ingestion
    assert (drops.pattern, drops.source_type, drops.source_bucket) == ("cloud_transfer", "s3", "drops")
    assert (drops.source_path, drops.schedule) == ("daily/", "15 */4 * * *")
    assert drops.destination == "gs://landing-zone/drops/"
    meters = sources["meters"].spec
    assert meters.ingestion.pubsub_topic == "projects/grid/topics/meters"
    assert (meters.ingestion.message_format, meters.ingestion.window_size) == ("json", timedelta(minutes=5))
    assert meters.schema_.file == "schemas/meters.json"
    ledger = sources["ledger"].spec.ingestion
    assert (ledger.connector_type, ledger.database_type) == ("datastream", "postgresql")
    assert ledger.connection_profile.endswith("/connectionProfiles/ledger")
    assert [table.name for table in ledger.tables] == ["accounts", "entries"]
    contacts = sources["contacts"]
    assert (contacts.message_format, contacts.spec.ingestion.format) == ("csv", "csv")
    assert contacts.spec.schema_.file == "schemas/contacts.json"
    charges = sources["charges"].spec.ingestion
    assert (charges.connector_type, charges.auth_type) == ("rest_api", "bearer_token")
    assert charges.api_endpoint == "https://api.example.com/v1/charges"
    assert (charges.secret_name, charges.poll_interval) == ("charges-api-key", timedelta(seconds=30))


def test_raw_keeps_the_file_as_it_was_written(platform):
    project = load_project(platform.root)
    for source in project.sources.values():
        assert source.raw == read_yaml(source.file, source.file.name).value
    assert project.shared["_alerts"]["alerts"][0]["name"] == "Late"


def test_what_does_not_resolve_and_what_nothing_acts_on_are_warnings(platform):
    faults = lint(platform.root, environ={})
    assert {fault.severity for fault in faults} == {"warning"}
    said = [(Path(fault.file).name, fault.line, fault.message) for fault in faults]
    lines = FULL.splitlines()
    for expected in [
        (
            "parcels.yaml",
            lines.index("          - field: sender_email") + 1,
            "the rule valid_email is not applied: the contract has no field 'sender_email'",
        ),
        ("parcels.yaml", lines.index("        table: gold.carriers") + 1, "there is no table 'gold.carriers' to join"),
        ("parcels.yaml", 6, "no binding says what gs://landing-zone/parcels/ stands for"),
        (
            "parcels.yaml",
            lines.index("  third_party_api: true") + 1,
            "serving.third_party_api is read and kept, but nothing acts on it yet",
        ),
        ("charges.yaml", 6, "secret_name is read and kept, but nothing acts on it yet"),
        ("charges.yaml", 2, "the pattern streaming_api does not collect by itself yet"),
        ("ledger.yaml", 7, "the table 'accounts' has no schema: its messages stay in bronze, unvalidated"),
        ("_alerts.yaml", 1, "this shared file is read and kept, but nothing acts on it yet"),
    ]:
        assert expected in said
    assert not any("serving.ml_features" in message for _, _, message in said)
    bare = next(fault for fault in faults if "the table 'accounts' has no schema" in fault.message)
    assert bare.fix == "write schemas/ledger__accounts.json, or name another in its `schema_file:`"
    missing = next(fault for fault in faults if "schemas/meters.json does not exist" in fault.message)
    assert (missing.file, missing.line) == ("connectors/meters.yaml", 5)


def test_a_table_has_a_dataset_where_it_has_a_schema(shop):
    shop.source(
        """\
        source_id: bank
        pattern: database_cdc
        tables:
          - accounts
          - {name: Entries, schema_file: schemas/orders.json, key: [order_id], version_by: updated_at}
          - plain
        """,
        "bank",
    )
    shop.write("schemas/bank__accounts.json", '{"properties": {"id": {"type": "integer"}}}')
    datasets = load_project(shop.root).source("bank").datasets
    assert [(dataset.name, dataset.key, dataset.version_by) for dataset in datasets] == [
        ("bank__accounts", (), None),
        ("bank__entries", ("order_id",), "updated_at"),
    ]


def test_a_full_source_of_everything_that_is_acted_on(shop):
    shop.source("""\
        source_id: orders
        owner: commerce-team
        ingestion: {pattern: event_streaming, message_format: json, topic: shop-orders}
        schema:
          inline:
            type: object
            properties:
              order_id: {type: string}
              amount: {type: number}
              total_amount: {type: number}
              country_code: {type: string}
              ordered_at: {type: string, format: date-time}
              updated_at: {type: string, format: date-time}
              items: {type: array, items: {type: object, properties: {amount: {type: number}}}}
          validation: lenient
          evolution: backward_compatible
        event_time: ordered_at
        timezone: Europe/Berlin
        processing:
          bronze_to_silver:
            - deduplication: {key: [order_id], version_by: updated_at}
            - late: {window: 7d, too_late: quarantine}
            - enrich: {lookup: countries, on: country_code}
            - data_quality:
                rules:
                  - {field: amount, check: positive_number}
                  - {check: "sum(items[].amount) = total_amount", severity: warn}
          freshness_secs: 0
          batch_rows: 1000
        serving: {third_party_api: true, reporting: true, ml_features: true}
        monitoring: {sla_minutes: 5, alert_email: data@example.com, metrics: [record_count, latency_p95, error_rate]}
        """)
    source = load_project(shop.root).source("orders")
    assert (source.owner, source.topic, source.sla_minutes) == ("commerce-team", "shop-orders", 5)
    assert (source.freshness_secs, source.batch_rows) == (0, 1000)
    (dataset,) = source.datasets
    assert (dataset.key, dataset.version_by, dataset.event_time) == (("order_id",), "updated_at", "ordered_at")
    assert (dataset.timezone, dataset.contract.validation) == ("Europe/Berlin", "lenient")
    assert (dataset.late.window, dataset.late.too_late) == (timedelta(days=7), "quarantine")
    assert [rule.severity for rule in dataset.rules] == ["quarantine", "warn"]
    required = {column.name for column in dataset.contract.columns if not column.nullable}
    assert required == {"order_id", "ordered_at"}
    assert any("there is no lookup 'countries'" in fault.message for fault in lint(shop.root))
    shop.write("seeds/countries.csv", "country_code,name\n")
    assert not any("there is no lookup" in fault.message for fault in lint(shop.root))


def test_the_seed_files_load_unchanged_with_every_key_kept(shop, shared):
    seeds = shared / "acceptance/seed_configs"
    for path in seeds.glob("*.yaml"):
        shop.write(f"connectors/{path.name}", path.read_bytes())
    shop.write("schemas/example_source.json", (seeds / "example_source.schema.json").read_bytes())
    assert {fault.severity for fault in lint(shop.root, environ={})} == {"warning"}
    project = load_project(shop.root)
    assert sorted(project.sources) == sorted(path.stem for path in seeds.glob("[a-z]*.yaml"))
    for source in project.sources.values():
        written = read_yaml(source.file, "").value
        assert source.raw == written
        kept = source.spec.model_dump(by_alias=True, exclude_unset=True, mode="json")
        kept = {**kept, **kept["ingestion"]} if "ingestion" not in written else kept
        assert set(written) - set(kept) <= {"schema_file"}
    assert project.shared["_alerts"]["alerts"][2]["condition"] == "daily_cost > $500"
    assert project.source("iot_sensors").spec.ingestion.window_size == timedelta(seconds=60)
    assert project.source("example_source").datasets[0].key == ("id", "timestamp")
