import json

import pytest

from headrace.errors import BuildError
from headrace.warehouse.base import Column, Inputs, SilverTable
from headrace.warehouse.dbt_project import DbtFolder, write_project
from headrace.warehouse.gold import GoldStep

COUNT = GoldStep.model_validate({"aggregate": {"metrics": ["count(*) as n"]}})
ORDERS = SilverTable(
    "orders",
    "orders",
    (Column("id", "BIGINT", "An {{ id }}"), Column("_event_date", "DATE")),
    key=("id", "_event_date"),
    owner="commerce",
    sla_minutes=90,
    gold=(COUNT,),
)


def write(root, tables=(ORDERS,)):
    folder = DbtFolder(root / ".headrace" / "local" / "dbt")
    warnings = write_project(folder, Inputs("My Shop", root, tables), threads=2, memory_limit="1GiB")
    return folder.project, warnings


def generated(project):
    return {str(path.relative_to(project)) for path in project.rglob("*.sql") if not path.parent.is_symlink()}


def yaml(project):
    return json.loads((project / "headrace_models" / "headrace.yml").read_text())


def test_a_project_without_dbt_has_its_generated_models(tmp_path):
    project, _ = write(tmp_path)
    assert {"headrace_models/staging/stg_orders.sql", "headrace_models/gold/orders_gold.sql"} < generated(project)
    settings = json.loads((project / "dbt_project.yml").read_text())
    assert (settings["name"], settings["model-paths"]) == ("my_shop", ["headrace_models"])


def test_contracts_become_docs_tests_and_freshness(tmp_path):
    project, _ = write(tmp_path)
    document = yaml(project)
    (silver,) = [source for source in document["sources"] if source["name"] == "silver"]
    (table,) = silver["tables"]
    assert table["config"]["freshness"]["warn_after"] == {"count": 90, "period": "minute"}
    assert table["config"]["loaded_at_field"] == "_ingest_time"
    (staging,) = [model for model in document["models"] if model["name"] == "stg_orders"]
    assert staging["columns"][0]["description"] == "An { { id }}"  # dbt renders descriptions
    assert staging["data_tests"][0]["headrace_unique"]["arguments"] == {"columns": ["id", "_event_date"]}


def test_the_users_settings_are_kept_and_its_folders_are_linked(tmp_path):
    (tmp_path / "dbt_project.yml").write_text(
        "name: shop\nprofile: mine\ntarget-path: out\nmodel-paths: [models, more/marts, none]\n"
        "vars: {a: 1}\nmodels: {shop: {+tags: [x]}}\n"
    )
    for folder in ("models", "more/marts", "macros"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "more" / "marts" / "a.sql").write_text("select 1")
    project, _ = write(tmp_path)
    settings = json.loads((project / "dbt_project.yml").read_text())
    assert settings["model-paths"] == ["models", "more/marts", "headrace_models"]
    assert settings["macro-paths"] == ["macros", "headrace_macros"]
    assert settings["models"] == {"shop": {"+tags": ["x"]}, "+materialized": "table"}
    assert (settings["vars"], settings["profile"]) == ({"a": 1}, "headrace")
    assert "target-path" not in settings
    assert (project / "more" / "marts" / "a.sql").read_text() == "select 1"
    write(tmp_path)  # again: what a link points at stays
    assert (tmp_path / "more" / "marts" / "a.sql").exists()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("models/deep/stg_orders.sql", "select 1"),
        ("models/stg_orders.py", ""),
        ("seeds/stg_orders.csv", "a\n1\n"),
        ("snapshots/any.sql", "{% snapshot stg_orders %}select 1{% endsnapshot %}"),
    ],
)
def test_a_name_that_the_user_has_taken_is_not_generated(tmp_path, path, text):
    (tmp_path / "dbt_project.yml").write_text("name: shop\n")
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(text)
    project, _ = write(tmp_path)
    assert "headrace_models/staging/stg_orders.sql" not in generated(project)
    assert "headrace_models/gold/orders_gold.sql" in generated(project)


def test_a_source_that_the_user_declares_is_not_declared_twice(tmp_path):
    (tmp_path / "dbt_project.yml").write_text("name: shop\n")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "s.yml").write_text("sources: [{name: silver, tables: [{name: orders}]}]")
    project, _ = write(tmp_path)
    assert "silver" not in [source["name"] for source in yaml(project)["sources"]]


@pytest.mark.parametrize("folder", ["..", ".", "/etc", "../models", "leads_out"])
def test_a_path_that_leaves_the_project_is_refused(tmp_path, folder):
    root = tmp_path / "shop"
    root.mkdir()
    (root / "leads_out").symlink_to(tmp_path)
    (root / "dbt_project.yml").write_text(f"name: shop\nmodel-paths: ['{folder}']\n")
    with pytest.raises(BuildError, match="inside the project"):
        write(root)


@pytest.mark.parametrize("name", ["dbt_project.yml", "models/x.yml"])
def test_yaml_that_cannot_be_read_names_the_line(tmp_path, name):
    (tmp_path / "models").mkdir()
    (tmp_path / "dbt_project.yml").write_text("name: shop\n")
    (tmp_path / name).write_text("name: shop\na: [1\n")
    with pytest.raises(BuildError) as caught:
        write(tmp_path)
    assert caught.value.at.startswith(f"{name}:")


def test_a_join_that_does_not_resolve_is_a_warning(tmp_path):
    step = GoldStep.model_validate({"join": {"table": "silver.nothing", "on": "id"}})
    project, warnings = write(tmp_path, (SilverTable("orders", "orders", ORDERS.columns, gold=(step,)),))
    assert "silver.nothing" in warnings[0]
    assert "headrace_models/gold/orders_gold.sql" not in generated(project)
