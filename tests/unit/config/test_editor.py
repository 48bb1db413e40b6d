"""The JSON Schema for editors agrees with what loads."""

import copy

import jsonschema_rs
import pytest

from headrace.config.editor import source_schema
from headrace.config.files import parse_yaml, read_yaml

FULL = parse_yaml(
    """\
source_id: orders
owner: team
ingestion: {pattern: database_cdc, tables: [orders, {name: items, key: [id]}], schedule: "0 3 * * *", poll_interval: 1m}
schema: {file: schemas/orders.json, validation: strict, evolution: backward_compatible}
event_time: ordered_at
processing:
  bronze_to_silver:
    - deduplication: {key: [order_id], version_by: updated_at}
    - late: {window: 7d, too_late: accept}
    - enrich: {lookup: countries, on: country_code}
    - data_quality: {rules: [{field: amount, check: positive_number}, {check: a < b, severity: warn}]}
  silver_to_gold:
    - join: {table: gold.customers, on: customer_id}
    - aggregate: {group_by: [customer_id, date], metrics: [sum(amount) as total]}
serving: {third_party_api: true}
monitoring: {sla_minutes: 60, alert_email: a@example.com, metrics: [record_count]}
""",
    "",
).value
FLAT = {"source_id": "meters", "pattern": "event_streaming", "schema_file": "schemas/meters.json", "window_size": "60s"}


@pytest.fixture(scope="module")
def editor():
    jsonschema_rs.meta.validate(source_schema())
    return jsonschema_rs.Draft202012Validator(source_schema())


def changed(document, **changes):
    return {**copy.deepcopy(document), **changes}


def test_it_accepts_both_forms(editor):
    assert list(editor.iter_errors(FULL)) == []
    assert list(editor.iter_errors(FLAT)) == []


def test_it_accepts_the_seed_files(editor, shared):
    for path in (shared / "acceptance/seed_configs").glob("[a-z]*.yaml"):
        assert list(editor.iter_errors(read_yaml(path, path.name).value)) == []


@pytest.mark.parametrize(
    "bad",
    [
        {},
        [],
        {"source_id": "x"},
        changed(FLAT, source_id="Meters"),
        changed(FLAT, patern="x"),
        changed(FLAT, pattern="stream"),
        changed(FLAT, window_size="soon"),
        changed(FLAT, schedule="hourly"),
        changed(FULL, schedule="0 3 * * *"),
        changed(FULL, schema={"fil": "x"}),
        changed(FULL, monitoring={"sla_minutes": -1}),
        changed(FULL, monitoring={"alert_email": "nobody"}),
        changed(FULL, processing={"bronze_to_silver": [{"dedup": {"key": ["a"]}}]}),
        changed(FULL, processing={"bronze_to_silver": [{"deduplication": {"key": []}}]}),
        changed(FULL, processing={"bronze_to_silver": [{"late": {}, "deduplication": {"key": ["a"]}}]}),
        changed(FULL, processing={"silver_to_gold": [{"join": {"table": "gold.x"}}]}),
        changed(FULL, ingestion={"message_format": "json"}),
    ],
)
def test_it_rejects_what_does_not_load(editor, bad):
    assert not editor.is_valid(bad)


def test_every_key_of_ours_is_described():
    schema = source_schema()
    ours = ["IngestionSpec", "SchemaSpec", "ProcessingSpec", "ServingSpec", "MonitoringSpec"]
    properties = [schema["properties"], *(schema["$defs"][name]["properties"] for name in ours)]
    assert [key for keys in properties for key, value in keys.items() if not {"description", "$ref"} & set(value)] == []
