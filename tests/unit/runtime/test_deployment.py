"""A deployment records the files that its digest covers, as they were loaded, and what the contracts were."""

import json
from contextlib import closing

import pytest

from headrace.config.lint import lint
from headrace.config.project import load_project
from headrace.errors import ContractError, LakeError
from headrace.lake.ducklake import DuckLake
from headrace.runtime import applied, building
from headrace.runtime.deployment import undeployable
from headrace.sqlite_file import DOCTOR
from living import changed_behind_its_back, project_of, rows


def test_what_is_recorded_is_what_the_digest_covers(tmp_path):
    project = project_of(tmp_path)
    (project.root / "schemas/unused.json").write_text("{}")
    building.bring_in(project)
    (found,) = rows(project, "SELECT digest, files FROM lake.ops.deployments")
    assert found["digest"] == project.digest
    files = json.loads(found["files"])
    assert files == {file: content.decode() for file, content in project.files.items()}
    assert set(files) == {"headrace.yaml", "connectors/orders.yaml", "schemas/orders.json"}


FIELDS = {"id": {"type": "string"}, "version": {"type": "integer"}, "amount": {"type": "number"}}


def written(tmp_path, *, version=None, more="", **fields):
    """Write a project whose contract may declare its version; `more` goes into `schema:`."""
    schema = {"type": "object", "required": ["id"], "properties": FIELDS | fields}
    project_of(tmp_path, schema=schema | ({"version": version} if version else {}))
    source = tmp_path / "connectors/orders.yaml"
    source.write_text(source.read_text().replace("orders.json}", f"orders.json{more}}}"))
    return load_project(tmp_path)


def recorded(project):
    return [
        (row["version"], row["lifecycle"], row["owner"])
        for row in applied.in_time(rows(project, "SELECT * FROM lake.ops.contracts"))
    ]


def test_contracts_are_recorded_once_and_again_where_what_is_said_of_them_changes(tmp_path):
    for _ in range(2):
        building.bring_in(written(tmp_path, version="1"))
    assert recorded(load_project(tmp_path)) == [("1", "stable", None)]
    project = written(tmp_path, version="1", more=", versions: {v1: {status: deprecated, until: 2099-01-01}}")
    building.bring_in(project)
    building.bring_in(written(tmp_path, version="1"))
    assert recorded(project) == [("1", "stable", None), ("1", "deprecated", None), ("1", "stable", None)]
    (row, *_) = rows(project, "SELECT * FROM lake.ops.contracts")
    assert row["deployment"] in {row["digest"] for row in rows(project, "SELECT digest FROM lake.ops.deployments")}
    assert json.loads(row["document"])["version"] == "1"


def test_what_is_deployed_is_the_newest_record_though_the_clock_was_set_back(tmp_path):
    building.bring_in(written(tmp_path, version="1"))
    for table, at in (("deployments", "deployed_at"), ("contracts", "applied_at")):
        changed_behind_its_back(load_project(tmp_path), f"UPDATE lake.ops.{table} SET {at} = {at} + INTERVAL 3 HOUR")
    project = written(tmp_path, version="1", more=", versions: {v1: {status: deprecated, until: 2099-01-01}}")
    for _ in range(2):  # the second time, there is nothing to record
        building.bring_in(project)
    newest_last = rows(project, "SELECT digest FROM lake.ops.deployments ORDER BY deployed_at")
    assert [row["digest"] == project.digest for row in newest_last] == [False, True]
    assert recorded(project) == [("1", "stable", None), ("1", "deprecated", None)]


def test_a_damaged_record_of_contracts_is_told_as_what_it_is(tmp_path):
    project = written(tmp_path, version="1")
    building.bring_in(project)
    (file,) = (project.state / "lake/data/ops/contracts").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(LakeError) as refused:
        building.bring_in(project)
    assert DOCTOR in refused.value.fix


def test_a_catalog_that_fails_as_its_tables_are_looked_at_is_told_as_the_lakes_trouble(tmp_path):
    project = project_of(tmp_path)
    with closing(DuckLake(project.state / "lake")) as lake:
        lake._connection.execute("DETACH lake")
        with pytest.raises(LakeError, match="the lake refused"):
            lake.deploy(project.source("orders").datasets)


def test_what_was_applied_may_not_change_and_what_to_type_is_told(tmp_path):
    building.bring_in(written(tmp_path, version="2"))
    changed = written(tmp_path, version="2", amount={"type": "integer"}, note={"type": "string"})
    with pytest.raises(ContractError, match=r"v2 of orders was applied on .*#/properties/amount: .*note") as refused:
        building.bring_in(changed)
    assert refused.value.at == "schemas/orders.json"
    assert refused.value.fix == (
        "make it v3: headrace contract show orders v2 --applied > schemas/orders/v2.json, "
        'and write "version": "3" into schemas/orders.json'
    )
    *_, fault = lint(tmp_path, environ={}, also=[undeployable])  # the other one is that silver cannot follow
    assert (fault.file, fault.line, fault.message) == ("schemas/orders.json", 1, refused.value.message)
    assert len(recorded(changed)) == 1
    (tmp_path / "schemas/orders").mkdir()
    (tmp_path / "schemas/orders/v2.json").write_text(rows(changed, "SELECT * FROM lake.ops.contracts")[0]["document"])
    building.bring_in(written(tmp_path, version="3", note={"type": "string"}))
    assert [version for version, _, _ in recorded(changed)] == ["2", "3"]
    narrowed = {"type": "object", "required": ["id"], "properties": FIELDS, "maxProperties": 2}
    (tmp_path / "schemas/orders/v2.json").write_text(json.dumps(narrowed))  # an older one is fixed as well
    project = load_project(tmp_path)
    with pytest.raises(ContractError, match="v2 of orders was applied") as refused:
        building.bring_in(project)
    assert refused.value.fix == "put it back: headrace contract show orders v2 --applied > schemas/orders/v2.json"


def test_descriptions_and_tags_are_not_what_is_fixed(tmp_path):
    building.bring_in(written(tmp_path, version="1"))
    building.bring_in(written(tmp_path, version="1", amount={"type": "number", "description": "net", "x-pii": True}))
    assert len(recorded(load_project(tmp_path))) == 2  # the words of the two differ
    with pytest.raises(ContractError):
        building.bring_in(written(tmp_path, version="1", description={"type": "string"}))


def test_a_draft_of_json_schema_is_fixed_too(tmp_path):
    """`format: uuid` binds nobody in draft 7, and everybody in 2020-12."""
    uuid = {"type": "string", "format": "uuid"}
    project = written(tmp_path, version="1", ref=uuid)
    file = tmp_path / "schemas/orders.json"
    newer = {"$schema": "https://json-schema.org/draft/2020-12/schema", **json.loads(file.read_text())}
    file.write_text(json.dumps(newer | {"$schema": "http://json-schema.org/draft-07/schema#"}))
    building.bring_in(load_project(tmp_path))
    file.write_text(json.dumps(newer))
    with pytest.raises(ContractError, match=r"\$schema was .*draft-07.* and is .*2020-12"):
        building.bring_in(load_project(tmp_path))
    assert recorded(project) == [("1", "stable", None)]


@pytest.mark.parametrize("closed", [{}, {"additionalProperties": False}])
def test_another_validation_of_what_was_applied_is_told(tmp_path, closed):
    """It is the source's, so it is no content of a version; but it decides what a version takes."""

    def wrote(validation):
        written(tmp_path, version="1", more=f", validation: {validation}")
        file = tmp_path / "schemas/orders.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | closed))
        faults = lint(tmp_path, environ={}, also=[undeployable])
        return load_project(tmp_path), [each.message.split(":")[0] for each in faults if "applied" in each.message]

    project, told = wrote("strict")
    assert told == []
    building.bring_in(project)
    assert wrote("strict")[1] == []
    project, told = wrote("lenient")
    assert told == ["v1 of orders was applied strict, and is lenient now"]
    building.bring_in(project)
    assert wrote("lenient")[1] == []
    assert wrote("strict")[1] == ["v1 of orders was applied lenient, and is strict now"]


def test_a_number_that_was_applied_is_not_given_to_another_schema(tmp_path):
    """Without the files of older versions, the newest is the first again: but that number was promised."""
    one = written(tmp_path, version="1")
    building.bring_in(one)
    document = rows(one, "SELECT * FROM lake.ops.contracts")[0]["document"]
    (tmp_path / "schemas/orders").mkdir()
    (tmp_path / "schemas/orders/v1.json").write_text(document)
    building.bring_in(written(tmp_path, note={"type": "string"}))
    (tmp_path / "schemas/orders/v1.json").unlink()
    (tmp_path / "schemas/orders").rmdir()
    alone = load_project(tmp_path)
    with pytest.raises(ContractError, match="nothing numbers this schema of orders, so it is v1") as refused:
        building.bring_in(alone)
    assert refused.value.fix == ("keep that one: headrace contract show orders v1 --applied > schemas/orders/v1.json")
    assert recorded(alone) == [("1", "stable", None), ("2", "stable", None)]
    warnings = [fault for fault in lint(tmp_path, environ={}, also=[undeployable]) if fault.severity == "warning"]
    assert [fault.message.split(" was ")[0] for fault in warnings] == ["v2 of orders"]
    assert "contract show orders v2 --applied > schemas/orders/v2.json" in warnings[0].fix
    (tmp_path / "schemas/orders.json").write_text(document)  # all files as they were: taken, with the same warning
    building.bring_in(load_project(tmp_path))


def test_drafts_and_what_nobody_numbered_may_change(tmp_path):
    building.bring_in(written(tmp_path))
    building.bring_in(written(tmp_path, note={"type": "string"}))
    draft = ", versions: {v1: {status: draft}}"
    building.bring_in(written(tmp_path, version="1", more=draft))
    building.bring_in(written(tmp_path, version="1", more=draft, other={"type": "string"}))
    building.bring_in(written(tmp_path, version="1", other={"type": "string"}))
    with pytest.raises(ContractError):
        building.bring_in(written(tmp_path, version="1", more=draft, third={"type": "string"}))
    assert [lifecycle for _, lifecycle, _ in recorded(load_project(tmp_path))] == ["draft"] * 4 + ["stable"]
