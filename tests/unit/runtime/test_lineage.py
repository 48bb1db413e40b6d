"""The lineage of a project's files: contracts, staging, marts, seeds, snapshots, and models that nobody can read."""

import json

import pytest

from headrace.config.project import load_project
from headrace.errors import InputError
from headrace.runtime.lineage import Cache, lineage
from headrace.runtime.views.lineage import told
from living import project_of

FILES = {
    "models/daily.sql": "{{ config(materialized='incremental') }}\nselect region, sum(o.amount) as revenue\n"
    "from {{ ref('stg_orders') }} o\njoin {{ ref('regions') }} using (id)\n"
    "where {{ headrace_touched('orders') }} {% if is_incremental() %} and nope {% endif %}\ngroup by region\n",
    "models/report.sql": "select {{ cents('revenue') }} as cents from {{ ref('daily') }}",
    "models/dark.sql": "select {{ dbt_utils.star(ref('daily')) }} from {{ ref('daily') }}",
    "models/after_dark.sql": "select total from {{ ref('dark') }}",
    "models/model.py": "def model(dbt, session):\n    return dbt.ref('report')\n",
    "macros/money.sql": "{% macro cents(column) %}{{ column }} * 100{% endmacro %}",
    "seeds/regions.csv": "id,region\no1,north\n",
    "snapshots/history.sql": "{% snapshot history %}{{ config(unique_key='region') }}"
    "select * from {{ ref('daily') }}{% endsnapshot %}",
    "dbt_project.yml": "name: lab\nversion: '1.0'\n",
}


@pytest.fixture
def project(tmp_path):
    project_of(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return load_project(tmp_path)


def columns(steps):
    return [(step["column"], *columns(step["next"])) for step in steps]


def test_from_an_events_field_to_the_marts(project):
    found = told(project, "gold.report.cents")
    assert columns(found["up"]) == [
        ("gold.daily.revenue", ("gold.stg_orders.amount", ("silver.orders.amount", ("orders.amount",))))
    ]
    assert found["at"] == "models/report.sql:1"
    assert found["up"][0]["at"] == "models/daily.sql:2"
    field = told(project, "orders.amount")
    assert field["at"] == "schemas/orders.json:1"
    assert "gold.history.revenue" in json.dumps(field["down"])
    assert columns(told(project, "gold.daily.region")["up"]) == [("gold.regions.region",)]
    rows = [step["column"] for step in told(project, "gold.stg_orders.id")["down"] if step["how"] == "rows"]
    assert rows == ["gold.daily.*"]


def test_a_model_that_needs_dbt_is_named_and_depends_on_all_of_its_parents(project):
    graph = lineage(project)
    assert graph.tables["gold.dark"].problem == "it uses dbt_utils, which only dbt knows"
    assert graph.tables["gold.model"].problem == "it is a Python model"
    down = json.dumps(told(project, "gold.daily.revenue")["down"])
    assert "gold.after_dark.total" in down
    assert "gold.model.*" in down


def test_an_unknown_name_has_a_nearest_one(project):
    for wrong, right in {
        "gold.daily.revenu": "'gold.daily.revenue'",
        "gold.dayly.revenue": "'gold.daily.revenue'",
        "orders.amont": "'orders.amount'",
        "gold.daily": "region, revenue",
    }.items():
        with pytest.raises(InputError) as problem:
            told(project, wrong)
        assert right in problem.value.fix


def test_what_was_read_once_is_kept(project):
    project.state.mkdir(parents=True)
    first = lineage(project)
    kept = (project.state / "lineage.json").read_text()
    assert lineage(project).tables == first.tables
    assert (project.state / "lineage.json").read_text() == kept
    (project.state / "lineage.json").write_text(kept[: len(kept) // 2])
    assert lineage(project).tables == first.tables, "one that was cut off is made again"


def test_of_a_few_tables_only_what_they_go_into_and_what_that_reads_is_there(project):
    (project.root / "models/apart.sql").write_text("select 1 as one")
    (project.root / "models/beside.sql").write_text("select day from {{ ref('apart') }}, gold.report")
    whole, part = lineage(project), lineage(project, below={"gold.report"})
    gold = {name for name in part.tables if name.startswith("gold.")}
    assert gold == {"gold.report", "gold.model", "gold.beside", "gold.apart", "gold.daily", "gold.stg_orders",
                    "gold.regions"}  # fmt: skip
    assert {name: whole.tables[name] for name in part.tables} == part.tables
    assert lineage(project, below={"silver.orders"}).dependents("silver.orders") == whole.dependents("silver.orders")
    assert lineage(project, below=set()).tables.keys() == {"orders", "silver.orders"}


def test_a_part_that_was_read_drops_nothing_that_was_kept(project):
    project.state.mkdir(parents=True)
    lineage(project)
    kept = json.loads((project.state / "lineage.json").read_text())["selects"].keys()
    (project.root / "models/apart.sql").write_text("select 1 as one")
    cache = Cache(project.state / "lineage.json")
    lineage(project, cache=cache, below={"gold.apart"})
    cache.keep(partly=True)
    assert json.loads((project.state / "lineage.json").read_text())["selects"].keys() > kept
