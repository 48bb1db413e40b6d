"""`schema.iglu`: the versions of a schema in static repositories are those of the contract."""

import json

import pytest

from headrace.config.lint import lint
from headrace.config.project import load_project
from headrace.contracts.load import _SELF_DESCRIBING
from headrace.contracts.versions import next_major

SOURCE = """\
source_id: orders
ingestion: {pattern: event_streaming}
schema:
  iglu: IGLU
"""
ORDER = "iglu/schemas/com.shop/order/jsonschema"


def schema(version, *names, own=()):
    said = {"vendor": "com.shop", "name": "order", "format": "jsonschema", "version": version} | dict(own)
    properties = {name: {"type": "string"} for name in names}
    uri = f"http://iglucentral.com/schemas/{_SELF_DESCRIBING}0#"
    return json.dumps({"$schema": uri, "self": said, "type": "object", "properties": properties}, indent=1)


def source(shop, iglu="com.shop/order", more=""):
    shop.source(SOURCE.replace("IGLU", iglu) + more)


def faults(shop):
    return [(each.severity, each.file, each.line, each.message, each.fix) for each in lint(shop.root, environ={})]


def versions(shop):
    (dataset,) = load_project(shop.root, environ={}).source("orders").datasets
    return [(each.name, each.file) for each in dataset.versions]


@pytest.fixture
def orders(shop):
    shop.write(f"{ORDER}/1-0-0", schema("1-0-0", "id"))
    shop.write(f"{ORDER}/1-0-1", schema("1-0-1", "id", "note"))
    source(shop)
    return shop


def test_the_versions_are_those_of_the_folder(orders):
    orders.write(f"{ORDER}/README", "no version")
    assert faults(orders) == []
    project = load_project(orders.root, environ={})
    (dataset,) = project.source("orders").datasets
    assert versions(orders) == [("1-0-0", f"{ORDER}/1-0-0"), ("1-0-1", f"{ORDER}/1-0-1")]
    assert [(each.declared, each.lifecycle) for each in dataset.versions] == [(True, "stable")] * 2
    assert dataset.contract.version.startswith("1-0-1-")
    assert dataset.is_versioned
    assert str(dataset.iglu) == "iglu:com.shop/order/jsonschema"
    assert {f"{ORDER}/1-0-0", f"{ORDER}/1-0-1"} <= project.files.keys()  # a rebuild has them


def test_another_model_needs_steps_or_a_source_of_its_own(orders):
    orders.write(f"{ORDER}/2-0-0", schema("2-0-0", "order_id"))
    assert [each[3] for each in faults(orders)] == ["2-0-0 does not have id, note of 1-0-1"]
    for written in ("com.shop/order/jsonschema/1-*-*", "{schema: 'iglu:com.shop/order/jsonschema/1-*-*'}"):
        source(orders, written)
        assert faults(orders) == []
        assert [name for name, _ in versions(orders)] == ["1-0-0", "1-0-1"]
    source(orders, more="  upcast: {1-0-1: [rename: {id: order_id}, drop: [note]]}\n")
    assert [each for each in faults(orders) if each[0] == "error"] == []
    assert next_major((1, 0, 1), "1-0-1") == "2-0-0"


def test_the_first_repository_that_has_a_version_gives_it(orders):
    orders.write("vendored/schemas/com.shop/order/jsonschema/1-0-1", schema("1-0-1", "id", "other"))
    orders.write("vendored/schemas/com.shop/order/jsonschema/1-1-0", schema("1-1-0", "id", "note"))
    source(orders, "{schema: com.shop/order, repositories: [iglu, vendored/, https://iglu.example]}")
    assert [file.split("/")[0] for _, file in versions(orders)] == ["iglu", "iglu", "vendored"]


def test_a_link_out_of_the_project_is_not_followed(shop, tmp_path):
    outside = tmp_path / "outside"
    (outside / "order/jsonschema").mkdir(parents=True)
    (outside / "order/jsonschema/1-0-0").write_text(schema("1-0-0", "id"))
    (shop.root / "iglu/schemas").mkdir(parents=True)
    (shop.root / "iglu/schemas/com.shop").symlink_to(outside)
    source(shop)
    assert [each[3] for each in faults(shop)] == ["no repository has a version of iglu:com.shop/order/jsonschema"]


WRONG = {
    "no schema": ("orders", 4, "'orders' names no schema of Iglu"),
    "one version": ("com.shop/order/jsonschema/1-0-0", 4, "names no schema of Iglu"),
    "another vendor": ("com.shop/orders", 4, "no repository has a version of iglu:com.shop/orders/jsonschema"),
    "only a URL": ("{schema: com.shop/order, repositories: ['https://iglu.example']}", 4, "no repository is a folder"),
    "out of the project": ("{schema: com.shop/order, repositories: [iglu/../../x]}", 4, "is no folder of the project"),
    "a root": ("{schema: com.shop/order, repositories: [/etc]}", 4, "is no folder of the project"),
    "a name too long": ("com.shop/" + "a" * 5000, 4, "no repository has a version of"),
    "no URL": ("{schema: com.shop/order, repositories: ['ftp://x', iglu]}", 4, "'ftp://x' is no repository"),
    "two contracts": ("com.shop/order\n  file: schemas/orders.json", 3, "give `file` or `iglu`, not both"),
    "two names": ("com.shop/order\n  version_from: {field: v}", 3, "events name their version in Iglu's envelope"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_where_it_stands(orders, name):
    written, line, message = WRONG[name]
    source(orders, written)
    ((_, file, at, said, fix),) = [each for each in faults(orders) if each[0] == "error"]
    assert (file, at) == ("connectors/orders.yaml", line), said
    assert message in said
    assert fix or "not both" in said or "version_from" in said


def test_records_of_csv_have_no_envelope(orders):
    source(orders)
    file = orders.root / "connectors/orders.yaml"
    file.write_text(file.read_text().replace("event_streaming", "event_streaming, message_format: csv"))
    ((_, _, line, message, fix),) = faults(orders)
    assert (line, message) == (4, "self-describing events are JSON, and messages of this source are csv")
    assert fix == "write `message_format: json`"


def test_links_that_go_in_circles_are_no_repository(shop):
    (shop.root / "iglu").symlink_to("iglu")
    source(shop)
    assert [each[3] for each in faults(shop)] == ["no repository has a version of iglu:com.shop/order/jsonschema"]


@pytest.mark.parametrize("said", ["<<<<<<< ours", "[]", '{"1-0-0": "x"}', '{"1-0-0": {"from": "x"}}'])
def test_digests_that_cannot_be_read_are_told(orders, said):
    orders.write(f"{ORDER}/fetched.json", said)
    ((_, file, _, message, _),) = faults(orders)
    assert file.startswith(f"{ORDER}/1-0-")
    assert "what was fetched" in message


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"vendor": "org.x"}, "its path says vendor com.shop, and its `self` org.x"),
        ({"version": "1-0-2"}, "its path says version 1-0-1, and its `self` 1-0-2"),
    ],
)
def test_a_file_describes_what_its_path_says(orders, own, said):
    orders.write(f"{ORDER}/1-0-1", schema("1-0-1", "id", own=own))
    assert faults(orders) == [("error", f"{ORDER}/1-0-1", 3, said, "correct `self`, or move the file")]
    source(orders, "{schema: com.shop/order, repositories: [iglu, https://iglu.example]}")
    orders.root.joinpath(ORDER, "1-0-1").unlink()
    orders.root.joinpath(ORDER, "1-0-0").unlink()
    assert faults(orders)[0][4].startswith("headrace contract fetch orders; or put its versions into iglu/")
