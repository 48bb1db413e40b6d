"""What to write so that framed messages may name versions is told where it may be written."""

import json

import pytest

from headrace.api.registry.ids import given
from headrace.api.registry.iglu import schema_at
from headrace.api.registry.refusal import Refusal
from headrace.config.lint import lint
from headrace.config.project import load_project

SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}}}


@pytest.fixture
def root(tmp_path):
    own = {"vendor": "com.shop", "name": "order", "format": "jsonschema", "version": "1-0-0"}
    for file, text in {
        "headrace.yaml": "name: lab\n",
        "connectors/shop.yaml": (
            "source_id: shop\ningestion:\n  pattern: database_cdc\n  tables:\n  - name: orders\n  - name: visits\n"
        ),
        "connectors/wrapped.yaml": (
            "source_id: wrapped\ningestion: {pattern: event_streaming}\nschema: {iglu: com.shop/order}\n"
        ),
        "schemas/shop__orders.json": json.dumps(SCHEMA),
        "schemas/shop__visits.json": json.dumps(SCHEMA | {"title": "Visit"}),
        "iglu/schemas/com.shop/order/jsonschema/1-0-0": json.dumps(SCHEMA | {"self": own}),
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    return tmp_path


def test_ids_are_listed_at_the_table_that_has_them(root):
    orders, visits, wrapped = given(load_project(root, environ={}), None)["subjects"]
    assert [each["at"] for each in (orders, visits)] == ["ingestion.tables.0", "ingestion.tables.1"]
    assert wrapped["yaml"] is None, "an envelope names the version"
    file = root / "connectors/shop.yaml"
    for each, table in ((orders, "orders"), (visits, "visits")):
        file.write_text(file.read_text().replace(f"- name: {table}\n", f"- name: {table}\n    {each['yaml']}\n"))
    assert [each for each in lint(root, environ={}) if each.severity == "error"] == []
    again = given(load_project(root, environ={}), "shop")["subjects"]
    assert [[one["listed"] for one in each["versions"]] for each in again] == [[[1]], [[2]]]


def test_an_iglu_schema_is_handed_out_and_no_name_is_an_error_of_ours(root):
    assert schema_at(root, "com.shop", "order", "jsonschema", "1-0-0")["properties"] == SCHEMA["properties"]
    for vendor, name, version in (("com.shop", "o" * 300, "1-0-0"), ("v" * 4000, "o", "1-0-0"), ("..", "o", "1-0-0"),
                                  ("com.shop", "order", "1" * 3000 + "-0-0")):  # fmt: skip
        with pytest.raises(Refusal) as refused:
            schema_at(root, vendor, name, "jsonschema", version)
        assert refused.value.status == 404
