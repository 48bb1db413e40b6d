"""`headrace contract`: what there is, what was applied with how many events, and a file edited without harm."""

import json

import pytest

from headrace.cli.contract_versions import deprecate, history, list_, show
from headrace.config.deprecating import deprecated
from headrace.config.files import parse_yaml
from headrace.config.project import load_project
from headrace.errors import ConfigError, ContractError
from headrace.runtime import building
from living import lived, messages, sqlite_bus

SOURCE = """\
# what the shop sells
source_id: orders   # never rename it
owner: "commerce"
ingestion: {pattern: event_streaming, message_format: json}
schema:
  file: schemas/orders.json   # the newest
  upcast:
    v1:
    - rename: {ident: id}     # v1 said ident

processing:
  bronze_to_silver:
  - deduplication: {key: [id]}
"""


def schema(name):
    return {
        "type": "object",
        "required": [name],
        "properties": {name: {"type": "string"}},
        "additionalProperties": False,
    }


@pytest.fixture
def shop(tmp_path):
    for folder in ("connectors", "schemas/orders"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "headrace.yaml").write_text("name: shop\ndefaults: {freshness_secs: 0}\n")
    (tmp_path / "connectors/orders.yaml").write_text(SOURCE)
    (tmp_path / "schemas/orders.json").write_text(json.dumps(schema("id")))
    (tmp_path / "schemas/orders/v1.json").write_text(json.dumps(schema("ident")))
    return tmp_path


def told(capsys, act, *given, **more):
    act(*given, **more, as_json=True)
    return json.loads(capsys.readouterr().out)


def test_versions_with_their_events(shop, capsys):
    listed = told(capsys, list_, project=shop)["versions"]
    assert [(each["version"], each["applied_at"], each["events"]) for each in listed] == [
        ("v2", None, 0),
        ("v1", None, 0),
    ]
    project = load_project(shop)
    with sqlite_bus(project) as bus:
        bus.publish("orders", messages([{"id": "a"}, {"ident": "b"}, {"ident": "c"}, {"ident": "c"}, {"x": 1}]))
        lived(project, bus)
    listed = told(capsys, list_, project=shop)["versions"]
    assert [
        (each["version"], each["newest"], each["lifecycle"], each["owner"], each["events"], each["silver"])
        for each in listed
    ] == [("v2", True, "stable", "commerce", 2, 1), ("v1", False, "stable", "commerce", 3, 2)]
    rows = told(capsys, history, "orders", project=shop)["applied"]
    assert [(row["version"], row["lifecycle"], row["events"], row["quarantined"]) for row in rows] == [
        ("1", "stable", 3, 0),
        ("2", "stable", 2, 1),
    ]
    assert rows[0]["deployment"] == project.digest
    history("orders", project=shop)
    list_(project=shop)
    text = capsys.readouterr().out
    assert "v2 (newest)" in text
    assert rows[0]["contract_version"] in text
    deprecate("orders", "v1", until="2099-03-01", project=shop)
    project = load_project(shop)
    with sqlite_bus(project) as bus:
        lived(project, bus)
    capsys.readouterr()
    history("orders", project=shop)
    list_(project=shop)
    text = capsys.readouterr().out
    assert text.count("2099-03-01") == 2
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_a_schema_as_it_is_and_as_it_was_applied(shop, capsys):
    building.bring_in(load_project(shop))
    (shop / "schemas/orders/v1.json").write_text(json.dumps(schema("ident") | {"required": []}))
    assert told(capsys, show, "orders", "1", project=shop)["document"]["required"] == []
    applied = told(capsys, show, "orders", "v1", applied=True, project=shop)
    assert (applied["document"], applied["lifecycle"]) == (schema("ident"), "stable")
    (shop / "schemas/orders/v1.json").write_text("")  # what a shell has done when `show … > v1.json` begins
    show("orders", "v1", applied=True, project=shop)
    assert json.loads(capsys.readouterr().out) == schema("ident")
    assert told(capsys, show, "orders", applied=True, project=shop)["version"] == "2"
    (shop / "schemas/orders/v1.json").write_text(json.dumps(schema("ident")))
    assert told(capsys, show, "orders", project=shop)["version"] == "v2"
    with pytest.raises(ConfigError, match="no version v9 of orders was applied") as wrong:
        show("orders", "v9", applied=True, project=shop)
    assert wrong.value.fix == "one of: 1, 2"
    with pytest.raises(ConfigError, match="no version v9 of orders is there") as wrong:
        show("orders", "v9", project=shop)
    assert wrong.value.fix == "one of: v1, v2"


def test_deprecating_changes_one_line_and_keeps_comments(shop, capsys):
    source = shop / "connectors/orders.yaml"
    found = told(capsys, deprecate, "orders", "v1", until="2099-03-01", dry_run=True, project=shop)
    assert source.read_text() == SOURCE
    assert found["diff"].splitlines()[3:] == [
        "     - rename: {ident: id}     # v1 said ident",
        "+  versions:",
        "+    v1: {status: deprecated, until: 2099-03-01}",
        " ",
    ]
    deprecate("orders", "v1", until="2099-03-01", project=shop)
    assert "+    v1: {status: deprecated, until: 2099-03-01}" in capsys.readouterr().out
    kept = source.read_text().splitlines()
    assert [line for line in SOURCE.splitlines() if line not in kept] == []
    assert len(kept) == len(SOURCE.splitlines()) + 2
    assert told(capsys, list_, project=shop)["versions"][1]["until"] == "2099-03-01"
    assert not told(capsys, deprecate, "orders", "1", until="2099-03-01", project=shop)["changed"]
    deprecate("orders", "v1", until=None, project=shop)
    assert "v1: {status: deprecated}" in source.read_text()
    with pytest.raises(ConfigError, match="'soon' is not a date"):
        deprecate("orders", "v1", until="soon", project=shop)
    with pytest.raises(ConfigError, match="no version v7 of orders"):
        deprecate("orders", "v7", project=shop)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("schema:\n  file: a.json # x\n\n# next\nowner: me\n", "  file: a.json # x\n+++\n# next\nowner: me\n"),
        ("schema:\n    file: a.json\n    # of schema\n\nevent_time: at\n", "    # of schema\n+++\nevent_time: at\n"),
        ("schema:\n  file: a.json", "  file: a.json\n+++"),
        ("schema:\n  inline:\n    description: |\n      one\n\n      two\n\n# next\nevent_time: at\n",
         "      two\n+++\n# next\nevent_time: at\n"),
    ],
)  # fmt: skip
def test_a_new_key_stands_at_the_end_of_its_section(before, after):
    text = f"source_id: orders\npattern: event_streaming\n{before}"
    indent = " " * (4 if "    file" in before else 2)
    added = f"{indent}versions:\n{indent}  v1: {{status: deprecated}}\n"
    found = deprecated(text, parse_yaml(text, "orders.yaml").value, "v1", None, "orders.yaml")
    assert found.endswith(after.replace("+++", added)), found


def test_a_flat_file_gets_a_schema_section(shop, capsys):
    source = shop / "connectors/orders.yaml"
    (shop / "schemas/orders/v1.json").unlink()
    source.write_text("source_id: orders\npattern: event_streaming\nschema_file: schemas/orders.json # here\n")
    deprecate("orders", "v1", project=shop)
    capsys.readouterr()
    (listed,) = told(capsys, list_, project=shop)["versions"]
    assert (listed["lifecycle"], listed["until"]) == ("deprecated", None)


TABLES = """\
source_id: db
ingestion:
  pattern: database_cdc
  tables:
    - orders   # by its name alone
    # the visits
    - name: visits
      key: [id]   # its key

    - {name: parcels, key: [id]}
owner: shop
"""


@pytest.fixture
def tables(tmp_path):
    for name in ("orders", "visits", "parcels"):
        (tmp_path / f"schemas/db__{name}").mkdir(parents=True)
        (tmp_path / f"schemas/db__{name}.json").write_text(json.dumps(schema("id")))
    for name in ("orders", "visits"):
        (tmp_path / f"schemas/db__{name}/v1.json").write_text(json.dumps(schema("id") | {"title": name}))
    (tmp_path / "schemas/db__parcels/v3.json").write_text(json.dumps(schema("id")))
    (tmp_path / "connectors").mkdir()
    (tmp_path / "headrace.yaml").write_text("name: shop\n")
    (tmp_path / "connectors/db.yaml").write_text(TABLES)
    return tmp_path


def test_a_version_of_one_of_several_tables(tables, capsys):
    """Each table has a v1 of its own: which one is meant is asked, and only its lines change."""
    for verb in (show, deprecate):
        with pytest.raises(ConfigError) as wrong:
            verb("db", "v1", project=tables)
        assert (wrong.value.at, "orders, visits" in wrong.value.fix) == ("--dataset", True)
    with pytest.raises(ConfigError, match="db has no table 'nothing'"):
        deprecate("db", "v1", dataset="nothing", project=tables)
    assert told(capsys, show, "db", "v1", dataset="visits", project=tables)["document"]["title"] == "visits"
    deprecate("db", "v1", dataset="visits", until="2099-01-01", project=tables)
    deprecate("db", "v1", dataset="db__orders", project=tables)
    deprecate("db", "v3", project=tables)
    capsys.readouterr()
    assert (tables / "connectors/db.yaml").read_text() == TABLES.replace(
        "- orders   # by", "- {name: orders, versions: {v1: {status: deprecated}}} # by"
    ).replace(
        "# its key\n", "# its key\n      versions:\n        v1: {status: deprecated, until: 2099-01-01}\n"
    ).replace("key: [id]}", "key: [id], versions: {v3: {status: deprecated}}}")
    deprecate("db", "v1", dataset="visits", project=tables)
    assert "v1: {status: deprecated}" in (tables / "connectors/db.yaml").read_text()
    capsys.readouterr()
    listed = told(capsys, list_, project=tables)["versions"]
    assert {(each["dataset"], each["version"]) for each in listed if each["lifecycle"] == "deprecated"} == {
        ("db__orders", "v1"), ("db__visits", "v1"), ("db__parcels", "v3"),
    }  # fmt: skip


def test_of_several_tables_the_applied_version_of_one_is_brought_back(tables, capsys):
    building.bring_in(load_project(tables))
    (tables / "schemas/db__visits/v1.json").write_text(json.dumps(schema("id") | {"minProperties": 1}))
    with pytest.raises(ContractError) as wrong:
        building.bring_in(load_project(tables))
    command = "headrace contract show db v1 --dataset visits --applied"
    assert command in wrong.value.fix
    with pytest.raises(ConfigError, match="db has 3 tables"):
        show("db", "v1", applied=True, project=tables)
    with pytest.raises(ConfigError, match="no table nothing of db was applied"):
        show("db", "v1", applied=True, dataset="nothing", project=tables)
    assert (
        told(capsys, show, "db", "v1", applied=True, dataset="visits", project=tables)["document"]["title"] == "visits"
    )
