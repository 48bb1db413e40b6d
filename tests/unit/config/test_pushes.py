"""Pushes in the files of a project: what loads, and each fault at its line."""

import pytest

from headrace.config.lint import lint
from headrace.config.project import load_project

CANARY = "whsec_c4n4ry"


def with_pushes(shop, orders, *pushes, project="name: shop\n"):
    shop.write("headrace.yaml", project)
    shop.source(orders + "serving:\n  push:\n" + "".join(f"  - {each}\n" for each in pushes))


def faults(shop, severity="error"):
    return [each for each in lint(shop.root, environ={"KEY": "x"}) if each.severity == severity]


def test_a_push_is_read_as_it_is_written(shop, orders):
    with_pushes(
        shop,
        orders,
        "{name: desk, filter: {order_id: [a, b], 'items[].price': 3}, to: 'https://example.org/h', "
        "secret: [secret://env/KEY, secret://env/OLD], max_events: 10, retry: {timeout: 3s}}",
        "{name: stream, where: amount > 100, topic: large-orders}",
        "{name: bad, on: quarantined, filter: {stage: contract}, to: 'http://localhost:9000', secret: secret://env/KEY}",
    )
    desk, stream, bad = load_project(shop.root).source("orders").spec.serving.push
    assert desk.filter == {"order_id": ("a", "b"), "items[].price": 3}
    assert desk.secret == ("secret://env/KEY", "secret://env/OLD")
    assert (desk.body, stream.body) == ("event", "data")
    assert desk.retry.timeout.total_seconds() == 3
    assert bad.on == "quarantined"
    assert not faults(shop)


@pytest.mark.parametrize(
    ("push", "said", "fix"),
    [
        ("{name: desk}", "endpoint or to a topic", "give one of"),
        ("{name: desk, to: 'https://a.org', topic: t}", "endpoint or to a topic", "give one of"),
        ("{name: Desk, topic: t}", "cannot name a push", ""),
        ("{name: d, to: 'ftp://a.org'}", "not a URL of http", "write such as"),
        ("{name: d, to: 'https://me:pw@a.org'}", "does not carry credentials", "use `headers"),
        ("{name: d, to: 'https://a.org/#x'}", "fragment", ""),
        ("{name: d, to: 'http://a.org/'}", "without TLS", "plain_http: [a.org]"),
        ("{name: d, to: 'https://10.0.0.7/', secret: secret://env/KEY}", "private address", "networks: [10.0.0.7]"),
        ("{name: d, to: 'https://169.254.169.254/', secret: secret://env/KEY}", "private address", "networks:"),
        ("{name: d, to: 'https://[fd00::1]/', secret: secret://env/KEY}", "private address", "networks:"),
        ("{name: d, to: 'https://[::ffff:10.0.0.1]/', secret: secret://env/KEY}", "private address", "networks:"),
        (f"{{name: d, to: 'https://a.org', secret: {CANARY}}}", "a secret is never written", "write a reference"),
        (f"{{name: d, to: 'https://a.org', secret: [{CANARY}]}}", "a secret is never written", "write a reference"),
        (f"{{name: d, to: 'https://a.org', headers: {{Authorization: {CANARY}}}}}", "never written", "write a ref"),
        ("{name: d, to: 'https://a.org', headers: {Webhook-Id: x}}", "ours to set", ""),
        ("{name: d, to: 'https://a.org', secret: secret://vault/x}", "names no store", ""),
        ("{name: d, topic: t, secret: secret://env/KEY}", "a topic takes neither", ""),
        ("{name: d, topic: t, on: batch, filter: {a: 1}}", "a commit has no fields", ""),
        ("{name: d, topic: t, filter: {amunt: 1}}", "no field 'amunt'", "did you mean 'amount'?"),
        ("{name: d, topic: t, filter: {amount: ten}}", "amount is double", ""),
        ("{name: d, topic: t, where: amount}", "not true or false", "compare it"),
        ("{name: d, topic: t, where: amount > random()}", "rand is not allowed", ""),
        ("{name: d, topic: t, on: quarantined, filter: {sourc: x}}", "sourc", "did you mean 'source'?"),
        ("{name: d, topic: t, max_events: 0}", "max_events", "write a larger number"),
        ("{name: d, topic: t, retry: {timeout: 0s}}", "timeout is more than nothing", "write such as 1s"),
        ("{name: d, topic: t, filters: {a: 1}}", "unknown key 'filters'", "did you mean 'filter'?"),
    ],
)
def test_what_is_wrong_with_a_push_is_said_at_its_line(shop, orders, push, said, fix):
    with_pushes(shop, orders, "{name: fine, topic: fine}", push)
    found = faults(shop)
    assert len(found) == 1, found
    assert (found[0].file, found[0].line) == ("connectors/orders.yaml", 11)
    assert said in found[0].message
    assert fix in found[0].fix
    assert CANARY not in str(found[0])


def test_two_pushes_of_one_name(shop, orders):
    with_pushes(shop, orders, "{name: a, topic: t}", "{name: a, topic: u}")
    assert "two pushes are called 'a'" in faults(shop)[0].message


def test_what_the_project_allows_may_be_reached(shop, orders):
    with_pushes(
        shop,
        orders,
        "{name: a, to: 'http://10.1.2.3/x', secret: secret://env/KEY}",
        project="name: shop\npush: {networks: [10.1.0.0/16], plain_http: [10.1.2.3]}\n",
    )
    assert not faults(shop)


@pytest.mark.parametrize(
    ("section", "line", "said"),
    [
        ("push: {networks: [here]}", 2, "is not a network"),
        ("push: {gold: [{name: a}]}", 2, "builds are told to an endpoint"),
        ("push:\n  gold:\n  - {name: a, to: 'http://a.org'}", 4, "without TLS"),
        ("push:\n  gold:\n  - {name: a, to: 'https://a.org'}\n  - {name: a, to: 'https://b.org'}", 5, "two pushes"),
        ("push:\n  gold:\n  - {name: a, to: 'https://a.org', secret: secret://nowhere/x}", 4, "names no store"),
        ("push:\n  gold:\n  - {name: a, to: 'https://a.org', secret: plain}", 4, "never written"),
    ],
)
def test_faults_of_what_holds_for_all_pushes(shop, orders, section, line, said):
    shop.source(orders)
    shop.write("headrace.yaml", f"name: shop\n{section}\n")
    (fault,) = faults(shop)
    assert (fault.file, fault.line) == ("headrace.yaml", line)
    assert said in fault.message


def test_topics_that_lead_back_are_a_fault_and_topics_that_nobody_reads_a_warning(shop, orders):
    with_pushes(shop, orders, "{name: on, topic: second}", "{name: alone, topic: nowhere}")
    other = (
        "source_id: {0}\ningestion: {{pattern: event_streaming, topic: {0}}}\nschema: {{file: schemas/orders.json}}\n"
    )
    shop.source(other.format("second") + "serving:\n  push:\n  - {name: on, topic: third}\n", "second")
    shop.source(other.format("third"), "third")
    assert not faults(shop)
    assert [each.line for each in faults(shop, "warning") if "no source reads the topic nowhere" in each.message] == [
        11
    ]
    shop.source(other.format("third") + "serving:\n  push:\n  - {name: back, topic: orders}\n", "third")
    assert {each.file for each in faults(shop)} == {f"connectors/{name}.yaml" for name in ("orders", "second", "third")}
    assert any("orders → second → third → orders" in each.message for each in faults(shop))


def test_a_push_that_cannot_be_trusted_is_warned_of(shop, orders):
    with_pushes(shop, orders, "{name: a, to: 'https://a.org'}", "{name: b, to: secret://env/KEY}")
    assert ["is not signed" in each.message for each in faults(shop, "warning")] == [True]


def test_of_several_tables_those_that_have_the_field_are_looked_at(shop):
    shop.write("schemas/db__one.json", '{"type": "object", "properties": {"id": {"type": "string"}}}')
    shop.write(
        "schemas/db__two.json",
        '{"type": "object", "properties": {"id": {"type": "string"}, "status": {"type": "string"}}}',
    )
    text = "source_id: db\ningestion: {pattern: database_cdc, tables: [one, two]}\nserving:\n  push:\n"
    shop.source(text + "  - {name: a, topic: t, filter: {status: x}}\n", "db")
    assert not faults(shop)
    shop.source(text + "  - {name: a, topic: t, filter: {state: x}}\n", "db")
    assert "state" in faults(shop)[0].message
