"""Rules for contracts: each breach at its line, exceptions, and policies that are wrong themselves."""

import json

import pytest

from headrace.config.contract_policy import POLICY_FILE
from headrace.config.lint import lint

SOURCE = """\
source_id: orders
owner: commerce
ingestion: {pattern: event_streaming}
schema: {file: schemas/orders.json}
"""
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "orderId": {"type": "string", "description": "its number"},
            "customerEmail": {"type": "string"},
            "at": {"type": "string", "format": "date-time"},
            "lines": {"type": "array", "items": {"properties": {"Sku": {"type": "string", "description": "which"}}}},
            "who": {"x-pii": True, "properties": {"phone": {"type": "string"}}},
            "ship": {"type": "string", "x-pii": False},
        },
    },
    indent=1,
)


@pytest.fixture
def told(shop):
    shop.source(SOURCE)
    shop.write("schemas/orders.json", SCHEMA)

    def tell(policy):
        shop.write(POLICY_FILE, policy)
        return [
            (each.severity, each.file, each.line, each.message.removesuffix(")").split(f" ({POLICY_FILE}: "), each.fix)
            for each in lint(shop.root, environ={})
        ]

    return tell


def line(text):
    return 1 + SCHEMA.splitlines().index(next(each for each in SCHEMA.splitlines() if f'"{text}"' in each))


S, C = "schemas/orders.json", "connectors/orders.yaml"
BREACHES = {
    "source_names: 'sales_.*'": [(C, 1, "the name orders does not match sales_.*", "rename the source")],
    "field_names: '[a-z_]+'": [
        (S, line("orderId"), "the field orderId does not match [a-z_]+", "rename it, in a new version"),
        (S, line("customerEmail"), "the field customerEmail does not match [a-z_]+", "rename it, in a new version"),
        (S, line("Sku"), "the field lines.Sku does not match [a-z_]+", "rename it, in a new version"),
    ],
    "required_fields: [at, order_id]": [
        (S, 1, "the contract of orders has no field order_id", "did you mean 'orderId'?")
    ],
    "owner: true": [],
    "key: true": [(C, 1, "orders has no key", "add `- deduplication: {key: […]}` to processing.bronze_to_silver")],
    "event_time: true": [(C, 1, "orders has no event time", "add `event_time: FIELD`")],
    "descriptions: 25": [],
    "descriptions: 30": [
        (
            S,
            line("customerEmail"),
            "25% of the fields have a description, and 30% should",
            "describe customerEmail, at, lines, who, …",
        )
    ],
    "pii_names: common": [
        (
            S,
            line("customerEmail"),
            "the field customerEmail looks personal (email), and has no tag",
            'add `"x-pii": true`; or `false`, where it is not',
        )
    ],
    "pii_names: [order id, ship]": [
        (
            S,
            line("orderId"),
            "the field orderId looks personal (order id), and has no tag",
            'add `"x-pii": true`; or `false`, where it is not',
        )
    ],
}


@pytest.mark.parametrize("policy", BREACHES)
def test_each_breach_is_told_at_its_line(told, policy):
    rule = policy.split(":")[0]
    found = told(policy + "\n")
    assert [(file, at, message[0], fix) for _, file, at, message, fix in found] == BREACHES[policy]
    assert all((severity, message[1]) == ("error", rule) for severity, _, _, message, _ in found)
    assert all(each[0] == "warning" for each in told(f"{policy}\nseverity: warning\n"))
    assert told(f"{policy}\nexcept: {{orders: [{rule}]}}\n") == []
    assert told(f"{policy}\nexcept: {{orders: all}}\n") == []


def test_the_fields_form_has_lines_too(told, shop):
    fields = [
        {"name": "Id", "type": "STRING"},
        {"name": "r", "type": "RECORD", "fields": [{"name": "S", "type": "STRING"}]},
    ]
    shop.write("schemas/orders.json", json.dumps({"source_id": "orders", "fields": fields}, indent=1))
    found = told("field_names: '[a-z]+'")
    assert [(at, message[0].split(" does")[0]) for _, _, at, message, _ in found] == [
        (4, "the field Id"),
        (12, "the field r.S"),
    ]


def test_an_owner_that_is_missing(told, shop):
    shop.source(SOURCE.replace("owner: commerce\n", ""))
    assert [(each[1], each[2], each[3][0]) for each in told("owner: true\n")] == [(C, 1, "orders has no owner")]


WRONG = {
    "owner: true\nfield_name: x\n": (2, "unknown key 'field_name'", "did you mean 'field_names'?"),
    "field_names: '['\n": (1, "'[' is no regular expression", "write one without"),
    "field_names: '(a+)+b\\1'\n": (1, "is no regular expression that runs in linear time", "write one without"),
    "field_names: '(?=a)b'\n": (1, "is no regular expression that runs in linear time", "write one without"),
    "field_names: '((a{1,1000}){1,1000}){1,1000}'\n": (1, "is no regular expression that runs in", "write one without"),
    "descriptions: 101\n": (1, "descriptions", ""),
    "owner: maybe\n": (1, "owner", ""),
    "except: {order: all}\n": (1, "no source 'order'", "did you mean 'orders'?"),
    "except:\n  orders: [field_nams]\n": (2, "'field_nams' is not allowed", "'field_names'"),
    "- owner\n": (1, "a policy is a mapping", "start it with `owner: true`"),
    "owner: [\n": (1, "not valid YAML", "check quotes"),
}


@pytest.mark.parametrize("policy", WRONG)
def test_a_policy_that_is_wrong_itself(told, policy):
    at, message, fix = WRONG[policy]
    ((severity, file, found, (said, *_), advice),) = told(policy)
    assert (severity, file, found) == ("error", POLICY_FILE, at)
    assert message in said
    assert fix in advice


def test_what_would_run_away_does_not(told, shop):
    """Of a name of ninety letters, Python's engine would not come back from this expression."""
    shop.write("schemas/orders.json", json.dumps({"properties": {"a" * 90 + "!": {"type": "string"}}}))
    assert len(told("field_names: '(a+)+'\n")) == 1
