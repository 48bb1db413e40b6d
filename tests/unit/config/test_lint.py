"""Each kind of fault: where, what, and what to type."""

import re

import pytest

from headrace.config.lint import lint
from headrace.config.project import load_project
from headrace.errors import ConfigError


def errors(shop, environ=None):
    return [fault for fault in lint(shop.root, environ=environ or {}) if fault.severity == "error"]


def test_a_project_without_faults_has_none(shop, orders):
    shop.source(orders)
    assert lint(shop.root, environ={}) == []


CASES = {
    # what is done to the source file: (pattern, replacement), line, words of the message, words of the fix
    "unknown key at the top": (
        r"event_time:",
        "event_tim:",
        4,
        "unknown key 'event_tim'",
        "did you mean 'event_time'?",
    ),
    "unknown key within": (r"key: \[", "keys: [", 7, "unknown key 'keys' in processing", "did you mean 'key'?"),
    "unknown step": (r"deduplication:", "dedup:", 7, "unknown key 'dedup'", "did you mean 'deduplication'?"),
    "a word not allowed": (r"event_streaming", "event_stream", 2, "'event_stream' is not allowed", "'event_streaming'"),
    "wrong type": (r"event_time: ordered_at", "event_time: [ordered_at]", 4, "should be a valid string", "write text"),
    "not a mapping": (r"schema: .*", "schema: orders", 3, "schema:", "write `key: value`"),
    "a cron that cannot parse": (
        r"\{pattern: event_streaming\}",
        "{pattern: batch_file, schedule: '61 * * * *'}",
        2,
        "'61 * * * *' is not a cron expression",
        "five fields",
    ),
    "too few fields of cron": (
        r"\{pattern: event_streaming\}",
        "{pattern: batch_file, schedule: hourly}",
        2,
        "'hourly' is not a cron expression",
        "five fields",
    ),
    "a duration that cannot parse": (
        r"\{pattern: event_streaming\}",
        "{pattern: event_streaming, window_size: soon}",
        2,
        "'soon' is not a duration",
        "write such as 7d",
    ),
    "a time zone that is none": (
        r"event_time:",
        "timezone: Europe/Berln\nevent_time:",
        4,
        "'Europe/Berln' is not a time zone",
        "did you mean 'Europe/Berlin'?",
    ),
    "an id that differs from the file": (
        r"source_id: orders",
        "source_id: order",
        1,
        "the source_id 'order' differs from the file's name",
        "write `source_id: orders`",
    ),
    "an id that is no name": (r"source_id: orders", "source_id: Orders-1", 1, "cannot be a name", ""),
    "no id": (r"source_id: orders\n", "", 1, "'source_id' is missing", "add `source_id:`"),
    "no pattern": (r"pattern: event_streaming", "", 2, "'ingestion.pattern' is missing", "add `pattern:`"),
    "a schema that is not there": (r"orders.json", "order.json", 3, "does not exist", "'schemas/orders.json'"),
    "a schema outside": (
        r"schemas/orders.json",
        "../elsewhere.json",
        3,
        "leaves the project",
        "keep schemas in schemas/",
    ),
    "an absolute schema": (r"schemas/orders.json", "/etc/passwd", 3, "leaves the project", "schemas/"),
    "a key that is no field": (r"\[order_id\]", "[ordr_id]", 7, "no field 'ordr_id'", "'order_id'"),
    "a nested key that is no field": (r"\[order_id\]", "[customer.mail]", 7, "no field 'mail'", "'email'"),
    "a key in a list": (r"\[order_id\]", "['items[].price']", 7, "names the elements of a list", "a single field"),
    "a version that is no field": (r"updated_at", "updatd_at", 7, "no field 'updatd_at'", "'updated_at'"),
    "an event time that is no field": (
        r"event_time: ordered_at",
        "event_time: orderd",
        4,
        "no field 'orderd'",
        "did you mean",
    ),
    "an event time that is no time": (
        r"event_time: ordered_at",
        "event_time: customer",
        4,
        "gives no time",
        "timestamp",
    ),
    "two schemas": (r"\{file: .*\}", "{file: schemas/orders.json, inline: {}}", 3, "`file` or `inline`, not both", ""),
    "two deduplications": (
        r"(    - dedup.*\n)",
        r"\1\1",
        5,
        "`deduplication` is given twice",
        "",
    ),
    "two steps in one": (r"version_by: updated_at\}", r"version_by: updated_at}\n      late: {}", 7, "exactly one", ""),
    "a rule on the wrong type": (
        r"\Z",
        "    - data_quality: {rules: [{field: amount, check: valid_email}]}\n",
        8,
        "the rule valid_email",
        "",
    ),
    "a rule that is no expression": (
        r"\Z",
        "    - data_quality: {rules: [{check: amount >}]}\n",
        8,
        "the rule amount >",
        "",
    ),
    "an expression over no field": (
        r"\Z",
        "    - data_quality: {rules: [{check: amont > 0}]}\n",
        8,
        "no field 'amont'",
        "did you mean 'amount'?",
    ),
    "a rule without what it needs": (
        r"\Z",
        "    - data_quality: {rules: [{field: amount, check: accepted_values}]}\n",
        8,
        "accepted_values needs `values`",
        "",
    ),
    "a secret of no store": (
        r"event_streaming\}",
        "event_streaming, secret_name: secret://vault/x}",
        2,
        "no store",
        "env",
    ),
    "keys of both forms": (
        r"event_time:",
        "schedule: 0 3 * * *\nevent_time:",
        4,
        "unknown key 'schedule'",
        "into `ingestion:`",
    ),
    "not a mapping at all": (r"(?s)\A.*\Z", "- orders\n", 1, "a source file is a mapping", "source_id: orders"),
    "a mart that is not SQL": (r"\Z", "  silver_to_gold: [{filter: 'amount >'}]\n", 8, "not", ""),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.replace(" ", "_"))
def test_a_fault_is_found_at_its_line_with_what_to_type(shop, orders, case):
    pattern, replacement, line, message, fix = CASES[case]
    text = re.sub(pattern, replacement, orders, count=1)
    assert text != orders
    shop.source(text)
    found = errors(shop)
    assert [(fault.file, fault.line) for fault in found] == [("connectors/orders.yaml", line)], found
    assert message in found[0].message
    assert fix in found[0].fix
    with pytest.raises(ConfigError) as raised:
        load_project(shop.root)
    assert (raised.value.message, raised.value.at) == (found[0].message, f"connectors/orders.yaml:{line}")


def test_all_faults_of_all_files_come_at_once(shop, orders):
    shop.write("headrace.yaml", "name: shop\nnmae: 2\nbindings: [1]\n")
    shop.source(orders.replace("[order_id]", "[nope]").replace("event_time: ordered_at", "event_time: never\nextra: 1"))
    shop.source("source_id: broken\n  x: [", "broken")
    shop.source("source_id: flat\npatern: event_streaming\nmessage_format: yaml\n", "flat")
    assert [(fault.file, fault.line) for fault in errors(shop)] == [
        ("headrace.yaml", 2),
        ("headrace.yaml", 3),
        ("connectors/broken.yaml", 2),
        ("connectors/flat.yaml", 2),
        ("connectors/flat.yaml", 3),
        ("connectors/orders.yaml", 4),
        ("connectors/orders.yaml", 5),
        ("connectors/orders.yaml", 8),
    ]


def test_a_key_that_is_not_there_hides_no_fault_of_the_rules_and_pushes(shop, orders):
    rules = "    - data_quality: {rules: [{field: amount, check: positiv}]}\n"
    push = "serving: {push: [{name: x, filter: {statsu: open}, topic: t}]}\n"
    shop.source(orders.replace("[order_id]", "[orderid]").replace("ordered_at", "orderd_at") + rules + push)
    said = [(fault.message, fault.line) for fault in lint(shop.root) if fault.severity == "error"]
    assert said == [
        ("event_time: the contract has no field 'orderd_at'", 4),
        ("key: the contract has no field 'orderid'", 7),
        ("the rule positiv: no check named 'positiv'", 8),
        ("the push x: the contract has no field 'statsu'", 9),
    ]


def test_a_mistyped_key_is_not_also_missing(shop):
    shop.source("source_id: flat\npatern: event_streaming\n", "flat")
    (fault,) = errors(shop)
    assert (fault.message, fault.fix) == ("unknown key 'patern'", "did you mean 'pattern'?")


def test_the_same_id_twice(shop, orders):
    shop.source(orders)
    shop.write("connectors/orders.yml", orders)
    (fault,) = errors(shop)
    assert (fault.file, fault.line) == ("connectors/orders.yml", 1)
    assert "the source_id 'orders' is taken by connectors/orders.yaml" in fault.message


def test_links_that_leave_the_project(shop, orders, tmp_path):
    outside = tmp_path / "outside.json"
    outside.write_text('{"type": "object"}')
    (shop.root / "schemas/linked.json").symlink_to(outside)
    shop.source(orders.replace("orders.json", "linked.json"))
    (fault,) = errors(shop)
    assert "leaves the project" in fault.message
    foreign = tmp_path / "foreign.yaml"
    foreign.write_text("source_id: foreign\npattern: event_streaming\n")
    (shop.root / "connectors/foreign.yaml").symlink_to(foreign)
    assert "a link that leaves the project" in errors(shop)[0].message


def test_a_bound_folder_may_lie_outside(shop, orders, tmp_path):
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts/orders.json").write_text((shop.root / "schemas/orders.json").read_text())
    shop.source(orders.replace("schemas/orders.json", "../contracts/orders.json"))
    assert "leaves the project" in errors(shop)[0].message
    shop.write("headrace.yaml", "name: shop\nbindings: {gs://contracts/: ../contracts}\n")
    assert errors(shop) == []


@pytest.mark.parametrize(
    ("schema", "line", "message"),
    [
        ('{\n "type": "object",\n}', 3, "not valid JSON"),
        ('{"type": "object", "type": "object"}', 1, "the key 'type' is there twice"),
        ("[]", 1, "a schema is a JSON object"),
        ("[" * 100_000, 1, "not a usable JSON document"),
        ('{\n "properties": {\n  "order_id": {"type": "strin"}\n }\n}', 3, "unknown type 'strin'"),
        (b'{"a": "\xff"}', 1, "not UTF-8"),
    ],
)
def test_a_schema_that_cannot_be_used_is_shown_in_its_own_file(shop, schema, line, message):
    shop.source("source_id: orders\npattern: event_streaming\nschema_file: schemas/orders.json\n")
    shop.write("schemas/orders.json", schema)
    (fault,) = errors(shop)
    assert (fault.file, fault.line) == ("schemas/orders.json", line)
    assert message in fault.message


def test_a_schema_that_is_missing_leaves_bronze_where_nothing_depends_on_it(shop):
    shop.source("source_id: orders\npattern: event_streaming\nschema_file: schemas/later.json\n")
    (fault,) = lint(shop.root, environ={})
    assert (fault.severity, fault.line) == ("warning", 3)
    assert load_project(shop.root).source("orders").datasets == ()


def test_one_schema_for_several_tables(shop):
    shop.source("source_id: bank\npattern: database_cdc\nschema_file: schemas/orders.json\ntables: [a, b]\n", "bank")
    (fault,) = errors(shop)
    assert (fault.line, fault.message) == (3, "one schema cannot describe several tables")


def test_two_sources_that_make_one_table(shop):
    shop.write("schemas/a__b.json", "{}")
    shop.source("source_id: a__b\npattern: event_streaming\nschema_file: schemas/a__b.json\n", "a__b")
    shop.source("source_id: a\npattern: database_cdc\ntables: [b]\n", "a")
    assert [fault.message for fault in errors(shop)] == ["the dataset 'a__b' is also made by connectors/a.yaml"]


@pytest.mark.parametrize(
    ("project", "line", "message", "fix"),
    [
        ("nme: shop\n", 1, "unknown key 'nme'", "did you mean 'name'?"),
        ("name: My Shop\n", 1, "cannot name a project", ""),
        ("- shop\n", 1, "the project file is a mapping", "name:"),
        ("name: shop\nenvironments: {local: {bindngs: {}}}\n", 2, "unknown key 'bindngs'", "did you mean 'bindings'?"),
        ("name: shop\nenvironments:\n  Prod: {}\n", 3, "cannot name an environment", ""),
        ("name: shop\ndefaults:\n  batch_rows: 0\n", 3, "greater than or equal to 1", "a larger number"),
        ("name: shop\ndefaults:\n  timezone: Mars/Base\n", 3, "is not a time zone", ""),
        ("name: shop\ndefault_environment: gcp\n", 2, "'gcp' is not among the environments", "local"),
        ("name: shop\nenvironments:\n  local:\n    sources:\n      order: {}\n", 5, "no source 'order'", "'orders'"),
        (
            "name: shop\nenvironments:\n  local:\n    sources:\n      orders:\n        monitoring: {sla_minutes: x}\n",
            6,
            "should be a valid integer",
            "a whole number",
        ),
    ],
)
def test_faults_of_the_project_file(shop, orders, project, line, message, fix):
    shop.source(orders)
    shop.write("headrace.yaml", project)
    (fault,) = errors(shop)
    assert (fault.file, fault.line) == ("headrace.yaml", line)
    assert message in fault.message
    assert fix in fault.fix


def test_bindings_that_stand_for_nothing(shop):
    shop.write(
        "headrace.yaml",
        """\
        name: shop
        bindings:
          gs://landing/: ./landing/
          gs://drops/: ftq://elsewhere/
        environments:
          local:
            bindings:
              gs://more/: file://./more
        """,
    )
    faults = lint(shop.root, environ={})
    assert [(fault.severity, fault.line) for fault in faults] == [("warning", 3), ("warning", 4), ("warning", 8)]
    assert faults[0].fix == "mkdir -p ./landing/"
    (shop.root / "landing").mkdir()
    assert len(lint(shop.root, environ={})) == 2


def test_secrets_that_are_not_there_are_warnings_and_their_values_stay_out(shop):
    shop.source(
        """\
        source_id: charges
        pattern: streaming_api
        secret_name: secret://env/CHARGES_KEY
        """,
        "charges",
    )
    missing = [fault for fault in lint(shop.root, environ={}) if "CHARGES_KEY" in fault.message]
    assert [(fault.severity, fault.line) for fault in missing] == [("warning", 3)]
    found = lint(shop.root, environ={"CHARGES_KEY": "canary-81f3"})
    assert not [fault for fault in found if "CHARGES_KEY" in fault.message]
    assert "canary-81f3" not in repr(found)


LANDS = "source_id: orders\npattern: batch_file\n"


@pytest.mark.parametrize(
    ("source", "message", "fix"),
    [
        (LANDS, "nothing says where the files", "location: landing/orders/"),
        (LANDS + "location: landing/orders/\n", "the folder landing/orders does not exist", "mkdir -p landing/orders"),
        (LANDS + "location: ../elsewhere/\n", "leads out of the project", "bindings"),
        (LANDS + "location: /etc\n", "leads out of the project", "bindings"),
        (LANDS + "location: gs://zone/orders/\n", "no binding says what gs://zone/orders/ stands for", "bindings"),
    ],
)
def test_where_files_land_is_looked_at(shop, source, message, fix):
    shop.source(source)
    (found,) = [each for each in lint(shop.root, environ={}) if "schema" not in each.message]
    assert (found.severity, found.file) == ("warning", "connectors/orders.yaml")
    assert message in found.message
    assert fix in found.fix


def test_a_watched_folder_that_is_there_is_no_fault(shop):
    shop.source(LANDS + "location: gs://zone/orders/\nschedule: '0 3 * * *'\nformat: csv\ncompression: gzip\n")
    shop.write("headrace.yaml", "name: shop\nbindings: {gs://zone/: ./landing/}\n")
    shop.write("landing/orders/a.csv", "")
    assert [each for each in lint(shop.root, environ={}) if "schema" not in each.message] == []
